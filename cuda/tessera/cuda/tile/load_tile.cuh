// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows of global memory into a tile of shared memory, by all threads of a block.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/copy_async.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/tile/shared_tile.cuh"

namespace tessera::cuda::tile {

/// Fills the tile: its row r is `columns` elements from row_of(r) on, then zeros; all zeros where row_of(r) is null.
///
/// Aligned: rows of the tile's own type that begin at multiples of 16 bytes, copied asynchronously (commit and wait are the caller's). Else any
/// storage type, converted element by element; the tile is there after the next barrier.
template <int Threads, bool Aligned, class Tile, class RowOf>
TESSERA_DEVICE void load_tile(const Tile& tile, const RowOf& row_of, int columns, code_place place = code_place::current()) {
  using element = typename Tile::element;
  using stored = std::remove_cv_t<std::remove_pointer_t<decltype(row_of(0))>>;
  const int thread = static_cast<int>(threadIdx.x % Threads);
  if constexpr (Aligned) {
    static_assert(std::is_same_v<stored, element>);
    TESSERA_DEVICE_ROLLED
    for (int at = 0; at < Tile::rows * Tile::chunks; at += Threads) {
      const int mine = at + thread;
      if (Tile::rows * Tile::chunks % Threads != 0 && mine >= Tile::rows * Tile::chunks) break;
      const int row = mine / Tile::chunks;
      const int chunk = mine % Tile::chunks;
      const element* const from = row_of(row);
      const int left = from != nullptr ? columns - chunk * Tile::chunk : 0;
      const int count = left < 0 ? 0 : (left < Tile::chunk ? left : Tile::chunk);
      copy_async_16(tile.chunk_address(row, chunk), count > 0 ? from + chunk * Tile::chunk : nullptr,
                    count * static_cast<int>(sizeof(element)), place);
    }
  } else {
    for (int mine = thread; mine < Tile::rows * Tile::chunks; mine += Threads) {
      const int row = mine / Tile::chunks;
      const int first = mine % Tile::chunks * Tile::chunk;
      const stored* const from = row_of(row);
      packed<element, Tile::chunk> chunk;
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < Tile::chunk; ++i) {
        chunk[i] = from != nullptr && first + i < columns ? static_cast<element>(from[first + i]) : element(0);
      }
      tile.store_as(row, first, chunk, place);
    }
  }
}

}  // namespace tessera::cuda::tile
