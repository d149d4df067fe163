// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// log(1 + x) without cancellation, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/log.hpp"

namespace tessera {

/// log(1 + x).
///
/// Formula         1 + x = 2^e (1 + f) with 1 + f in [3/4, 3/2]: e log 2 + log(1 + f), f = x 2^-e + (2^-e - 1) in one rounding.
/// Special values  x itself for tiny x, -0 and subnormal ones among them; -inf at -1, NaN below and for NaN, +inf at +inf.
/// Accuracy        within 1 ulp (float: all inputs; double); test/numeric/log1p.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T log1p(T x) {
  using V = lane_value<T>;
  using range = detail::exponent_range<V>;
  using B = typename lane<T>::bits;
  using Code = typename lane<V>::bits;
  constexpr bool single = sizeof(V) == 4;
  constexpr Code exponent_mask = (Code(1) << (8 * sizeof(V) - 1)) - (Code(1) << range::mantissa_bits);
  const T sum = x + T(V(1));
  // The rounded sum tells e: half of the implicit one is added, so that a mantissa from 1.5 on carries into the exponent.
  const B biased = (lane<T>::to_bits(sum) + B(Code(1) << (range::mantissa_bits - 1))) & B(exponent_mask);
  const T e =
      lane<T>::from_bits((biased >> range::mantissa_bits) | B(lane<V>::to_bits(range::magic))) - T(range::magic + range::bias);
  // 2^(2 - e), because 2^-e may be subnormal.
  const T scale = lane<T>::from_bits(B(lane<V>::sign_bit) - biased);
  const T f = fma(x * T(V(0.25)), scale, fma(scale, T(V(0.25)), T(V(-1))));
  const T y = detail::log_of_parts(e, f);
  return select(x * x < T(V(single ? 0x1p-60 : 0x1p-120)), x, detail::log_or_special(sum, y));
}

}  // namespace tessera
