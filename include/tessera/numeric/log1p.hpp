// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// log(1 + x) without cancellation, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/log.hpp"

namespace tessera {

namespace detail {

/// log1p for x above -1 that is not infinite, and for NaN. `sum` becomes the rounded 1 + x.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T log1p_of_finite(T x, T& sum) {
  using V = lane_value<T>;
  using B = typename lane<T>::bits;
  const T one(V(1));
  // 1 + x = sum + lost exactly (where it is not, e log 2 is far larger), and sum = 2^e (1 + f).
  sum = x + one;
  const T lost = x - (sum - one);
  T e, f;
  const B exponent = split(sum, e, f);
  // lost 2^-e / (1 + f), with 1 - 0.9 f for the quotient, which is within 16 % of a last place where `lost` is largest. By way of
  // 2^(2 - e), because 2^-e may be subnormal.
  const T scale = lane<T>::from_bits(B(lane<V>::sign_bit) - exponent);
  const T y = natural_log::of_parts(e, f, lost * scale, fma(f, T(V(-0.225)), T(V(0.25))));
  return copysign(y, x);
}

}  // namespace detail

/// log(1 + x).
///
/// Formula         1 + x = 2^e (1 + f) with 1 + f in [0.7, 1.4): e log 2 + log(1 + f), where f is corrected for the rounding of 1 + x.
/// Special values  x itself for tiny x, -0 and subnormal ones among them; -inf at -1, NaN below and for NaN, +inf at +inf.
/// Accuracy        within 1 ulp (float: all inputs; double); test/numeric/log1p.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T log1p(T x) {
  using V = lane_value<T>;
  T sum;
  T y = detail::log1p_of_finite(x, sum);
  if (lane<T>::any_outside(sum, detail::exponent_range<V>::smallest, static_cast<V>(__builtin_inff()))) [[unlikely]]
    y = detail::log_or_special(sum, y);
  return y;
}

}  // namespace tessera
