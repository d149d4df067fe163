// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A tile of rows in shared memory, its chunks swizzled.
#pragma once

#include <cstddef>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/swizzle.cuh"

namespace tessera::cuda::tile {

/// Rows x Columns elements of T; a row is a whole number of chunks of 16 bytes.
template <class T, int Rows, int Columns>
class shared_tile {
 public:
  using element = T;
  static constexpr int rows = Rows;
  static constexpr int columns = Columns;
  static constexpr int chunk = 16 / static_cast<int>(sizeof(T));  ///< elements of a chunk
  static constexpr int chunks = Columns / chunk;                  ///< of a row
  static constexpr int size = Rows * Columns;
  static constexpr std::size_t bytes = shared_array<T>::bytes(size);
  static_assert(Columns % chunk == 0);

  TESSERA_DEVICE explicit shared_tile(shared_array<T> memory) : memory_(memory) {}

  /// Where element (row, column) stands; those of a chunk follow one another.
  [[nodiscard]] TESSERA_DEVICE static constexpr int offset(int row, int column) {
    return row * Columns + swizzled_chunk<chunks>(row, column / chunk) * chunk + column % chunk;
  }
  [[nodiscard]] TESSERA_DEVICE T load(int row, int column, code_place place = code_place::current()) const {
    return memory_.load(offset(row, column), place);
  }
  TESSERA_DEVICE void store(int row, int column, T x, code_place place = code_place::current()) const {
    memory_.store(offset(row, column), x, place);
  }
  /// Elements from `column` on, within one chunk, as one V.
  template <class V>
  [[nodiscard]] TESSERA_DEVICE V load_as(int row, int column, code_place place = code_place::current()) const {
    return memory_.template load_as<V>(offset(row, column), place);
  }
  template <class V>
  TESSERA_DEVICE void store_as(int row, int column, const V& x, code_place place = code_place::current()) const {
    memory_.template store_as<V>(offset(row, column), x, place);
  }
  /// The first byte of a chunk.
  [[nodiscard]] TESSERA_DEVICE T* chunk_address(int row, int number) const {
    return memory_.address(row * Columns + swizzled_chunk<chunks>(row, number) * chunk);
  }

 private:
  shared_array<T> memory_;
};

}  // namespace tessera::cuda::tile
