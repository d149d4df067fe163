// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// 1 / sqrt(x), the same on every lane type: host scalar, SIMD pack, device.
#pragma once

#include "tessera/numeric/lane.hpp"

namespace tessera {

/// 1 / sqrt(x).
///
/// Special values  +inf at +0, -inf at -0, +0 at +inf, NaN below 0 and for NaN; subnormal x is a number like any other.
/// Accuracy        within 1.5 ulp (float: all inputs; double); test/numeric/rsqrt.cpp.
/// Determinism     the same bits for a number and a pack everywhere.
template <class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T rsqrt(T x) {
  return T(lane_value<T>(1)) / sqrt(x);
}

}  // namespace tessera
