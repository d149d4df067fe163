// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A block of keys, or of queries, whose gradients are in the registers of a block of threads while the other side streams by through shared
/// memory. Both passes of attention's backward are this loop: what differs is who stands in the rows.
///
/// Rows of the block have two vectors, a and b, those that stream by x and y: keys k, v beside queries q, dout, or the other way round. Per tile:
///
///   a x^T and b y^T  ->  weights P and slopes dS, in registers  ->  first += dS x, second += P y (for keys only)
///
/// so that weights and slopes, made as sums of a warp, are left operands as they are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/attention/detail/weigh_tile.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/copy_async.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/load_tile.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/tile/shared_tile.cuh"
#include "tessera/cuda/tile/special.cuh"
#include "tessera/tile/mask.hpp"

namespace tessera::cuda::attention::detail {

/// How a block of threads cuts its work. M is what products are made in (tile/fragment.cuh).
///
/// Sliced: rows longer than Depth (ValueDepth) come through shared memory slice by slice, and a block adds up one slice of the columns.
template <class M, owner Owner, int Warps, int Streamed, int Depth, int ValueDepth, int Stages, int Resident, bool Aligned,
          bool Sliced>
struct gradient_shape {
  using multiplied = M;
  using element = typename tile::multiplication<M>::element;
  using sum = typename tile::multiplication<M>::sum;
  static constexpr owner who = Owner;
  static constexpr bool owns_keys = Owner == owner::keys;
  static constexpr int threads = warp_threads * Warps;
  static constexpr int rows = 16 * Warps;  ///< of the block
  static constexpr int streamed = Streamed;
  static constexpr int depth = Depth;
  static constexpr int value_depth = ValueDepth;
  static constexpr int stages = Sliced ? 1 : Stages;
  static constexpr int resident = Resident;  ///< blocks that share a multiprocessor
  static constexpr bool aligned = Aligned;
  static constexpr bool sliced = Sliced;
  static_assert(number_rows % Streamed == 0);

  using a_tile = tile::shared_tile<element, rows, Depth>;
  using b_tile = tile::shared_tile<element, rows, ValueDepth>;
  using x_tile = tile::shared_tile<element, Streamed, Depth>;
  using y_tile = tile::shared_tile<element, Streamed, ValueDepth>;
  static constexpr std::size_t number_bytes = owns_keys ? shared_array<sum>::bytes(2 * Streamed) : 0;
  static constexpr std::size_t shared_bytes =
      a_tile::bytes + b_tile::bytes + stages * (x_tile::bytes + y_tile::bytes + number_bytes);
};

/// Shapes for any head_dim and value_dim, slice by slice, of rows that are copied or of any type.
template <class M, bool Aligned>
struct sliced_gradient_shapes {
  static constexpr int bytes = sizeof(typename tile::multiplication<M>::element);
  static constexpr int dim = bytes == 8 ? 32 : 64;
  static constexpr int streamed = bytes == 8 ? 16 : 32;
  using keys = gradient_shape<M, owner::keys, 4, streamed, dim, dim, 1, 2, Aligned, true>;
  using queries = gradient_shape<M, owner::queries, 4, streamed, dim, dim, 1, 2, Aligned, true>;
};

template <class Shape>
class gradient_block {
 public:
  using M = typename Shape::multiplied;
  using sum = typename Shape::sum;
  using element = typename Shape::element;
  using index = lane_index<sum>;
  static constexpr bool owns_keys = Shape::owns_keys;
  static constexpr int tile_blocks = Shape::streamed / 8;
  using scores_type = tile::warp_sums<M, 1, tile_blocks>;
  static constexpr int blocks = Shape::depth / 8;
  static constexpr int value_blocks = Shape::value_depth / 8;

  TESSERA_DEVICE explicit gradient_block(std::byte* shared)
      : cursor_(shared),
        a_(cursor_.take<element>(Shape::a_tile::size)),
        b_(cursor_.take<element>(Shape::b_tile::size)),
        streams_(cursor_.take<element>(Shape::stages * stage_size)),
        numbers_(cursor_.take<sum>(owns_keys ? Shape::stages * 2 * Shape::streamed : 0)) {
    tile::detail::set_zero<M, 1, blocks>(first_);
    if constexpr (owns_keys) tile::detail::set_zero<M, 1, value_blocks>(second_);
  }

  /// The rows of the block: [first, first + rows) of both matrices. `numbers`: those of the first one, where they are queries.
  template <class A, class B>
  TESSERA_DEVICE void own(const matrix_rows<const A>& a, const matrix_rows<const B>& b, int first, int depth, int value_dim,
                          const row_numbers<sum>* numbers) {
    first_row_ = first;
    if constexpr (!Shape::sliced) {
      tile::load_tile<Shape::threads, Shape::aligned>(a_, [&](int r) { return a.row(first + r); }, depth);
      tile::load_tile<Shape::threads, Shape::aligned>(b_, [&](int r) { return b.row(first + r); }, value_dim);
      commit_copies();
    }
    if constexpr (!owns_keys) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const bool there = first + row(half) < a.count;
        mine_[half] = there ? numbers[row(half)] : row_numbers<sum>{{infinity<sum>(), sum(0)}};
      }
    }
  }

  /// Adds what the rows of x and y give. `numbers` and `some_empty` are those of the queries, from the first one on, where they stream by;
  /// `some_empty`, otherwise, of the block. Slice: which columns are added up.
  template <class A, class B, class X, class Y, class Pairs>
  TESSERA_DEVICE void run(const matrix_rows<const A>& a, const matrix_rows<const B>& b, const matrix_rows<const X>& x,
                          const matrix_rows<const Y>& y, int depth, int value_dim, int slice, const Pairs& pairs,
                          const row_numbers<sum>* numbers, const int* some_empty) {
    for_each_tile(a, b, x, y, 0, x.count, depth, value_dim, pairs, numbers, some_empty,
                  [&](const scores_type& weights, const scores_type& slopes, int first, int stage, bool whole) {
                    if constexpr (owns_keys) {
                      add_rows<value_blocks>(second_, weights, y_of(stage), y, first, value_dim, slice, pairs, stage, whole);
                    }
                    add_rows<blocks>(first_, slopes, x_of(stage), x, first, depth, slice, pairs, stage, whole);
                  });
  }

  /// f(weights, slopes, first row of the tile, stage, whether all of it is seen) for each tile of rows [begin, end) of x and y that is seen.
  template <class A, class B, class X, class Y, class Pairs, class F>
  TESSERA_DEVICE void for_each_tile(const matrix_rows<const A>& a, const matrix_rows<const B>& b, const matrix_rows<const X>& x,
                                    const matrix_rows<const Y>& y, int begin, int end, int depth, int value_dim,
                                    const Pairs& pairs, const row_numbers<sum>* numbers, const int* some_empty, const F& f) {
    const int last_row = first_row_ + Shape::rows < a.count ? first_row_ + Shape::rows : a.count;
    const auto load = [&](int stage, int first) {
      if constexpr (!Shape::sliced) {
        tile::load_tile<Shape::threads, Shape::aligned>(x_of(stage), [&](int r) { return x.row(first + r); }, depth);
        tile::load_tile<Shape::threads, Shape::aligned>(y_of(stage), [&](int r) { return y.row(first + r); }, value_dim);
      }
      if constexpr (owns_keys) load_numbers(stage, numbers + first);
    };
    tile_class seen = tile_class::none;
    const auto next = [&](int first) {
      for (; first < end; first += Shape::streamed) {
        const int last = first + Shape::streamed < x.count ? first + Shape::streamed : x.count;
        seen = owns_keys ? pairs.again().classify(first, last, first_row_, last_row)
                         : pairs.again().classify(first_row_, last_row, first, last);
        if (seen != tile_class::none) break;
      }
      return first;
    };
    int first = next(begin);
    if (first >= end) return;
    __syncthreads();  // nobody reads the tiles of a run before this one any more
    load(0, first);
    commit_copies();
    for (int stage = 0; first < end;) {
      const bool whole = seen == tile_class::all && first + Shape::streamed <= x.count && first_row_ + Shape::rows <= a.count &&
                         some_empty[owns_keys ? first / number_rows : 0] == 0;
      const int following = next(first + Shape::streamed);
      wait_copies<0>();
      __syncthreads();  // the tile is there for all, and nobody reads the one before it any more
      if constexpr (Shape::stages == 2) {
        if (following < end) load(stage ^ 1, following);
        commit_copies();
      }
      const std::uint32_t dropped = pairs.drops() ? dropped_pairs(pairs, first) : 0;  // before products take registers
      scores_type weights;
      scores_type slopes;
      tile::detail::set_zero<M, 1, tile_blocks>(weights);
      tile::detail::set_zero<M, 1, tile_blocks>(slopes);
      add_products(weights, a_, a, x_of(stage), x, first, depth);
      add_products(slopes, b_, b, y_of(stage), y, first, value_dim);
      const Pairs again = pairs.again();
      const tile_place place = lane_place(first);
      if (whole) {
        weigh_tile<Shape::who, false>(weights[0], slopes[0], again, place, mine_, numbers_of(stage), dropped);
      } else {
        weigh_tile<Shape::who, true>(weights[0], slopes[0], again, place, mine_, numbers_of(stage), dropped);
      }
      f(weights, slopes, first, stage, whole);
      if constexpr (Shape::stages == 1) {
        if (following < end) {
          __syncthreads();
          load(0, following);
        }
        commit_copies();
      } else {
        stage ^= 1;
      }
      first = following;
    }
  }

  /// f(row of the block, column of the slice, two sums of neighbouring columns)
  template <class F>
  TESSERA_DEVICE void for_each_first(const F& f) const {
    for_each<blocks>(first_, f);
  }
  template <class F>
  TESSERA_DEVICE void for_each_second(const F& f) const {
    for_each<value_blocks>(second_, f);
  }

  /// The row of the block that this lane has in a half of its fragments.
  [[nodiscard]] TESSERA_DEVICE static int row(int half) { return 16 * warp_id() + tile::fragment_row() + 8 * half; }

 private:
  /// Where this lane's part of the tile from `first` on stands: made where it is used, as registers are short between.
  [[nodiscard]] TESSERA_DEVICE tile_place lane_place(int first) const {
    const unsigned thread = made_anew(threadIdx.x);
    return {first_row_ + static_cast<int>(thread / 32 * 16 + thread % 32 / 4), first, static_cast<int>(2 * (thread % 4))};
  }

  static constexpr int stage_size = Shape::x_tile::size + Shape::y_tile::size;

  [[nodiscard]] TESSERA_DEVICE typename Shape::x_tile x_of(int stage) const {
    return typename Shape::x_tile(streams_.part(stage * stage_size, Shape::x_tile::size));
  }
  [[nodiscard]] TESSERA_DEVICE typename Shape::y_tile y_of(int stage) const {
    return typename Shape::y_tile(streams_.part(stage * stage_size + Shape::x_tile::size, Shape::y_tile::size));
  }

  TESSERA_DEVICE void load_numbers(int stage, const row_numbers<sum>* from) const {
    constexpr int chunk = 16 / static_cast<int>(sizeof(sum));
    constexpr int chunks = 2 * Shape::streamed / chunk;
    static_assert(chunks <= Shape::threads);
    const int c = static_cast<int>(threadIdx.x);
    if (c < chunks) {
      copy_async_16(numbers_.address(stage * 2 * Shape::streamed + c * chunk), reinterpret_cast<const sum*>(from) + c * chunk,
                    16);
    }
  }

  /// products += rows of the block . rows of the tile.
  template <class Own, class A, class Stream, class X>
  TESSERA_DEVICE void add_products(scores_type& products, const Own& own, const matrix_rows<const A>& a, const Stream& stream,
                                   const matrix_rows<const X>& x, int first, int depth) const {
    if constexpr (Shape::sliced) {
      for (int done = 0; done < depth; done += Own::columns) {
        const int columns = depth - done < Own::columns ? depth - done : Own::columns;
        __syncthreads();
        load_slice(own, a, first_row_, done, columns);
        load_slice(stream, x, first, done, columns);
        commit_copies();
        wait_copies<0>();
        __syncthreads();
        tile::add_scores<M, 1, tile_blocks>(products, own, 16 * warp_id(), stream);
      }
    } else {
      tile::add_scores<M, 1, tile_blocks>(products, own, 16 * warp_id(), stream);
    }
  }

  template <class Tile, class S>
  TESSERA_DEVICE static void load_slice(const Tile& to, const matrix_rows<const S>& from, int first, int column, int columns) {
    tile::load_tile<Shape::threads, Shape::aligned>(
        to,
        [&](int r) {
          const S* const at = from.row(first + r);
          return at != nullptr ? at + column : nullptr;
        },
        columns);
  }

  /// Which pairs of this lane dropout strikes out, a bit each. A loop of its own: a block of Philox takes many registers, if not for long.
  template <class Pairs>
  [[nodiscard]] TESSERA_DEVICE std::uint32_t dropped_pairs(const Pairs& pairs, int first) const {
    static_assert(4 * tile_blocks <= 32);
    std::uint32_t dropped = 0;
    pairs.for_each_dropped(
        4 * tile_blocks,
        [&](int e) {
          const index at_row = static_cast<index>(first_row_ + row(e / 2 % 2));
          const index at_column = static_cast<index>(first + 8 * (e / 4) + 2 * tile::fragment_column() + e % 2);
          return owns_keys ? packed<index, 2>{{at_column, at_row}} : packed<index, 2>{{at_row, at_column}};
        },
        [&](int e, bool strikes) { dropped |= (strikes ? 1u : 0u) << e; });
    return dropped;
  }

  [[nodiscard]] TESSERA_DEVICE shared_array<sum> numbers_of(int stage) const {
    return owns_keys ? numbers_.part(stage * 2 * Shape::streamed, 2 * Shape::streamed) : numbers_;
  }

  /// sums += factors . rows of the tile.
  template <int Blocks, class Tile, class X, class Pairs>
  TESSERA_DEVICE void add_rows(tile::warp_sums<M, 1, Blocks>& sums, const scores_type& factors, const Tile& stream,
                               const matrix_rows<const X>& x, int first, int depth, int slice, const Pairs& pairs, int stage,
                               bool whole) const {
    if constexpr (Shape::sliced) {
      const int column = slice * Tile::columns;
      const int columns = depth - column < Tile::columns ? depth - column : Tile::columns;
      if (columns <= 0) return;
      __syncthreads();
      load_slice(stream, x, first, column, columns);
      commit_copies();
      wait_copies<0>();
      __syncthreads();
    }
    if (whole || __syncthreads_or(tile::holds_special<Shape::threads>(stream)) == 0) {
      tile::add_values<M, 1, tile_blocks, Blocks>(sums, factors, stream);
    } else {
      const tile_place place = lane_place(first);
      const Pairs again = pairs.again();
      tile::add_seen_values<M, tile_blocks, Blocks>(sums, factors, stream, [&](int half, int at) {
        return sees<Shape::who>(again, place, half, at, mine_, numbers_of(stage));
      });
    }
  }

  template <int Blocks, class F>
  TESSERA_DEVICE void for_each(const tile::warp_sums<M, 1, Blocks>& sums, const F& f) const {
    TESSERA_DEVICE_UNROLL
    for (int half = 0; half < 2; ++half) {
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < Blocks; ++n) {
        f(row(half), 8 * n + 2 * tile::fragment_column(), packed<sum, 2>{{sums[0][n][2 * half], sums[0][n][2 * half + 1]}});
      }
    }
  }

  shared_cursor cursor_;
  typename Shape::a_tile a_;
  typename Shape::b_tile b_;
  shared_array<element> streams_;
  shared_array<sum> numbers_;
  int first_row_ = 0;
  row_numbers<sum> mine_[2];
  tile::warp_sums<M, 1, blocks> first_;
  tile::warp_sums<M, 1, owns_keys ? value_blocks : 2> second_;
};

}  // namespace tessera::cuda::attention::detail
