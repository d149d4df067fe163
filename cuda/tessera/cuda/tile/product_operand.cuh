// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// An operand of a matrix product in global memory, and its way into tiles of shared memory.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/tile/load_tile.cuh"
#include "tessera/cuda/tile/shared_tile.cuh"

namespace tessera::cuda::tile {

/// Rows of a matrix, each contiguous: `row(i)` is null behind the last one.
template <class T>
struct stored_rows {
  using element = T;
  const T* data;
  std::int64_t stride;
  std::int64_t count;

  [[nodiscard]] TESSERA_DEVICE const T* row(std::int64_t i) const { return i < count ? data + i * stride : nullptr; }
};

/// How the tiles of an operand stand in shared memory. With [lines, depth] for an operand of so many rows or columns of the result:
enum class operand_layout : std::uint8_t {
  along,     ///< stored rows are lines: tiles [lines, depth], copied in chunks of 16 bytes
  across,    ///< stored rows are steps of depth: tiles [depth, lines], copied in chunks of 16 bytes
  converted  ///< either, of any type and address: tiles [lines, depth], element by element
};

/// An operand. Rows have `element`, and `row(i)`, null for a row of zeros: those behind the last one, and whichever shall not count.
template <class Rows, operand_layout Layout>
struct product_operand {
  Rows rows;
  std::int64_t length;  ///< of a row
  bool lines_are_rows;  ///< what `along` and `across` say themselves

  static constexpr operand_layout layout = Layout;
  static constexpr bool along = Layout != operand_layout::across;  ///< depth is what follows in a row of a tile

  template <class Element, int Lines, int Depth>
  using tile_type = std::conditional_t<along, shared_tile<Element, Lines, Depth>, shared_tile<Element, Depth, Lines>>;

  /// Lines [line, …), steps [step, …) of depth, zeros where there are none. Commit and wait are the caller's.
  template <int Threads, class Tile>
  TESSERA_DEVICE void load(const Tile& tile, std::int64_t line, std::int64_t step) const {
    if constexpr (Layout == operand_layout::converted) {
      convert_tile<Threads>(tile, line, step);
    } else {
      const std::int64_t first_row = along ? line : step;
      const std::int64_t column = along ? step : line;
      load_tile<Threads, true>(
          tile,
          [&](int r) {
            const auto* const from = rows.row(first_row + r);
            return from != nullptr ? from + column : nullptr;
          },
          columns_left<Tile>(column));
    }
  }

 private:
  template <class Tile>
  [[nodiscard]] TESSERA_DEVICE int columns_left(std::int64_t column) const {
    const std::int64_t left = length - column;
    return left < Tile::columns ? static_cast<int>(left) : Tile::columns;
  }

  /// Neighbouring threads read neighbours in memory.
  template <int Threads, class Tile>
  TESSERA_DEVICE void convert_tile(const Tile& tile, std::int64_t line, std::int64_t step) const {
    using element = typename Tile::element;
    const unsigned thread = threadIdx.x % static_cast<unsigned>(Threads);
    TESSERA_DEVICE_ROLLED
    for (unsigned at = thread; at < static_cast<unsigned>(Tile::rows * Tile::chunks); at += static_cast<unsigned>(Threads)) {
      const unsigned by_row = at / static_cast<unsigned>(Tile::chunks);
      const int r = static_cast<int>(lines_are_rows ? by_row : at % static_cast<unsigned>(Tile::rows));
      const int c =
          static_cast<int>(lines_are_rows ? at % static_cast<unsigned>(Tile::chunks) : at / static_cast<unsigned>(Tile::rows)) *
          Tile::chunk;
      packed<element, Tile::chunk> chunk;
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < Tile::chunk; ++i) {
        const std::int64_t row = lines_are_rows ? line + r : step + c + i;
        const std::int64_t column = lines_are_rows ? step + c + i : line + r;
        const auto* const from = column < length ? rows.row(row) : nullptr;
        chunk[i] = from != nullptr ? convert<element>(from[column]) : element(0);
      }
      tile.store_as(r, c, chunk);
    }
  }
};

}  // namespace tessera::cuda::tile
