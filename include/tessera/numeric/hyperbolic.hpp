// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The hyperbolic tangent and a cheaper approximation, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// (tanh(x) / x - 1) / x^2 at s = x^2 for |x| <= 5/8.
///
/// fpminimax((tanh(sqrt(s)) / sqrt(s) - 1) / s, 5 or 12, ...): tanh(x) has a relative error of 2^-29.7 (float), 2^-61.7 (double).
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T tanh_tail(T s) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner(s, -0x1.555556p-2, 0x1.11113ap-3, -0x1.ba1b1ep-5, 0x1.65821ap-6, -0x1.15c6bep-7, 0x1.3cd7b2p-9);
  } else {
    return horner(s, -0x1.5555555555555p-2, 0x1.111111111105cp-3, -0x1.ba1ba1ba0d63fp-5, 0x1.664f487e9593fp-6,
                  -0x1.226e34ae8d5dcp-7, 0x1.d6d3acd10a679p-9, -0x1.7da0f40eab9efp-10, 0x1.353b5ff561f96p-11,
                  -0x1.f3a7ce8cfd84dp-13, 0x1.8c2026264ce38p-14, -0x1.217f32690920bp-15, 0x1.496971222c9bp-17,
                  -0x1.8799aa89fcec9p-20);
  }
}

}  // namespace detail

/// The hyperbolic tangent.
///
/// Formula         |x| < 5/8: x + x^3 P(x^2); elsewhere 1 - 2 / (e^2|x| + 1) with the sign of x.
/// Special values  x itself for tiny x, -0 and subnormal ones among them; exactly -1 and 1 from |x| = 9.02 (double: 19.1) on; NaN
///                 for NaN.
/// Accuracy        within 1.45 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/hyperbolic.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding; tanh(-x) = -tanh(x).
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T tanh(T x) {
  using V = lane_value<T>;
  constexpr bool single = sizeof(V) == 4;
  const T a = lane<T>::abs(x);
  const T s = a * a;
  const T near_zero = fma(a * s, detail::tanh_tail(s), a);
  T n, r, shifted;
  detail::reduce_exp<(single ? 127 : 1023)>(min(T(V(single ? 20 : 40)), a + a), n, r, shifted);
  const T large = T(V(1)) - T(V(2)) / fma(detail::power_in(shifted), detail::exp_fraction(r), T(V(1)));
  return copysign(select(a < T(V(0.625)), near_zero, large), x);
}

/// The hyperbolic tangent from a short quotient of polynomials, for activations that are stored in 16 bits.
///
/// Formula         x (1 + p1 s + p2 s^2) / (1 + q1 s + q2 s^2) with s = x^2, |x| cut at 5; least relative error of such a
///                 quotient on [0, 5].
/// Special values  x itself for tiny x, signed zeros among them; +-0.999966 from |x| = 5 on, which float16 and bfloat16 round to
///                 +-1; NaN for NaN.
/// Accuracy        relative error below 5.7e-5, which is 2^-14.1: an eighth of what rounding to float16 may add, a sixtieth of
///                 what rounding to bfloat16 may; test/numeric/hyperbolic.cpp.
/// Cost            nine instructions and a division a pack, a third of tanh.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding; odd, as tanh is.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T tanh_approximate(T x) {
  using V = lane_value<T>;
  const T c = max(T(V(-5)), min(T(V(5)), x));
  const T s = c * c;
  return c * detail::horner(s, 1, 0.102735842, 0.000677901247) / detail::horner(s, 1, 0.435847881, 0.012903853);
}

}  // namespace tessera
