// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Logarithms from our own polynomials, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// (log(1 + f) - f) / f^2 for -1/4 <= f <= 1/2.
///
/// Minimax of the error relative to log(1 + f): degree 8, 0.26 ulp with rounding (float: the search among neighbours as in exp2_fraction, the
/// constant held at -1/2); degree 20, 2^-59.3 (double).
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T log1p_tail(T f) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner(f, -0.5, 0x1.5555a8p-2, -0x1.00002ep-2, 0x1.996844p-3, -0x1.54f1fcp-3, 0x1.2898bep-3, -0x1.0d926cp-3,
                  0x1.abf578p-4, -0x1.6fd9b6p-5);
  } else {
    return horner(f, -0x1.fffffffffffffp-2, 0x1.5555555555543p-2, -0x1.00000000002b6p-2, 0x1.999999999d71ap-3,
                  -0x1.555555551857dp-3, 0x1.249249222c666p-3, -0x1.000000111c2ffp-3, 0x1.c71c7341d745cp-4, -0x1.999995bfe7c5ep-4,
                  0x1.745cd79e0271ap-4, -0x1.55554f6b5cbdap-4, 0x1.3b198c97f5d6dp-4, -0x1.249e0f54e2eeep-4, 0x1.10ce97b563948p-4,
                  -0x1.fdd83e27cc7d1p-5, 0x1.e2b9975bcc220p-5, -0x1.d9d8865d53a83p-5, 0x1.d024373764ae2p-5, -0x1.8270765f89d40p-5,
                  0x1.b1c384cfa038dp-6, -0x1.cc76ba146c9fap-8);
  }
}

/// e log 2 + log(1 + f) for an integral e and -1/4 <= f <= 1/2.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T log_of_parts(T e, T f) {
  using V = lane_value<T>;
  // e log 2 is at least as large as f unless it is 0, so what `sum` loses of f is exactly f - (sum - high).
  const T high = e * T(log_2_high<V>);
  const T sum = high + f;
  const T lost = f - (sum - high);
  const T tail = fma(f * f, log1p_tail(f), fma(e, T(log_2_low<V>), lost));
  return sum + tail;
}

/// The logarithm's values where it is not finite: -inf at 0, NaN below, x itself for +inf and NaN.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T log_or_special(T x, T log_x) {
  using V = lane_value<T>;
  const T infinity(static_cast<V>(__builtin_inff()));
  const T y = select(x < infinity, log_x, x);
  const T z = select(x < T(V(0)), T(static_cast<V>(__builtin_nanf(""))), y);
  return select(x == T(V(0)), -infinity, z);
}

}  // namespace detail

/// The natural logarithm.
///
/// Formula         x = m 2^e with m in [3/4, 3/2): log x = e log 2 + log(1 + (m - 1)).
/// Special values  -inf at +0 and -0, NaN below 0 and for NaN, +inf at +inf, exactly +0 at 1; subnormal x is a number like any other.
/// Accuracy        within 1 ulp (float: all inputs; double); test/numeric/log.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T log(T x) {
  using V = lane_value<T>;
  T m, e;
  lane<T>::split(x, m, e);
  return detail::log_or_special(x, detail::log_of_parts(e, m - T(V(1))));
}

/// The logarithm to base 2.
///
/// Special values  as log; exact at powers of two.
/// Accuracy        within 1.4 ulp (float: all inputs; double) where fma is one rounding, within 2.5 elsewhere; test/numeric/log.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T log2(T x) {
  using V = lane_value<T>;
  // log2(e) and what its rounding leaves.
  constexpr V high = sizeof(V) == 4 ? V(0x1.715476p0) : V(0x1.71547652b82fep0);
  constexpr V low = sizeof(V) == 4 ? V(0x1.4ae0bfp-26) : V(0x1.777d0ffda0d24p-56);
  T m, e;
  lane<T>::split(x, m, e);
  const T f = m - T(V(1));
  // The product as an fma, because a compiler may fuse a plain one into the sums below and spoil what they compensate.
  const T first = fma(f, T(high), T(V(0)));
  const T first_lost = fma(f, T(high), -first);
  const T sum = e + first;
  const T sum_lost = first - (sum - e);
  const T tail = fma(f * f, detail::log1p_tail(f) * T(high), fma(f, T(low), first_lost + sum_lost));
  return detail::log_or_special(x, sum + tail);
}

}  // namespace tessera
