// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The rows of queries that a warp folds: their states, their sums of values, and what becomes of a tile of products. Whoever makes the products
/// (query_block.cuh, hopper/) brings them as tile/fragment.cuh lays them out.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/online/fragment_row.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/warp.cuh"
#include "tessera/numeric/lane.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/tile/mask.hpp"

namespace tessera::cuda::tile {

/// 16 RowBlocks rows a warp, from row `first_row` of the block's on; 8 ScoreBlocks keys of a tile; 8 ValueBlocks columns of values, or 0.
///
/// Pairs say what becomes of products: `visible(r, j)`, and `score(product, r, j)` in the reducer's unit. r counts the rows of the block, those
/// that are not there, too: what comes of them is not used. Where scores are products times one number, `factor()` says it.
/// Where weights may be struck out after they are counted, `drops()` says so, and `dropped(r, j)` which of those of keys j and j + 1 are.
template <class M, int RowBlocks, int ScoreBlocks, int ValueBlocks, class Reducer>
class row_fold {
 public:
  using sum = typename multiplication<M>::sum;
  using index = lane_index<sum>;
  using state = typename Reducer::template state<sum>;
  using scores_type = warp_sums<M, RowBlocks, ScoreBlocks>;
  /// What sums made before a tile are multiplied by after it.
  using factors = sum[RowBlocks][2];
  static constexpr bool has_values = ValueBlocks > 0;
  static constexpr int value_blocks = has_values ? ValueBlocks : 2;
  /// Whether hidden pairs can have a score; else each score that is seen is folded alone.
  static constexpr bool can_exclude = requires { Reducer::template excluded<sum>(); };
  static_assert(can_exclude || !has_values, "weights need a reducer with `excluded`");

  TESSERA_DEVICE row_fold(const Reducer& reducer, int first_row) : reducer_(reducer), first_row_(first_row) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) states_[m][0] = states_[m][1] = reducer_.template identity<sum>();
    if constexpr (has_values) detail::set_zero<M, RowBlocks, value_blocks>(sums_);
  }

  /// The row of the block that this lane has in half `half` of row block m.
  [[nodiscard]] TESSERA_DEVICE int row(int m, int half) const { return first_row_ + 16 * m + fragment_row() + 8 * half; }

  /// Folds the products of a tile whose first key is `first`, and leaves weights in their place where there are values. Masked: some of its pairs
  /// are hidden.
  template <bool Masked, class Pairs>
  TESSERA_DEVICE void take(scores_type& scores, const Pairs& pairs, std::int64_t first, const key_range& range, factors& kept) {
    if constexpr (Masked && !can_exclude) {
      rate<false>(scores, pairs, first, range);
      fold_seen(scores, pairs, first, range);
    } else {
      sum factor = 1;
      if constexpr (has_values && advances && scales<Pairs>) {
        // The scale is left to the exponent's fused multiply-add, which wants the largest product to be the largest score.
        factor = pairs.factor();
        if (!(factor > sum(0))) {
          rate<Masked>(scores, pairs, first, range);
          factor = 1;
        } else if constexpr (Masked) {
          rate<true>(scores, products_of<Pairs>{pairs}, first, range);
        }
      } else {
        rate<Masked>(scores, pairs, first, range);
      }
      fold(scores, first, kept, factor);
    }
    if constexpr (has_values && requires { pairs.drops(); }) {
      if (pairs.drops()) drop(scores, pairs, first);
    }
  }

  /// Products of a tile whose first key is `first` become scores; where Masked, those of hidden pairs what the reducer excludes.
  template <bool Masked, class Pairs>
  TESSERA_DEVICE void rate(scores_type& scores, const Pairs& pairs, std::int64_t first, const key_range& range) const {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < ScoreBlocks; ++n) {
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

  /// Folds scores, or products with a factor, and leaves weights in their place where there are values.
  TESSERA_DEVICE void fold(scores_type& scores, std::int64_t first, factors& kept, sum factor = 1) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      fold_row(fragment_row_of<0>(scores[m], first), states_[m][0], kept[m][0], factor);
      fold_row(fragment_row_of<1>(scores[m], first), states_[m][1], kept[m][1], factor);
    }
  }

  TESSERA_DEVICE void rescale(const factors& kept) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < value_blocks; ++n) {
        TESSERA_DEVICE_UNROLL
        for (int i = 0; i < 4; ++i) sums_[m][n][i] *= kept[m][i / 2];
      }
    }
  }

  /// The sums of values, for whoever adds products to them.
  [[nodiscard]] TESSERA_DEVICE sum (&values())[RowBlocks][value_blocks][4] { return sums_; }

  /// Adds weights times values, `value_at(key, column)`, leaving out values that are NaN or inf in rows that do not see them: their weight is 0, but
  /// the product would be NaN. For tiles that hold such values, seldom, so short rather than fast.
  template <class ValueAt, class Pairs>
  TESSERA_DEVICE void add_seen_values(const scores_type& weights, const ValueAt& value_at, const Pairs& pairs, std::int64_t first,
                                      const key_range& range) {
    TESSERA_DEVICE_ROLLED
    for (int key = 0; key < 8 * ScoreBlocks; ++key) {
      const index j = static_cast<index>(first) + key;
      if (j < static_cast<index>(range.first) || j >= static_cast<index>(range.last)) continue;
      sum w[RowBlocks][2];
      bool seen[RowBlocks][2];
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < RowBlocks; ++m) {
        TESSERA_DEVICE_UNROLL
        for (int half = 0; half < 2; ++half) {
          sum held = 0;
          TESSERA_DEVICE_UNROLL
          for (int n = 0; n < ScoreBlocks; ++n) {
            const sum s = key % 2 == 0 ? weights[m][n][2 * half] : weights[m][n][2 * half + 1];
            held = key / 8 == n ? s : held;
          }
          w[m][half] = __shfl_sync(all_lanes, held, lane_id() / 4 * 4 + key % 8 / 2);
          seen[m][half] = pairs.visible(row(m, half), j);
        }
      }
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < value_blocks; ++n) {
        TESSERA_DEVICE_UNROLL
        for (int c = 0; c < 2; ++c) {
          load_no_earlier();
          const sum v = value_at(key, 8 * n + 2 * fragment_column() + c);
          const bool finite = v - v == sum(0);
          TESSERA_DEVICE_UNROLL
          for (int m = 0; m < RowBlocks; ++m) {
            TESSERA_DEVICE_UNROLL
            for (int half = 0; half < 2; ++half) {
              sum& to = sums_[m][n][2 * half + c];
              if (finite || seen[m][half]) to = fma(w[m][half], v, to);
            }
          }
        }
      }
    }
  }

  /// Joins a state to that of each row, as if it had been of keys before all others: `of(r)`.
  template <class StateOf>
  TESSERA_DEVICE void start(const StateOf& of) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) states_[m][half] = of(row(m, half));
    }
  }

  /// Makes each row's state whole in every lane; once, after run.
  TESSERA_DEVICE void join_lanes() {
    if constexpr (!has_values || advances) {  // else they are
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < RowBlocks; ++m) {
        TESSERA_DEVICE_UNROLL
        for (int half = 0; half < 2; ++half) {
          states_[m][half] = fold_quad(states_[m][half], [&](const state& a, const state& b) { return reducer_.merge(a, b); });
        }
      }
    }
  }

  /// f(r, state) once for each row, after join_lanes.
  template <class F>
  TESSERA_DEVICE void for_each_state(const F& f) const {
    if (fragment_column() != 0) return;
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) f(row(m, half), states_[m][half]);
    }
  }

  /// f(r, column, two sums of neighbouring columns, state) for all sums of values.
  template <class F>
  TESSERA_DEVICE void for_each_value(const F& f) const {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
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
  template <class Pairs>
  TESSERA_DEVICE void fold_seen(const scores_type& scores, const Pairs& pairs, std::int64_t first, const key_range& range) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < ScoreBlocks; ++n) {
        TESSERA_DEVICE_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int r = row(m, i / 2);
          const index j = static_cast<index>(first) + 8 * n + 2 * fragment_column() + i % 2;
          if (j < static_cast<index>(range.first) || j >= static_cast<index>(range.last) || !pairs.visible(r, j)) continue;
          reducer_.absorb(states_[m][i / 2], one_score<sum>(scores[m][n][i], j));
        }
      }
    }
  }

  /// Weights that are made in one step are rounded to what they are multiplied as, those that get a factor yet are not.
  static constexpr bool advances = requires(const Reducer& r, state& s, const cuda::fragment_row<M, ScoreBlocks, 0>& tile) {
    r.advance(s, r.template top<sum>(tile), tile, sum(1));
  };
  using weighed = std::conditional_t<advances, M, sum>;

  /// Strikes out weights. Times 0, not 0: a pair sees a NaN though its weight is struck out.
  template <class Pairs>
  TESSERA_DEVICE void drop(scores_type& weights, const Pairs& pairs, std::int64_t first) const {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      std::uint64_t struck = 0;  // a loop, as its body is long; a bit a weight, as registers have no numbers there
      TESSERA_DEVICE_ROLLED
      for (int e = 0; e < 2 * ScoreBlocks; ++e) {
        const index j = static_cast<index>(first) + 8 * (e / 2) + 2 * fragment_column();
        struck |= static_cast<std::uint64_t>(pairs.dropped(row(m, e % 2), j)) << (2 * e);
      }
      static_assert(4 * ScoreBlocks <= 64);
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < ScoreBlocks; ++n) {
        TESSERA_DEVICE_UNROLL
        for (int i = 0; i < 4; ++i) {
          if ((struck >> (4 * n + i) & 1u) != 0) weights[m][n][i] *= sum(0);
        }
      }
    }
  }

  template <class Pairs>
  static constexpr bool scales = requires(const Pairs& pairs) { pairs.factor(); };
  /// The pairs, with products left as they are.
  template <class Pairs>
  struct products_of {
    const Pairs& pairs;
    [[nodiscard]] TESSERA_DEVICE bool visible(int r, index j) const { return pairs.visible(r, j); }
    [[nodiscard]] TESSERA_DEVICE sum score(sum product, int, index) const { return product; }
  };
  template <int Half>
  TESSERA_DEVICE static cuda::fragment_row<weighed, ScoreBlocks, Half> fragment_row_of(sum (&blocks)[ScoreBlocks][4],
                                                                                       std::int64_t first) {
    return {blocks, first};
  }
  template <class Row>
  TESSERA_DEVICE void fold_row(const Row& tile, state& s, sum& kept, sum factor) {
    if constexpr (!has_values) {
      reducer_.absorb(s, tile);
    } else if constexpr (advances) {
      const sum top = fold_quad(reducer_.template top<sum>(tile), [](sum a, sum b) { return max(a, b); });
      kept = reducer_.advance(s, top, tile, factor);
    } else {
      // Each lane weighs its piece of the row alone; the factors of the joins bring all pieces to one scale.
      state piece = reducer_.weigh(tile);
      sum share = 1;
      TESSERA_DEVICE_UNROLL
      for (int step = 1; step < 4; step *= 2) {
        const state other = shuffle_xor(piece, step);
        const bool second = (lane_id() & step) != 0;
        state joined = second ? other : piece;
        const join_factors<sum> of = reducer_.join(joined, second ? piece : other);
        share *= second ? of.joined : of.kept;
        piece = joined;
      }
      const join_factors<sum> of = reducer_.join(s, piece);
      kept = of.kept;
      share *= of.joined;
      TESSERA_DEVICE_UNROLL
      for (int j = 0; j < tile.size(); ++j) tile.set(j, tile[j] * share);
    }
  }

  Reducer reducer_;
  int first_row_;
  state states_[RowBlocks][2];
  sum sums_[RowBlocks][value_blocks][4];
};

}  // namespace tessera::cuda::tile
