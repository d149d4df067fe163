// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// e^-x of an x in two parts, left unrounded for whoever multiplies it.
#pragma once

#include "tessera/numeric/detail/exact_product.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera::detail {

/// (e^r - 1 - r) / r^2 for |r| <= 0.3468: the polynomial of exp_fraction without its first two terms.
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

/// e^-(high + low) = (1 + r + second) power 2^-Shift with |r| <= 0.3468 and `second` near r^2 / 2.
///
/// For 0 <= high < (Shift + bias) log 2, |low| at most an ulp of it. The error of r + second is a quarter of an ulp of 1 at most. power is
/// a power of two; the shift lets it stay normal.
template <int Shift, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void exp_minus(T high, T low, T& r, T& second, T& power) {
  using V = lane_value<T>;
  constexpr bool single = sizeof(V) == 4;
  // n + Shift + bias is left in the low bits of a number that has room for it.
  constexpr V magic = (single ? V(0x1.8p23) + V(127) : V(0x1.8p52) + V(1023)) + V(Shift);
  const T shifted = fma(high, T(V(-1.44269504088896341)), T(magic));
  const T n = shifted - T(magic);
  power = lane<T>::from_bits(lane<T>::to_bits(shifted) << (single ? 23 : 52));
  // `first` is exact; where it is less than `rest`, it is still a multiple of the last place of it, and r_low is what r loses.
  const T first = fma(n, T(-log_2_high<V>), -high);
  const T rest = fma(n, T(-log_2_low<V>), -low);
  r = first + rest;
  const T r_low = (first - r) + rest;
  second = fma(rounded_product(r, r), exp_remainder(r), r_low);
}

}  // namespace tessera::detail
