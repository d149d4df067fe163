// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A tile of products of attention's backward, in the registers of a warp, becomes weights and slopes.
#pragma once

#include <cstdint>

#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/traits.hpp"

namespace tessera::cuda::attention::detail {

/// Who stands in the rows of a block.
enum class owner : std::uint8_t { keys, queries };

/// Where a lane's first products stand: row `row` of the sequence in a tile whose first column is row `first` of the other side's; `column`: the
/// lane's own first one, from there.
struct tile_place {
  int row;
  int first;
  int column;
};

/// Products of 8 columns, block n of a tile (fragment.cuh), become weights and slopes; where Masked, those of hidden pairs 0, and those of empty rows.
/// Numbers are those of the queries: `mine` of the lane's two rows, or `streamed`, of the tile's columns, two after two. `dropped`: a bit for each
/// pair of the block.
template <owner Owner, bool Masked, class T, class Pairs>
TESSERA_DEVICE void weigh_block(T (&weights)[4], T (&slopes)[4], int n, const Pairs& pairs, const tile_place& at,
                                const row_numbers<T> (&mine)[2], const shared_array<T>& streamed, std::uint32_t dropped) {
  using index = lane_index<T>;
  constexpr bool owns_keys = Owner == owner::keys;
  packed<T, 4> of_columns{};
  if constexpr (owns_keys) of_columns = streamed.template load_as<packed<T, 4>>(2 * (8 * n + at.column));
  TESSERA_DEVICE_UNROLL
  for (int e = 0; e < 4; ++e) {
    const index at_row = static_cast<index>(at.row + 8 * (e / 2));
    const index at_column = static_cast<index>(at.first + 8 * n + at.column + e % 2);
    const index i = owns_keys ? at_column : at_row;
    const index j = owns_keys ? at_row : at_column;
    const row_numbers<T> numbers =
        owns_keys ? row_numbers<T>{{of_columns[2 * (e % 2)], of_columns[2 * (e % 2) + 1]}} : mine[e / 2];
    pairs.weigh(weights[e], slopes[e], numbers, i, j, (dropped >> e & 1u) != 0);
    if constexpr (Masked) {
      const bool seen = numbers[0] != infinity<T>() && pairs.visible(i, j);
      weights[e] = seen ? weights[e] : T(0);
      slopes[e] = seen ? slopes[e] : T(0);
    }
  }
}

/// The same of all blocks.
template <owner Owner, bool Masked, int Blocks, class T, class Pairs>
TESSERA_DEVICE void weigh_tile(T (&weights)[Blocks][4], T (&slopes)[Blocks][4], const Pairs& pairs, const tile_place& at,
                               const row_numbers<T> (&mine)[2], const shared_array<T>& streamed, std::uint32_t dropped) {
  TESSERA_DEVICE_UNROLL
  for (int n = 0; n < Blocks; ++n) {
    weigh_block<Owner, Masked>(weights[n], slopes[n], n, pairs, at, mine, streamed, dropped >> (4 * n));
  }
}

/// Whether column `at` of the tile and a row of this lane see each other, for what weigh_tile has taken.
template <owner Owner, class T, class Pairs>
TESSERA_DEVICE bool sees(const Pairs& pairs, const tile_place& place, int half, int at, const row_numbers<T> (&mine)[2],
                         const shared_array<T>& streamed) {
  using index = lane_index<T>;
  const index at_row = static_cast<index>(place.row + 8 * half);
  const index at_column = static_cast<index>(place.first + at);
  if constexpr (Owner == owner::keys) {
    return streamed.load(2 * at) != infinity<T>() && pairs.visible(at_column, at_row);
  } else {
    return mine[half][0] != infinity<T>() && pairs.visible(at_row, at_column);
  }
}

}  // namespace tessera::cuda::attention::detail
