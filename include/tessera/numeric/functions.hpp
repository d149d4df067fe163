// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Functions of one argument on the 16-bit types, correctly rounded on every one of the 65,536 inputs.
///
/// Formula         the lane function of the same name in double, then one rounding. Its error is less than 2^-40 of the result, and no
///                 result but an exact one is nearer than 2^-30 to a midpoint between two numbers of the type; where an odd subnormal bfloat16
///                 makes silu and gelu nearly one (x / 2), the side is known.
/// Special values  NaN for NaN, its sign and payload unspecified, and for -inf, +inf and -0:
///
///                     | function           | -inf   | +inf | -0    | elsewhere                                  |
///                     | exp, exp2, exp10   | +0     | +inf | 1     |                                            |
///                     | expm1              | -1     | +inf | -0    |                                            |
///                     | log, log2, log10   | NaN    | +inf | -inf  | -inf at +0, NaN below 0, +0 at 1           |
///                     | log1p              | NaN    | +inf | -0    | -inf at -1, NaN below                      |
///                     | sin, tan           | NaN    | NaN  | -0    |                                            |
///                     | cos                | NaN    | NaN  | 1     |                                            |
///                     | asin               | NaN    | NaN  | -0    | NaN beyond [-1, 1]                         |
///                     | acos               | NaN    | NaN  | pi/2  | NaN beyond [-1, 1], +0 at 1                |
///                     | atan               | -pi/2  | pi/2 | -0    |                                            |
///                     | sinh, asinh, cbrt  | -inf   | +inf | -0    |                                            |
///                     | cosh               | +inf   | +inf | 1     |                                            |
///                     | tanh, erf          | -1     | 1    | -0    |                                            |
///                     | acosh              | NaN    | +inf | NaN   | NaN below 1, +0 at 1                       |
///                     | atanh              | NaN    | NaN  | -0    | -inf at -1, +inf at 1, NaN beyond [-1, 1]  |
///                     | erfc               | 2      | +0   | 1     |                                            |
///                     | rsqrt              | NaN    | +0   | -inf  | +inf at +0, NaN below 0                    |
///                     | sigmoid            | +0     | 1    | 1/2   |                                            |
///                     | silu, gelu         | -0     | +inf | -0    | -0 also where the result underflows        |
///                     | softplus           | +0     | +inf | log 2 |                                            |
///
///                 Results too large are infinite, results below half the smallest subnormal a zero with the sign of the exact result;
///                 subnormals are kept. A format without infinity or NaN gets what its conversion from double makes of them.
/// Accuracy        correctly rounded to nearest, ties to even; every input of float16 and bfloat16 is compared with MPFR in
///                 test/numeric/functions.cpp, on every run.
/// Cost            that of the double function. Arrays: simd/transform_rounded.hpp.
/// Determinism     the same bits on every machine, in the rounding mode to nearest with subnormals enabled.
/// Backends        host, device
#pragma once

#include "tessera/core/config.hpp"
#include "tessera/numeric/cbrt.hpp"
#include "tessera/numeric/erf.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/exp10.hpp"
#include "tessera/numeric/expm1.hpp"
#include "tessera/numeric/gelu.hpp"
#include "tessera/numeric/hyperbolic.hpp"
#include "tessera/numeric/hyperbolic_sine.hpp"
#include "tessera/numeric/inverse_hyperbolic.hpp"
#include "tessera/numeric/inverse_trigonometric.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/log.hpp"
#include "tessera/numeric/log10.hpp"
#include "tessera/numeric/log1p.hpp"
#include "tessera/numeric/rsqrt.hpp"
#include "tessera/numeric/sigmoid.hpp"
#include "tessera/numeric/small_float.hpp"
#include "tessera/numeric/trigonometric.hpp"

namespace tessera {
namespace detail {

/// x (1/2 and a little more or less), in place of a function of x that is greater than x / 2 by nearly nothing.
///
/// x / 2 may be a midpoint between two numbers of the format, and the function's own last bit does not tell on which side it is. What is
/// added is 2^-12 |x|, more than nothing and less than a quarter of the gap between two numbers, in float's subnormals too.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T above_half(T x, T function) {
  using V = lane_value<T>;
  const T nudged = x * select(x < T(V(0)), T(V(0.5 - 0x1p-12)), T(V(0.5 + 0x1p-12)));
  return select(lane<T>::abs(x) < T(V(0x1p-100)), nudged, function);
}

}  // namespace detail

/// e^x.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> exp(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::exp(static_cast<double>(x)));
}

/// 2^x.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> exp2(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::exp2(static_cast<double>(x)));
}

/// 10^x.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> exp10(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::exp10(static_cast<double>(x)));
}

/// e^x - 1.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> expm1(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::expm1(static_cast<double>(x)));
}

/// The natural logarithm.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> log(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::log(static_cast<double>(x)));
}

/// The logarithm to base 2.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> log2(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::log2(static_cast<double>(x)));
}

/// The logarithm to base 10.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> log10(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::log10(static_cast<double>(x)));
}

/// log(1 + x).
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> log1p(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::log1p(static_cast<double>(x)));
}

/// The sine of x radians.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> sin(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::sin(static_cast<double>(x)));
}

/// The cosine of x radians.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> cos(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::cos(static_cast<double>(x)));
}

/// The tangent of x radians.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> tan(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::tan(static_cast<double>(x)));
}

/// The angle in [-pi/2, pi/2] whose sine is x.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> asin(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::asin(static_cast<double>(x)));
}

/// The angle in [0, pi] whose cosine is x.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> acos(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::acos(static_cast<double>(x)));
}

/// The angle in [-pi/2, pi/2] whose tangent is x.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> atan(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::atan(static_cast<double>(x)));
}

/// The hyperbolic sine.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> sinh(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::sinh(static_cast<double>(x)));
}

/// The hyperbolic cosine.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> cosh(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::cosh(static_cast<double>(x)));
}

/// The hyperbolic tangent.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> tanh(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::tanh(static_cast<double>(x)));
}

/// The inverse of sinh.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> asinh(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::asinh(static_cast<double>(x)));
}

/// The inverse of cosh, not negative.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> acosh(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::acosh(static_cast<double>(x)));
}

/// The inverse of tanh.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> atanh(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::atanh(static_cast<double>(x)));
}

/// The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> erf(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::erf(static_cast<double>(x)));
}

/// 1 - erf(x), without the cancellation.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> erfc(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::erfc(static_cast<double>(x)));
}

/// The cube root, of negative numbers too.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> cbrt(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::cbrt(static_cast<double>(x)));
}

/// 1 / sqrt(x).
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> rsqrt(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::rsqrt(static_cast<double>(x)));
}

/// 1 / (1 + e^-x).
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> sigmoid(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::sigmoid(static_cast<double>(x)));
}

/// x / (1 + e^-x), also called swish.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> silu(small_float<Format> x) noexcept {
  return small_float<Format>(detail::above_half(static_cast<double>(x), tessera::silu(static_cast<double>(x))));
}

/// x (1 + erf(x / sqrt 2)) / 2, not one of its approximations.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> gelu(small_float<Format> x) noexcept {
  return small_float<Format>(detail::above_half(static_cast<double>(x), tessera::gelu(static_cast<double>(x))));
}

/// log(1 + e^x).
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE small_float<Format> softplus(small_float<Format> x) noexcept {
  return small_float<Format>(tessera::softplus(static_cast<double>(x)));
}

}  // namespace tessera
