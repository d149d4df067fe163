// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The kernel of a matrix product whose sums are finished in registers: stored, added, or turned into something else.
#pragma once

#include <cstdint>

#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/block_product.cuh"
#include "tessera/cuda/tile/product_operand.cuh"

namespace tessera::cuda::tile {

/// A product [rows, columns] of so many steps each.
struct product_size {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t depth;
};

/// Two neighbours of a row of results, of which the second may be missing, at p: in one store where pairs are aligned.
template <class To, class From>
TESSERA_DEVICE void store_pair(To* p, From first, From second, bool both, bool aligned) {
  if (both && aligned) {
    *reinterpret_cast<packed<To, 2>*>(p) = {{convert<To>(first), convert<To>(second)}};
  } else {
    p[0] = convert<To>(first);
    if (both) p[1] = convert<To>(second);
  }
}

/// Whether the pairs that store_pair gets, at even columns of rows from `data` on, are aligned.
template <class T>
bool pairs_are_aligned(const T* data, std::int64_t stride, std::int64_t rows) {
  return reinterpret_cast<std::uintptr_t>(data) % (2 * sizeof(T)) == 0 && (rows <= 1 || stride % 2 == 0);
}

/// What becomes of a product that is just stored.
template <class T>
struct store_product {
  T* data;
  std::int64_t stride;
  bool pairs;  ///< are aligned

  [[nodiscard]] TESSERA_DEVICE T* row(std::int64_t i) const { return data + i * stride; }
  template <class Sum>
  TESSERA_DEVICE void operator()(T* of_row, std::int64_t j, Sum first, Sum second, bool both) const {
    store_pair(of_row + j, first, second, both, pairs);
  }
};

/// Tiles of a product, numbered in bands of some rows of tiles, down the columns of each: blocks that run at a time share their operands in the
/// second-level cache.
struct product_tiles {
  unsigned down;
  unsigned across;
  static constexpr unsigned band = 8;

  struct place {
    unsigned row, column;
  };
  [[nodiscard]] TESSERA_DEVICE place of(unsigned number) const {
    const unsigned first = number / (band * across) * band;
    const unsigned within = number - first * across;
    const unsigned tall = down - first < band ? down - first : band;
    const unsigned column = within / tall;
    return {first + within - column * tall, column};
  }
};

namespace detail {

/// Hands the sums of 16 rows from `i` of this lane on, 8 Blocks columns from `j` on, to finish.
template <class Finish, class Sum, int Blocks>
TESSERA_DEVICE void finish_rows_of_block(const Finish& finish, const product_size& size, std::int64_t i, std::int64_t j,
                                         const Sum (&sums)[Blocks][4]) {
  TESSERA_DEVICE_UNROLL
  for (int half = 0; half < 2; ++half) {
    if (i + 8 * half >= size.rows) continue;
    const auto of_row = finish.row(i + 8 * half);
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < Blocks; ++n) {
      const std::int64_t column = j + 8 * n;
      if (column < size.columns) finish(of_row, column, sums[n][2 * half], sums[n][2 * half + 1], column + 1 < size.columns);
    }
  }
}

template <class Shape, class Left, class Right, class Finish>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident)
    product_kernel(const __grid_constant__ Left left, const __grid_constant__ Right right,
                   const __grid_constant__ product_size size, const __grid_constant__ Finish finish,
                   const __grid_constant__ product_tiles tiles) {
  const product_tiles::place at = tiles.of(blockIdx.x);
  const std::int64_t row = static_cast<std::int64_t>(at.row) * Shape::rows;
  const std::int64_t column = static_cast<std::int64_t>(at.column) * Shape::columns;
  using block_type = block_product<Shape, Left, Right>;
  typename block_type::sums_type sums;
  block_type(dynamic_shared_memory()).run(sums, left, row, right, column, size.depth);
  TESSERA_DEVICE_UNROLL
  for (int m = 0; m < Shape::row_blocks; ++m) {
    finish_rows_of_block(finish, size, row + block_type::warp_row() + 16 * m + fragment_row(),
                         column + block_type::warp_column() + 2 * fragment_column(), sums[m]);
  }
}

}  // namespace detail

/// finish(row(i), j, sum_ij, sum_i,j+1, both) for every pair of sums, by M: sum_ij = sum_k left(i, k) right(j, k), k in rising order.
template <class M, class Left, class Right, class Finish>
TESSERA_HIDDEN void launch_product(const executor& exec, const Left& left, const Right& right, const product_size& size,
                                   const Finish& finish, const char* function) {
  using shape = product_shape<M>;
  const std::int64_t down = (size.rows + shape::rows - 1) / shape::rows;
  const std::int64_t across = (size.columns + shape::columns - 1) / shape::columns;
  if (down == 0 || across == 0) return;
  launch(exec,
         {.grid = dim3(static_cast<unsigned>(down * across)),
          .block = dim3(shape::threads),
          .shared_bytes = shape::shared_bytes,
          .function = function},
         detail::product_kernel<shape, Left, Right, Finish>, left, right, size, finish,
         product_tiles{static_cast<unsigned>(down), static_cast<unsigned>(across)});
}

}  // namespace tessera::cuda::tile
