// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The tail of a bell curve, to a few bits more than the type has: what erfc, erf and gelu share.
///
/// Formula  erfc(a) = e^(-a^2) p(t) / (a + c) with t = (a - c) / (a + c), and the same with the normal distribution's Phi(-a) and
///          e^(-a^2 / 2). A larger c needs fewer terms but is a worse place to round at: near a = 0 an error of t is multiplied by
///          |p'(-1) / p(-1)|, which is about 0.1 and 0.35 for the c chosen here (float, double) and more than 1 for the c of fewest terms.
/// Source   the variable: M. M. Shepherd and J. G. Laframboise, Chebyshev approximation of (1 + 2x) exp(x^2) erfc x, 1981
#pragma once

#include "tessera/numeric/detail/exact_product.hpp"
#include "tessera/numeric/detail/exp_in_parts.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera::detail {

/// A tail is kept as two factors, 2^-tail_shift times and 2^tail_shift times what they mean, lest either be subnormal.
template <class V>
inline constexpr int tail_shift = sizeof(V) == 4 ? 64 : 600;

/// c + t * p, and what the sum loses, for c within a factor of 2 of it.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T sum_and_loss(T t, T p, double c, T& low) {
  const T constant(static_cast<lane_value<T>>(c));
  const T sum = fma(t, p, constant);
  low = fma_once(t, p, constant - sum);
  return sum;
}

/// erfc(a).
///
/// Minimax of the relative error (sollya: fpminimax(f, 11, [|SG...|], domain, relative, floating)): degree 11, 2^-26.8 (float);
/// degree 28, 2^-54.0 (double).
struct erfc_tail {
  /// a^2.
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static void exponent(T a, T& high, T& low) {
    exact_product(a, a, high, low);
  }
  /// c.
  template <class V>
  static constexpr V center = sizeof(V) == 4 ? V(1.0625) : V(1.5);
  /// Where the tail has become 0, and a little more.
  template <class V>
  static constexpr V end = sizeof(V) == 4 ? V(10.25) : V(27.4);

  /// p(t) 2^-tail_shift = sum + low.
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static T ratio(T t, T& low) {
    constexpr double s = lane<double>::power_of_two(-tail_shift<lane_value<T>>);
    if constexpr (sizeof(lane_value<T>) == 4) {
      return sum_and_loss(t,
                          horner(t, s * -0x1.1bb2c8p-2, s * -0x1.4b1ad6p-4, s * 0x1.a3e5b2p-6, s * 0x1.981b7ap-6,
                                 s * 0x1.69d08p-8, s * -0x1.cc7e24p-9, s * -0x1.f64c5ep-9, s * -0x1.743bd8p-10,
                                 s * 0x1.905a5cp-12, s * 0x1.506f92p-11, s * 0x1.a7da38p-13),
                          s * 0x1.bf44a6p-1, low);
    } else {
      return sum_and_loss(
          t,
          horner(t, s * -0x1.0404eaa26c48cp-1, s * 0x1.35bf360d08823p-4, s * 0x1.87518828a897ep-5, s * -0x1.0a11cd2f01a1bp-7,
                 s * -0x1.3607c39c7205fp-7, s * -0x1.a8d6e4ef4addap-11, s * 0x1.d07c9d2082f2p-10, s * 0x1.cf9014832356p-11,
                 s * -0x1.8435585c2e755p-15, s * -0x1.0d4dbe43fcc63p-12, s * -0x1.0901dd462185bp-13, s * 0x1.ddecbd84f327ap-21,
                 s * 0x1.43a39634ea44ap-15, s * 0x1.a0721ec82784ep-16, s * 0x1.2c0124fb4285p-18, s * -0x1.4edf1e3d577dcp-18,
                 s * -0x1.51acdaf869272p-18, s * -0x1.20d16a1ba1044p-19, s * -0x1.4ce24ec498318p-23, s * 0x1.96b3a56741933p-21,
                 s * 0x1.0a7d8ec1cfa67p-20, s * 0x1.ca8610758e4adp-22, s * -0x1.2e63decc179a9p-22, s * -0x1.533719860b78p-22,
                 s * -0x1.0c914d8adbe4p-26, s * 0x1.1d55b79c1c734p-24, s * 0x1.e7443f655bb28p-27, s * -0x1.5a835fbcd3594p-29),
          s * 0x1.edf487f74041cp-1, low);
    }
  }
};

/// Phi(-a). (By way of erfc(a / sqrt(2)) the rounding of the argument would be multiplied by a^2.)
///
/// Minimax of the relative error: degree 11, 2^-26.1 (float); degree 28, 2^-56.3 (double).
struct normal_tail {
  /// a^2 / 2.
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static void exponent(T a, T& high, T& low) {
    exact_product(a * T(lane_value<T>(0.5)), a, high, low);
  }
  template <class V>
  static constexpr V center = sizeof(V) == 4 ? V(1.5625) : V(2.125);
  template <class V>
  static constexpr V end = sizeof(V) == 4 ? V(14.5) : V(38.8);

  /// p(t) 2^-tail_shift = sum + low.
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static T ratio(T t, T& low) {
    constexpr double s = lane<double>::power_of_two(-tail_shift<lane_value<T>>);
    if constexpr (sizeof(lane_value<T>) == 4) {
      return sum_and_loss(t,
                          horner(t, s * -0x1.b68f8ap-3, s * -0x1.913a6ap-5, s * 0x1.789606p-6, s * 0x1.1067bep-6,
                                 s * 0x1.fb808cp-10, s * -0x1.aa3c24p-9, s * -0x1.41a9c2p-9, s * -0x1.0b19ccp-11,
                                 s * 0x1.d3d968p-12, s * 0x1.7bc984p-12, s * 0x1.52494ap-14),
                          s * 0x1.406fe4p-1, low);
    } else {
      return sum_and_loss(
          t,
          horner(t, s * -0x1.708d34dd9d2e4p-2, s * 0x1.bc40af743d9fp-5, s * 0x1.13a19a0de881ep-5, s * -0x1.822a3a2256973p-8,
                 s * -0x1.b55d6b3e42ab9p-8, s * -0x1.1671c2a48574p-11, s * 0x1.4abbd2ab05674p-10, s * 0x1.435a921ba139cp-11,
                 s * -0x1.489ec0c5bd63fp-15, s * -0x1.7e4d021ae4995p-13, s * -0x1.6fc4582183c5dp-14, s * 0x1.f3dece6255e49p-20,
                 s * 0x1.cd5abf74341bdp-16, s * 0x1.21a911bfa183cp-16, s * 0x1.84bd60d8bfd32p-19, s * -0x1.e3b005df7bbdap-19,
                 s * -0x1.dc7953ec0881fp-19, s * -0x1.94da0ebb4f017p-20, s * -0x1.9fd38edc64ab4p-25, s * 0x1.423025bc62953p-21,
                 s * 0x1.67fb9cf938f1fp-21, s * 0x1.028c8c0399145p-22, s * -0x1.9a8a4efa8a3b5p-23, s * -0x1.9fd4dbefee715p-23,
                 s * -0x1.b2c913f62dac7p-27, s * 0x1.496756b5543b7p-25, s * 0x1.6282b11406145p-27, s * -0x1.3c91e1a4630c2p-31),
          s * 0x1.5d6c1ba554bdfp-1, low);
    }
  }
};

/// Tail(a) = (high + low) power for 0 <= a <= end, `low` less than half of `high`, all normal.
template <class Tail, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void gaussian_tail(T a, T& high, T& low, T& power) {
  using V = lane_value<T>;
  constexpr V center = Tail::template center<V>;
  // u = 1 / (a + c), and the relative amount that its rounding and that of the sum lose.
  const T sum = a + T(center);
  const T sum_low = a - (sum - T(center));
  const T u = T(V(1)) / sum;
  const T u_lost = fma(-u, sum_low, fma_once(-sum, u, T(V(1))));
  const T t = fma(T(V(-2) * center), u, T(V(1)));
  T p_low;
  const T p = Tail::ratio(t, p_low);
  // p / (a + c) as a function of u has the condition number (a + c) |f'(a) / f(a)|, f(a) = e^(a^2) erfc(a): within 0.2 of these.
  const T condition = sizeof(V) == 4 ? T(V(1.25)) : fma(t, T(V(-0.4)), T(V(1.5)));
  T high_lost;
  exact_product(p, u, high, high_lost);
  const T lost = fma(p_low, u, fma(high, rounded_product(u_lost, condition), high_lost));
  // Times e^-x = (1 + r + second) power, all but the product with 1 into `low`.
  T x, x_low, r, second;
  Tail::exponent(a, x, x_low);
  exp_minus<tail_shift<V>>(x, x_low, r, second, power);
  low = fma(high, r, fma(high, second, fma(lost, r, lost)));
}

}  // namespace tessera::detail
