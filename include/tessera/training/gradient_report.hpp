// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What one pass over a model's gradients found out.
#pragma once

#include <cmath>
#include <cstdint>

#include "tessera/core/config.hpp"

namespace tessera::training {

/// What a pass over a list of gradients found. Reports of parts of a model join by `+=`.
struct gradient_report {
  double squares = 0;         ///< the sum of the squares of the unscaled gradients; infinite or NaN where one of them is
  std::int64_t elements = 0;  ///< in all tensors
  std::int64_t zeros = 0;     ///< that were read as 0
  std::int64_t underflows =
      0;  ///< not 0, but below the smallest normal number of the type they were read in, or of what can be written
  std::int64_t bad_tensor = -1;  ///< the first that holds infinity or NaN, read or written; -1 where none does
  std::int64_t bad_index = -1;   ///< of the first such element in it

  /// Whether a step may be taken.
  [[nodiscard]] TESSERA_ALWAYS_INLINE bool finite() const { return bad_tensor < 0; }
  /// The Euclidean norm of all unscaled gradients.
  [[nodiscard]] TESSERA_ALWAYS_INLINE double norm() const { return std::sqrt(squares); }

  /// Joins what was found in further tensors: their numbers follow those of `first_tensor` others.
  TESSERA_ALWAYS_INLINE void add(const gradient_report& more, std::int64_t first_tensor = 0) {
    squares += more.squares;
    elements += more.elements;
    zeros += more.zeros;
    underflows += more.underflows;
    if (finite() && !more.finite()) {
      bad_tensor = first_tensor + more.bad_tensor;
      bad_index = more.bad_index;
    }
  }
};

/// The factor that brings gradients of this norm to at most `max_norm`: min(1, max_norm / (norm + 1e-6)).
///
/// Special values  NaN for a norm that is NaN, 0 for an infinite one
/// Source          Pascanu et al. 2013, arXiv:1211.5063; the constant of PyTorch's clip_grad_norm_ and of Megatron-LM
TESSERA_HD constexpr double clip_factor(double norm, double max_norm) {
  const double factor = max_norm / (norm + 1e-6);
  return factor > 1 ? 1 : factor;
}

}  // namespace tessera::training
