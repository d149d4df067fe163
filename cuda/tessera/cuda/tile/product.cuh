// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The two products of a warp: scores (rows with rows, both in shared memory) and values (weights in registers with rows).
#pragma once

#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/cuda/tile/mma.cuh"
#include "tessera/numeric/lane.hpp"

namespace tessera::cuda::tile {

/// Sums of 16 RowBlocks x 8 Blocks elements, held by a warp as fragment.cuh tells.
template <class M, int RowBlocks, int Blocks>
using warp_sums = typename multiplication<M>::sum[RowBlocks][Blocks][4];

namespace detail {

template <class M, int RowBlocks, int Blocks>
TESSERA_DEVICE void set_zero(warp_sums<M, RowBlocks, Blocks>& sums) {
  TESSERA_DEVICE_UNROLL
  for (int m = 0; m < RowBlocks; ++m) {
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < Blocks; ++n) {
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < 4; ++i) sums[m][n][i] = 0;
    }
  }
}

}  // namespace detail

/// sums += left[row + i] . right[j], over the columns of both: i < 16 RowBlocks, j < 8 Blocks.
///
/// One by one: a chain of fused multiply-adds over the columns for each sum, as on the CPU.
template <class M, int RowBlocks, int Blocks, class Left, class Right>
TESSERA_DEVICE void add_scores(warp_sums<M, RowBlocks, Blocks>& sums, const Left& left, int row, const Right& right) {
  static_assert(Left::columns == Right::columns && Blocks % 2 == 0 && Right::rows >= 8 * Blocks);
  if constexpr (multiplication<M>::one_by_one) {
    using sum = typename multiplication<M>::sum;
    constexpr int width = Left::chunk;
    using chunk = packed<sum, width>;
    TESSERA_DEVICE_ROLLED
    for (int k = 0; k < Left::columns; k += width) {
      chunk a[RowBlocks][2];
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < RowBlocks; ++m) {
        a[m][0] = left.template load_as<chunk>(row + 16 * m + fragment_row(), k);
        a[m][1] = left.template load_as<chunk>(row + 16 * m + fragment_row() + 8, k);
      }
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < Blocks; ++n) {
        TESSERA_DEVICE_UNROLL
        for (int c = 0; c < 2; ++c) {
          const chunk b = right.template load_as<chunk>(8 * n + 2 * fragment_column() + c, k);
          TESSERA_DEVICE_UNROLL
          for (int m = 0; m < RowBlocks; ++m) {
            TESSERA_DEVICE_UNROLL
            for (int i = 0; i < width; ++i) {
              sums[m][n][c] = multiplication<M>::add(a[m][0][i], b[i], sums[m][n][c]);
              sums[m][n][2 + c] = multiplication<M>::add(a[m][1][i], b[i], sums[m][n][2 + c]);
            }
          }
        }
      }
    }
  } else {
    TESSERA_DEVICE_UNROLL
    for (int k = 0; k < Left::columns; k += multiplication<M>::depth) {
      left_fragment<M> a[RowBlocks];
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < RowBlocks; ++m) a[m] = load_left<M>(left, row + 16 * m, k);
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < Blocks; n += 2) {
        right_fragment<M> b[2];
        load_right_rows<M>(b, right, 8 * n, k);
        TESSERA_DEVICE_UNROLL
        for (int m = 0; m < RowBlocks; ++m) {
          multiply_add<M>(sums[m][n], a[m], b[0]);
          multiply_add<M>(sums[m][n + 1], a[m], b[1]);
        }
      }
    }
  }
}

/// sums += weights . rows, over the rows of the tile, which the weights' columns count; 16-bit types round the weights to nearest.
///
/// One by one: a chain of fused multiply-adds over the rows for each sum; a quad hands its weights around.
template <class M, int RowBlocks, int Keys, int Blocks, class Rows>
TESSERA_DEVICE void add_values(warp_sums<M, RowBlocks, Blocks>& sums, const warp_sums<M, RowBlocks, Keys>& weights,
                               const Rows& rows) {
  static_assert(Rows::columns == 8 * Blocks && Rows::rows >= 8 * Keys && Blocks % 2 == 0);
  if constexpr (multiplication<M>::one_by_one) {
    using sum = typename multiplication<M>::sum;
    using two = packed<sum, 2>;
    TESSERA_DEVICE_UNROLL
    for (int k = 0; k < Keys; ++k) {
      TESSERA_DEVICE_ROLLED
      for (int lane = 0; lane < 4; ++lane) {
        const int owner = lane_id() / 4 * 4 + lane;
        TESSERA_DEVICE_UNROLL
        for (int c = 0; c < 2; ++c) {
          sum w[RowBlocks][2];
          TESSERA_DEVICE_UNROLL
          for (int m = 0; m < RowBlocks; ++m) {
            w[m][0] = __shfl_sync(0xFFFFFFFFu, weights[m][k][c], owner);
            w[m][1] = __shfl_sync(0xFFFFFFFFu, weights[m][k][2 + c], owner);
          }
          TESSERA_DEVICE_UNROLL
          for (int n = 0; n < Blocks; ++n) {
            const two v = rows.template load_as<two>(8 * k + 2 * lane + c, 8 * n + 2 * fragment_column());
            TESSERA_DEVICE_UNROLL
            for (int m = 0; m < RowBlocks; ++m) {
              TESSERA_DEVICE_UNROLL
              for (int i = 0; i < 4; ++i) sums[m][n][i] = fma(w[m][i / 2], v[i % 2], sums[m][n][i]);
            }
          }
        }
      }
    }
  } else {
    constexpr int step = multiplication<M>::depth / 8;  // blocks of weights that an instruction takes
    TESSERA_DEVICE_UNROLL
    for (int k = 0; k < Keys; k += step) {
      left_fragment<M> a[RowBlocks];
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < RowBlocks; ++m) a[m] = weights_as_left<M>(&weights[m][k]);
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < Blocks; n += 2) {
        right_fragment<M> b[2];
        load_right_columns<M>(b, rows, 8 * k, 8 * n);
        TESSERA_DEVICE_UNROLL
        for (int m = 0; m < RowBlocks; ++m) {
          multiply_add<M>(sums[m][n], a[m], b[0]);
          multiply_add<M>(sums[m][n + 1], a[m], b[1]);
        }
      }
    }
  }
}

}  // namespace tessera::cuda::tile
