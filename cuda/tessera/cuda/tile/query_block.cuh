// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A block of queries in the registers of a block of threads: keys stream by through shared memory, scores are folded as they are made. What the
/// contraction, attention and every other fold on the device stand on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/copy_async.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/load_tile.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/tile/row_fold.cuh"
#include "tessera/cuda/tile/shared_tile.cuh"
#include "tessera/cuda/tile/special.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/mask.hpp"

namespace tessera::cuda::tile {

/// How a block of threads cuts its work. M is what products are made in (fragment.cuh).
template <class M, int Warps, int RowBlocks, int Keys, int Depth, int ValueDepth>
struct block_shape {
  using multiplied = M;
  using element = typename multiplication<M>::element;
  using sum = typename multiplication<M>::sum;
  static constexpr int warps = Warps;
  static constexpr int threads = warp_threads * Warps;
  static constexpr int row_blocks = RowBlocks;         ///< of 16 queries, for each warp
  static constexpr int rows = 16 * RowBlocks * Warps;  ///< queries of the block
  static constexpr int keys = Keys;                    ///< of a tile
  static constexpr int depth = Depth;                  ///< elements of queries and keys that are in shared memory at a time
  static constexpr int value_depth = ValueDepth;       ///< elements of values; 0: there are none
  static constexpr int resident = 256 / threads;       ///< blocks that share a multiprocessor: up to 255 registers a thread
  static constexpr int stages = 2;                     ///< tiles of keys: one is worked on while the next comes in
  using query_tile = shared_tile<element, rows, Depth>;
  using key_tile = shared_tile<element, Keys, Depth>;
  using value_tile = shared_tile<element, Keys, ValueDepth == 0 ? 16 : ValueDepth>;
  static constexpr std::size_t shared_bytes =
      query_tile::bytes + stages * (key_tile::bytes + (ValueDepth == 0 ? 0 : value_tile::bytes));
};

/// The fold of a block of queries.
///
/// Operands say where rows lie: `query(r)`, `key(j)` and `value(j)` (pointers, null where there is no such row), `depth()` and `value_dim()`
/// (elements of a row), and `aligned` (load_tile.cuh). Pairs say what becomes of products, as row_fold.cuh has it, and of tiles, as tile/mask.hpp
/// has it: `range()`, the keys that the block sees at all, and `classify(j0, j1)`.
/// Fold is what becomes of the rows of a warp: row_fold, or what has its `take`.
template <class Shape, class Reducer,
          class Fold = row_fold<typename Shape::multiplied, Shape::row_blocks, Shape::keys / 8, Shape::value_depth / 8, Reducer>>
class query_block {
 public:
  using M = typename Shape::multiplied;
  using sum = typename Shape::sum;
  static constexpr bool has_values = Shape::value_depth > 0;
  static constexpr int score_blocks = Shape::keys / 8;
  using fold_type = Fold;
  using state = typename fold_type::state;

  /// `start` is what the fold of rows is made of: the reducer.
  template <class Start>
  TESSERA_DEVICE query_block(const Start& start, std::byte* shared)
      : cursor_(shared), rows_(start, 16 * Shape::row_blocks * warp_id()) {}

  /// What becomes of the rows: their states and sums.
  [[nodiscard]] TESSERA_DEVICE fold_type& rows() { return rows_; }

  /// Folds all keys that the pairs show, in rising order.
  template <class Operands, class Pairs>
  TESSERA_DEVICE void run(const Operands& x, const Pairs& pairs) {
    using query_tile = typename Shape::query_tile;
    query_tile queries(cursor_.template take<typename Shape::element>(query_tile::size));
    const shared_array<typename Shape::element> memory =
        cursor_.template take<typename Shape::element>(Shape::stages * stage_memory::size);
    const key_range range = pairs.range();
    const bool sliced = x.depth() > Shape::depth;
    const auto load = [&](const stage_memory& to, std::int64_t first) {
      const auto there = [&](int j) { return first + j < range.last; };
      if (!sliced) {
        load_tile<Shape::threads, Operands::aligned>(
            to.keys, [&](int j) { return there(j) ? x.key(first + j) : nullptr; }, x.depth());
      }
      if constexpr (has_values) {
        load_tile<Shape::threads, Operands::aligned>(
            to.values, [&](int j) { return there(j) ? x.value(first + j) : nullptr; }, x.value_dim());
      }
    };
    if (!sliced) load_tile<Shape::threads, Operands::aligned>(queries, [&](int r) { return x.query(r); }, x.depth());

    tile_class seen = tile_class::none;
    const auto next = [&](std::int64_t first) {
      for (; first < range.last; first += Shape::keys) {
        const std::int64_t end = first + Shape::keys < range.last ? first + Shape::keys : range.last;
        seen = pairs.classify(first, end);
        if (seen != tile_class::none) break;
      }
      return first;
    };
    std::int64_t first = next(range.first / Shape::keys * Shape::keys);
    if (first < range.last) load(stage_memory(memory, 0), first);
    commit_copies();
    for (int stage = 0; first < range.last; stage ^= 1) {
      const tile_class now = seen;
      const std::int64_t following = next(first + Shape::keys);
      wait_copies<0>();
      __syncthreads();  // the tile is there for all, and nobody reads the one before it any more
      if (following < range.last) load(stage_memory(memory, stage ^ 1), following);
      commit_copies();
      const stage_memory here(memory, stage);
      warp_sums<M, Shape::row_blocks, score_blocks> scores;
      detail::set_zero<M, Shape::row_blocks, score_blocks>(scores);
      if (sliced) {
        slices(scores, x, queries, here.keys, first, range.last);
      } else {
        add_scores<M, Shape::row_blocks, score_blocks>(scores, queries, 16 * Shape::row_blocks * warp_id(), here.keys);
      }
      const bool whole = now == tile_class::all && first >= range.first && first + Shape::keys <= range.last;
      typename fold_type::factors kept;
      if (whole) {
        rows_.template take<false>(scores, pairs, first, range, kept);
      } else {
        rows_.template take<true>(scores, pairs, first, range, kept);
      }
      if constexpr (has_values) {
        rows_.rescale(kept);
        if (whole || __syncthreads_or(holds_special<Shape::threads>(here.values)) == 0) {
          add_values<M, Shape::row_blocks, score_blocks, fold_type::value_blocks>(rows_.values(), scores, here.values);
        } else {
          rows_.add_seen_values(
              scores, [&](int key, int column) { return static_cast<sum>(here.values.load(key, column)); }, pairs, first, range);
        }
      }
      first = following;
    }
    wait_copies<0>();
  }

 private:
  struct stage_memory {
    typename Shape::key_tile keys;
    typename Shape::value_tile values;

    static constexpr int size = Shape::key_tile::size + (has_values ? Shape::value_tile::size : 0);

    TESSERA_DEVICE stage_memory(const shared_array<typename Shape::element>& memory, int stage)
        : keys(memory.part(stage * size, Shape::key_tile::size)),
          values(memory.part(stage * size + Shape::key_tile::size, has_values ? Shape::value_tile::size : 0)) {}
  };

  using scores_type = warp_sums<M, Shape::row_blocks, score_blocks>;

  /// Scores of rows that are longer than shared memory takes: slice by slice.
  template <class Operands>
  TESSERA_DEVICE static void slices(scores_type& scores, const Operands& x, const typename Shape::query_tile& queries,
                                    const typename Shape::key_tile& keys, std::int64_t first, std::int64_t last) {
    for (int done = 0; done < x.depth(); done += Shape::depth) {
      const int columns = x.depth() - done < Shape::depth ? x.depth() - done : Shape::depth;
      __syncthreads();
      load_tile<Shape::threads, Operands::aligned>(
          queries,
          [&](int r) {
            const auto* const from = x.query(r);
            return from != nullptr ? from + done : nullptr;
          },
          columns);
      load_tile<Shape::threads, Operands::aligned>(
          keys, [&](int j) { return first + j < last ? x.key(first + j) + done : nullptr; }, columns);
      commit_copies();
      wait_copies<0>();
      __syncthreads();
      add_scores<M, Shape::row_blocks, score_blocks>(scores, queries, 16 * Shape::row_blocks * warp_id(), keys);
    }
  }

  shared_cursor cursor_;
  fold_type rows_;
};

}  // namespace tessera::cuda::tile
