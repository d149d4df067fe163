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
#include "tessera/cuda/online/fragment_row.cuh"
#include "tessera/cuda/tile/load_tile.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/tile/shared_tile.cuh"
#include "tessera/cuda/warp.cuh"
#include "tessera/numeric/lane.hpp"
#include "tessera/online/reducer.hpp"
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
/// (elements of a row), and `aligned` (load_tile.cuh). Pairs say what becomes of products: `range()`, the keys that the block sees at all, as
/// tile/mask.hpp has it; `classify(j0, j1)` of a tile; `visible(r, j)`; `score(product, r, j)` in the reducer's unit. r counts the rows of the
/// block, those that are not there, too: what comes of them is not used.
template <class Shape, class Reducer>
class query_block {
 public:
  using M = typename Shape::multiplied;
  using sum = typename Shape::sum;
  using index = lane_index<sum>;
  using state = typename Reducer::template state<sum>;
  static constexpr bool has_values = Shape::value_depth > 0;
  static constexpr int score_blocks = Shape::keys / 8;
  static constexpr int value_blocks = has_values ? Shape::value_depth / 8 : 2;

  TESSERA_DEVICE query_block(const Reducer& reducer, std::byte* shared) : reducer_(reducer), cursor_(shared) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < Shape::row_blocks; ++m) states_[m][0] = states_[m][1] = reducer_.template identity<sum>();
    if constexpr (has_values) detail::set_zero<M, Shape::row_blocks, value_blocks>(sums_);
  }

  /// The row of the block that this lane has in half `half` of row block m.
  [[nodiscard]] TESSERA_DEVICE static int row(int m, int half) {
    return 16 * (Shape::row_blocks * warp_id() + m) + fragment_row() + 8 * half;
  }

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
      if (whole) {
        rate<false>(scores, pairs, first, range);
        fold(scores, first);
      } else {
        rate<true>(scores, pairs, first, range);
        fold(scores, first);
        if constexpr (has_values) set_apart(scores, here.values, pairs, first, range);
      }
      if constexpr (has_values) add_values<M, Shape::row_blocks, score_blocks, value_blocks>(sums_, scores, here.values);
      first = following;
    }
    wait_copies<0>();
  }

  /// Joins a state to that of each row, as if it had been of keys before all others: `of(r)`.
  template <class StateOf>
  TESSERA_DEVICE void start(const StateOf& of) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < Shape::row_blocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) states_[m][half] = of(row(m, half));
    }
  }

  /// Makes each row's state whole in every lane; once, after run.
  TESSERA_DEVICE void join_lanes() {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < Shape::row_blocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        states_[m][half] = fold_quad(states_[m][half], [&](const state& a, const state& b) { return reducer_.merge(a, b); });
      }
    }
  }

  /// f(r, state) once for each row, after join_lanes.
  template <class F>
  TESSERA_DEVICE void for_each_state(const F& f) const {
    if (fragment_column() != 0) return;
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < Shape::row_blocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) f(row(m, half), states_[m][half]);
    }
  }

  /// f(r, column, two sums of neighbouring columns, state) for all sums of values.
  template <class F>
  TESSERA_DEVICE void for_each_value(const F& f) const {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < Shape::row_blocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        TESSERA_DEVICE_UNROLL
        for (int n = 0; n < value_blocks; ++n) {
          f(row(m, half), 8 * n + 2 * fragment_column(), packed<sum, 2>{{sums_[m][n][2 * half], sums_[m][n][2 * half + 1]}},
            states_[m][half]);
        }
      }
    }
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

  /// Products become scores; those of hidden pairs, what the reducer excludes.
  template <bool Masked, class Pairs>
  TESSERA_DEVICE static void rate(scores_type& scores, const Pairs& pairs, std::int64_t first, const key_range& range) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < Shape::row_blocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < score_blocks; ++n) {
        TESSERA_DEVICE_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int r = row(m, i / 2);
          const index j = static_cast<index>(first) + 8 * n + 2 * fragment_column() + i % 2;
          sum& s = scores[m][n][i];
          if constexpr (Masked) {
            if (j < static_cast<index>(range.first) || j >= static_cast<index>(range.last) || !pairs.visible(r, j)) {
              s = Reducer::template excluded<sum>();
              continue;
            }
          }
          s = pairs.score(s, r, j);
        }
      }
    }
  }

  TESSERA_DEVICE void fold(scores_type& scores, std::int64_t first) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < Shape::row_blocks; ++m) {
      fold_row(fragment_row_of<0>(scores[m], first), states_[m][0], m, 0);
      fold_row(fragment_row_of<1>(scores[m], first), states_[m][1], m, 1);
    }
  }
  template <int Half>
  TESSERA_DEVICE static cuda::fragment_row<M, score_blocks, Half> fragment_row_of(sum (&blocks)[score_blocks][4],
                                                                                  std::int64_t first) {
    return {blocks, first};
  }
  template <class Row>
  TESSERA_DEVICE void fold_row(const Row& tile, state& s, int m, int half) {
    if constexpr (has_values) {
      const sum top = fold_quad(reducer_.template top<sum>(tile), [](sum a, sum b) { return max(a, b); });
      const sum kept = reducer_.advance(s, top, tile);
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < value_blocks; ++n) {
        sums_[m][n][2 * half] *= kept;
        sums_[m][n][2 * half + 1] *= kept;
      }
    } else {
      reducer_.absorb(s, tile);
    }
  }

  /// A hidden key has the weight 0, but 0 times a value that is NaN or inf is NaN. Where the tile holds such values, they are added here, to the rows
  /// that see them, and become 0 in the tile.
  template <class Pairs>
  TESSERA_DEVICE void set_apart(const scores_type& weights, const typename Shape::value_tile& values, const Pairs& pairs,
                                std::int64_t first, const key_range& range) {
    using element = typename Shape::element;
    using chunk_type = packed<element, Shape::value_tile::chunk>;
    const auto finite = [](element x) {
      const sum v = static_cast<sum>(x);
      return v - v == sum(0);
    };
    const auto for_each_chunk = [&](const auto& f) {
      TESSERA_DEVICE_ROLLED
      for (int at = static_cast<int>(threadIdx.x); at < Shape::keys * Shape::value_tile::chunks; at += Shape::threads) {
        f(at / Shape::value_tile::chunks, at % Shape::value_tile::chunks * Shape::value_tile::chunk);
      }
    };
    int found = 0;
    for_each_chunk([&](int key, int column) {
      const chunk_type chunk = values.template load_as<chunk_type>(key, column);
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < Shape::value_tile::chunk; ++i) found |= finite(chunk[i]) ? 0 : 1;
    });
    if (__syncthreads_or(found) == 0) return;

    // Seldom, so short: a loop over keys, whose weights are picked out of registers by comparing.
    TESSERA_DEVICE_ROLLED
    for (int key = 0; key < Shape::keys; ++key) {
      const index j = static_cast<index>(first) + key;
      if (j < static_cast<index>(range.first) || j >= static_cast<index>(range.last)) continue;
      sum w[Shape::row_blocks][2];
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < Shape::row_blocks; ++m) {
        TESSERA_DEVICE_UNROLL
        for (int half = 0; half < 2; ++half) {
          sum held = 0;
          TESSERA_DEVICE_UNROLL
          for (int n = 0; n < score_blocks; ++n) {
            const sum s = key % 2 == 0 ? weights[m][n][2 * half] : weights[m][n][2 * half + 1];
            held = key / 8 == n ? s : held;
          }
          w[m][half] = __shfl_sync(all_lanes, held, lane_id() / 4 * 4 + key % 8 / 2);
        }
      }
      bool seen[Shape::row_blocks][2];
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < Shape::row_blocks; ++m) {
        TESSERA_DEVICE_UNROLL
        for (int half = 0; half < 2; ++half) seen[m][half] = pairs.visible(row(m, half), j);
      }
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < value_blocks; ++n) {
        TESSERA_DEVICE_UNROLL
        for (int c = 0; c < 2; ++c) {
          load_no_earlier();
          const element v = values.load(key, 8 * n + 2 * fragment_column() + c);
          if (finite(v)) continue;
          TESSERA_DEVICE_UNROLL
          for (int m = 0; m < Shape::row_blocks; ++m) {
            TESSERA_DEVICE_UNROLL
            for (int half = 0; half < 2; ++half) {
              if (seen[m][half]) sums_[m][n][2 * half + c] += w[m][half] * static_cast<sum>(v);
            }
          }
        }
      }
    }
    __syncthreads();
    for_each_chunk([&](int key, int column) {
      chunk_type chunk = values.template load_as<chunk_type>(key, column);
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < Shape::value_tile::chunk; ++i) chunk[i] = finite(chunk[i]) ? chunk[i] : element(0);
      values.store_as(key, column, chunk);
    });
    __syncthreads();
  }

  Reducer reducer_;
  shared_cursor cursor_;
  state states_[Shape::row_blocks][2];
  sum sums_[Shape::row_blocks][value_blocks][4];
};

}  // namespace tessera::cuda::tile
