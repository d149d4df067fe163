// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The fold of a row of logits: what a cross-entropy needs of them.
#pragma once

#include <cstdint>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/warp.cuh"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/mask.hpp"

namespace tessera::cuda::training::detail {

/// What is known of the logits z of a row so far.
template <class T>
struct logit_state {
  T max;
  T mass;    ///< sum of e^(z - max)
  T sum;     ///< of z
  T target;  ///< the logit of the target; NaN until it came by

  TESSERA_HD static logit_state none() { return {-infinity<T>(), T(0), T(0), quiet_nan<T>()}; }

  /// e^(z - base), for z that are not larger.
  TESSERA_HD static T weight(T z, T base) { return exp2_nonpositive((z - base) * static_cast<T>(1.4426950408889634)); }
  TESSERA_HD static T anchor(T top) { return top == -infinity<T>() ? T(0) : top; }

  /// Of some classes, and of others after them.
  TESSERA_HD static logit_state merge(const logit_state& a, const logit_state& b) {
    const T top = tessera::max(a.max, b.max);
    const T base = anchor(top);
    return {top, tessera::fma(a.mass, weight(a.max, base), b.mass * weight(b.max, base)), a.sum + b.sum,
            a.target == a.target ? a.target : b.target};
  }
};

/// The rows of a warp, as query_block wants them. Pairs have `bias(j)` (where has_bias), and `target(r)`, the class of a row.
template <class M, int RowBlocks, int ScoreBlocks>
class logit_rows {
 public:
  using sum = typename tile::multiplication<M>::sum;
  using index = lane_index<sum>;
  using state = logit_state<sum>;
  using scores_type = tile::warp_sums<M, RowBlocks, ScoreBlocks>;
  using factors = float[1];

  template <class Pairs>
  TESSERA_DEVICE logit_rows(const Pairs& pairs, int first_row) : first_row_(first_row) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        states_[m][half] = state::none();
        targets_[m][half] = pairs.target(row(m, half));
      }
    }
  }

  [[nodiscard]] TESSERA_DEVICE int row(int m, int half) const { return first_row_ + 16 * m + tile::fragment_row() + 8 * half; }

  template <bool Masked, class Pairs>
  TESSERA_DEVICE void take(scores_type& logits, const Pairs& pairs, std::int64_t first, const key_range& range, factors&) {
    const std::int64_t mine = first + 2 * tile::fragment_column();
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < ScoreBlocks; ++n) {
      TESSERA_DEVICE_UNROLL
      for (int c = 0; c < 2; ++c) {
        const std::int64_t j = mine + 8 * n + c;
        const bool hidden = Masked && (j < range.first || j >= range.last);
        sum bias = 0;
        if constexpr (Pairs::has_bias) bias = hidden ? sum(0) : pairs.bias(j);
        TESSERA_DEVICE_UNROLL
        for (int m = 0; m < RowBlocks; ++m) {
          TESSERA_DEVICE_UNROLL
          for (int half = 0; half < 2; ++half) {
            sum& z = logits[m][n][2 * half + c];
            z = hidden ? -infinity<sum>() : z + bias;
          }
        }
      }
    }
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      fold<0, Masked>(logits[m], states_[m][0], targets_[m][0], first, mine, range);
      fold<1, Masked>(logits[m], states_[m][1], targets_[m][1], first, mine, range);
    }
  }

  /// f(r, state) once for each row.
  template <class F>
  TESSERA_DEVICE void for_each_state(const F& f) {
    TESSERA_DEVICE_UNROLL
    for (int m = 0; m < RowBlocks; ++m) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const state whole = fold_quad(states_[m][half], [](const state& a, const state& b) { return state::merge(a, b); });
        if (tile::fragment_column() == 0) f(row(m, half), whole);
      }
    }
  }

 private:
  template <int Half, bool Masked>
  TESSERA_DEVICE static void fold(const sum (&z)[ScoreBlocks][4], state& s, std::int64_t target, std::int64_t first,
                                  std::int64_t mine, const key_range& range) {
    sum top = s.max;
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < ScoreBlocks; ++n) top = tessera::max(top, tessera::max(z[n][2 * Half], z[n][2 * Half + 1]));
    const sum base = state::anchor(top);
    // Of the tile first, then of the row: short chains.
    sum mass = 0;
    sum total = 0;
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < ScoreBlocks; ++n) {
      TESSERA_DEVICE_UNROLL
      for (int c = 0; c < 2; ++c) {
        const sum x = z[n][2 * Half + c];
        mass += state::weight(x, base);
        const std::int64_t j = mine + 8 * n + c;
        if (!Masked || (j >= range.first && j < range.last)) total += x;
      }
    }
    s.mass = tessera::fma(s.mass, state::weight(s.max, base), mass);
    s.max = top;
    s.sum += total;
    if (target < first || target >= first + 8 * ScoreBlocks) return;
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < ScoreBlocks; ++n) {
      TESSERA_DEVICE_UNROLL
      for (int c = 0; c < 2; ++c) s.target = mine + 8 * n + c == target ? z[n][2 * Half + c] : s.target;
    }
  }

  int first_row_;
  state states_[RowBlocks][2];
  std::int64_t targets_[RowBlocks][2];
};

}  // namespace tessera::cuda::training::detail
