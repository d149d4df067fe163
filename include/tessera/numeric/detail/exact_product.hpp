// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A product and what its rounding loses, and a product and a sum in one rounding.
#pragma once

#include "tessera/numeric/detail/exact_sum.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera::detail {

/// a * b rounded once, which no compiler may fuse with a sum that it goes into. A zero is +0.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T rounded_product(T a, T b) {
  return fma(a, b, T(lane_value<T>(0)));
}

/// high + low = a * b exactly, high the rounded product; nothing may overflow or underflow.
///
/// Source  where fma is two roundings: T. J. Dekker, A floating-point technique for extending the available precision, 1971
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void exact_product(T a, T b, T& high, T& low) {
  if constexpr (lane<T>::fused) {
    high = rounded_product(a, b);
    low = fma(a, b, -high);
  } else {
    using V = lane_value<T>;
    const T splitter(V(sizeof(V) == 4 ? 0x1.002p12 : 0x1.0000002p27));
    const T a_shifted = a * splitter;
    const T a_high = a_shifted - (a_shifted - a);
    const T a_low = a - a_high;
    const T b_shifted = b * splitter;
    const T b_high = b_shifted - (b_shifted - b);
    const T b_low = b - b_high;
    high = a * b;
    low = a_low * b_low - (((high - a_high * b_high) - a_low * b_high) - a_high * b_low);
  }
}

/// a * b + c rounded once, or nearly so where fma is two roundings: for a sum that cancels, or that must not lose a bit. Nothing may
/// overflow or underflow.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T fma_once(T a, T b, T c) {
  if constexpr (lane<T>::fused) {
    return fma(a, b, c);
  } else {
    T high, low;
    exact_product(a, b, high, low);
    const T sum = high + c;
    return sum + (sum_error(high, c, sum) + low);
  }
}

}  // namespace tessera::detail
