// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows of a matrix laid out for the register block: depth outside, `Width` neighbours inside, widened to the compute type.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/simd/load.hpp"

namespace tessera::tile {

/// dst[k * Width + i] = map(src(i, k), k) for i < count, and 0 for the rest of the Width neighbours.
///
/// src(i, k) stands at src[i * outer_stride + k * depth_stride]; one of the two strides is 1 in every use. `map` turns a stored
/// element into the compute type, scaled or centred as the product needs it.
template <int Width, class T, class S, class Map>
void pack_block(T* TESSERA_RESTRICT dst, const S* src, std::int64_t outer_stride, std::int64_t depth_stride, std::int64_t count,
                std::int64_t depth, const Map& map) {
  if (depth_stride == 1 && outer_stride != 1) {
    // A turn by 16 columns at a time: rows are read in whole cache lines and stay in L1 while they are written crosswise.
    constexpr int step = 16;
    T turned[Width * step];
    for (std::int64_t k0 = 0; k0 < depth; k0 += step) {
      const int columns = static_cast<int>(depth - k0 < step ? depth - k0 : step);
      for (std::int64_t i = 0; i < count; ++i) {
        const S* const row = src + i * outer_stride + k0;
        for (int k = 0; k < columns; ++k) turned[k * Width + i] = map(row[k], k0 + k);
      }
      for (int k = 0; k < columns; ++k) {
        T* const to = dst + (k0 + k) * Width;
        for (std::int64_t i = 0; i < count; ++i) to[i] = turned[k * Width + i];
        for (std::int64_t i = count; i < Width; ++i) to[i] = T(0);
      }
    }
  } else {
    for (std::int64_t k = 0; k < depth; ++k) {
      const S* const column = src + k * depth_stride;
      T* const to = dst + k * Width;
      for (std::int64_t i = 0; i < count; ++i) to[i] = map(column[i * outer_stride], k);
      for (std::int64_t i = count; i < Width; ++i) to[i] = T(0);
    }
  }
}

/// to[0 … n) = from[0 … n), rounded to nearest-even where the storage is narrower.
template <class P, class S>
void store_row(S* to, const typename P::value_type* from, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + P::lanes <= n; i += P::lanes) simd::store_as(to + i, P::load_unaligned(from + i));
  if (i < n) simd::store_partial(to + i, static_cast<int>(n - i), simd::load_partial<P>(from + i, static_cast<int>(n - i)));
}

/// sums[i] = sum over k of block[k * Width + i]^2, one chain of multiply-adds a neighbour.
template <int Width, class T>
void squared_norms(T* TESSERA_RESTRICT sums, const T* TESSERA_RESTRICT block, std::int64_t depth) {
  for (int i = 0; i < Width; ++i) sums[i] = T(0);
  for (std::int64_t k = 0; k < depth; ++k) {
    for (int i = 0; i < Width; ++i) sums[i] += block[k * Width + i] * block[k * Width + i];
  }
}

}  // namespace tessera::tile
