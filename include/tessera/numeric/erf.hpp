// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The error function and its complement from our own polynomials, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/detail/gaussian_tail.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// erf(x) / x - 1, from x^2.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T erf_center(T square) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner(square, 0x1.06eba8p-3, -0x1.812726p-2, 0x1.ce257ep-4, -0x1.b737e8p-6, 0x1.4b8614p-8, -0x1.4d28fep-11);
  } else {
    return horner(square, 0x1.06eba8214db69p-3, -0x1.812746b037ap-2, 0x1.ce2f21a0437e7p-4, -0x1.b82ce312abf0fp-6,
                  0x1.565bcd103fe3bp-8, -0x1.c02db379ebc88p-11, 0x1.f9a2f425b5c01p-14, -0x1.f4cacef7e21cdp-17,
                  0x1.b946a8baf3a43p-20, -0x1.57b0f7052fc6fp-23, 0x1.91aea81d12cdcp-27);
  }
}

/// 1 - erfc(a) for a from where erf_center ends.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T erf_shoulder(T a) {
  using V = lane_value<T>;
  if constexpr (sizeof(V) == 4) {
    // erfc(a) = 2^y: what is small beside 1 may be less accurate.
    const T y = horner(min(T(V(4)), a), -0x1.5bb87cp-13, -0x1.a09c0ap0, -0x1.d63bb4p-1, -0x1.349a38p-3, 0x1.09a96ap-5,
                       -0x1.25c3c2p-8, 0x1.325b04p-12);
    T n;
    const T power = lane<T>::template round_and_power<-1>(y, n);
    const T p =
        horner(y - n, -2, -2 * 0x1.62e42ep-1, -2 * 0x1.ebfa4ep-3, -2 * 0x1.c6b31ep-5, -2 * 0x1.3cbe66p-7, -2 * 0x1.5d413ap-10);
    return fma(p, power, T(V(1)));
  } else {
    T tail, rest, power;
    gaussian_tail<erfc_tail>(min(T(V(7)), a), tail, rest, power);
    return fma(-(tail + rest), power, T(V(1)));
  }
}

}  // namespace detail

/// The error function.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T erf(T x) {
  using V = lane_value<T>;
  const T a = lane<T>::abs(x);
  const T center = fma(x, detail::erf_center(detail::rounded_product(x, x)), x);
  return select(a < T(V(sizeof(V) == 4 ? 0.85 : 0.75)), center, copysign(detail::erf_shoulder(a), x));
}

/// 1 - erf(x).
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T erfc(T x) {
  using V = lane_value<T>;
  T high, low, power;
  detail::gaussian_tail<detail::erfc_tail>(min(T(detail::erfc_tail::end<V>), lane<T>::abs(x)), high, low, power);
  const T tail = (high + low) * power;
  return select(x < T(V(0)), T(V(2)) - tail, tail);
}

}  // namespace tessera
