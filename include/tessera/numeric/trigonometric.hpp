// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// sin, cos, both at once and tan, of radians and of half turns, from our own polynomials: the same on every lane type.
#pragma once

#include "tessera/numeric/detail/quadrant.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// sin(r + low) and cos(r + low), each as a number and what its rounding loses, for |r| <= 0.87 (double: 0.79) and a small `low`.
///
/// Minimax of the absolute error of (sin r / r - 1) / r^2 and of (cos r - 1 + r^2 / 2) / r^4, both in r^2; relative to the results
/// 2^-30.6 and 2^-28.6 (float), 2^-58 (double).
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void sincos_of_quadrant(T r, T low, T& sine, T& sine_low, T& cosine, T& cosine_low) {
  using V = lane_value<T>;
  const T square = rounded_product(r, r);
  // r^2 + 2 r low, rounded once: at r near pi/4 the cosine feels half of what r^2 loses.
  const T corrected = fma_once(r, r, rounded_product(r + r, low));
  T s, c;
  if constexpr (sizeof(V) == 4) {
    s = horner(square, -0x1.555556p-3, 0x1.11117cp-7, -0x1.a059f8p-13, 0x1.7a82c2p-19);
    c = horner(square, -0.5, 0x1.555554p-5, -0x1.6c113p-10, 0x1.9af3ccp-16);
  } else {
    s = horner(square, -0x1.5555555555555p-3, 0x1.1111111110c4ap-7, -0x1.a01a019e9128ep-13, 0x1.71de379bae62p-19,
               -0x1.ae6009479c122p-26, 0x1.5e08df2beb2cdp-33);
    c = horner(square, -0.5, 0x1.5555555555555p-5, -0x1.6c16c16c168b3p-10, 0x1.a01a019f319c6p-16, -0x1.27e4f9f9a275cp-22,
               0x1.1eeb4dc82576fp-29, -0x1.906c1b60db7fep-37);
  }
  const T beside = fma(r, rounded_product(corrected, s), low);
  sine = r + beside;
  sine_low = beside - (sine - r);
  cosine = fma(corrected, c, T(V(1)));
  cosine_low = fma_once(corrected, c, T(V(1)) - cosine);
}

template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void sincos_of_quadrant(T r, T low, T& sine, T& cosine) {
  T sine_low, cosine_low;
  sincos_of_quadrant(r, low, sine, sine_low, cosine, cosine_low);
}

/// From the sine and cosine of an angle to those of the angle and n right ones.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void turn_quadrants(lane_bits_type<T> n, T& sine, T& cosine) {
  using bits = lane_bits_type<T>;
  constexpr int to_sign = 8 * static_cast<int>(sizeof(lane_value<T>)) - 2;
  const bits sign(lane<T>::sign_bit);
  const auto even = (n & bits(1)) == bits(0);
  const T s = select(even, sine, cosine);
  const T c = select(even, cosine, sine);
  sine = lane<T>::from_bits(lane<T>::to_bits(s) ^ ((n << to_sign) & sign));
  cosine = lane<T>::from_bits(lane<T>::to_bits(c) ^ (((n + bits(1)) << to_sign) & sign));
}

}  // namespace detail

/// s = sin x, c = cos x, for the price of little more than either.
///
/// Special values  NaN for infinities and NaN; sin keeps the sign of zero; subnormal results are kept.
/// Accuracy        within 1 ulp (float: 0.934 over all inputs; double: 0.893 in 10^7, of any size), 1.6 ulp where fma is two
///                 roundings; test/numeric/trigonometric.cpp.
/// Cost            a pack with an angle above 2^21 (double: 2^30) takes about ten times as long: then 2/pi is needed to hundreds of bits.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
/// Source          detail/quadrant.hpp
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void sincos(T x, T& s, T& c) {
  T r, low;
  const lane_bits_type<T> n = detail::reduce_to_quadrant(lane<T>::abs(x), r, low);
  detail::sincos_of_quadrant(r, low, s, c);
  detail::turn_quadrants(n, s, c);
  s = flip_sign(s, x);
}

/// The sine: that of sincos, to the bit.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T sin(T x) {
  T s, c;
  sincos(x, s, c);
  return s;
}

/// The cosine: that of sincos, to the bit.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T cos(T x) {
  T s, c;
  sincos(x, s, c);
  return c;
}

/// The tangent.
///
/// Special values  NaN for infinities and NaN, +-0 at +-0. No finite argument is a pole.
/// Accuracy        within 1.3 ulp (float: 1.232 over all inputs; double: 1.17 in 10^7), 1.5 ulp where fma is two roundings;
///                 test/numeric/trigonometric.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T tan(T x) {
  using V = lane_value<T>;
  using bits = lane_bits_type<T>;
  T r, low;
  const bits n = detail::reduce_to_quadrant(lane<T>::abs(x), r, low);
  T s, s_low, c, c_low;
  detail::sincos_of_quadrant(r, low, s, s_low, c, c_low);
  const auto even = (n & bits(1)) == bits(0);
  const T above = select(even, s, c);
  const T above_low = select(even, s_low, c_low);
  const T below = select(even, c, s);
  const T below_low = select(even, c_low, s_low);
  // One step of refinement makes up for the inexact inverse and for the low parts.
  const T inverse = T(V(1)) / below;
  const T quotient = detail::rounded_product(above, inverse);
  const T rest = detail::fma_once(-quotient, below, above) + fma(-quotient, below_low, above_low);
  const T y = fma(rest, inverse, quotient);
  // Odd quadrants turn the sign: -cos / sin.
  return flip_sign(lane<T>::from_bits(lane<T>::to_bits(y) ^ (n << (8 * static_cast<int>(sizeof(V)) - 1))), x);
}

/// s = sin(pi x), c = cos(pi x): of x half turns. The reduction is exact, for x of any size.
///
/// Special values  NaN for infinities and NaN; at integers s is 0 with the sign of x and c exactly 1 or -1; half way between them s is
///                 exactly 1 or -1 and c is +0 (IEEE 754-2019, sinPi and cosPi). Subnormal results are kept.
/// Accuracy        within 1 ulp (float: 0.9992 over all inputs, where the result is subnormal, 0.914 elsewhere; double: 0.983 in
///                 10^7), 1.7 ulp where fma is two roundings; test/numeric/trigonometric.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void sincospi(T x, T& s, T& c) {
  T r, low;
  const lane_bits_type<T> n = detail::reduce_half_turns(lane<T>::abs(x), r, low);
  detail::sincos_of_quadrant(r, low, s, c);
  detail::turn_quadrants(n, s, c);
  const T zero(lane_value<T>(0));
  s = flip_sign(s + zero, x);
  c = c + zero;
}

/// sin(pi x), as sincospi gives it.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T sinpi(T x) {
  T s, c;
  sincospi(x, s, c);
  return s;
}

/// cos(pi x), as sincospi gives it.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T cospi(T x) {
  T s, c;
  sincospi(x, s, c);
  return c;
}

}  // namespace tessera
