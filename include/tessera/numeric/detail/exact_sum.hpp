// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A sum of two numbers without loss: its rounding error, and a sum of doubles rounded to odd.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"

namespace tessera::detail {

/// s + e rounded to odd, where s = p + c rounded to nearest, finite, and e is the rest of that sum: rounding once more, to at least
/// two bits less, then gives what a single rounding of p + c gives.
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr double round_to_odd(double s, double e) noexcept {
  const auto bits = __builtin_bit_cast(std::uint64_t, s);
  const auto rest = __builtin_bit_cast(std::uint64_t, e);
  const std::uint64_t magnitude = rest << 1;
  const std::uint64_t inexact = (magnitude | (std::uint64_t{0} - magnitude)) >> 63;
  const std::uint64_t step = inexact & ~bits;  // 1 where s is even and not the whole sum
  const std::uint64_t toward_zero = ((rest ^ bits) >> 63) & step;
  return __builtin_bit_cast(double, bits + step - (toward_zero << 1));
}

/// The rounding error of s = a + b, exactly, whichever is larger (Knuth's TwoSum). Where a is an exact product, a compiler that fuses it
/// into these sums changes nothing.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T sum_error(T a, T b, T s) noexcept {
  const T t = s - a;
  return (a - (s - t)) + (b - t);
}

}  // namespace tessera::detail
