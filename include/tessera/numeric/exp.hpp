// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// 2^x and e^x from our own polynomials, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// Where the exponents of V end: 2^n is subnormal below `least`, and rounds to 0 below `faintest`.
template <class V>
struct exponent_range {
  static constexpr V least = sizeof(V) == 4 ? -126 : -1022;
  static constexpr V faintest = sizeof(V) == 4 ? -150 : -1075;
  static constexpr V most = sizeof(V) == 4 ? 128 : 1024;
};

/// Scale * 2^r for |r| <= 1/2 and a power of two Scale; exactly Scale at 0.
///
/// Minimax of the relative error with the constant term held at 1: degree 6 (float, then a search among the neighbours of the
/// coefficients for the least error of the rounded evaluation: 0.73 ulp); degree 11, 2^-55.6 (double).
template <int Scale = 1, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T exp2_fraction(T r) {
  using V = lane_value<T>;
  if constexpr (sizeof(V) == 4) {
    T p(V(Scale * 0x1.4c102ep-13));
    p = fma(p, r, T(V(Scale * 0x1.5fc51cp-10)));
    p = fma(p, r, T(V(Scale * 0x1.3b2030p-7)));
    p = fma(p, r, T(V(Scale * 0x1.c6ada2p-5)));
    p = fma(p, r, T(V(Scale * 0x1.ebfbecp-3)));
    p = fma(p, r, T(V(Scale * 0x1.62e432p-1)));
    return fma(p, r, T(V(Scale)));
  } else {
    T p(V(Scale * 0x1.c06375a70566bp-32));
    p = fma(p, r, T(V(Scale * 0x1.e605f985977b9p-28)));
    p = fma(p, r, T(V(Scale * 0x1.b54167abffdc3p-24)));
    p = fma(p, r, T(V(Scale * 0x1.62bfd49ec9703p-20)));
    p = fma(p, r, T(V(Scale * 0x1.ffcbee3b04ff9p-17)));
    p = fma(p, r, T(V(Scale * 0x1.4309130961193p-13)));
    p = fma(p, r, T(V(Scale * 0x1.5d87fe7bbbe1dp-10)));
    p = fma(p, r, T(V(Scale * 0x1.3b2ab6fba1e1cp-7)));
    p = fma(p, r, T(V(Scale * 0x1.c6b08d7048f31p-5)));
    p = fma(p, r, T(V(Scale * 0x1.ebfbdff82c598p-3)));
    p = fma(p, r, T(V(Scale * 0x1.62e42fefa39f3p-1)));
    return fma(p, r, T(V(Scale)));
  }
}

/// a * 2^n for an integral n in [faintest - 4, most + 4] and a near 1: one rounding, in the second product.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T scale_twice(T a, T n) {
  using V = lane_value<T>;
  const T half = lane<T>::floor(n * T(V(0.5)));
  return a * lane<T>::power_of_two(half) * lane<T>::power_of_two(n - half);
}

}  // namespace detail

/// 2^x for x <= 0, as softmax needs it: ten instructions a pack on AVX-512, twelve on AVX2.
///
/// Special values  exactly 1 at 0; +0 at -inf and below -125.5 (double: -1021.5); NaN for NaN. 0 < x < 127 (1023) works as well.
/// Accuracy        within 1 ulp (float: all inputs; double); test/numeric/exp.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T exp2_nonpositive(T x) {
  using V = lane_value<T>;
  using range = detail::exponent_range<V>;
  // x - round(x) is exact. Results that could be subnormal are flushed: on x86 each would cost a microcode assist of over 100 cycles.
  if constexpr (lane<T>::native_exponent) {
    const T r = lane<T>::remainder(x);
    return lane<T>::scale_from(detail::exp2_fraction(r), x - r, T(range::least + V(1)));
  } else {
    // 2^x = 2 * 2^r * 2^(n - 1), and the power is 0 for n = least.
    const T clamped = max(T(range::least), x);
    T n;
    const T power = lane<T>::template round_and_power<-1>(clamped, n);
    return detail::exp2_fraction<2>(clamped - n) * power;
  }
}

/// 2^x.
///
/// Special values  subnormal results are kept; +0 at -inf, +inf from 128 (double: 1024), NaN for NaN.
/// Accuracy        within 1 ulp (float: all inputs; double); test/numeric/exp.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T exp2(T x) {
  using V = lane_value<T>;
  using range = detail::exponent_range<V>;
  if constexpr (lane<T>::native_exponent) {
    const T r = lane<T>::remainder(x);
    return lane<T>::scale_from(detail::exp2_fraction(r), x - r, T(range::faintest));
  } else {
    const T clamped = max(T(range::faintest - V(1)), min(T(range::most + V(1)), x));
    const T n = lane<T>::round(clamped);
    return detail::scale_twice(detail::exp2_fraction(clamped - n), n);
  }
}

}  // namespace tessera
