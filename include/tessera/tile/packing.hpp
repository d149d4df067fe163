// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows of a matrix laid out for the register block: depth outside, `Width` neighbours inside, widened to the compute type.
#pragma once

#include <cstdint>
#include <cstring>
#include <numeric>

#include "tessera/core/config.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/transpose.hpp"

namespace tessera::tile {

/// What packing does to an element on its way, as a callable on packs `map(x, k)` of depths k, k + 1 …: nothing.
struct as_stored {
  template <class P>
  TESSERA_ALWAYS_INLINE P operator()(P x, std::int64_t) const {
    return x;
  }
};

namespace detail {

/// The first n <= lanes numbers of a row, converted; the rest zero.
template <class P, class S>
TESSERA_ALWAYS_INLINE P load_columns(const S* row, int n) {
  return n == P::lanes ? simd::load_as<P>(row) : simd::load_partial<P>(row, n);
}

}  // namespace detail

/// dst[k * Width + i] = map(src[i * row_stride + k]) for i < count, and 0 for the rest of the Width neighbours: transposed.
///
/// Rows are read in whole registers and transposed there: squares where they fill the width, else a few rows at a time.
template <int Width, class P, class S, class Map>
void pack_transposed(typename P::value_type* TESSERA_RESTRICT dst, const S* src, std::int64_t row_stride, std::int64_t count,
                     std::int64_t depth, const Map& map) {
  using T = typename P::value_type;
  constexpr int lanes = P::lanes;
  constexpr bool square = Width % lanes == 0;
  constexpr int some = Width % 8 == 0 && lanes % 8 == 0 ? 8 : (Width % 4 == 0 && lanes % 4 == 0 ? 4 : (Width % 2 == 0 ? 2 : 1));
  constexpr int group = square ? lanes : some;
  for (std::int64_t k = 0; k < depth; k += lanes) {
    const int columns = static_cast<int>(depth - k < lanes ? depth - k : lanes);
    for (int i0 = 0; i0 < Width; i0 += group) {
      P x[group];
      const S* const from = src + i0 * row_stride + k;
      if (i0 + group <= count && columns == lanes) {
        TESSERA_UNROLL
        for (int i = 0; i < group; ++i) x[i] = map(simd::load_as<P>(from + i * row_stride), k);
      } else {
        for (int i = 0; i < group; ++i) {
          x[i] = i0 + i < count ? map(detail::load_columns<P>(from + i * row_stride, columns), k) : P(T(0));
        }
      }
      T* const to = dst + k * Width + i0;
      if constexpr (square) {
        simd::transpose_square(x);
        if (columns == lanes) {
          TESSERA_UNROLL
          for (int c = 0; c < lanes; ++c) x[c].store_unaligned(to + c * Width);
        } else {
          for (int c = 0; c < columns; ++c) x[c].store_unaligned(to + c * Width);
        }
      } else {
        simd::transpose(x);
        if (Width == group && columns == lanes) {
          for (int i = 0; i < group; ++i) x[i].store_unaligned(to + i * lanes);
        } else {
          alignas(P::alignment) T columns_first[lanes][group];
          for (int i = 0; i < group; ++i) x[i].store(&columns_first[0][0] + i * lanes);
          for (int c = 0; c < columns; ++c) std::memcpy(to + c * Width, columns_first[c], sizeof(columns_first[c]));
        }
      }
    }
  }
}

/// dst[c / Width * block_step + r * Width + c % Width] = src[r * row_stride + c] for the rows r < count and columns c < width, and 0 for the
/// rest of the last Width columns: not transposed, cut into blocks of columns. Whether all are finite.
template <int Width, class P, class S>
bool pack_blocks(typename P::value_type* TESSERA_RESTRICT dst, std::int64_t block_step, const S* src, std::int64_t row_stride,
                 std::int64_t count, std::int64_t width) {
  using T = typename P::value_type;
  constexpr int lanes = P::lanes;
  constexpr int columns = std::lcm(lanes, Width);  // that are read together: whole packs, whole blocks
  P spread(T(0));                                  // stays 0 while all are finite: x * 0 is 0, or NaN
  for (std::int64_t r = 0; r < count; ++r) {
    const S* const from = src + r * row_stride;
    for (std::int64_t c = 0; c < width; c += columns) {
      alignas(P::alignment) T row[columns];
      TESSERA_UNROLL
      for (int p = 0; p < columns; p += lanes) {
        const std::int64_t left = width - c - p;
        const P x = left >= lanes ? simd::load_as<P>(from + c + p)
                                  : (left > 0 ? simd::load_partial<P>(from + c + p, static_cast<int>(left)) : P(T(0)));
        spread += x * P(T(0));
        x.store(row + p);
      }
      T* const to = dst + c / Width * block_step + r * Width;
      TESSERA_UNROLL
      for (int b = 0; b < columns / Width; ++b) {
        if (c + b * Width < width) std::memcpy(to + b * block_step, row + b * Width, sizeof(T) * Width);
      }
    }
  }
  return simd::all(spread == P(T(0)));
}

/// dst[k * Width + i] = src[k * depth_stride + i] for i < count, and 0 for the rest: no transposition, rows of Width are copied.
template <int Width, class P, class S>
void pack_straight(typename P::value_type* TESSERA_RESTRICT dst, const S* src, std::int64_t depth_stride, std::int64_t count,
                   std::int64_t depth) {
  using T = typename P::value_type;
  for (std::int64_t k = 0; k < depth; ++k) {
    const S* const from = src + k * depth_stride;
    T* const to = dst + k * Width;
    if (Width % P::lanes == 0 && count == Width) {
      for (int i = 0; i < Width; i += P::lanes) simd::load_as<P>(from + i).store_unaligned(to + i);
    } else {
      for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
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

/// sums[i] = sum over k of block[k * Width + i]^2, summed in float64, so that a bound on an error may be built on it.
template <int Width, class P>
void squared_norms(typename P::value_type* TESSERA_RESTRICT sums, const typename P::value_type* TESSERA_RESTRICT block,
                   std::int64_t depth) {
  double total[Width] = {};
  for (std::int64_t k = 0; k < depth; ++k) {
    for (int i = 0; i < Width; ++i) {
      const double x = static_cast<double>(block[k * Width + i]);
      total[i] += x * x;
    }
  }
  for (int i = 0; i < Width; ++i) sums[i] = static_cast<typename P::value_type>(total[i]);
}

}  // namespace tessera::tile
