// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The error function and its complement from our own polynomials, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/detail/gaussian_tail.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// From where on erf is 1 - erfc.
template <class V>
inline constexpr V erf_shoulder_begin = sizeof(V) == 4 ? V(1.05) : V(0.75);

/// erf(x) / x - 1, from x^2.
///
/// Minimax of the absolute error: degree 6, 2^-28.3 relative to erf(x) / x (float); degree 10, 2^-55 (double).
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T erf_center(T square) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner(square, 0x1.06eba8p-3, -0x1.81273cp-2, 0x1.ce2c5cp-4, -0x1.b7ebd4p-6, 0x1.538ee8p-8, -0x1.a04a3cp-11,
                  0x1.3ec948p-14);
  } else {
    return horner(square, 0x1.06eba8214db69p-3, -0x1.812746b037ap-2, 0x1.ce2f21a0437e7p-4, -0x1.b82ce312abf0fp-6,
                  0x1.565bcd103fe3bp-8, -0x1.c02db379ebc88p-11, 0x1.f9a2f425b5c01p-14, -0x1.f4cacef7e21cdp-17,
                  0x1.b946a8baf3a43p-20, -0x1.57b0f7052fc6fp-23, 0x1.91aea81d12cdcp-27);
  }
}

/// 1 - erfc(a) from erf_shoulder_begin on.
///
/// float: log2 erfc(a) as a polynomial, minimax of the absolute error of erfc: degree 6, 2^-30.2.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T erf_shoulder(T a) {
  using V = lane_value<T>;
  if constexpr (sizeof(V) == 4) {
    // erfc(a) = 2^y. It is less than 1/7, and may be less accurate by as much. From 4 on (3.92 already) it is lost beside 1.
    const T y = horner(min(T(V(4)), a), -0x1.64cc06p-11, -0x1.a014f8p0, -0x1.d7f5a8p-1, -0x1.2eb32ep-3, 0x1.fd1a7ep-6,
                       -0x1.0ff352p-8, 0x1.0f78ep-12);
    T n;
    const T power = lane<T>::template round_and_power<-1>(y, n);
    const T p =
        horner(y - n, -2, -2 * 0x1.62e42ep-1, -2 * 0x1.ebfa4ep-3, -2 * 0x1.c6b31ep-5, -2 * 0x1.3cbe66p-7, -2 * 0x1.5d413ap-10);
    return fma(p, power, T(V(1)));
  } else {
    T high, low, power;
    gaussian_tail<erfc_tail>(min(T(V(7)), a), high, low, power);
    return fma(-(high + low), power, T(V(1)));
  }
}

}  // namespace detail

/// The error function.
///
/// Formula         2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
/// Special values  +-0 at +-0, +-1 at +-inf (from 3.92 on; double: 5.93), NaN for NaN; subnormal results are kept.
/// Accuracy        within 1.2 ulp (float: 1.16 over all inputs) and 0.9 ulp (double: 0.79 in 10^7), 1.45 ulp where fma is
///                 two roundings; test/numeric/erf.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T erf(T x) {
  using V = lane_value<T>;
  const T a = lane<T>::abs(x);
  const T center = fma(x, detail::erf_center(detail::rounded_product(x, x)), x);
  return select(a < T(detail::erf_shoulder_begin<V>), center, copysign(detail::erf_shoulder(a), x));
}

/// 1 - erf(x), with all bits where that is small.
///
/// Special values  2 at -inf, exactly 1 at 0, +0 at +inf (from 10.06 on; double: 27.23), NaN for NaN; subnormal results are kept.
/// Accuracy        within 1.5 ulp (float: 1.492 over all inputs; double: 1.42 in 10^7), 1.7 ulp where fma is two roundings;
///                 test/numeric/erf.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T erfc(T x) {
  using V = lane_value<T>;
  T high, low, power;
  detail::gaussian_tail<detail::erfc_tail>(min(T(detail::erfc_tail::end<V>), lane<T>::abs(x)), high, low, power);
  const T tail = (high + low) * power;
  return select(x < T(V(0)), T(V(2)) - tail, tail);
}

}  // namespace tessera
