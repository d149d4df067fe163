// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// NaN and inf in a tile: a weight of 0 does not keep them out of a sum.
#pragma once

#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/warp.cuh"

namespace tessera::cuda::tile {

/// Whether an element of the tile is NaN or inf, in the part that this thread of `Threads` looks at.
template <int Threads, class Tile>
TESSERA_DEVICE int holds_special(const Tile& tile) {
  using element = typename Tile::element;
  using number = std::conditional_t<std::is_same_v<element, double>, double, float>;
  using chunk_type = packed<element, Tile::chunk>;
  int found = 0;
  TESSERA_DEVICE_ROLLED
  for (int at = static_cast<int>(threadIdx.x % Threads); at < Tile::rows * Tile::chunks; at += Threads) {
    const chunk_type chunk = tile.template load_as<chunk_type>(at / Tile::chunks, at % Tile::chunks * Tile::chunk);
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < Tile::chunk; ++i) {
      const number v = static_cast<number>(chunk[i]);
      found |= v - v == number(0) ? 0 : 1;
    }
  }
  return found;
}

/// sums += weights . rows as add_values makes it, but leaves out elements that are NaN or inf where seen(half, row of the tile) says no: their weight
/// is 0, the product would be NaN. One chain for each sum, of float the same as add_values'. For tiles that hold such elements: short rather than
/// fast.
template <class M, int Keys, int Blocks, class Rows, class Seen>
TESSERA_DEVICE void add_seen_values(warp_sums<M, 1, Blocks>& sums, const warp_sums<M, 1, Keys>& weights, const Rows& rows,
                                    const Seen& seen) {
  using sum = typename multiplication<M>::sum;
  TESSERA_DEVICE_ROLLED
  for (int key = 0; key < 8 * Keys; ++key) {
    sum w[2];
    bool sees[2];
    TESSERA_DEVICE_UNROLL
    for (int half = 0; half < 2; ++half) {
      sum held = 0;
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < Keys; ++n) {
        const sum s = key % 2 == 0 ? weights[0][n][2 * half] : weights[0][n][2 * half + 1];
        held = key / 8 == n ? s : held;
      }
      w[half] = __shfl_sync(all_lanes, held, lane_id() / 4 * 4 + key % 8 / 2);
      sees[half] = seen(half, key);
    }
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < Blocks; ++n) {
      TESSERA_DEVICE_UNROLL
      for (int c = 0; c < 2; ++c) {
        load_no_earlier();
        const int at = static_cast<int>(made_anew(static_cast<unsigned>(key)));  // nor addresses
        const sum v = static_cast<sum>(rows.load(at, 8 * n + 2 * fragment_column() + c));
        const bool finite = v - v == sum(0);
        TESSERA_DEVICE_UNROLL
        for (int half = 0; half < 2; ++half) {
          sum& to = sums[0][n][2 * half + c];
          to = finite || sees[half] ? fma(w[half], v, to) : to;
        }
      }
    }
  }
}

}  // namespace tessera::cuda::tile
