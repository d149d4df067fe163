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
  static constexpr int mantissa_bits = sizeof(V) == 4 ? 23 : 52;
  static constexpr V bias = sizeof(V) == 4 ? 127 : 1023;
  /// Adding it leaves the nearest integer in the low bits of the code.
  static constexpr V magic = sizeof(V) == 4 ? V(0x1.8p23) : V(0x1.8p52);
  static constexpr V epsilon = sizeof(V) == 4 ? V(0x1p-23) : V(0x1p-52);
  static constexpr V smallest = sizeof(V) == 4 ? V(0x1p-126) : V(0x1p-1022);  ///< normal number
  static constexpr auto exponent_mask = static_cast<typename lane<V>::bits>(lane<V>::sign_bit - lane<V>::to_bits(smallest));
};

/// c0 + c1 x + c2 x^2 …, one fma a coefficient.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T horner(T, double c) {
  return T(static_cast<lane_value<T>>(c));
}
template <class T, class... More>
TESSERA_HD TESSERA_ALWAYS_INLINE T horner(T x, double c, More... more) {
  return fma(horner(x, more...), x, T(static_cast<lane_value<T>>(c)));
}

/// The upper half of the bits of x: the product of two such numbers is exact.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T upper_half(T x) {
  using V = lane_value<T>;
  using Code = typename lane<V>::bits;
  constexpr auto mask = static_cast<Code>(~Code(0) << (exponent_range<V>::mantissa_bits / 2 + 1));
  return lane<T>::from_bits(lane<T>::to_bits(x) & lane_bits_type<T>(mask));
}

/// horner, for |c1 x| < |c0| / 2, that loses little before its last sum where fma is two roundings, too: there c1 x comes in parts, the
/// large one of them exact.
template <class T, class... More>
TESSERA_HD TESSERA_ALWAYS_INLINE T horner_in_parts(T x, double c0, double c1, More... more) {
  if constexpr (lane<T>::fused) {
    return horner(x, c0, c1, more...);
  } else {
    using V = lane_value<T>;
    const V c1_high = upper_half(static_cast<V>(c1));
    const T x_high = upper_half(x);
    const T low = fma(x - x_high, T(c1_high), x * T(static_cast<V>(c1 - static_cast<double>(c1_high))));
    return T(static_cast<V>(c0)) + fma(x_high, T(c1_high), fma(x * x, horner(x, more...), low));
  }
}

/// log(2) in two parts: the upper one times any exponent is exact.
template <class V>
inline constexpr V log_2_high = sizeof(V) == 4 ? V(0x1.62e4p-1) : V(0x1.62e42fefa3800p-1);
template <class V>
inline constexpr V log_2_low = sizeof(V) == 4 ? V(0x1.7f7d1cf79abcap-20) : V(0x1.ef35793c76730p-45);

/// 2^(Exponent + r) for |r| <= 1/2; exact for r = 0.
///
/// Minimax of the relative error with the constant term held at 1: degree 6 (float, then a search among the neighbours of the
/// coefficients for the least error of the rounded evaluation: 0.73 ulp); degree 11, 2^-56.4 (double).
template <int Exponent = 0, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T exp2_fraction(T r) {
  constexpr double s = lane<double>::power_of_two(Exponent);
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner_in_parts(r, s, s * 0x1.62e432p-1, s * 0x1.ebfbecp-3, s * 0x1.c6ada2p-5, s * 0x1.3b2030p-7, s * 0x1.5fc51cp-10,
                           s * 0x1.4c102ep-13);
  } else {
    return horner_in_parts(r, s, s * 0x1.62e42fefa39efp-1, s * 0x1.ebfbdff82c598p-3, s * 0x1.c6b08d704a1d3p-5,
                           s * 0x1.3b2ab6fba1ec4p-7, s * 0x1.5d87fe787493ap-10, s * 0x1.4309130944095p-13,
                           s * 0x1.ffcbfd479e5bap-17, s * 0x1.62bfd4df40b7ep-20, s * 0x1.b52335e6fe7d5p-24,
                           s * 0x1.e60595a88c4ap-28, s * 0x1.ec6b62822310bp-32);
  }
}

/// The same to 2^-13.2, exact for r = 0: minimax of the relative error with the constant term held at 1, degree 3.
template <int Exponent = 0, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T exp2_fraction_approximate(T r) {
  constexpr double s = lane<double>::power_of_two(Exponent);
  return horner(r, s, s * 0x1.62f5fap-1, s * 0x1.f00c4cp-3, s * 0x1.c2a254p-5);
}

/// (e^r - 1 - r) / r^2 for |r| <= 0.3468, a little more than log(2) / 2.
///
/// Minimax of the relative error of e^r, whose first two terms are held at 1 + r: degree 6, 0.67 ulp with rounding (float, found as above);
/// degree 12, 2^-64 (double).
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T exp_remainder(T r) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner(r, 0x1.fffffep-2, 0x1.55546cp-3, 0x1.55562ep-5, 0x1.124fe2p-7, 0x1.6c73a6p-10);
  } else {
    return horner(r, 0x1.0000000000000p-1, 0x1.555555555555bp-3, 0x1.5555555555502p-5, 0x1.111111110ec1ap-7,
                  0x1.6c16c16c30781p-10, 0x1.a01a01b398fa0p-13, 0x1.a01a0135fcb70p-16, 0x1.71ddefdc8f3d1p-19,
                  0x1.27e5b4f206afbp-22, 0x1.af6c6112fb2c8p-26, 0x1.1e3cd9dd7ef15p-29);
  }
}

/// e^(r + low) + (first - 1) for |r| <= 0.3468; one rounding more than that of `first`. Where fma is one rounding, `low` is left out: it
/// weighs no more than what the last product then keeps.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T exp_fraction(T r, T first = T(lane_value<T>(1)), T low = T(lane_value<T>(0))) {
  if constexpr (lane<T>::fused) {
    return fma(fma(exp_remainder(r), r, T(lane_value<T>(1))), r, first);
  } else {
    return first + (r + fma(r * r, exp_remainder(r), low));
  }
}

/// x = n log 2 + r + low with an integral n and |r| <= 0.3468, for |x| below 2^8 (double: 2^11); `shifted` has n + Add in its low bits.
template <int Add = 0, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void reduce_exp(T x, T& n, T& r, T& low, T& shifted) {
  using V = lane_value<T>;
  // In one fma, lest a compiler fuse it in one place only.
  constexpr V magic = exponent_range<V>::magic + V(Add);
  shifted = fma(x, T(V(1.44269504088896341)), T(magic));
  n = shifted - T(magic);
  const T first = fma(n, T(-log_2_high<V>), x);
  r = fma(n, T(-log_2_low<V>), first);
  low = fma(n, T(-log_2_low<V>), first - r);
}

/// The same without the `low`.
template <int Add = 0, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void reduce_exp(T x, T& n, T& r, T& shifted) {
  T low;
  reduce_exp<Add>(x, n, r, low, shifted);
}

/// 2^n where n + bias is in the low bits of `shifted`; +0 for n = -bias.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T power_in(T shifted) {
  return lane<T>::from_bits(lane<T>::to_bits(shifted) << exponent_range<lane_value<T>>::mantissa_bits);
}

/// a * 2^n where n is in the low bits of `shifted`, for a normal a and a normal result.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T add_to_exponent(T a, T shifted) {
  return lane<T>::from_bits(lane<T>::to_bits(a) + (lane<T>::to_bits(shifted) << exponent_range<lane_value<T>>::mantissa_bits));
}

/// a * 2^n for an integral n in [faintest - 4, most + 4] and a near 1: one rounding, in the second product.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T scale_twice(T a, T n) {
  using V = lane_value<T>;
  const T half = lane<T>::floor(n * T(V(0.5)));
  return a * lane<T>::power_of_two(half) * lane<T>::power_of_two(n - half);
}

/// One of the two.
template <bool Approximate, int Exponent, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T exp2_fraction_as(T r) {
  if constexpr (Approximate) {
    return exp2_fraction_approximate<Exponent>(r);
  } else {
    return exp2_fraction<Exponent>(r);
  }
}

/// 2^x for x <= 0, +0 from From - 0.5 down.
template <int From, bool Approximate, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T exp2_flushed(T x) {
  using V = lane_value<T>;
  using range = exponent_range<V>;
  constexpr int from = From == 0 ? static_cast<int>(range::least) + 1 : From;
  static_assert(from < 0 && V(from) > range::least, "2^From must be normal, and less than 1");
  static_assert(from % 2 != 0, "an even From would keep the tie at From - 0.5");
  // x - round(x) is exact. Results that could be subnormal are flushed: on Intel each would cost a microcode assist of over 100
  // cycles. 2^x = 2^(k + r) * 2^(n - k) with the k for which the last power, where n is below from, is one less than the
  // exponents go: 0. On Zen 4 this is faster than vscalef, too.
  constexpr int k = from - static_cast<int>(range::least);
  const T clamped = max(T(V(from) - V(1)), x);
  T n;
  const T power = lane<T>::template round_and_power<-k>(clamped, n);
  return exp2_fraction_as<Approximate, k>(clamped - n) * power;
}

}  // namespace detail

/// 2^x for x <= 0, as softmax needs it: twelve instructions a pack.
///
/// Special values  exactly 1 at 0; +0 at -inf and below -125.5 (double: -1021.5); NaN for NaN. 0 < x < 127 (1023) works as well.
///                 With `From` (odd, -125 to -1; double: -1021 to -1) +0 from From - 0.5 down.
/// Accuracy        within 0.8 ulp (float: all inputs), 0.85 ulp (double), 0.88 ulp where fma is two roundings;
///                 test/numeric/exp.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <int From = 0, class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T exp2_nonpositive(T x) {
  return detail::exp2_flushed<From, false>(x);
}

/// exp2_nonpositive with a short polynomial, for weights that are stored or multiplied in 16 bits.
///
/// Special values  as exp2_nonpositive; exactly 1 at 0, and powers of two at all integers.
/// Accuracy        relative error below 1.02e-4, which is 2^-13.2: a quarter of what rounding to float16 may add, a thirtieth of
///                 what rounding to bfloat16 may; test/numeric/exp.cpp.
/// Cost            three fma less than exp2_nonpositive in float, eight in double.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
/// Source          for attention: Dao et al., FlashAttention-4, 2025
template <int From = 0, class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T exp2_nonpositive_approximate(T x) {
  return detail::exp2_flushed<From, true>(x);
}

/// 2^x.
///
/// Special values  subnormal results are kept; +0 at -inf, +inf from 128 (double: 1024), NaN for NaN.
/// Accuracy        within 0.88 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/exp.cpp.
/// Cost            without AVX-512 a pack in which a result is not normal takes twice as long.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T exp2(T x) {
  using V = lane_value<T>;
  using range = detail::exponent_range<V>;
  // Where |x| is too large for the sum to hold the fraction, only the exponent counts, if p is positive: the float polynomial, of
  // even degree, is so everywhere.
  if constexpr (lane<T>::native_exponent && sizeof(V) == 8) x = min(T(range::most + V(1)), x);
  const T shifted = x + T(range::magic);
  const T n = shifted - T(range::magic);
  const T p = detail::exp2_fraction(x - n);
  if constexpr (lane<T>::native_exponent) {
    return lane<T>::scale_from(p, n, T(range::faintest));
  } else {
    T y = detail::add_to_exponent(p, shifted);
    if (lane<T>::any_beyond(x, -range::least)) [[unlikely]] {
      const T clamped = max(T(range::faintest - V(1)), min(T(range::most + V(1)), x));
      const T m = lane<T>::round(clamped);
      y = detail::scale_twice(detail::exp2_fraction(clamped - m), m);
    }
    return y;
  }
}

/// e^x.
///
/// Special values  subnormal results are kept; +0 at -inf, +inf from 88.72284 (double: 709.78272) on, NaN for NaN, exactly 1 at
///                 0.
/// Accuracy        within 0.9 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/exp.cpp.
/// Cost            without AVX-512 a pack in which a result is not normal takes twice as long.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
/// Source          argument reduction in two parts: Cody and Waite, Software Manual for the Elementary Functions, 1980
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T exp(T x) {
  using V = lane_value<T>;
  using range = detail::exponent_range<V>;
  constexpr V log_2 = V(0.693147180559945309);
  T n, r, low, shifted;
  detail::reduce_exp(x, n, r, low, shifted);
  // As in exp2, with a polynomial of even degree lest it be negative.
  const T p = detail::exp_fraction(r, T(V(1)), low);
  if constexpr (lane<T>::native_exponent) {
    return lane<T>::scale_from(p, n, T(range::faintest));
  } else {
    T y = detail::add_to_exponent(p, shifted);
    if (lane<T>::any_beyond(x, (-range::least - V(0.5)) * log_2)) [[unlikely]] {
      const T clamped = max(T((range::faintest - V(1)) * log_2), min(T((range::most + V(1)) * log_2), x));
      detail::reduce_exp(clamped, n, r, low, shifted);
      y = detail::scale_twice(detail::exp_fraction(r, T(V(1)), low), n);
    }
    return y;
  }
}

}  // namespace tessera
