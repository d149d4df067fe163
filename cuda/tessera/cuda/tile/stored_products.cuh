// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Products that go through memory: where rows of values are longer than a block holds sums of, each of its slices would make all scores again. Instead
/// one kernel makes the products of some rows of queries, and another folds them, once for each slice. The bits are those of the direct way.
#pragma once

#include <cstdint>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/copy_async.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/contraction_problem.cuh"
#include "tessera/cuda/tile/query_block.cuh"
#include "tessera/cuda/tile/rows.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/tile/mask.hpp"

namespace tessera::cuda::tile::detail {

/// Products of rows of queries with all keys: rows of `pitch`, a whole number of tiles.
template <class Sum>
struct product_store {
  Sum* data;
  std::int64_t pitch;
  std::int64_t first;  ///< query of its first row

  /// Products of two neighbouring keys.
  [[nodiscard]] TESSERA_DEVICE packed<Sum, 2>& at(std::int64_t i, std::int64_t j) const {
    return *reinterpret_cast<packed<Sum, 2>*>(data + (i - first) * pitch + j);
  }
};

/// Pairs of which only those that tiles have at all are asked for, in keys [first, last).
template <class Pairs>
struct keys_of_pairs {
  const Pairs& pairs;
  std::int64_t first;
  std::int64_t last;

  [[nodiscard]] TESSERA_DEVICE key_range range() const {
    const key_range seen = pairs.range();
    return {seen.first > first ? seen.first : first, seen.last < last ? seen.last : last};
  }
  [[nodiscard]] TESSERA_DEVICE tile_class classify(std::int64_t j0, std::int64_t j1) const { return pairs.classify(j0, j1); }
};

/// What query_block does with rows whose products are stored.
template <class M, int RowBlocks, int ScoreBlocks>
class storing_rows {
 public:
  using sum = typename multiplication<M>::sum;
  using state = void;
  using factors = sum[1];
  using scores_type = warp_sums<M, RowBlocks, ScoreBlocks>;

  struct start {
    product_store<sum> store;
    std::int64_t first;  ///< query of the block
  };

  TESSERA_DEVICE storing_rows(const start& to, int first_row) : to_(to.store), first_(to.first + first_row + fragment_row()) {}

  template <bool Masked, class Pairs>
  TESSERA_DEVICE void take(scores_type& products, const Pairs&, std::int64_t first, const key_range&, factors&) const {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        TESSERA_DEVICE_UNROLL
        for (int n = 0; n < ScoreBlocks; ++n) {
          to_.at(first_ + 16 * m + 8 * half,
                 first + 8 * n + 2 * fragment_column()) = {{products[m][n][2 * half], products[m][n][2 * half + 1]}};
        }
      }
    }
  }

 private:
  product_store<sum> to_;
  std::int64_t first_;
};

/// The queries of a problem from `first` on, of which a kernel works on blocks, and keys of which a block makes `split`.
template <class Shape, bool Aligned, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident)
    store_products_kernel(const __grid_constant__ Problem p, const __grid_constant__ product_store<typename Shape::sum> store,
                          std::int64_t split) {
  using sum = typename Shape::sum;
  using rows = storing_rows<typename Shape::multiplied, Shape::row_blocks, Shape::keys / 8>;
  const std::int64_t n = p.queries.extent(0);
  const std::int64_t m = p.keys.extent(0);
  const std::int64_t first = store.first + static_cast<std::int64_t>(blockIdx.x) * Shape::rows;
  const std::int64_t last = first + Shape::rows < n ? first + Shape::rows : n;
  const std::int64_t key = static_cast<std::int64_t>(blockIdx.y) * split;
  using pairs_type = contraction_pairs<sum, decltype(p.score), decltype(p.reducer), decltype(p.mask)>;
  const pairs_type pairs(p.score, p.mask, first, last, m);
  const keys_of_pairs<pairs_type> some{pairs, key, key + split < m ? key + split : m};
  const operand_rows operands(p.queries, first, last, p.keys, p.values, 0, aligned_rows<Aligned>{});
  query_block<Shape, void, rows> block(typename rows::start{store, first}, dynamic_shared_memory());
  block.run(operands, some);
}

/// Folds stored products, with one slice of the values.
template <class Shape, bool Aligned, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident)
    fold_products_kernel(const __grid_constant__ Problem p, const __grid_constant__ product_store<typename Shape::sum> store) {
  using M = typename Shape::multiplied;
  using sum = typename Shape::sum;
  using element = typename Shape::element;
  using value_tile = typename Shape::value_tile;
  constexpr int score_blocks = Shape::keys / 8;
  using fold = row_fold<M, Shape::row_blocks, score_blocks, Shape::value_depth / 8, decltype(p.reducer)>;
  const std::int64_t n = p.queries.extent(0);
  const std::int64_t first_query = store.first + static_cast<std::int64_t>(blockIdx.x) * Shape::rows;
  const std::int64_t last_query = first_query + Shape::rows < n ? first_query + Shape::rows : n;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.y) * Shape::value_depth;
  const operand_rows operands(p.queries, first_query, last_query, p.keys, p.values, column, aligned_rows<Aligned>{});
  const contraction_pairs<sum, decltype(p.score), decltype(p.reducer), decltype(p.mask)> pairs(p.score, p.mask, first_query,
                                                                                               last_query, p.keys.extent(0));
  shared_cursor cursor(dynamic_shared_memory());
  const shared_array<element> memory = cursor.take<element>(Shape::stages * value_tile::size);
  fold rows(p.reducer, 16 * Shape::row_blocks * warp_id());
  const key_range range = pairs.range();
  const auto values_at = [&](int stage) { return value_tile(memory.part(stage * value_tile::size, value_tile::size)); };
  const auto load = [&](int stage, std::int64_t first) {
    load_tile<Shape::threads, Aligned>(
        values_at(stage), [&](int j) { return first + j < range.last ? operands.value(first + j) : nullptr; },
        operands.value_dim());
  };
  tile_class seen = tile_class::none;
  const auto next = [&](std::int64_t first) {
    for (; first < range.last; first += Shape::keys) {
      seen = pairs.classify(first, first + Shape::keys < range.last ? first + Shape::keys : range.last);
      if (seen != tile_class::none) break;
    }
    return first;
  };
  std::int64_t first = next(range.first / Shape::keys * Shape::keys);
  if (first < range.last) load(0, first);
  commit_copies();
  for (int stage = 0; first < range.last; stage ^= 1) {
    const tile_class now = seen;
    const std::int64_t following = next(first + Shape::keys);
    wait_copies<0>();
    __syncthreads();  // the tile is there for all, and nobody reads the one before it any more
    if (following < range.last) load(stage ^ 1, following);
    commit_copies();
    const value_tile values = values_at(stage);
    warp_sums<M, Shape::row_blocks, score_blocks> scores;
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < Shape::row_blocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        TESSERA_DEVICE_UNROLL
        for (int b = 0; b < score_blocks; ++b) {
          const packed<sum, 2> two = store.at(first_query + rows.row(m, half), first + 8 * b + 2 * fragment_column());
          scores[m][b][2 * half] = two[0];
          scores[m][b][2 * half + 1] = two[1];
        }
      }
    }
    const bool whole = now == tile_class::all && first >= range.first && first + Shape::keys <= range.last;
    typename fold::factors kept;
    if (whole) {
      rows.template take<false>(scores, pairs, first, range, kept);
    } else {
      rows.template take<true>(scores, pairs, first, range, kept);
    }
    rows.rescale(kept);
    if (whole || __syncthreads_or(holds_special<Shape::threads>(values)) == 0) {
      add_values<M, Shape::row_blocks, score_blocks, fold::value_blocks>(rows.values(), scores, values);
    } else {
      rows.add_seen_values(scores, [&](int key, int c) { return static_cast<sum>(values.load(key, c)); }, pairs, first, range);
    }
    first = following;
  }
  wait_copies<0>();
  finish_rows<true>(rows, p, first_query, last_query, column);
}

/// Products above this many bytes are made some rows of queries at a time.
inline constexpr std::int64_t stored_products_limit = std::int64_t{256} << 20;

/// Whether the products of one block's queries fit, and there is more than one slice to use them.
template <class Shape, class Problem>
bool worth_storing(const Problem& p) {
  return p.values.extent(1) > Shape::value_depth &&
         p.keys.extent(0) <= stored_products_limit / (Shape::rows * static_cast<std::int64_t>(sizeof(typename Shape::sum)));
}

template <class Shape, bool Aligned, class Problem>
TESSERA_HIDDEN void launch_stored(const executor& exec, const Problem& p, const char* function) {
  using sum = typename Shape::sum;
  using scores_shape = block_shape<typename Shape::multiplied, Shape::warps, Shape::row_blocks, Shape::keys, Shape::depth, 0>;
  const std::int64_t n = p.queries.extent(0);
  const std::int64_t m = p.keys.extent(0);
  const std::int64_t tiles = (m + Shape::keys - 1) / Shape::keys;
  const std::int64_t slices = (p.values.extent(1) + Shape::value_depth - 1) / Shape::value_depth;
  const std::int64_t all_blocks = (n + Shape::rows - 1) / Shape::rows;
  if (all_blocks == 0) return;
  const std::int64_t pitch = tiles * Shape::keys;
  const std::int64_t block_bytes = pitch * Shape::rows * static_cast<std::int64_t>(sizeof(sum));
  const std::int64_t fitting = block_bytes > 0 ? stored_products_limit / block_bytes : all_blocks;
  const std::int64_t blocks = fitting < 1 ? 1 : (fitting < all_blocks ? fitting : all_blocks);
  bump needed;
  needed.take<sum>(blocks * Shape::rows * pitch);
  const workspace memory(exec, needed.bytes(), function);
  bump cut(memory.data());
  product_store<sum> store{cut.take<sum>(blocks * Shape::rows * pitch), pitch, 0};
  for (std::int64_t b = 0; b < all_blocks; b += blocks) {
    const std::int64_t here = all_blocks - b < blocks ? all_blocks - b : blocks;
    store.first = b * Shape::rows;
    // No bit depends on how keys are shared out.
    const std::int64_t wanted = (4 * static_cast<std::int64_t>(exec.device().multiprocessors) + here - 1) / here;
    const std::int64_t per_split = tiles > wanted ? (tiles + wanted - 1) / wanted : 1;
    const std::int64_t splits = (tiles + per_split - 1) / per_split;
    if (splits > 0) {
      launch(exec,
             {.grid = dim3(static_cast<unsigned>(here), static_cast<unsigned>(splits)),
              .block = dim3(Shape::threads),
              .shared_bytes = scores_shape::shared_bytes,
              .function = function},
             store_products_kernel<scores_shape, Aligned, Problem>, p, store, per_split * Shape::keys);
    }
    launch(exec,
           {.grid = dim3(static_cast<unsigned>(here), static_cast<unsigned>(slices)),
            .block = dim3(Shape::threads),
            .shared_bytes = Shape::stages * Shape::value_tile::bytes,
            .function = function},
           fold_products_kernel<Shape, Aligned, Problem>, p, store);
  }
}

}  // namespace tessera::cuda::tile::detail
