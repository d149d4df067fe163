// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// 1 / sqrt(x), the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// One step of Newton's iteration for 1 / sqrt(2 half_x): the relative error d becomes 3/2 d^2, and a rounding.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T rsqrt_step(T half_x, T y) {
  return fma(y, fma(-(half_x * y), y, T(lane_value<T>(0.5))), y);
}

/// 1 / sqrt(x) for a normal x, not of the lowest binade.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T rsqrt_of_normal(T x) {
  using V = lane_value<T>;
  using B = typename lane<T>::bits;
  using Code = typename lane<V>::bits;
  constexpr bool single = sizeof(V) == 4;
  constexpr auto start = static_cast<Code>(single ? 0x5f200000U : 0x5fe4000000000000U);
  const B code = lane<T>::to_bits(x);
  const T y0 = lane<T>::from_bits(B(start) - (code >> 1));
  const T half_x = lane<T>::from_bits(code - B(Code(1) << exponent_range<V>::mantissa_bits));
  const T t = x * y0 * y0;
  // fpminimax(1 / sqrt(x), 2 or 3, ..., [3/4; 27/32]): relative errors of 2^-15.9 and 2^-21.2.
  if constexpr (single) {
    return rsqrt_step(half_x, y0 * horner(t, 0x1.0d19f2p1, -0x1.c2cc1cp0, 0x1.5388acp-1));
  } else {
    const T y1 = y0 * horner(t, 0x1.39f2c2082da79p1, -0x1.8a855110d47e6p1, 0x1.294a83f517f23p1, -0x1.63634e5a653f2p-1);
    return rsqrt_step(half_x, rsqrt_step(half_x, y1));
  }
}

}  // namespace detail

/// 1 / sqrt(x).
///
/// Formula         halving the code of x halves its exponent: y0 = code(C - code(x) / 2) has x y0^2 in [3/4, 27/32]; a polynomial in that and
///                 Newton's steps do the rest. No hardware's estimate, whose bits are the maker's choice, and no division.
/// Special values  +inf at +0, -inf at -0, +0 at +inf, NaN below 0 and for NaN; subnormal x is a number like any other.
/// Accuracy        within 1 ulp (float: all inputs; double); test/numeric/rsqrt.cpp.
/// Cost            a pack with a number that is not normal, or not above 0, takes three times as long.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T rsqrt(T x) {
  using V = lane_value<T>;
  using range = detail::exponent_range<V>;
  T y = detail::rsqrt_of_normal(x);
  constexpr V least = range::smallest + range::smallest;
  constexpr V infinity = static_cast<V>(__builtin_inff());
  if (lane<T>::any_outside(x, least, infinity)) [[unlikely]] {
    // Small numbers as normal ones, all others by what a division says of 0, infinity and NaN.
    constexpr V up = sizeof(V) == 4 ? V(0x1p24) : V(0x1p54);
    constexpr V up_root = sizeof(V) == 4 ? V(0x1p12) : V(0x1p27);
    const T of_small = detail::rsqrt_of_normal(x * T(up)) * T(up_root);
    const auto positive = (x > T(V(0))) & (x < T(infinity));
    y = select(positive, select(x < T(least), of_small, y), T(V(1)) / sqrt(x));
  }
  return y;
}

}  // namespace tessera
