// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Distances made of norms and products lose their digits where queries and keys are close. Those that matter to a fold are made again, from
/// the differences.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/simd/math.hpp"
#include "tessera/tile/detail/key_store.hpp"
#include "tessera/tile/detail/score_rule.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::tile::detail {

/// By Cauchy-Schwarz no sum of products overflows, hence none becomes NaN, while squared norms stay below this. Distances are multiplied by
/// a factor before norms and products are added up.
template <class T>
TESSERA_ALWAYS_INLINE T far_below(T factor) {
  const T size = factor < 0 ? -factor : factor;
  return (sizeof(T) == 4 ? T(1e37) : T(1e300)) / (size > 1 ? size : T(1));
}

/// A pack of queries beside a chunk of keys, and what their distances were made of.
template <class P, class Reducer, class K>
struct rough_distances {
  using T = typename P::value_type;

  const Reducer& reducer;
  T factor;  ///< of the squared distance
  T limit;   ///< far_below(factor)
  std::int64_t depth;
  const T* query_rows;   ///< [queries][depth]
  std::int64_t queries;  ///< lanes that are queries, or more
  const T* squares;      ///< [lanes] squared norms of the queries
  const key_chunk_view<T>& chunk;
  const view<const K, 2>& keys;
  T* scores;  ///< [chunk.count][width] of lane 0
  std::int64_t width;

  /// Makes again what the reducer suspects; the keys of the tile among which there was something.
  key_range refine(const typename Reducer::template state<P>& s, const score_tile<P>& tile, bool ordinary) const {
    const int size = tile.size();
    key_range found{size, 0};
    if (!ordinary) {
      // Only rows that could overflow: the bits of a row must not depend on its neighbours.
      for (int l = 0; l < P::lanes; ++l) {
        if (squares[l] < limit && chunk.largest_norm < limit) continue;
        for (int j = 0; j < size; ++j) refine_pair(j, l);
        found = {0, size};
      }
      if (!(chunk.largest_norm < limit)) return found;
    }
    const T scale = factor < 0 ? -factor : factor;
    // Norms are summed in float64: exact to a rounding beside float32, to depth roundings beside float64.
    const T chain = static_cast<T>(depth) * (sizeof(T) == 4 ? T(1) : T(2)) + T(16);
    const P rounding(chain * static_cast<T>(unit_roundoff<T>) * scale);
    const P norms = P::load(squares);
    const P error = (norms + P(chunk.largest_norm)) * rounding;
    if constexpr (requires { Reducer::tolerance; }) {
      if (!lane<P>::any(error > P(T(Reducer::tolerance)))) return found;
    }
    suspects<P> wanted = reducer.exact_within(s, tile, error);
    if constexpr (requires { Reducer::tolerance; }) {
      // A key within reach of the limit is at most that far from the query: its norm, and so its error, is bounded by the query's.
      // Keys out of reach stay out while the error of the farthest is a few units.
      const P reach = sqrt(norms) + sqrt(max(P(T(0)), wanted.limit / P(factor)));
      const P near_error = (norms + min(P(chunk.largest_norm), reach * reach)) * rounding;
      wanted.limit = select((near_error <= P(T(Reducer::tolerance))) & (error <= P(T(4))), P(infinity<T>()), wanted.limit);
    }
    const auto suspect = [&](P score) {
      if constexpr (Reducer::smallest_wins) {
        return score <= wanted.limit;
      } else {
        return score >= wanted.limit;
      }
    };
    if (!lane<P>::any(suspect(wanted.best))) return found;
    constexpr int stride = 8;  // rows looked at together: suspects are few
    for (int j0 = 0; j0 < size; j0 += stride) {
      const int j1 = j0 + stride < size ? j0 + stride : size;
      P best = tile[j0];
      for (int j = j0 + 1; j < j1; ++j) best = Reducer::smallest_wins ? min(tile[j], best) : max(tile[j], best);
      if (!lane<P>::any(suspect(best))) continue;
      for (int j = j0; j < j1; ++j) {
        std::uint32_t lanes = simd::lane_bits(suspect(tile[j]));
        if (lanes != 0) found = {std::min<std::int64_t>(found.first, j), j + 1};
        for (; lanes != 0; lanes &= lanes - 1) refine_pair(j, std::countr_zero(lanes));
      }
    }
    return found;
  }

  void refine_pair(int j, int l) const {
    if (l >= queries) return;
    const K* const key = keys.data_handle() + (chunk.first + j) * keys.stride(0);
    scores[j * width + l] = squared_difference<P>(query_rows + l * depth, key, depth) * factor;
  }
};

}  // namespace tessera::tile::detail
