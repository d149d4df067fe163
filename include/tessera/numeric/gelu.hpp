// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The Gaussian error linear unit from our own polynomials, the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/detail/gaussian_tail.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {

/// x Phi(x).
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T gelu(T x) {
  using V = lane_value<T>;
  const T a = min(T(detail::normal_tail::end<V>), lane<T>::abs(x));
  T high, low, power;
  detail::gaussian_tail<detail::normal_tail>(a, high, low, power);
  const T scaled = a * power;
  const T below = fma(scaled, high, detail::rounded_product(scaled, low));
  const T y = max(T(V(-0.0)), x) - below;
  return select(a < T(V(sizeof(V) == 4 ? 0x1p-26 : 0x1p-55)), x * T(V(0.5)), y);
}

}  // namespace tessera
