// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Logarithms from our own polynomials, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/detail/exact_product.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// log(1 + f) - f + c for -0.3 <= f <= 0.4.
///
/// Float: f^2 P(f), in two chains that end in Horner's last two steps; fpminimax((log1p(x) - x) / x, [|1,...,9|], ...), which
/// bounds the relative error of log(1 + f), by 2^-27.5. Double, with s = f / (2 + f) and
/// z = s^2: log(1 + f) = 2 s + s z P(z), fpminimax of degree 6, 2^-57; without f and f^2 / 2, which come in exactly.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T log1p_rest(T f, T c) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    const T z = f * f;
    const T odd = horner(z, 0x1.55552ep-2, 0x1.99b632p-3, 0x1.210c38p-3, 0x1.109cc6p-3);
    const T even = horner(z, -0x1.00037ap-2, -0x1.5458dp-3, -0x1.0c0132p-3, -0x1.5e72bep-4);
    return fma(z, fma(f, fma(f, even, odd), T(lane_value<T>(-0x1.fffffap-2))), c);
  } else {
    const T s = f / (f + T(lane_value<T>(2)));
    const T z = s * s;
    const T half_square = T(lane_value<T>(0.5)) * f * f;
    const T odd = fma(z,
                      horner(z, 0x1.5555555555559p-1, 0x1.9999999993768p-2, 0x1.2492493107f2p-2, 0x1.c71c5f02684e5p-3,
                             0x1.7463c9d1ea14ap-3, 0x1.39db473ef0b6bp-3, 0x1.2cfec44b9c34ep-3),
                      half_square);
    return fma(s, odd, c - half_square);
  }
}

/// (log2(1 + f) - f log2(e)) + c for -0.3 <= f <= 0.4.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T log2_rest(T f, T c) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    const T z = f * f;
    const T odd = horner(z, 0x1.ec7064p-2, 0x1.278b9ap-2, 0x1.a0fb84p-3, 0x1.896c24p-3);
    const T even = horner(z, -0x1.715978p-2, -0x1.eb051ep-3, -0x1.82992p-3, -0x1.fa208p-4);
    // The first term apart, because the rounding of P would be seen.
    return fma(z, T(lane_value<T>(-0x1.715472p-1)), fma(z * f, fma(f, even, odd), c));
  } else {
    return fma(log1p_rest(f, T(lane_value<T>(0))), T(lane_value<T>(0x1.71547652b82fep0)), c);
  }
}

/// Where the significand of a logarithm begins: m in [0.7, 1.4) keeps f small on both sides and the sum e + log2(m) away from 0.
template <class V>
inline constexpr typename lane<V>::bits above_split = lane<V>::to_bits(V(1)) - lane<V>::to_bits(V(0.7));

/// x = 2^e (1 + f) with 1 + f in [0.7, 1.4), for a normal x above 0. Returns e + bias, in the place of the exponent.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE typename lane<T>::bits split(T x, T& e, T& f) {
  using V = lane_value<T>;
  using range = exponent_range<V>;
  using B = typename lane<T>::bits;
  // What is added makes a mantissa from 1.4 on carry into the exponent.
  const B carried = lane<T>::to_bits(x) + B(above_split<V>);
  const B biased = carried >> range::mantissa_bits;
  const B exponent = carried & B(range::exponent_mask);
  f = lane<T>::from_bits(lane<T>::to_bits(x) - exponent + B(lane<V>::to_bits(V(1)))) - T(V(1));
  // The integer, put into the low bits of 1.5 * 2^mantissa_bits, is a number: no conversion, which AVX2 lacks for 64 bits.
  e = lane<T>::from_bits(biased | B(lane<V>::to_bits(range::magic))) - T(range::magic + range::bias);
  return exponent;
}

/// log(2^e (1 + f)); the product of two small factors, if given, is added.
struct natural_log {
  template <class T, class... Factor>
  TESSERA_HD TESSERA_ALWAYS_INLINE static T of_parts(T e, T f, Factor... factor) {
    using V = lane_value<T>;
    // e log 2 is at least as large as f unless it is 0, so what `sum` loses of f is exactly f - (sum - high).
    const T high = e * T(log_2_high<V>);
    const T sum = high + f;
    T lost = f - (sum - high);
    if constexpr (sizeof...(factor) > 0) lost = fma(factor..., lost);
    return sum + log1p_rest(f, fma(e, T(log_2_low<V>), lost));
  }
};

/// log2(2^e (1 + f)).
struct binary_log {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static T of_parts(T e, T f) {
    using V = lane_value<T>;
    // log2(e) and what its rounding leaves.
    constexpr V high = sizeof(V) == 4 ? V(0x1.715476p0) : V(0x1.71547652b82fep0);
    constexpr V low = sizeof(V) == 4 ? V(0x1.4ae0bfp-26) : V(0x1.777d0ffda0d24p-56);
    T first, first_lost;
    exact_product(f, T(high), first, first_lost);
    const T sum = e + first;
    const T sum_lost = first - (sum - e);
    return sum + log2_rest(f, fma(f, T(low), first_lost + sum_lost));
  }
};

/// The logarithm's values where it is not finite: -inf at 0, NaN below, x itself for +inf and NaN.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T log_or_special(T x, T log_x) {
  using V = lane_value<T>;
  const T infinity(static_cast<V>(__builtin_inff()));
  const T y = select(x < infinity, log_x, x);
  const T z = select(x < T(V(0)), T(static_cast<V>(__builtin_nanf(""))), y);
  return select(x == T(V(0)), -infinity, z);
}

/// The logarithm of whatever x from that of its parts.
template <class Logarithm, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T logarithm(T x) {
  using V = lane_value<T>;
  using range = exponent_range<V>;
  T e, f;
  split(x, e, f);
  T y = Logarithm::of_parts(e, f);
  if (lane<T>::any_outside(x, range::smallest, static_cast<V>(__builtin_inff()))) [[unlikely]] {
    // Subnormal numbers a second time, as normal ones.
    constexpr V up = V(1) / range::epsilon;
    const auto subnormal = x < T(range::smallest);
    split(select(subnormal, x * T(up), x), e, f);
    y = log_or_special(x, Logarithm::of_parts(e - select(subnormal, T(V(range::mantissa_bits)), T(V(0))), f));
  }
  return y;
}

}  // namespace detail

/// The natural logarithm.
///
/// Formula         x = m 2^e with m in [0.7, 1.4): log x = e log 2 + log(1 + (m - 1)).
/// Special values  -inf at +0 and -0, NaN below 0 and for NaN, +inf at +inf, exactly +0 at 1; subnormal x is a number like any
///                 other.
/// Accuracy        within 0.9 ulp (float: all inputs; double), 1 ulp where fma is two roundings; test/numeric/log.cpp.
/// Cost            a pack with a number that is not normal, or not above 0, takes twice as long.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T log(T x) {
  return detail::logarithm<detail::natural_log>(x);
}

/// The logarithm to base 2.
///
/// Special values  as log; exact at powers of two.
/// Accuracy        within 0.95 ulp (float: all inputs; double), 1.1 ulp where fma is two roundings;
///                 test/numeric/log.cpp.
/// Cost            as log.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T log2(T x) {
  return detail::logarithm<detail::binary_log>(x);
}

}  // namespace tessera
