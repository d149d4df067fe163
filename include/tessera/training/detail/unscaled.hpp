// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One gradient taken back from the scale of the loss.
#pragma once

#include <type_traits>

#include "tessera/core/config.hpp"

namespace tessera::training::detail {

/// The type that gradients are unscaled in.
template <class T>
using unscaled_in = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// 1 / scale as PyTorch has it: the quotient in float64, rounded once.
TESSERA_HD inline float inverse_of_scale(float scale) { return static_cast<float>(1.0 / static_cast<double>(scale)); }

/// False for infinity and NaN, and without a library's function.
template <class T>
TESSERA_HD constexpr bool finite(T x) {
  return x - x == T(0);
}

/// scaled * inverse; the scaled number itself for an inverse of 1, so that it keeps its bits.
template <class T>
TESSERA_HD constexpr T unscaled(T scaled, T inverse) {
  return inverse == T(1) ? scaled : scaled * inverse;
}

}  // namespace tessera::training::detail
