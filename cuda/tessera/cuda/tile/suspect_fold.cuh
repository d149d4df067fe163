// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A fold of which few scores matter: products of rough rows, from the tensor cores, tell which; these alone are computed exactly, from the
/// rows as they are stored.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/online/fragment_row.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/tile/rough_rows.cuh"
#include "tessera/cuda/warp.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/tile/mask.hpp"

namespace tessera::cuda::tile {

/// What is wanted of the pairs of a row: small or large distances, small or large products.
enum class wanted : std::uint8_t { near, far, small, large };

/// Which rough measures could belong to a pair that changes a row's fold, worst cases throughout.
///
/// With y the rough rows, p = y_q . y_k as the tensor cores sum it, and d the exact distance (in the units of y), the triangle inequality has
/// | |y_q - y_k| - d | <= moved_q + moved_k, and |y_q - y_k|^2 = |y_q|^2 + |y_k|^2 - 2 p up to e = 2^-22 (depth + 32) (|y_q|^2 + |y_k|^2), which is
/// the sums' truncation with a margin. A product is off by |y_q| moved_k + |y_k| moved_q + moved_q moved_k + e / 2 at most.
/// A pair is measured by what is left of that without the query's norm, such that small measures are wanted; all is then one multiply-add and
/// one comparison a pair.
template <wanted Kind>
struct suspect_rule {
  static constexpr bool of_distances = Kind == wanted::near || Kind == wanted::far;
  static constexpr bool large_wins = Kind == wanted::far || Kind == wanted::large;
  static constexpr float relative = 0x1p-20F;  ///< beyond the roundings of the few operations here

  float chain;       ///< 2^-22 (depth + 32), and of the exact scores' own roundings
  float query_norm;  ///< |y_q|^2
  float query_moved;

  [[nodiscard]] TESSERA_DEVICE static float measure(float product, float key_norm) {
    if constexpr (Kind == wanted::near) {
      return fma(-2.0F, product, key_norm);
    } else if constexpr (Kind == wanted::far) {
      return fma(2.0F, product, -key_norm);
    } else {
      return large_wins ? -product : product;
    }
  }

  /// The largest measure that a pair may have whose exact score is as good as `score` (a distance, not its square, or a product; in the units of
  /// y) beside keys of these norms. `times` is 2 where the score is known from rough rows itself.
  [[nodiscard]] TESSERA_DEVICE float limit(float score, float times, const packed<float, 2>& keys) const {
    const float norms = query_norm + keys[0];
    const float pair_moved = query_moved + keys[1];
    if (!(pair_moved < infinity<float>())) return pair_moved == pair_moved ? infinity<float>() : -infinity<float>();
    if constexpr (Kind == wanted::near) {
      const float reach = score * (1 + relative + chain) + times * pair_moved;
      return fma(reach * reach, 1 + relative, fma(chain, norms, -query_norm));
    } else if constexpr (Kind == wanted::far) {
      const float reach = score * (1 - relative - chain) - times * pair_moved;
      const float least = reach > 0 ? reach * reach * (1 - relative) : 0.0F;
      return fma(chain, norms, query_norm - least);
    } else {
      const float moves = sqrtf(query_norm) * keys[1] + sqrtf(keys[0]) * query_moved + query_moved * keys[1];
      const float slack = times * fma(chain, norms, moves * (1 + relative)) + (score < 0 ? -score : score) * relative;
      return large_wins ? slack - score : score + slack;
    }
  }

  /// The exact score that a pair of this measure can be worst: what the best of a tile is worth at least. For `limit`, with times = 2.
  [[nodiscard]] TESSERA_DEVICE float score_of(float measure, const packed<float, 2>& keys) const {
    const float e = chain * (query_norm + keys[0]);
    if constexpr (Kind == wanted::near) {
      const float square = measure + query_norm + e;
      return square > 0 ? sqrtf(square) : 0.0F;
    } else if constexpr (Kind == wanted::far) {
      const float square = query_norm - measure - e;
      return square > 0 ? sqrtf(square) : 0.0F;
    } else {
      return large_wins ? -measure : measure;
    }
  }
};

/// A row of a fold whose state is a reducer's, in registers.
template <class T, class Reducer>
class reducer_row {
 public:
  using state_type = typename Reducer::template state<T>;
  /// Whether a NaN is an answer, as for argmin.
  static constexpr bool takes_nan = requires(const state_type& s) { s.score < T(0); };
  /// Whether nothing worse than the best of a tile matters of it.
  static constexpr bool best_alone = takes_nan || sizeof(state_type) == sizeof(T) + sizeof(lane_index<T>);

  reducer_row() = default;
  TESSERA_DEVICE explicit reducer_row(const Reducer& reducer) : reducer_(reducer), state_(reducer.template identity<T>()) {}

  /// A score must be as good as this to change anything.
  [[nodiscard]] TESSERA_DEVICE T least() const {
    const T none = Reducer::template excluded<T>();
    if constexpr (takes_nan) {
      if (state_.score != state_.score) return -none;  // NaN: nothing beats it
    }
    return reducer_.exact_within(state_, one_score<T>(none, 0), T(0)).limit;
  }
  /// Keys come in rising order. All lanes call, with scores of their quads where `given`.
  TESSERA_DEVICE void take(T score, lane_index<T> key, bool given) {
    if (given) reducer_.absorb(state_, one_score<T>(score, key));
  }

  [[nodiscard]] TESSERA_DEVICE const state_type& state() const { return state_; }

 private:
  Reducer reducer_;
  state_type state_;
};

/// The rows of a warp. Every lane of a quad has the whole of its two rows of a row block: what is exact goes to all four.
///
/// Row has `least`, `take`, `best_alone` and `takes_nan`, as reducer_row. Pairs have, besides `visible`: `rule(r)`; `row(r)`, the empty fold of a row;
/// `key_norms(j)` of two neighbours; `group(first)`, of the tile's keys; `exact_part(r, j)`, this lane's share of the exact measure of a pair;
/// `score(sum)` of a whole one; and `in_rough_units(score)`, what a limit is made of.
template <int RowBlocks, int ScoreBlocks, wanted Kind, class Row>
class suspect_fold {
 public:
  using M = float16;
  using scores_type = warp_sums<M, RowBlocks, ScoreBlocks>;
  using factors = float[1];
  using state = Row;
  using rule_type = suspect_rule<Kind>;
  static_assert(8 * ScoreBlocks == rough_group);

  template <class Pairs>
  TESSERA_DEVICE suspect_fold(const Pairs& pairs, int first_row) : first_row_(first_row) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        rows_[m][half] = pairs.row(row(m, half));
        rules_[m][half] = pairs.rule(row(m, half));
        least_[m][half] = pairs.in_rough_units(rows_[m][half].least());
      }
    }
  }

  [[nodiscard]] TESSERA_DEVICE int row(int m, int half) const { return first_row_ + 16 * m + fragment_row() + 8 * half; }

  template <bool Masked, class Pairs>
  TESSERA_DEVICE void take(scores_type& products, const Pairs& pairs, std::int64_t first, const key_range& range, factors&) {
    const packed<float, 2> keys = pairs.group(first);
    constexpr float none = infinity<float>();
    float best[RowBlocks][2];
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) best[m][0] = best[m][1] = none;
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < ScoreBlocks; ++n) {
      packed<float, 2> norms{{0, 0}};
      if constexpr (rule_type::of_distances) norms = pairs.key_norms(first + 8 * n + 2 * fragment_column());
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < RowBlocks; ++m) {
        TESSERA_DEVICE_UNROLL
        for (int i = 0; i < 4; ++i) {
          float& x = products[m][n][i];
          x = rule_type::measure(x, norms[i % 2]);
          if constexpr (Masked) {
            const std::int64_t j = first + 8 * n + 2 * fragment_column() + i % 2;
            if (j < range.first || j >= range.last || !pairs.visible(row(m, i / 2), j)) x = none;
          }
          best[m][i / 2] = min(best[m][i / 2], x);
        }
      }
    }
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const float least = fold_quad(best[m][half], [](float a, float b) { return min(a, b); });
        float limit = rules_[m][half].limit(least_[m][half], 1, keys);
        const bool suspicious = least <= limit && least < none;
        if (__any_sync(all_lanes, suspicious) == 0) continue;
        if constexpr (Row::best_alone) {
          const float of_best = rules_[m][half].limit(rules_[m][half].score_of(least, keys), 2, keys);
          limit = min(limit, of_best);
        }
        std::uint64_t which = 0;
        TESSERA_DEVICE_UNROLL
        for (int n = 0; n < ScoreBlocks; ++n) {
          TESSERA_DEVICE_UNROLL
          for (int c = 0; c < 2; ++c) {
            const float x = products[m][n][2 * half + c];
            const bool suspect = suspicious && x <= limit && x < none;
            which |= static_cast<std::uint64_t>(suspect ? 1 : 0) << (8 * n + c);
          }
        }
        which <<= 2 * fragment_column();
        refine(m, half, fold_quad(which, [](std::uint64_t a, std::uint64_t b) { return a | b; }), first, pairs);
      }
    }
  }

  /// f(r, row) for each row, in all lanes of its quad.
  template <class F>
  TESSERA_DEVICE void for_each_row(const F& f) const {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) f(row(m, half), rows_[m][half]);
    }
  }

 private:
  /// Exact scores of keys whose bits are set, each by a quad; lanes of quads with fewer go along.
  template <class Pairs>
  TESSERA_DEVICE void refine(int m, int half, std::uint64_t which, std::int64_t first, const Pairs& pairs) {
    TESSERA_DEVICE_ROLLED
    while (__any_sync(all_lanes, which != 0) != 0) {
      const bool given = which != 0;
      const std::int64_t j = first + (given ? __ffsll(static_cast<long long>(which)) - 1 : 0);
      const auto part = pairs.exact_part(row(m, half), j, given);
      const auto sum = fold_quad(part, [](auto a, auto b) { return a + b; });
      rows_[m][half].take(pairs.score(sum), static_cast<lane_index<std::remove_const_t<decltype(sum)>>>(j), given);
      which &= which - 1;
    }
    least_[m][half] = pairs.in_rough_units(rows_[m][half].least());
  }

  int first_row_;
  Row rows_[RowBlocks][2];
  rule_type rules_[RowBlocks][2];
  float least_[RowBlocks][2];
};

}  // namespace tessera::cuda::tile
