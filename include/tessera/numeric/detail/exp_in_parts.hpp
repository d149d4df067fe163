// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// e^-x of an x in two parts, left unrounded for whoever multiplies it.
#pragma once

#include "tessera/numeric/detail/exact_product.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera::detail {

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
