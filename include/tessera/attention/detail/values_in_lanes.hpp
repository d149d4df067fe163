// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Weighted sums of values for few queries: columns of values stand in the lanes, and the weights of a few rows are broadcast to them. As
/// in keys_in_lanes.hpp, each sum is one chain in the order of the keys.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/few_shape.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/core/config.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/microkernel.hpp"
#include "tessera/tile/shape.hpp"

namespace tessera::attention::detail {

/// Packs neighbouring packs of values, widened; two of bfloat16 share a register, and then stand as even and odd elements.
template <int Packs, class P, class V>
TESSERA_ALWAYS_INLINE void load_values(const V* values, P (&x)[Packs]) {
  constexpr int pairs = in_halves<V, P> ? Packs / 2 : 0;
  TESSERA_UNROLL
  for (int c = 0; c < pairs; ++c) {
    if constexpr (pairs > 0) {
      const auto codes = load_codes<P>(values + 2 * c * P::lanes);
      x[2 * c] = even_elements<P>(codes);
      x[2 * c + 1] = odd_elements<P>(codes);
    }
  }
  TESSERA_UNROLL
  for (int c = 2 * pairs; c < Packs; ++c) x[c] = simd::load_as<P>(values + c * P::lanes);
}

/// sums[r * sums_stride + column] (+)= sum over j < count of weights[j * step + r] * values[j * stride + column], for Packs packs of
/// columns, or the first `columns` of one pack (Last). The first time nothing is added to; columns stand as load_values gives them.
template <int Rows, int Packs, bool Last, class P, class V>
TESSERA_NOINLINE void add_values(int count, const typename P::value_type* TESSERA_RESTRICT weights, std::int64_t step,
                                 const V* values, std::int64_t stride, int columns, typename P::value_type* TESSERA_RESTRICT sums,
                                 std::int64_t sums_stride, bool first) {
  P x[Rows][Packs];
  tile::clear(x);
  if (!first) {
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) {
      TESSERA_UNROLL
      for (int c = 0; c < Packs; ++c) x[r][c] = P::load(sums + r * sums_stride + c * P::lanes);
    }
  }
  for (int j = 0; j < count; ++j) {
    P value[Packs];
    if constexpr (Last) {
      value[0] = simd::load_partial<P>(values, columns);
    } else {
      load_values(values, value);
    }
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const P weight(weights[r]);
      TESSERA_UNROLL
      for (int c = 0; c < Packs; ++c) x[r][c] = fma(value[c], weight, x[r][c]);
    }
    values += stride;
    weights += step;
  }
  TESSERA_UNROLL
  for (int r = 0; r < Rows; ++r) {
    TESSERA_UNROLL
    for (int c = 0; c < Packs; ++c) x[r][c].store(sums + r * sums_stride + c * P::lanes);
  }
}

/// Rows of values that are summed before the next columns of sums are turned to.
template <int Rows, class V>
TESSERA_ALWAYS_INLINE int value_tile(std::int64_t value_dim) {
  constexpr std::int64_t tile_bytes = Rows > 4 ? 4096 : 8192;
  const std::int64_t row_bytes = value_dim * static_cast<std::int64_t>(sizeof(V)) + 1;
  const std::int64_t rows = tile_bytes / row_bytes;
  return static_cast<int>(rows < 4 ? 4 : (rows > tile::value_chunk ? tile::value_chunk : rows));
}

/// The same for all columns and all of a block's rows, once. sums has room for Rows rows; values(j, n) are some of the rows [j, j + n).
///
/// A tile of values is read in the order of memory by the first rows that meet it, then by the others from the first-level cache; small, so
/// that whatever the machine fetches ahead by itself bridges the time of the others.
template <int Rows, class P, class Values>
void sum_streamed_values(int count, const typename P::value_type* weights, const Values& values, std::int64_t value_dim,
                         typename P::value_type* sums, std::int64_t sums_stride) {
  using V = std::remove_const_t<std::remove_pointer_t<decltype(values(0, 0).first)>>;
  constexpr int most = few_shape<typename P::value_type, typename P::arch>::value_sums;
  constexpr int lanes = P::lanes;
  const int tile = value_tile<Rows, V>(value_dim);
  for (int j = 0; j < count;) {
    const strided_rows<V> part = values(j, std::min(tile, count - j));
    const int n = static_cast<int>(part.count);
    std::int64_t c = 0;
    const auto take = [&](auto rows, auto packs) {
      constexpr int R = std::min(decltype(rows)::value, Rows);
      constexpr int Packs = decltype(packs)::value;
      for (; c + Packs * lanes <= value_dim; c += Packs * lanes) {
        for (int r = 0; r < Rows; r += R) {
          add_values<R, Packs, false, P>(n, weights + j * Rows + r, Rows, part.first + c, part.stride, 0,
                                         sums + r * sums_stride + c, sums_stride, j == 0);
        }
      }
    };
    take(std::integral_constant<int, 2>{}, std::integral_constant<int, most / 2>{});
    take(std::integral_constant<int, 4>{}, std::integral_constant<int, most / 4>{});
    if constexpr (most / 4 > 2) take(std::integral_constant<int, 8>{}, std::integral_constant<int, 2>{});
    take(std::integral_constant<int, 8>{}, std::integral_constant<int, 1>{});
    if (c < value_dim) {
      add_values<Rows, 1, true, P>(n, weights + j * Rows, Rows, part.first + c, part.stride, static_cast<int>(value_dim - c),
                                   sums + c, sums_stride, j == 0);
    }
    j += n;
  }
  if constexpr (in_halves<V, P>) {
    for (int r = 0; r < Rows; ++r) {
      // Blocks of even width hold pairs; what is left is one pack as it is.
      for (std::int64_t c = 0; c + 2 * lanes <= value_dim; c += 2 * lanes) {
        P pair[2] = {P::load(sums + r * sums_stride + c), P::load(sums + r * sums_stride + c + lanes)};
        simd::transpose(pair);
        pair[0].store(sums + r * sums_stride + c);
        pair[1].store(sums + r * sums_stride + c + lanes);
      }
    }
  }
}

/// The same where the values are in a cache: each is loaded once for all rows.
template <int Rows, class P>
void sum_cached_values(int count, const typename P::value_type* weights, const typename P::value_type* values,
                       std::int64_t stride, std::int64_t value_dim, typename P::value_type* sums, std::int64_t sums_stride) {
  constexpr int lanes = P::lanes;
  std::int64_t c = 0;
  const auto take = [&](auto packs) {
    constexpr int Packs = decltype(packs)::value;
    for (; c + Packs * lanes <= value_dim; c += Packs * lanes) {
      add_values<Rows, Packs, false, P>(count, weights, Rows, values + c, stride, 0, sums + c, sums_stride, true);
    }
  };
  take(std::integral_constant<int, 3>{});
  take(std::integral_constant<int, 2>{});
  take(std::integral_constant<int, 1>{});
  if (c < value_dim) {
    add_values<Rows, 1, true, P>(count, weights, Rows, values + c, stride, static_cast<int>(value_dim - c), sums + c, sums_stride,
                                 true);
  }
}

}  // namespace tessera::attention::detail
