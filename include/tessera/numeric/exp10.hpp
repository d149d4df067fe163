// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// 10^x from our own polynomial, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// log10(2) in two parts: the upper one times any exponent is exact.
template <class V>
inline constexpr V log10_2_high = sizeof(V) == 4 ? V(0x1.344p-2) : V(0x1.34413509f7800p-2);
template <class V>
inline constexpr V log10_2_low = sizeof(V) == 4 ? V(0x1.3509f8p-18) : V(0x1.fef311f12b358p-46);

/// 10^r for |r| <= 0.1506, a little more than log10(2) / 2.
///
/// Minimax of the relative error of (10^r - 1) / r (sollya, fpminimax): degree 5, 2^-26 (float); degree 11, 2^-53.2 (double). The factor r
/// makes that at most a third in the result.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T exp10_fraction(T r) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner_in_parts(r, 1, 0x1.26bb1cp1, 0x1.53524cp1, 0x1.046faap1, 0x1.2bd7cap0, 0x1.155f10p-1, 0x1.a86494p-3);
  } else {
    return horner_in_parts(r, 1, 0x1.26bb1bbb55516p1, 0x1.53524c73cea6ap1, 0x1.0470591de2af5p1, 0x1.2bd7609fd8f3bp0,
                           0x1.1429ffd23c61ep-1, 0x1.a7ed7088f6deap-3, 0x1.16e4de811d317p-4, 0x1.4116a27ba6cb7p-6,
                           0x1.489b2186821d7p-8, 0x1.2ecb0c1f32849p-10, 0x1.f4be04cda7a2bp-13, 0x1.39f4a8757a73fp-15);
  }
}

}  // namespace detail

/// 10^x.
///
/// Special values  subnormal results are kept; +0 at -inf, +inf from 38.53184 (double: 308.25472) on, NaN for NaN, exactly 1 at 0.
/// Accuracy        within 1.1 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/exp10.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T exp10(T x) {
  using V = lane_value<T>;
  using range = detail::exponent_range<V>;
  constexpr V log10_2 = V(0.301029995663981195);
  const T clamped = max(T((range::faintest - V(1)) * log10_2), min(T((range::most + V(1)) * log10_2), x));
  // The nearest integer as in exp.
  constexpr V magic = V(sizeof(V) == 4 ? 0x1.8p23 : 0x1.8p52);
  const T n = fma(clamped, T(V(3.32192809488736235)), T(magic)) - T(magic);
  const T r = fma(n, T(-detail::log10_2_low<V>), fma(n, T(-detail::log10_2_high<V>), clamped));
  const T p = detail::exp10_fraction(r);
  if constexpr (lane<T>::native_exponent) {
    return lane<T>::scale_from(p, n, T(range::faintest));
  } else {
    return detail::scale_twice(p, n);
  }
}

}  // namespace tessera
