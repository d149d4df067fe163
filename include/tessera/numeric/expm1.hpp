// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// e^x - 1 without cancellation, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// (e^r - 1 - r) / r^2 for |r| <= 0.3468.
///
/// fpminimax((expm1(x) - x) / x^2, 4 or 10, ...): e^r - 1 has a relative error of 2^-25.2 (float), 2^-60.6 (double).
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T expm1_tail(T r) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner(r, 0.5, 0x1.5554dcp-3, 0x1.5554e8p-5, 0x1.120c26p-7, 0x1.6d4e6ep-10);
  } else {
    return horner(r, 0.5, 0x1.5555555555557p-3, 0x1.5555555555557p-5, 0x1.1111111110049p-7, 0x1.6c16c16c156ap-10,
                  0x1.a01a01ac24106p-13, 0x1.a01a01ab9bae3p-16, 0x1.71de01966466cp-19, 0x1.27e4cfa50d038p-22,
                  0x1.af4efda38bec9p-26, 0x1.1f8704b2671dfp-29);
  }
}

}  // namespace detail

/// e^x - 1.
///
/// Formula         x = n log 2 + r: 2^n (e^r - 1) + (2^n - 1).
/// Special values  x itself for tiny x, -0 and subnormal ones among them; -1 at -inf, +inf from 88.72284 (double: 709.78272) on,
///                 NaN for NaN.
/// Accuracy        within 1.45 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/expm1.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T expm1(T x) {
  using V = lane_value<T>;
  constexpr bool single = sizeof(V) == 4;
  // Below, the result is -1; above, it overflows.
  const T clamped = max(T(V(single ? -19 : -39)), min(T(V(single ? 88.9 : 709.9)), x));
  T n, r, shifted;
  // Half of everything, doubled at the end: 2^n may be one more than the exponents go.
  detail::reduce_exp<(single ? 126 : 1022)>(clamped, n, r, shifted);
  const T half_power = detail::power_in(shifted);
  const T tail = r * r * detail::expm1_tail(r);
  const T half = fma(half_power, tail, fma(half_power, r, half_power - T(V(0.5))));
  return select(x * x < T(V(single ? 0x1p-60 : 0x1p-120)), x, half + half);
}

}  // namespace tessera
