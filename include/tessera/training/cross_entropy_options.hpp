// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What can be asked of a cross-entropy.
#pragma once

#include <cstdint>

namespace tessera::training {

/// What becomes of the losses of the rows.
enum class reduction : std::uint8_t {
  none,  ///< one a row
  mean,  ///< their mean over the rows that count (NaN where none does)
  sum
};

/// loss_i = (1 - s) (lse_i - z_it) + s (lse_i - mean_j z_ij) + z_loss lse_i^2, with s = label_smoothing and t the target of row i.
struct cross_entropy_options {
  reduction reduce = reduction::mean;
  std::int64_t ignore_index = -100;  ///< a row of this target does not count: loss, lse and gradient 0, and it is not read
  double label_smoothing = 0;        ///< in [0, 1]: the share of the target that is spread over all classes
  double z_loss = 0;                 ///< at least 0; keeps lse near 0 (Chowdhery et al. 2022, arXiv:2204.02311, section 5: 1e-4)
};

}  // namespace tessera::training
