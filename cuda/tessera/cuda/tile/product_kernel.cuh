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

namespace detail {

/// Tiles are worked on in bands of so many rows of tiles, down the columns: blocks that run at a time share their operands in the second-level cache.
inline constexpr unsigned band_tiles = 8;

template <class Shape, class Left, class Right, class Finish>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident)
    product_kernel(const __grid_constant__ Left left, const __grid_constant__ Right right,
                   const __grid_constant__ product_size size, const __grid_constant__ Finish finish, unsigned tiles_down,
                   unsigned tiles_across) {
  const unsigned band = blockIdx.x / (band_tiles * tiles_across);
  const unsigned within = blockIdx.x - band * band_tiles * tiles_across;
  const unsigned tall = tiles_down - band * band_tiles < band_tiles ? tiles_down - band * band_tiles : band_tiles;
  const unsigned across = within / tall;
  const std::int64_t row = static_cast<std::int64_t>(band * band_tiles + within - across * tall) * Shape::rows;
  const std::int64_t column = static_cast<std::int64_t>(across) * Shape::columns;
  using block_type = block_product<Shape, Left, Right>;
  typename block_type::sums_type sums;
  block_type(dynamic_shared_memory()).run(sums, left, row, right, column, size.depth);
  const std::int64_t first_row = row + block_type::warp_row() + fragment_row();
  const std::int64_t first_column = column + block_type::warp_column() + 2 * fragment_column();
  TESSERA_DEVICE_UNROLL
  for (int m = 0; m < Shape::row_blocks; ++m) {
    TESSERA_DEVICE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const std::int64_t i = first_row + 16 * m + 8 * half;
      if (i >= size.rows) continue;
      const auto of_row = finish.row(i);
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < Shape::column_blocks; ++n) {
        const std::int64_t j = first_column + 8 * n;
        if (j < size.columns) finish(of_row, j, sums[m][n][2 * half], sums[m][n][2 * half + 1], j + 1 < size.columns);
      }
    }
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
         detail::product_kernel<shape, Left, Right, Finish>, left, right, size, finish, static_cast<unsigned>(down),
         static_cast<unsigned>(across));
}

}  // namespace tessera::cuda::tile
