// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A few numbers that are loaded and stored at once.
#pragma once

#include <cstddef>

#include "tessera/core/config.hpp"

namespace tessera::cuda {

/// N elements, aligned as one: 4, 8 or 16 bytes go in one instruction.
template <class T, int N>
struct alignas(N * sizeof(T)) packed {
  T v[N];

  [[nodiscard]] TESSERA_HD constexpr const T& operator[](int i) const { return v[i]; }
  [[nodiscard]] TESSERA_HD constexpr T& operator[](int i) { return v[i]; }
};

}  // namespace tessera::cuda
