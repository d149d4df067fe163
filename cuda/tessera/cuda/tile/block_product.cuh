// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A tile of a matrix product in the registers of a block of threads: slices of depth stream by through shared memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/copy_async.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/cuda/tile/mma.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/tile/product_operand.cuh"

namespace tessera::cuda::tile {

/// How a block cuts its tile of a product made in M (fragment.cuh): 128 x 128 sums, of float64 128 x 64, in 8 warps.
template <class M>
struct product_shape {
  using multiplied = M;
  using element = typename multiplication<M>::element;
  using sum = typename multiplication<M>::sum;
  static constexpr bool wide = sizeof(sum) == 8;
  /// Sums made by instructions of known rounding are chains of 128, added in order, as on the CPU; the tensor cores' truncated ones are one chain.
  static constexpr bool chained = multiplication<M>::one_by_one || wide;
  static constexpr int chain = 128;
  static constexpr int threads = 256;
  static constexpr int row_blocks = wide ? 2 : 4;  ///< of 16 rows, for each warp
  static constexpr int column_blocks = 4;          ///< of 8 columns
  static constexpr int warp_rows = 16 * row_blocks;
  static constexpr int warp_columns = 8 * column_blocks;
  static constexpr int rows = 128;
  static constexpr int columns = threads / warp_threads * warp_rows * warp_columns / rows;
  static constexpr int warps_down = rows / warp_rows;
  static constexpr int depth = 64 / static_cast<int>(sizeof(element));  ///< of a slice
  static constexpr int stages = 4;                                      ///< slices in shared memory: one is worked on
  static constexpr int resident = chained ? 1 : 2;                      ///< blocks that share a multiprocessor's registers
  static constexpr int left_size = rows * depth;
  static constexpr int right_size = columns * depth;
  static constexpr std::size_t shared_bytes = shared_array<element>::bytes(stages * (left_size + right_size));
  static_assert(chain % depth == 0);
};

namespace detail {

/// The left operand of lines [line, line + 16), steps [step, step + depth) of a tile [depth, lines].
template <class M, class Tile>
TESSERA_DEVICE left_fragment<M> load_left_across(const Tile& tile, int line, int step, code_place place = code_place::current()) {
  left_fragment<M> a;
  if constexpr (sizeof(typename Tile::element) == 2) {
    const int lane = lane_id();
    load_matrices<true>(a.r, tile.chunk_address(step + lane % 8 + lane / 16 * 8, line / Tile::chunk + lane / 8 % 2), place);
  } else {
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const auto x = tile.load(step + fragment_column() + 4 * (i / 2), line + fragment_row() + 8 * (i % 2), place);
      if constexpr (std::is_same_v<M, tf32>) {
        a.r[i] = tf32_bits(x);
      } else {
        a.r[i] = x;
      }
    }
  }
  return a;
}

/// Right operands of lines [line, line + 16), in two blocks, from a tile [depth, lines]; steps in rising order.
template <class M, class Tile>
TESSERA_DEVICE void load_right_across(right_fragment<M> (&b)[2], const Tile& tile, int line, int step,
                                      code_place place = code_place::current()) {
  if constexpr (sizeof(typename Tile::element) == 2) {
    load_right_columns<M>(b, tile, step, line, place);
  } else {
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < 2; ++n) {
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < 2; ++i) {
        const auto x = tile.load(step + fragment_column() + 4 * i, line + 8 * n + fragment_row(), place);
        if constexpr (std::is_same_v<M, tf32>) {
          b[n].r[i] = tf32_bits(x);
        } else {
          b[n].r[i] = x;
        }
      }
    }
  }
}

/// Width steps of one line.
template <bool Along, int Width, class Tile>
TESSERA_DEVICE auto load_steps(const Tile& tile, int line, int step) {
  using steps = packed<typename Tile::element, Width>;
  if constexpr (Along) {
    return tile.template load_as<steps>(line, step);
  } else {
    steps x;
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < Width; ++i) x[i] = tile.load(step + i, line);
    return x;
  }
}

/// sums += left . right over a slice, for this warp's lines of both: from `row` on, from `column` on. One by one, steps in rising order.
template <bool LeftAlong, bool RightAlong, class Shape, class Left, class Right>
TESSERA_DEVICE void add_slice(warp_sums<typename Shape::multiplied, Shape::row_blocks, Shape::column_blocks>& sums,
                              const Left& left, int row, const Right& right, int column) {
  using M = typename Shape::multiplied;
  if constexpr (multiplication<M>::one_by_one) {
    constexpr int width = Left::chunk;
    using steps = packed<typename Shape::sum, width>;
    TESSERA_DEVICE_ROLLED
    for (int k = 0; k < Shape::depth; k += width) {
      steps a[Shape::row_blocks][2];
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < Shape::row_blocks; ++m) {
        TESSERA_DEVICE_UNROLL
        for (int half = 0; half < 2; ++half) {
          a[m][half] = load_steps<LeftAlong, width>(left, row + 16 * m + fragment_row() + 8 * half, k);
        }
      }
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < Shape::column_blocks; ++n) {
        TESSERA_DEVICE_UNROLL
        for (int c = 0; c < 2; ++c) {
          const steps b = load_steps<RightAlong, width>(right, column + 8 * n + 2 * fragment_column() + c, k);
          TESSERA_DEVICE_UNROLL
          for (int i = 0; i < width; ++i) {
            TESSERA_DEVICE_UNROLL
            for (int m = 0; m < Shape::row_blocks; ++m) {
              sums[m][n][c] = multiplication<M>::add(a[m][0][i], b[i], sums[m][n][c]);
              sums[m][n][2 + c] = multiplication<M>::add(a[m][1][i], b[i], sums[m][n][2 + c]);
            }
          }
        }
      }
    }
  } else {
    TESSERA_DEVICE_UNROLL
    for (int k = 0; k < Shape::depth; k += multiplication<M>::depth) {
      left_fragment<M> a[Shape::row_blocks];
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < Shape::row_blocks; ++m) {
        if constexpr (LeftAlong) {
          a[m] = load_left<M>(left, row + 16 * m, k);
        } else {
          a[m] = load_left_across<M>(left, row + 16 * m, k);
        }
      }
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < Shape::column_blocks; n += 2) {
        right_fragment<M> b[2];
        if constexpr (RightAlong) {
          load_right_rows<M>(b, right, column + 8 * n, k);
        } else {
          load_right_across<M>(b, right, column + 8 * n, k);
        }
        TESSERA_DEVICE_UNROLL
        for (int m = 0; m < Shape::row_blocks; ++m) {
          multiply_add<M>(sums[m][n], a[m], b[0]);
          multiply_add<M>(sums[m][n + 1], a[m], b[1]);
        }
      }
    }
  }
}

/// x + y, of which x holds -0 where nothing was added yet: the identity.
template <class Shape, class Sums>
TESSERA_DEVICE void end_chain(Sums& totals, Sums& chain) {
  TESSERA_DEVICE_UNROLL
  for (int m = 0; m < Shape::row_blocks; ++m) {
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < Shape::column_blocks; ++n) {
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < 4; ++i) {
        totals[m][n][i] += chain[m][n][i];
        chain[m][n][i] = 0;
      }
    }
  }
}

}  // namespace detail

/// Sums of this block's tile: left lines from `row` on with right lines from `column` on, over `depth` steps.
template <class Shape, class Left, class Right>
class block_product {
 public:
  using sum = typename Shape::sum;
  using sums_type = warp_sums<typename Shape::multiplied, Shape::row_blocks, Shape::column_blocks>;

  TESSERA_DEVICE block_product(std::byte* shared) : memory_(shared_cursor(shared).take<element>(Shape::stages * stage_size)) {}

  /// The first of this warp's rows and columns in the tile.
  [[nodiscard]] TESSERA_DEVICE static int warp_row() { return warp_id() % Shape::warps_down * Shape::warp_rows; }
  [[nodiscard]] TESSERA_DEVICE static int warp_column() { return warp_id() / Shape::warps_down * Shape::warp_columns; }

  TESSERA_DEVICE void run(sums_type& sums, const Left& left, std::int64_t row, const Right& right, std::int64_t column,
                          std::int64_t depth) const {
    detail::set_zero<typename Shape::multiplied, Shape::row_blocks, Shape::column_blocks>(sums);
    if constexpr (Shape::chained) {
      sums_type chain;
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < Shape::row_blocks; ++m) {
        TESSERA_DEVICE_UNROLL
        for (int n = 0; n < Shape::column_blocks; ++n) {
          TESSERA_DEVICE_UNROLL
          for (int i = 0; i < 4; ++i) {
            sums[m][n][i] = sum(-0.0);
            chain[m][n][i] = 0;
          }
        }
      }
      slices(chain, left, row, right, column, depth, [&](std::int64_t done) {
        if (done % Shape::chain == 0) detail::end_chain<Shape>(sums, chain);
      });
      detail::end_chain<Shape>(sums, chain);
    } else {
      slices(sums, left, row, right, column, depth, [](std::int64_t) {});
    }
  }

 private:
  using element = typename Shape::element;
  using left_tile = typename Left::template tile_type<element, Shape::rows, Shape::depth>;
  using right_tile = typename Right::template tile_type<element, Shape::columns, Shape::depth>;
  static constexpr int stage_size = Shape::left_size + Shape::right_size;

  /// `before` is told how many steps were added, before each slice but the first.
  template <class Before>
  TESSERA_DEVICE void slices(sums_type& sums, const Left& left, std::int64_t row, const Right& right, std::int64_t column,
                             std::int64_t depth, const Before& before) const {
    const auto left_at = [&](int stage) { return left_tile(memory_.part(stage * stage_size, Shape::left_size)); };
    const auto right_at = [&](int stage) {
      return right_tile(memory_.part(stage * stage_size + Shape::left_size, Shape::right_size));
    };
    std::int64_t loaded = 0;
    int load_stage = 0;
    const auto load_next = [&] {
      if (loaded < depth) {
        left.template load<Shape::threads>(left_at(load_stage), row, loaded);
        right.template load<Shape::threads>(right_at(load_stage), column, loaded);
      }
      commit_copies();
      loaded += Shape::depth;
      load_stage = load_stage + 1 < Shape::stages ? load_stage + 1 : 0;
    };
    TESSERA_DEVICE_ROLLED
    for (int s = 0; s + 1 < Shape::stages; ++s) load_next();
    int stage = 0;
    TESSERA_DEVICE_ROLLED
    for (std::int64_t done = 0; done < depth; done += Shape::depth) {
      wait_copies<Shape::stages - 2>();
      __syncthreads();  // the slice is there for all, and nobody reads the one before it any more, whose place the next takes
      load_next();
      if (done > 0) before(done);
      detail::add_slice<Left::along, Right::along, Shape>(sums, left_at(stage), warp_row(), right_at(stage), warp_column());
      stage = stage + 1 < Shape::stages ? stage + 1 : 0;
    }
    wait_copies<0>();
  }

  shared_array<element> memory_;
};

}  // namespace tessera::cuda::tile
