// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The cube root, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {
namespace detail {

/// m^(1/3) for m in [3/4, 3/2), with a relative error of 2^-13.7 (float) and 2^-22.4 (double): where the correction of cbrt starts from.
/// Minimax of the relative error (sollya, fpminimax).
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T cbrt_start(T m) {
  if constexpr (sizeof(lane_value<T>) == 4) {
    return horner(m, 0x1.0129fep-1, 0x1.6c2764p-1, -0x1.0d8c82p-2, 0x1.97a0dcp-5);
  } else {
    return horner(m, 0x1.a00194p-2, 0x1.26a524p0, -0x1.137566p0, 0x1.a8eaaap-1, -0x1.a8cbeap-2, 0x1.e4a2eep-4, -0x1.de5780p-7);
  }
}

}  // namespace detail

/// The cube root, of negative numbers too.
///
/// Formula         |x| = b 8^q with b in [3/8, 3); y ~ b^(1/3) from a polynomial, then y (1 - d)^(-1/3) to second order with d = 1 - y^3/b.
/// Special values  x itself for +0, -0, +inf, -inf and NaN; subnormal x is a number like any other.
/// Accuracy        within 1 ulp (float: all inputs; double); test/numeric/cbrt.cpp.
/// Determinism     the same bits for a number and a pack, wherever fma is one rounding.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T cbrt(T x) {
  using V = lane_value<T>;
  const T size = lane<T>::abs(x);
  T m, e;
  lane<T>::split(size, m, e);
  const T q = lane<T>::round(e * T(V(0.333333333333333333)));
  const T r = fma(q, T(V(-3)), e);  // -1, 0 or 1
  const T b = m * select(r < T(V(0)), T(V(0.5)), select(r > T(V(0)), T(V(2)), T(V(1))));
  const T y = detail::cbrt_start(m) *
              select(r < T(V(0)), T(V(0.793700525984099737)), select(r > T(V(0)), T(V(1.25992104989487316)), T(V(1))));
  // b - y^3, of which only the last rounding is lost.
  const T square = y * y;
  const T square_lost = fma(y, y, -square);
  const T d = fma(-square_lost, y, fma(-square, y, b)) / b;
  const T root = fma(y * d, fma(d, T(V(0.222222222222222222)), T(V(0.333333333333333333))), y) * lane<T>::power_of_two(q);
  // The sign comes last: clang 19 gave wrong bits for select(m, copysign(root, x), x) on AVX-512.
  const T finite = select(size < T(static_cast<V>(__builtin_inff())), root, size);
  return copysign(select(size > T(V(0)), finite, size), x);
}

}  // namespace tessera
