// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A tile in shared memory as copy_box leaves it, element by element: what a shared_tile is to copies of threads.
#pragma once

#include <cstddef>

#include "tessera/cuda/hopper/tensor_copy.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/shared.cuh"

namespace tessera::cuda::hopper {

/// Rows x Columns elements of 16 bits in boxes of 64 columns, one after another, from a multiple of 1024 bytes on; chunks of 8 are swizzled.
template <class M, int Rows, int Columns>
class copied_tile {
 public:
  using element = M;
  static constexpr int rows = Rows;
  static constexpr int columns = Columns;
  static constexpr int chunk = 8;
  static constexpr int chunks = Columns / chunk;
  static constexpr int boxes = Columns / box_columns;
  static constexpr int box_bytes = Rows * 128;
  static constexpr int bytes = boxes * box_bytes;
  static_assert(sizeof(M) == 2 && Columns % box_columns == 0 && Rows % 8 == 0);

  TESSERA_DEVICE explicit copied_tile(std::byte* at) : memory_(reinterpret_cast<M*>(at), Rows * Columns) {}

  [[nodiscard]] TESSERA_DEVICE std::byte* box(int number) const {
    return reinterpret_cast<std::byte*>(memory_.address(0)) + number * box_bytes;
  }
  [[nodiscard]] TESSERA_DEVICE M load(int row, int column, code_place place = code_place::current()) const {
    return memory_.load(offset(row, column), place);
  }
  /// Elements from `column` on, within one chunk, as one V.
  template <class V>
  [[nodiscard]] TESSERA_DEVICE V load_as(int row, int column, code_place place = code_place::current()) const {
    return memory_.template load_as<V>(offset(row, column), place);
  }

  /// Starts copying rows [row, row + Rows) of a head to the tile; `done` counts `bytes` bytes.
  TESSERA_DEVICE void copy(const CUtensorMap& map, const mbarrier& done, int row, int head, int batch) const {
    for (int b = 0; b < boxes; ++b) copy_box(box(b), map, done, b * box_columns, row, head, batch);
  }

 private:
  [[nodiscard]] TESSERA_DEVICE static constexpr int offset(int row, int column) {
    return column / box_columns * (Rows * box_columns) + row * box_columns + (column / 8 % 8 ^ row % 8) * 8 + column % 8;
  }

  shared_array<M> memory_;
};

}  // namespace tessera::cuda::hopper
