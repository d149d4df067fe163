// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The Gaussian error linear unit, exact and in its tanh form, from our own polynomials: the same on every lane type.
///
/// They differ by up to 5e-4, and libraries differ in which of them `gelu` is; here they are two names.
#pragma once

#include "tessera/numeric/detail/gaussian_tail.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {

/// The Gaussian error linear unit: x Phi(x), Phi the distribution function of the normal distribution.
///
/// Formula         x / 2 (1 + erf(x / sqrt(2))).
/// Special values  +-0 at +-0, x / 2 rounded once near it, +inf at +inf, -0 at -inf (from -14.35 on; double: -38.58), NaN for NaN;
///                 subnormal results are kept.
/// Accuracy        within 1.7 ulp, the tail included (float: 1.68 over all inputs; double: 1.63 in 10^7), 1.8 ulp where fma is two
///                 roundings; test/numeric/gelu.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
/// Source          D. Hendrycks and K. Gimpel, Gaussian error linear units, 2016
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T gelu(T x) {
  using V = lane_value<T>;
  const T a = min(T(detail::normal_tail::end<V>), lane<T>::abs(x));
  T high, low, power;
  detail::gaussian_tail<detail::normal_tail>(a, high, low, power);
  // a Phi(-a): the gelu below 0, and what is missing from x above. Its sum is rounded last, where it may be subnormal.
  T below;
  if constexpr (lane<T>::fused) {
    const T scaled = a * power;
    below = fma(scaled, high, detail::rounded_product(scaled, low));
  } else {
    below = detail::fma_once(a, high, a * low) * power;  // twice rounded where it is subnormal
  }
  const T y = max(T(V(-0.0)), x) - below;
  return select(a < T(V(sizeof(V) == 4 ? 0x1p-26 : 0x1p-55)), x * T(V(0.5)), y);
}

namespace detail {

/// high + low = 2 sqrt(2/pi) (a + 0.044715 a^3).
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void gelu_tanh_exponent(T a, T& high, T& low) {
  using V = lane_value<T>;
  constexpr bool single = sizeof(V) == 4;
  // So short that it is a multiple of the last place of `cubic`, as large as that may be: what the sum loses is then a difference.
  constexpr V linear = single ? V(0x1.9884400000000p+0) : V(0x1.9884533d43640p+0);
  constexpr V linear_low = single ? V(0x1.33d4360000000p-20) : V(0x1.08d0fcb3c500cp-48);
  constexpr V factor = single ? V(0x1.2444f20000000p-4) : V(0x1.2444f2a4d8b4bp-4);
  constexpr V factor_low = single ? V(0x1.49b16a0000000p-29) : V(-0x1.6c843a29d1c70p-61);
  T square, square_low, cubic, cubic_low;
  exact_product(a, a, square, square_low);
  exact_product(square, T(factor), cubic, cubic_low);
  const T sum = T(linear) + cubic;
  const T sum_low =
      (cubic - (sum - T(linear))) + fma(square_low, T(factor), fma(square, T(factor_low), cubic_low + T(linear_low)));
  exact_product(a, sum, high, low);
  low = fma(a, sum_low, low);
}

}  // namespace detail

/// The gelu in its tanh form, x / 2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): an approximation of gelu(x) to 5e-4.
///
/// Formula         x / (1 + e^-z) with z = 2 sqrt(2/pi) (x + 0.044715 x^3).
/// Special values  as gelu; -0 from -10.78 on (double: -21.55).
/// Accuracy        within 1.9 ulp, the tail included (float: 1.83 over all inputs; double: 1.73 in 10^7), where fma is two
///                 roundings, too; test/numeric/gelu.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
/// Source          D. Hendrycks and K. Gimpel, Gaussian error linear units, 2016
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T gelu_tanh(T x) {
  using V = lane_value<T>;
  constexpr int shift = detail::tail_shift<V>;
  const T one(lane<V>::power_of_two(V(shift)));
  const T a = min(T(V(sizeof(V) == 4 ? 11 : 21.65)), lane<T>::abs(x));  // beyond, the result is -0 or x
  T high, low, r, second, power;
  detail::gelu_tanh_exponent(a, high, low);
  detail::exp_minus<shift>(high, low, r, second, power);
  // With e = e^-(high + low): |x| / (1 + e) above 0, |x| e / (1 + e) below. All of it times 2^shift lest small factors be subnormal.
  const T e = r + second;
  const T scaled = detail::rounded_product(T(V(1)) + e, power);
  const T sum = one + scaled;
  const T sum_low = scaled - (sum - one);
  const T inverse = T(V(1)) / sum;
  const T lost = fma(-inverse, sum_low, detail::fma_once(-inverse, sum, T(V(1))));
  const auto negative = x < T(V(0));
  T y;
  if constexpr (lane<T>::fused) {
    const T unit = select(negative, T(V(1)), one);
    const T rest = fma(inverse, select(negative, e, T(V(0))), inverse * lost) * unit;
    const T below = a * power;
    y = fma(select(negative, below, lane<T>::abs(x)), inverse * unit, detail::rounded_product(select(negative, below, a), rest));
  } else {
    // The product in parts is far from the subnormal numbers.
    T whole, whole_low;
    detail::exact_product(a, inverse * one, whole, whole_low);
    whole = whole + detail::fma_once(whole, select(negative, r + (second + lost), lost), whole_low);
    y = select(a < T(V(sizeof(V) == 4 ? 0x1p-26 : 0x1p-55)), a * T(V(0.5)),
               whole * select(negative, power, one) * T(lane<V>::power_of_two(V(-shift))));
    y = select(x > a, x, y);
  }
  return flip_sign(y, x);
}

}  // namespace tessera
