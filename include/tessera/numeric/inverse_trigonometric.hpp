// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// asin, acos and atan from our own polynomials, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// pi and what its rounding leaves. Both parts of pi / 2 and pi / 4 are exact halves of these.
template <class V>
inline constexpr V pi_high = sizeof(V) == 4 ? V(0x1.921fb6p1) : V(0x1.921fb54442d18p1);
template <class V>
inline constexpr V pi_low = sizeof(V) == 4 ? V(-0x1.777a5cp-24) : V(0x1.1a62633145c07p-53);

/// (atan(x) / x - 1) / x^2 as a function of z = x^2 up to tan(pi/8)^2.
///
/// Minimax of the relative error (sollya, fpminimax): degree 4, 2^-24 (float); degree 10, 2^-53.2 (double); in atan a twentieth of that.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T atan_tail(T z) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner(z, -0x1.555554p-2, 0x1.99970ap-3, -0x1.241d46p-3, 0x1.b7e562p-4, -0x1.07dbecp-4);
  } else {
    return horner(z, -0x1.5555555555555p-2, 0x1.999999999942ap-3, -0x1.249249243d6d5p-3, 0x1.c71c7188b61f2p-4,
                  -0x1.745d0b9b9ab7cp-4, 0x1.3b126be59fdf6p-4, -0x1.10fae4f618e7ep-4, 0x1.dfece58223736p-5, -0x1.a0b8e0a18d536p-5,
                  0x1.41b54cf97979dp-5, -0x1.3aec14baf5a66p-6);
  }
}

/// (asin(x) / x - 1) / x^2 as a function of z = x^2 up to 1/4.
///
/// Minimax of the relative error (sollya, fpminimax): degree 5, 2^-24 (float); degree 12, 2^-53 (double); in asin a twentieth of that.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T asin_tail(T z) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner(z, 0x1.555554p-3, 0x1.3334c8p-4, 0x1.6d4032p-5, 0x1.ff9494p-6, 0x1.10abf6p-6, 0x1.1a258cp-5);
  } else {
    return horner(z, 0x1.5555555555556p-3, 0x1.3333333332dcdp-4, 0x1.6db6db6e4397cp-5, 0x1.f1c71c14da07fp-6, 0x1.6e8bb2fe23ca4p-6,
                  0x1.1c4d1bf9bbc8ap-6, 0x1.c9d1ced2b74e4p-7, 0x1.780cd7cffc18bp-7, 0x1.52df0e66ddf36p-7, 0x1.60a47150e64adp-8,
                  0x1.205dff1403cebp-6, -0x1.f07da462ecf07p-7, 0x1.da673bb823815p-6);
  }
}

/// asin(s) as s + tail, where s is |x| up to 1/2 and sqrt((1 - |x|) / 2) above, for which asin |x| = pi/2 - 2 asin(s).
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE void asin_parts(T size, T& s, T& tail) {
  using V = lane_value<T>;
  const auto inner = size <= T(V(0.5));
  const T halved = fma(size, T(V(-0.5)), T(V(0.5)));  // exact above 1/2
  const T root = sqrt(halved);
  // What the root's rounding lost; the larger of the two denominators only matters at 1, where it avoids 0 / 0.
  const T root_lost = fma(-root, root, halved) / max(T(V(0x1p-100)), root + root);
  const T z = select(inner, size * size, halved);
  s = select(inner, size, root);
  tail = fma(s * z, asin_tail(z), select(inner, T(V(0)), root_lost));
}

/// quarters * pi / 4 - (s + tail), rounded once and a little; |s| is less than the first term, or `quarters` is 0.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T angle_minus(T quarters, T s, T tail) {
  using V = lane_value<T>;
  const T from = quarters * T(detail::pi_high<V> / V(4));
  const T sum = from - s;
  const T sum_lost = (from - sum) - s;
  return sum + (sum_lost - fma(quarters, T(-detail::pi_low<V> / V(4)), tail));
}

}  // namespace detail

/// The angle in [-pi/2, pi/2] whose tangent is x.
///
/// Formula         from x, (x - 1) / (x + 1) + pi/4 or -1/x + pi/2, whichever argument is within tan(pi/8)
/// Special values  -0 at -0, pi/2 with the sign of x at the infinities, NaN for NaN.
/// Accuracy        within 2 ulp (float: 1.93 over all inputs; double: 1.8 seen); test/numeric/inverse_trigonometric.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T atan(T x) {
  using V = lane_value<T>;
  const T one(V(1));
  const T size = lane<T>::abs(x);
  const auto above_small = size > T(V(0.414213562373095049));
  const auto large = size > T(V(2.41421356237309505));
  const T numerator = select(large, -one, select(above_small, size - one, size));
  const T denominator = select(large, size, select(above_small, size + one, one));
  const T t = numerator / denominator;
  const T z = t * t;
  const T quarters = select(large, T(V(2)), select(above_small, one, T(V(0))));
  const T y = detail::angle_minus(quarters, -t, -(t * z * detail::atan_tail(z)));
  return copysign(y, x);
}

/// The angle in [-pi/2, pi/2] whose sine is x.
///
/// Special values  -0 at -0, NaN beyond [-1, 1] and for NaN.
/// Accuracy        within 0.7 ulp (float: all inputs; double), 1.5 ulp where fma is two roundings; test/numeric/inverse_trigonometric.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T asin(T x) {
  using V = lane_value<T>;
  const T size = lane<T>::abs(x);
  T s, tail;
  detail::asin_parts(size, s, tail);
  const T y = select(size <= T(V(0.5)), s + tail, detail::angle_minus(T(V(2)), s + s, tail + tail));
  return copysign(y, x);
}

/// The angle in [0, pi] whose cosine is x.
///
/// Special values  +0 at 1, NaN beyond [-1, 1] and for NaN.
/// Accuracy        within 0.7 ulp (float: all inputs; double), 1.5 ulp where fma is two roundings; test/numeric/inverse_trigonometric.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T acos(T x) {
  using V = lane_value<T>;
  const T size = lane<T>::abs(x);
  T s, tail;
  detail::asin_parts(size, s, tail);
  const auto inner = size <= T(V(0.5));
  const T times = select(inner, T(V(1)), T(V(2)));
  // pi/2 - asin x near 0, 2 asin(s) near 1, pi - 2 asin(s) near -1.
  const T quarters = select(inner, T(V(2)), select(x < T(V(0)), T(V(4)), T(V(0))));
  const T factor = select(inner, flip_sign(times, x), -flip_sign(times, x));
  return detail::angle_minus(quarters, factor * s, factor * tail);
}

}  // namespace tessera
