// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Angles brought to the nearest quarter turn, as a number and what its rounding loses.
#pragma once

#include <cstdint>

#include "tessera/numeric/detail/exact_product.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera::detail {

/// Up to here the quarter turns are counted by a product; the error of the count moves |r| past pi/4 by at most 2^-8.
template <class V>
inline constexpr V largest_countable_angle = sizeof(V) == 4 ? V(0x1p21) : V(0x1p30);

/// The upper 64 bits of a product of 128.
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr std::uint64_t product_high(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t low_mask = 0xffffffffU;
  const std::uint64_t middle = (a >> 32) * (b & low_mask) + (((a & low_mask) * (b & low_mask)) >> 32);
  const std::uint64_t other = (a & low_mask) * (b >> 32) + (middle & low_mask);
  return (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32);
}

/// 64 bits of 2/pi whose first has the weight 2^(63 - index). There are 1216, as many as double needs; the whole part and 63 zeros come before them.
TESSERA_HD TESSERA_ALWAYS_INLINE std::uint64_t two_over_pi(int index) {
  static constexpr std::uint64_t words[] = {0x0000000000000000U, 0xa2f9836e4e441529U, 0xfc2757d1f534ddc0U, 0xdb6295993c439041U,
                                            0xfe5163abdebbc561U, 0xb7246e3a424dd2e0U, 0x06492eea09d1921cU, 0xfe1deb1cb129a73eU,
                                            0xe88235f52ebb4484U, 0xe99c7026b45f7e41U, 0x3991d639835339f4U, 0x9c845f8bbdf9283bU,
                                            0x1ff897ffde05980fU, 0xef2f118b5a0a6d1fU, 0x6d367ecf27cb09b7U, 0x4f463f669e5fea2dU,
                                            0x7527bac7ebe5f17bU, 0x3d0739f78a5292eaU, 0x6bfb5fb11f8d5d08U, 0x56033046fc7b6babU};
  const int word = index >> 6;
  const int bit = index & 63;
  return words[word] << bit | words[word + 1] >> 1 >> (63 - bit);
}

/// r + low = a - n pi/2 for any angle a above the countable ones; NaN for +inf.
///
/// a = m 2^e with an integer m. Bits of 2/pi above 2^(1 - e) only add whole turns; what is kept of the others leaves more than 64 bits of
/// (2/pi) a beyond the 61 that cancel in the worst of all doubles (30 of 62 beyond 28 in the worst float).
///
/// Source  M. H. Payne and R. N. Hanek, Radian reduction for trigonometric functions, SIGNUM Newsletter 18, 1983
struct reduce_large_angle {
  TESSERA_HD TESSERA_ALWAYS_INLINE void operator()(float& a, float& r, float& low, std::uint32_t& n) const {
    if (a <= largest_countable_angle<float>) return;
    const std::uint32_t code = lane<float>::to_bits(a);
    const int exponent = static_cast<int>(code >> 23) - 150;
    if (exponent == 105) {
      r = low = a - a;
      return;
    }
    const std::uint64_t m = (code & 0x7fffffU) | 0x800000U;
    const int first = exponent + 62;
    std::uint64_t turns = m * two_over_pi(first) + (m * (two_over_pi(first + 64) >> 32) >> 32);  // in units of 2^-62 right angles
    n = static_cast<std::uint32_t>((turns + (std::uint64_t(1) << 61)) >> 62);
    turns -= std::uint64_t(n) << 62;
    const double rest = static_cast<double>(static_cast<std::int64_t>(turns)) * (1.57079632679489662 * 0x1p-62);
    r = static_cast<float>(rest);
    low = static_cast<float>(rest - static_cast<double>(r));
  }

  TESSERA_HD TESSERA_ALWAYS_INLINE void operator()(double& a, double& r, double& low, std::uint64_t& n) const {
    if (a <= largest_countable_angle<double>) return;
    const std::uint64_t code = lane<double>::to_bits(a);
    const int exponent = static_cast<int>(code >> 52) - 1075;
    if (exponent == 972) {
      r = low = a - a;
      return;
    }
    const std::uint64_t m = (code & 0xfffffffffffffU) | 0x10000000000000U;
    const int first = exponent + 62;
    const std::uint64_t w1 = two_over_pi(first + 64);
    const std::uint64_t w2 = two_over_pi(first + 128);
    const std::uint64_t bottom = m * w2;
    const std::uint64_t middle = m * w1 + product_high(m, w2);
    std::uint64_t top = m * two_over_pi(first) + product_high(m, w1) + (middle < m * w1 ? 1U : 0U);
    n = (top + (std::uint64_t(1) << 61)) >> 62;
    top -= n << 62;
    // 192 bits as three doubles of fewer than 50 bits each, the first of which may be 0 or cancel most of the second.
    const double x = static_cast<double>(static_cast<std::int64_t>(top & ~std::uint64_t(0x3fff))) * 0x1p-62;
    const double y = static_cast<double>((top & 0x3fffU) << 32 | middle >> 32) * 0x1p-94;
    const double z = static_cast<double>((middle & 0xffffffffU) << 16 | bottom >> 48) * 0x1p-142;
    const double sum = x + y;
    const double sum_low = y - (sum - x) + z;
    double h, l;
    exact_product(sum, 0x1.921fb54442d18p0, h, l);
    l = fma(sum_low, 0x1.921fb54442d18p0, fma(sum, 0x1.1a62633145c07p-54, l));
    r = h + l;
    low = l - (r - h);
  }
};

/// r + low = a - n pi/2 with |r| little more than pi/4, for a >= 0; the result is n, of which only the last two bits are meant.
/// NaN where a is infinite or NaN.
///
/// Source  reduction in three parts: Cody and Waite, Software Manual for the Elementary Functions, 1980
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE lane_bits_type<T> reduce_to_quadrant(T a, T& r, T& low) {
  using V = lane_value<T>;
  constexpr bool single = sizeof(V) == 4;
  constexpr V magic = single ? V(0x1.8p23) : V(0x1.8p52);
  constexpr V part1 = single ? V(0x1.921fb6p0) : V(0x1.921fb54442d18p0);
  constexpr V part2 = single ? V(-0x1.777a5cp-25) : V(0x1.1a62633145c07p-54);
  constexpr V part3 = single ? V(-0x1.ee59dap-50) : V(-0x1.f1976b7ed8fbcp-110);
  const T shifted = fma(a, T(V(0.636619772367581343)), T(magic));
  const T n = shifted - T(magic);
  // Exact: a multiple of the last place of part1 (or of a, if that is less), and less than 1.
  T first;
  if constexpr (lane<T>::fused) {
    first = fma(n, T(-part1), a);
  } else {
    T high, rest;
    exact_product(n, T(part1), high, rest);
    first = (a - high) - rest;
  }
  // `first` is a multiple of the last place of n * part2, so what the difference loses is exactly what the next line finds.
  T second, second_low;
  exact_product(n, T(part2), second, second_low);
  r = first - second;
  low = fma(n, T(-part3), ((first - r) - second) - second_low);
  lane_bits_type<T> quadrant = lane<T>::to_bits(shifted);
  if (lane<T>::any(a > T(largest_countable_angle<V>))) [[unlikely]] {
    lane<T>::each(reduce_large_angle{}, a, r, low, quadrant);
  }
  return quadrant;
}

/// r + low = pi (a - n / 2) with |a - n / 2| <= 1/4, for a >= 0, n as above.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE lane_bits_type<T> reduce_half_turns(T a, T& r, T& low) {
  using V = lane_value<T>;
  constexpr bool single = sizeof(V) == 4;
  constexpr V magic = single ? V(0x1.8p23) : V(0x1.8p52);
  constexpr V pi_high = single ? V(0x1.921fb6p1) : V(0x1.921fb54442d18p1);
  constexpr V pi_low = single ? V(-0x1.777a5cp-24) : V(0x1.1a62633145c07p-53);
  // All of this is exact. Whole turns first: where a is too large for the sum to hold a half, it is whole anyway and 0 or 1 is left.
  const T turns = fma(a, T(V(0.5)), T(magic)) - T(magic);
  const T rest = fma(turns, T(V(-2)), a);
  const T shifted = fma(rest, T(V(2)), T(magic));
  const T part = fma(shifted - T(magic), T(V(-0.5)), rest);
  exact_product(part, T(pi_high), r, low);
  low = fma(part, T(pi_low), low);
  return lane<T>::to_bits(shifted);
}

}  // namespace tessera::detail
