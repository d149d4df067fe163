// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A block of queries on Hopper: one warpgroup lets tiles of keys and values come in, two others multiply and fold, and take turns so that one
/// multiplies while the other takes exponentials.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/cuda/barrier.cuh"
#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/hopper/mbarrier.cuh"
#include "tessera/cuda/hopper/tensor_copy.cuh"
#include "tessera/cuda/hopper/warpgroup_mma.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/row_fold.cuh"
#include "tessera/tile/mask.hpp"

namespace tessera::cuda::hopper {

/// How a block cuts its work. M is float16 or bfloat16; Depth and ValueDepth are 64 or 128 (ValueDepth 0: no values), and rows may be shorter.
///
/// Shared memory at Depth = ValueDepth = 128: 32 KiB of queries and two stages of 64 KiB. Registers: the producer leaves its own to the two that
/// fold: 64 scores, 64 sums, 32 of weights under way, and what is left for the exponentials.
template <class M, int Depth, int ValueDepth>
struct block_shape {
  using multiplied = M;
  using sum = float;
  static constexpr int folders = 2;  ///< warpgroups that multiply and fold
  static constexpr int threads = warpgroup_threads * (1 + folders);
  static constexpr int rows = 64 * folders;
  static constexpr int keys = 128;
  static constexpr int depth = Depth;
  static constexpr int value_depth = ValueDepth;
  static constexpr int stages = 2;
  /// Registers of a thread that folds, and of one that lets in: 2 x 240 + 24 or 2 x 232 + 40 of the 504 that three warpgroups have together.
  static constexpr int folder_registers = ValueDepth > 64 ? 240 : 232;
  static constexpr int producer_registers = ValueDepth > 64 ? 24 : 40;
  static constexpr int query_boxes = Depth / box_columns;
  static constexpr int value_boxes = ValueDepth / box_columns;
  static constexpr int query_box_bytes = rows * 128;
  static constexpr int key_box_bytes = keys * 128;
  static constexpr int query_bytes = query_boxes * query_box_bytes;
  static constexpr int key_bytes = query_boxes * key_box_bytes;
  static constexpr int value_bytes = value_boxes * key_box_bytes;
  static constexpr int barriers = 1 + 5 * stages;
  static constexpr int flags = 4 * stages;
  static constexpr std::size_t shared_bytes = query_bytes + stages * (key_bytes + value_bytes) + 128 + 128;
  static_assert(Depth % 64 == 0 && ValueDepth % 64 == 0 && barriers * 8 <= 128);
};

/// Where the arrays of a block's head lie: maps made with map_rows for boxes of Shape::rows (queries) and Shape::keys rows.
struct head_maps {
  const CUtensorMap& queries;
  const CUtensorMap& keys;
  const CUtensorMap& values;
  int first_query;
  int head;
  int kv_head;
  int batch;
};

/// The fold of a block of queries; see tile/query_block.cuh for what pairs are.
template <class Shape, class Reducer>
class query_block {
 public:
  using M = typename Shape::multiplied;
  static constexpr bool has_values = Shape::value_depth > 0;
  static constexpr int score_blocks = Shape::keys / 8;
  using fold_type = tile::row_fold<M, 1, score_blocks, Shape::value_depth / 8, Reducer>;
  using scores_type = typename fold_type::scores_type;

  TESSERA_DEVICE query_block(const Reducer& reducer, std::byte* shared)
      : shared_(shared), folder_(warpgroup_id() - 1), reducer_(reducer) {}

  /// Called by all threads of the block; `begin(rows)` and `done(rows)` by those that fold, before and after. Nothing may follow: registers that
  /// change hands are the compiler's only if each role is one branch to the end.
  template <class Pairs, class Begin, class Done>
  TESSERA_DEVICE void run(const head_maps& maps, const Pairs& pairs, const Begin& begin, const Done& done) const {
    if (threadIdx.x == 0) {
      queries_ready().init(1);
      for (int s = 0; s < Shape::stages; ++s) {
        keys_ready(s).init(1);
        values_ready(s).init(1);
        keys_free(s).init(4 * Shape::folders);
        values_free(s).init(4 * Shape::folders + 3);
        values_seen(s).init(3);
      }
      mbarrier::fence_init();
    }
    __syncthreads();
    if (folder_ >= 0) {
      claim_registers<Shape::folder_registers>();
      fold_type rows(reducer_, 64 * folder_ + 16 * static_cast<int>(threadIdx.x / 32 % 4));
      begin(rows);
      fold_tiles(rows, pairs);
      done(rows);
    } else {
      release_registers<Shape::producer_registers>();
      if (threadIdx.x == 0) {
        let_in(maps, pairs);
      } else if (has_values && threadIdx.x >= 32) {
        look_at_values();
      }
    }
  }

 private:
  using position = pipeline_position<Shape::stages>;

  /// The tiles that the block's queries see, in rising order. 32 bits: rows of a tensor map have no more.
  template <class Pairs>
  struct tiles {
    const Pairs& pairs;
    int begin;
    int end;
    int first;
    bool whole = false;  ///< no pair of the tile is hidden

    TESSERA_DEVICE explicit tiles(const Pairs& of) : pairs(of) {
      const key_range range = of.range();
      begin = static_cast<int>(range.first);
      end = static_cast<int>(range.last);
      first = begin / Shape::keys * Shape::keys;
      find();
    }
    [[nodiscard]] TESSERA_DEVICE bool left() const { return first < end; }
    TESSERA_DEVICE void next() {
      first += Shape::keys;
      find();
    }

   private:
    TESSERA_DEVICE void find() {
      for (; first < end; first += Shape::keys) {
        const tile_class seen = pairs.classify(first, first + Shape::keys < end ? first + Shape::keys : end);
        whole = seen == tile_class::all && first >= begin && first + Shape::keys <= end;
        if (seen != tile_class::none) return;
      }
    }
  };

  /// A tile that was let in, as whoever waits for it gets to know: only one thread asks the mask.
  struct arrived {
    int first;   ///< key; below 0: there are no more tiles
    bool whole;  ///< no pair is hidden
    [[nodiscard]] TESSERA_DEVICE bool left() const { return first >= 0; }
  };
  /// Keys and values have each a place for it, as their buffers become free at different times.
  [[nodiscard]] TESSERA_DEVICE shared_array<int> news(int stage, bool of_values) const {
    std::byte* const after = shared_ + Shape::query_bytes + Shape::stages * (Shape::key_bytes + Shape::value_bytes) + 192;
    return {reinterpret_cast<int*>(after) + 4 * stage + (of_values ? 2 : 0), 2};
  }
  TESSERA_DEVICE void tell(int stage, bool of_values, const arrived& tile) const {
    news(stage, of_values).store(0, tile.first);
    news(stage, of_values).store(1, tile.whole ? 1 : 0);
  }
  [[nodiscard]] TESSERA_DEVICE arrived hear(int stage, bool of_values) const {
    return {news(stage, of_values).load(0), news(stage, of_values).load(1) != 0};
  }

  [[nodiscard]] TESSERA_DEVICE std::byte* queries() const { return shared_; }
  [[nodiscard]] TESSERA_DEVICE std::byte* keys(int stage) const {
    return shared_ + Shape::query_bytes + stage * (Shape::key_bytes + Shape::value_bytes);
  }
  [[nodiscard]] TESSERA_DEVICE std::byte* values(int stage) const { return keys(stage) + Shape::key_bytes; }
  [[nodiscard]] TESSERA_DEVICE mbarrier barrier(int number) const {
    std::byte* const barriers = shared_ + Shape::query_bytes + Shape::stages * (Shape::key_bytes + Shape::value_bytes);
    return mbarrier(reinterpret_cast<std::uint64_t*>(barriers) + number);
  }
  [[nodiscard]] TESSERA_DEVICE mbarrier queries_ready() const { return barrier(0); }
  [[nodiscard]] TESSERA_DEVICE mbarrier keys_ready(int stage) const { return barrier(1 + stage); }
  [[nodiscard]] TESSERA_DEVICE mbarrier values_ready(int stage) const { return barrier(1 + Shape::stages + stage); }
  [[nodiscard]] TESSERA_DEVICE mbarrier keys_free(int stage) const { return barrier(1 + 2 * Shape::stages + stage); }
  [[nodiscard]] TESSERA_DEVICE mbarrier values_free(int stage) const { return barrier(1 + 3 * Shape::stages + stage); }
  [[nodiscard]] TESSERA_DEVICE mbarrier values_seen(int stage) const { return barrier(1 + 4 * Shape::stages + stage); }
  /// Whether warp `warp` has found a NaN or inf among the values of a stage.
  [[nodiscard]] TESSERA_DEVICE shared_array<int> flags(int stage) const {
    std::byte* const after = shared_ + Shape::query_bytes + Shape::stages * (Shape::key_bytes + Shape::value_bytes) + 128;
    return {reinterpret_cast<int*>(after) + 4 * stage, 4};
  }

  /// One thread asks the copy engine for all tiles, as buffers become free.
  template <class Pairs>
  TESSERA_DEVICE void let_in(const head_maps& maps, const Pairs& pairs) const {
    prefetch_map(maps.queries);
    prefetch_map(maps.keys);
    tiles<Pairs> t(pairs);
    queries_ready().arrive_and_expect(Shape::query_bytes);
    for (int b = 0; b < Shape::query_boxes; ++b) {
      copy_box(queries() + b * Shape::query_box_bytes, maps.queries, queries_ready(), b * box_columns, maps.first_query,
               maps.head, maps.batch);
    }
    position p;
    for (; t.left(); t.next(), p.advance()) {
      const int row = t.first;
      keys_free(p.stage).wait(p.parity ^ 1);
      tell(p.stage, false, {row, t.whole});
      keys_ready(p.stage).arrive_and_expect(Shape::key_bytes);
      for (int b = 0; b < Shape::query_boxes; ++b) {
        copy_box(keys(p.stage) + b * Shape::key_box_bytes, maps.keys, keys_ready(p.stage), b * box_columns, row, maps.kv_head,
                 maps.batch);
      }
      if constexpr (has_values) {
        values_free(p.stage).wait(p.parity ^ 1);
        tell(p.stage, true, {row, t.whole});
        values_ready(p.stage).arrive_and_expect(Shape::value_bytes);
        for (int b = 0; b < Shape::value_boxes; ++b) {
          copy_box(values(p.stage) + b * Shape::key_box_bytes, maps.values, values_ready(p.stage), b * box_columns, row,
                   maps.kv_head, maps.batch);
        }
      }
    }
    keys_free(p.stage).wait(p.parity ^ 1);
    tell(p.stage, false, {-1, false});
    keys_ready(p.stage).arrive();
    if constexpr (has_values) {
      values_free(p.stage).wait(p.parity ^ 1);
      tell(p.stage, true, {-1, false});
      values_ready(p.stage).arrive();
    }
  }

  /// The producer's other warps look for NaN and inf among the values of tiles in which pairs are hidden (row_fold.cuh, add_seen_values).
  TESSERA_DEVICE void look_at_values() const {
    using chunk_type = packed<M, 8>;
    const int warp = static_cast<int>(threadIdx.x / 32) - 1;
    for (position p;; p.advance()) {
      values_ready(p.stage).wait(p.parity);
      const arrived now = hear(p.stage, true);
      if (!now.left()) return;
      int found = 0;
      if (!now.whole) {
        const shared_array<M> tile(reinterpret_cast<M*>(values(p.stage)), Shape::value_bytes / 2);
        for (int at = static_cast<int>(threadIdx.x) - 32; at < Shape::value_bytes / 16; at += 96) {
          const chunk_type chunk = tile.template load_as<chunk_type>(8 * at);
          TESSERA_DEVICE_UNROLL
          for (int i = 0; i < 8; ++i) {
            const float v = static_cast<float>(chunk[i]);
            found |= v - v == 0.0f ? 0 : 1;
          }
        }
      }
      found = __any_sync(0xFFFFFFFFu, found);
      __syncwarp();
      if (lane_id() == 0) {
        flags(p.stage).store(warp, found);
        values_seen(p.stage).arrive();
        values_free(p.stage).arrive();
      }
    }
  }

  /// A warp says that it is done with a buffer.
  TESSERA_DEVICE static void give_back(const mbarrier& free) {
    __syncwarp();
    if (lane_id() == 0) free.arrive();
  }

  /// Products of this warpgroup's 64 queries with a tile of keys, asked for.
  TESSERA_DEVICE void ask_for_scores(scores_type& scores, int stage) const {
    settle(scores[0]);
    fence_operands();
    TESSERA_DEVICE_UNROLL
    for (int b = 0; b < Shape::query_boxes; ++b) {
      const operand_descriptor left =
          operand_descriptor::of(queries() + b * Shape::query_box_bytes + folder_ * (64 * 128), Shape::query_box_bytes);
      const operand_descriptor right = operand_descriptor::of(keys(stage) + b * Shape::key_box_bytes, Shape::key_box_bytes);
      TESSERA_DEVICE_UNROLL
      for (int k = 0; k < box_columns / 16; ++k) {
        multiply<M, operand::rows>(scores[0], left.after(32 * k), right.after(32 * k), b + k > 0);
      }
    }
    commit_products();
  }

  using weights_type = tile::left_fragment<M>[Shape::keys / 16];

  TESSERA_DEVICE static void take_weights(weights_type& weights, const scores_type& scores) {
    TESSERA_DEVICE_UNROLL
    for (int k = 0; k < Shape::keys / 16; ++k) weights[k] = tile::weights_as_left<M>(&scores[0][2 * k]);
  }

  /// Weighted sums of a tile of values, asked for.
  TESSERA_DEVICE void ask_for_sums(fold_type& rows, const weights_type& weights, int stage) const {
    settle(rows.values()[0]);
    fence_operands();
    const operand_descriptor right = operand_descriptor::of(values(stage), Shape::key_box_bytes);
    TESSERA_DEVICE_UNROLL
    for (int k = 0; k < Shape::keys / 16; ++k) {
      multiply<M, operand::columns>(rows.values()[0], weights[k], right.after(2048 * k), true);
    }
    commit_products();
  }

  template <class Pairs>
  TESSERA_DEVICE static void take(fold_type& rows, scores_type& scores, const arrived& now, const Pairs& pairs,
                                  const packed<int, 2>& range, typename fold_type::factors& kept) {
    if (now.whole) {
      rows.template take<false>(scores, pairs, now.first, {range[0], range[1]}, kept);
    } else {
      rows.template take<true>(scores, pairs, now.first, {range[0], range[1]}, kept);
    }
  }

  template <class Pairs>
  TESSERA_DEVICE void fold_tiles(fold_type& rows, const Pairs& pairs) const {
    const key_range all = pairs.range();
    const packed<int, 2> range{{static_cast<int>(all.first), static_cast<int>(all.last)}};
    typename fold_type::factors kept;
    position p;
    queries_ready().wait(0);
    if constexpr (!has_values) {
      for (;; p.advance()) {
        scores_type scores;
        keys_ready(p.stage).wait(p.parity);
        const arrived now = hear(p.stage, false);
        if (!now.left()) return;
        ask_for_scores(scores, p.stage);
        wait_products<0>();
        settle(scores[0]);
        give_back(keys_free(p.stage));
        take(rows, scores, now, pairs, range, kept);
      }
    } else {
      keys_ready(p.stage).wait(p.parity);
      arrived now = hear(p.stage, false);
      if (!now.left()) return;
      // Folder 0 multiplies first; the turn then goes to and fro.
      if (folder_ == 1) named_barrier_arrive(1, 2 * warpgroup_threads);
      scores_type scores;
      weights_type weights;
      ask_for_scores(scores, p.stage);
      wait_products<0>();
      settle(scores[0]);
      give_back(keys_free(p.stage));
      take(rows, scores, now, pairs, range, kept);
      while (true) {
        const int first = now.first;
        const position at = p;
        values_ready(at.stage).wait(at.parity);
        const bool special = !now.whole && holds_special(at);
        p.advance();
        keys_ready(p.stage).wait(p.parity);
        now = hear(p.stage, false);
        if (!now.left()) {
          finish(rows, scores, at, special, pairs, range, first);
          return;
        }
        if (special) {
          my_turn();
          add_special(rows, scores, at.stage, pairs, range, first);
          ask_for_scores(scores, p.stage);
          pass_turn();
          wait_products<0>();
          settle(scores[0]);
          give_back(keys_free(p.stage));
          take(rows, scores, now, pairs, range, kept);
        } else {
          // Scores of the next tile are made with the sums of this one, and weighed while the sums are under way.
          take_weights(weights, scores);
          my_turn();
          ask_for_scores(scores, p.stage);
          ask_for_sums(rows, weights, at.stage);
          pass_turn();
          wait_products<1>();
          settle(scores[0]);
          give_back(keys_free(p.stage));
          take(rows, scores, now, pairs, range, kept);
          wait_products<0>();
          settle(rows.values()[0]);
        }
        give_back(values_free(at.stage));
        rows.rescale(kept);
      }
    }
  }

  /// The sums of the last tile.
  template <class Pairs>
  TESSERA_DEVICE void finish(fold_type& rows, const scores_type& scores, const position& at, bool special, const Pairs& pairs,
                             const packed<int, 2>& range, int first) const {
    my_turn();
    if (special) {
      add_special(rows, scores, at.stage, pairs, range, first);
    } else {
      weights_type weights;
      take_weights(weights, scores);
      ask_for_sums(rows, weights, at.stage);
      wait_products<0>();
      settle(rows.values()[0]);
    }
    if (folder_ == 0) pass_turn();
  }

  TESSERA_DEVICE void my_turn() const { named_barrier(1 + folder_, 2 * warpgroup_threads); }
  TESSERA_DEVICE void pass_turn() const { named_barrier_arrive(2 - folder_, 2 * warpgroup_threads); }

  [[nodiscard]] TESSERA_DEVICE bool holds_special(const position& at) const {
    values_seen(at.stage).wait(at.parity);
    int found = 0;
    for (int w = 0; w < 3; ++w) found |= flags(at.stage).load(w);
    return found != 0;
  }

  template <class Pairs>
  TESSERA_DEVICE void add_special(fold_type& rows, const scores_type& weights, int stage, const Pairs& pairs,
                                  const packed<int, 2>& range, int first) const {
    const shared_array<M> tile(reinterpret_cast<M*>(values(stage)), Shape::value_bytes / 2);
    rows.add_seen_values(
        weights,
        [&](int key, int column) {
          const int chunk = column / 8 % 8 ^ key % 8;
          return static_cast<float>(tile.load(column / 64 * (Shape::key_box_bytes / 2) + key * 64 + chunk * 8 + column % 8));
        },
        pairs, first, {range[0], range[1]});
  }

  std::byte* shared_;
  int folder_;
  Reducer reducer_;
};

}  // namespace tessera::cuda::hopper
