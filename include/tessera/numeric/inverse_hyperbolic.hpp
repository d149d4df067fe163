// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// asinh, acosh and atanh, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/log1p.hpp"

namespace tessera {
namespace detail {

/// From here on log(x + sqrt(x^2 +- 1)) is log(x) + log(2), and log(1 + x) is log(x).
template <class V>
inline constexpr V hyperbolic_large = sizeof(V) == 4 ? V(0x1p30) : V(0x1p60);

/// log(1 + t) + more, and log(1 + size) + log(2) where size is large.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T log1p_or_doubled(T size, T t, T more) {
  using V = lane_value<T>;
  const auto large = size > T(hyperbolic_large<V>);
  return log1p(select(large, size, t)) + select(large, T(V(0.693147180559945309)), more);
}

}  // namespace detail

/// The inverse of sinh.
///
/// Formula         log(1 + t) with t = |x| + x^2 / (1 + sqrt(1 + x^2)), with the sign of x
/// Special values  x itself for +0, -0, +inf, -inf and NaN.
/// Accuracy        within 2 ulp (float: all inputs; double); test/numeric/inverse_hyperbolic.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T asinh(T x) {
  using V = lane_value<T>;
  const T one(V(1));
  const T size = lane<T>::abs(x);
  const T square = size * size;
  const T t = size + square / (one + sqrt(fma(size, size, one)));
  return copysign(detail::log1p_or_doubled(size, t, T(V(0))), x);
}

/// The inverse of cosh, not negative.
///
/// Formula         log(1 + t) with t = (x - 1) + sqrt((x - 1)(x + 1))
/// Special values  +0 at 1, NaN below and for NaN, +inf at +inf.
/// Accuracy        within 2 ulp (float: all inputs; double); test/numeric/inverse_hyperbolic.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T acosh(T x) {
  using V = lane_value<T>;
  const T above = x - T(V(1));
  const T root = sqrt(fma(above, above, above + above));
  const T t = above + root;
  // What that sum lost, over 1 + t = x + root, which is 1 / (x - root); above 2, where that cancels, the logarithm makes little of it.
  const T lost = select(x < T(V(2)), (above - (t - root)) * (x - root), T(V(0)));
  return select(x < T(V(1)), T(static_cast<V>(__builtin_nanf(""))), detail::log1p_or_doubled(x, t, lost));
}

/// The inverse of tanh.
///
/// Formula         log(1 + 2|x| / (1 - |x|)) / 2, with the sign of x
/// Special values  -0 at -0, -inf at -1, +inf at 1, NaN beyond [-1, 1] and for NaN.
/// Accuracy        within 2 ulp (float: all inputs; double); test/numeric/inverse_hyperbolic.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T atanh(T x) {
  using V = lane_value<T>;
  const T size = lane<T>::abs(x);
  const T twice = size + size;
  const T ratio = size / (T(V(1)) - size);
  // 1 - |x| is exact above 1/2; below, the first form passes less of its rounding on.
  const T t = select(size < T(V(0.5)), fma(twice, ratio, twice), ratio + ratio);
  return copysign(T(V(0.5)) * log1p(t), x);
}

}  // namespace tessera
