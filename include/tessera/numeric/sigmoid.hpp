// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The logistic function and what is built on it, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/log1p.hpp"

namespace tessera {
namespace detail {

/// Factor / (1 + e^-x), where Factor is 1 or x itself.
///
/// With x = n log 2 + r it is Factor 2^n / (e^-r + 2^n): multiplied by powers of two only, no exponential that overflows or loses
/// bits.
template <bool TimesX, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T logistic(T x) {
  using V = lane_value<T>;
  using range = exponent_range<V>;
  constexpr bool single = sizeof(V) == 4;
  constexpr V log_2 = V(0.693147180559945309);
  // From `one` on the logistic function is 1. Below `deep` 2^n or the result may be subnormal.
  constexpr V one = single ? 18 : 38;
  constexpr V deep = (range::least + V(1)) * log_2;
  const T clamped = max(T(deep - V(1)), min(T(one), x));
  T n, r, shifted;
  reduce_exp<static_cast<int>(range::bias)>(clamped, n, r, shifted);
  const T power = power_in(shifted);
  // What 1 + 2^n loses would double the error near n = -24 (double: -53).
  const T sum = power + T(V(1));
  const T lost = power - (sum - T(V(1)));
  const T divisor = sum + exp_fraction(-r, lost);
  T y;
  if constexpr (TimesX) {
    y = select(x < T(one), x * power / divisor, x);
  } else {
    y = power / divisor;
  }
  const auto is_deep = x < T(deep);
  if (lane<T>::any(is_deep)) {
    // e^x or x e^x; at the clamp both are 0.
    const T low = max(T(V(single ? -120 : -780)), x);
    reduce_exp(low, n, r, shifted);
    T p = exp_fraction(r);
    if constexpr (TimesX) p = low * p;
    y = select(is_deep, scale_twice(p, n), y);
  }
  return y;
}

}  // namespace detail

/// The logistic function 1 / (1 + e^-x).
///
/// Special values  1/2 at 0; exactly 1 from 17.33 (double: 37.43) on; e^x, as subnormal numbers too, and +0 at the lower end and
///                 at -inf; NaN for NaN.
/// Accuracy        within 1.95 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/sigmoid.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T sigmoid(T x) {
  return detail::logistic<false>(x);
}

/// x / (1 + e^-x), the sigmoid linear unit; also named swish.
///
/// Special values  x / 2 for tiny x, signed zeros and subnormal numbers among them; x itself from 18 (double: 38) on; x e^x, as
///                 subnormal numbers too, and -0 at the lower end and at -inf; NaN for NaN.
/// Accuracy        within 1.95 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/sigmoid.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
/// Source          Elfwing, Uchibe and Doya 2018, arXiv:1702.03118
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T silu(T x) {
  return detail::logistic<true>(x);
}

/// log(1 + e^x), a smooth max(0, x).
///
/// Formula         max(0, x) + log(1 + e^-|x|).
/// Special values  log 2 at 0; x itself for large x, +inf among them; e^x, as subnormal numbers too, and +0 at the lower end and
///                 at -inf; NaN for NaN.
/// Accuracy        within 1.8 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/sigmoid.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T softplus(T x) {
  T sum;
  return max(T(lane_value<T>(0)), x) + detail::log1p_of_finite(exp(-lane<T>::abs(x)), sum);
}

/// log(1 / (1 + e^-x)) = -softplus(-x), with its accuracy; -0 where that is 0.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T log_sigmoid(T x) {
  return -softplus(-x);
}

}  // namespace tessera
