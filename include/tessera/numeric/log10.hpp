// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The logarithm to base 10, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/detail/exact_product.hpp"
#include "tessera/numeric/exp10.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/log.hpp"

namespace tessera {
namespace detail {

/// log10(2^e (1 + f)).
struct decimal_log {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static T of_parts(T e, T f) {
    using V = lane_value<T>;
    // 1 / log(10) and what its rounding leaves.
    constexpr V high = sizeof(V) == 4 ? V(0x1.bcb7b2p-2) : V(0x1.bcb7b1526e50ep-2);
    constexpr V low = sizeof(V) == 4 ? V(-0x1.5b235ep-27) : V(0x1.95355baaafad3p-57);
    // As in binary_log. The product of e is exact, so it may be fused or not.
    const T whole = e * T(log10_2_high<V>);
    T first, first_lost;
    exact_product(f, T(high), first, first_lost);
    const T sum = whole + first;
    const T sum_lost = first - (sum - whole);
    const T lost = fma(e, T(log10_2_low<V>), fma(f, T(low), first_lost + sum_lost));
    return sum + fma(log1p_rest(f, T(V(0))), T(high), lost);
  }
};

}  // namespace detail

/// The logarithm to base 10.
///
/// Formula         x = m 2^e with m in [0.7, 1.4): log10 x = e log10 2 + log(1 + (m - 1)) / log 10.
/// Special values  as log: -inf at +0 and -0, NaN below 0 and for NaN, +inf at +inf, exactly +0 at 1.
/// Accuracy        within 1.1 ulp (float: all inputs; double), where fma is two roundings, too; test/numeric/log10.cpp.
/// Cost            as log.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T log10(T x) {
  return detail::logarithm<detail::decimal_log>(x);
}

}  // namespace tessera
