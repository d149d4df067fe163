// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A few numbers that are loaded and stored at once.
#pragma once

#include <bit>
#include <cstddef>

#include "tessera/core/config.hpp"

namespace tessera::cuda {

/// N elements, aligned as one: 4, 8 or 16 bytes go in one instruction. (Elements whose bytes are no power of two are aligned as one of them.)
template <class T, int N>
struct alignas(std::has_single_bit(N * sizeof(T)) ? N * sizeof(T) : alignof(T)) packed {
  T v[N];

  [[nodiscard]] TESSERA_HD constexpr const T& operator[](int i) const { return v[i]; }
  [[nodiscard]] TESSERA_HD constexpr T& operator[](int i) { return v[i]; }
};

}  // namespace tessera::cuda
