// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the lanes of a warp tell each other.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"

namespace tessera::cuda {

/// Every lane of the warp.
inline constexpr unsigned all_lanes = 0xFFFFFFFFu;

/// x of the lane whose number differs in the bits of `mask`: anything that is made of whole words of 4 bytes.
template <class T>
TESSERA_DEVICE T shuffle_xor(const T& x, int mask, [[maybe_unused]] code_place place = code_place::current()) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 4 == 0);
  constexpr int words = static_cast<int>(sizeof(T) / 4);
  std::uint32_t word[words];
  memcpy(word, &x, sizeof x);
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < words; ++i) word[i] = __shfl_xor_sync(all_lanes, word[i], mask);
  T other;
  memcpy(static_cast<void*>(&other), word, sizeof other);
  return other;
}

/// x of four neighbouring lanes, joined in a tree whose order is that of their numbers: every lane of the quad has the result.
template <class T, class Join>
TESSERA_DEVICE T fold_quad(T x, const Join& join) {
  TESSERA_DEVICE_UNROLL
  for (int step = 1; step < 4; step *= 2) {
    const T other = shuffle_xor(x, step);
    x = (lane_id() & step) != 0 ? join(other, x) : join(x, other);
  }
  return x;
}

}  // namespace tessera::cuda
