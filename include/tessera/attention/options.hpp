// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a caller may choose about attention.
#pragma once

#include <cstdint>
#include <optional>

namespace tessera::attention {

/// Which keys a query sees.
enum class mask : std::uint8_t {
  none,    ///< all of them
  causal,  ///< those not after it
};

/// Where the diagonal of a causal mask runs when queries and keys differ in number.
enum class alignment : std::uint8_t {
  bottom_right,  ///< the last query sees every key (FlashAttention 2.1 and later): key j is seen by query i if j <= i + len_k - len_q
  top_left,      ///< the first query sees the first key (PyTorch): key j is seen by query i if j <= i
};

struct options {
  std::optional<double> scale{};  ///< factor of q . k; 1 / sqrt(head_dim) when not given
  attention::mask mask = mask::none;
  attention::alignment alignment = alignment::bottom_right;
};

}  // namespace tessera::attention
