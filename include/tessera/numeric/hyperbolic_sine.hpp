// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// sinh and cosh, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// e^x / 2 for x >= 0, where e^x itself may be too large.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T half_exp(T x) {
  using V = lane_value<T>;
  using range = detail::exponent_range<V>;
  const T clamped = min(T((range::most + V(2)) * V(0.693147180559945309)), x);
  // As in exp, with an exponent less by one.
  constexpr V magic = V(sizeof(V) == 4 ? 0x1.8p23 : 0x1.8p52);
  const T n = fma(clamped, T(V(1.44269504088896341)), T(magic)) - T(magic);
  const T r = fma(n, T(-log_2_low<V>), fma(n, T(-log_2_high<V>), clamped));
  const T p = exp_fraction(r);
  if constexpr (lane<T>::native_exponent) {
    return lane<T>::scale_from(p, n - T(V(1)), T(range::faintest));
  } else {
    return scale_twice(p, n - T(V(1)));
  }
}

/// (sinh(x) / x - 1) / x^2 as a function of z = x^2 up to 1.
///
/// Minimax of the relative error (sollya, fpminimax): degree 3, 2^-25 (float); degree 6, 2^-54 (double); in sinh a sixth of that.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T sinh_tail(T z) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner(z, 0x1.555556p-3, 0x1.1110c4p-7, 0x1.a036dap-13, 0x1.720e84p-19);
  } else {
    return horner(z, 0x1.5555555555555p-3, 0x1.111111111119ap-7, 0x1.a01a01a00b33ep-13, 0x1.71de3a5f0db9dp-19,
                  0x1.ae6452c7cecbep-26, 0x1.612265e4b9794p-33, 0x1.b2502d89eacf5p-41);
  }
}

}  // namespace detail

/// The hyperbolic sine.
///
/// Formula         x + x^3 P(x^2) up to 1, (e^x - e^-x) / 2 beyond
/// Special values  x itself at +0, -0 and for NaN; infinite, with the sign of x, from 89.41599 (double: 710.47586) on.
/// Accuracy        within 1.7 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/hyperbolic_sine.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T sinh(T x) {
  using V = lane_value<T>;
  const T size = lane<T>::abs(x);
  const T z = x * x;
  const T near_zero = fma(x * z, detail::sinh_tail(z), x);
  const T half = detail::half_exp(size);
  const T y = half - T(V(0.25)) / half;
  return select(size > T(V(1)), copysign(y, x), near_zero);
}

/// The hyperbolic cosine.
///
/// Formula         (e^x + e^-x) / 2
/// Special values  exactly 1 at 0, +inf from 89.41599 (double: 710.47586) on and at -inf, NaN for NaN.
/// Accuracy        within 1.7 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/hyperbolic_sine.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T cosh(T x) {
  using V = lane_value<T>;
  const T half = detail::half_exp(lane<T>::abs(x));
  return half + T(V(0.25)) / half;
}

}  // namespace tessera
