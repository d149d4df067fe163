// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Online softmax: the running maximum, the mass relative to it, and the weights of a tile.
#pragma once

#include <type_traits>

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/log.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"

namespace tessera {

/// weights_j = exp(s_j - max) and mass = sum_j weights_j over the keys seen; with values, out = sum_j weights_j v_j / mass.
///
/// `finish` gives the log-sum-exp in natural units. Inside, scores are in base 2 (`unit`), so a weight is one exp2.
///
/// Special values  no key or only -inf: max = -inf, mass = 0, output 0, log-sum-exp -inf. A NaN score makes mass and output NaN.
///                 Weights below 2^-63 (float64: 2^-511) of the largest of their chunk of keys are zero; so are chunks that fall that far
///                 behind.
/// Accuracy        weights within 2 ulp of exp of the rounded difference; mass is summed over a chunk of keys, then over chunks:
///                 relative error below (198 + chunks) u. The largest weight is exactly 1, so a one-hot row returns its value's bits.
/// Determinism     a chunk's weights are relative to its own largest, and chunks are joined in rising order: the order of the sums is
///                 fixed by the keys' positions alone, and chunks may be folded anywhere.
/// Source          Milakov and Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022, arXiv:2205.14135
struct softmax {
  static constexpr double unit = 1.4426950408889634;  ///< log2(e)
  static constexpr bool smallest_wins = false;

  template <class T>
  struct state {
    T max;   ///< largest score, in base 2
    T mass;  ///< sum of 2^(score - max)
  };

  template <class V>
  TESSERA_HD static constexpr V excluded() {
    return -infinity<V>();
  }

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> identity() const {
    return {T(-infinity<lane_value<T>>()), T(lane_value<T>(0))};
  }

  /// What is subtracted from scores: the largest of their chunk, or 0 while every score is -inf (-inf - -inf would be NaN).
  template <class T>
  [[nodiscard]] TESSERA_HD static T anchor(T top) {
    return select(top == T(-infinity<lane_value<T>>()), T(lane_value<T>(0)), top);
  }

  /// The weight of a score beside the anchor of its chunk, for those who weigh tiles themselves. On a device float32 weights come from the special
  /// function unit, one instruction for the polynomial's twelve and within 2 ulp, too; they end at 2^-126 there.
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE static T weight(T score, T anchor) {
#if TESSERA_DEVICE_PASS
    if constexpr (std::is_same_v<T, float>) {
      float w;
      asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(w) : "f"(score - anchor));
      return w;
    }
#endif
    return exp2_nonpositive<faintest<lane_value<T>>>(score - anchor);
  }

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> weigh(const score_tile<T>& tile) const {
    return fold<true, T>(tile);
  }

  template <class T, class Tile>
  TESSERA_HD void absorb(state<T>& s, const Tile& tile) const {
    join(s, fold<false, T>(tile));
  }

  template <class T, class Tile>
  [[nodiscard]] TESSERA_HD T top(const Tile& tile) const {
    return tile_extremum<true>(tile, T(-infinity<lane_value<T>>()));
  }

  /// The tile holds products, whose scores are `factor` (above 0) times as large. T is a number.
  template <class T, class Tile>
  TESSERA_HD T advance(state<T>& s, T top, const Tile& tile, T factor) const {
    constexpr T coarse = T(0x1p20);
    const T largest = max(s.max, top * factor);
    const T base = anchor(largest);
    const T kept = weight(s.max, base);
    T rest = -base;
    if (base > coarse || base < -coarse) {
      // The fused product of the largest is not rounded, and base is: what is between them would be a weight of 0 or of infinity.
      const T origin = anchor(top);
      TESSERA_DEVICE_UNROLL
      for (int j = 0; j < tile.size(); ++j) tile.set(j, tile[j] - origin);
      rest = origin * factor - base;
    }
    TESSERA_DEVICE_UNROLL
    for (int j = 0; j < tile.size(); ++j) tile.set(j, weight(fma(tile[j], factor, rest), T(lane_value<T>(0))));
    tile.round_weights();
    T mass = s.mass * kept;
    TESSERA_DEVICE_UNROLL
    for (int j = 0; j < tile.size(); ++j) mass += tile[j];
    s = {largest, mass};
    return kept;
  }

  template <class T>
  TESSERA_HD join_factors<T> join(state<T>& s, const state<T>& t) const {
    constexpr int last = faintest<lane_value<T>>;
    const T top = max(s.max, t.max);
    const T base = anchor(top);
    const join_factors<T> factors{exp2_nonpositive<last>(s.max - base), exp2_nonpositive<last>(t.max - base)};
    s = {top, fma(s.mass, factors.kept, t.mass * factors.joined)};
    return factors;
  }

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> merge(state<T> a, const state<T>& b) const {
    join(a, b);
    return a;
  }

  template <class T>
  [[nodiscard]] TESSERA_HD T normalizer(const state<T>& s) const {
    return s.mass;
  }

  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T finish(const state<T>& s) const {
    return (s.max + log2(s.mass)) * T(lane_value<T>(1 / unit));
  }

  /// An error in the exponents (in base 2, a bound that is seldom nearly reached) that is not worth an exact score.
  static constexpr double tolerance = 0.03125;

  /// Weights below 2^-40 of the largest cannot change a float32 result of up to 2^16 keys by a rounding: their scores may be rough.
  template <class T, class Tile>
  [[nodiscard]] TESSERA_HD suspects<T> exact_within(const state<T>& s, const Tile& tile, T error) const {
    using V = lane_value<T>;
    const T best = tile_extremum<true>(tile, T(-infinity<V>()));
    return {best, max(s.max, best - error) - error - T(V(sizeof(V) == 4 ? 40 : 80))};
  }

 private:
  /// Where weights end: far below the roundings of the mass, and far enough above the subnormal numbers that neither a weight
  /// times a value nor a sum that lost its scale falls among them (on x86 each would cost over 100 cycles).
  template <class V>
  static constexpr int faintest = sizeof(V) == 4 ? -63 : -511;

  /// The state of a tile alone.
  template <bool KeepWeights, class T, class Tile>
  TESSERA_HD static state<T> fold(const Tile& tile) {
    using V = lane_value<T>;
    const T top = tile_extremum<true>(tile, T(-infinity<V>()));
    const T base = anchor(top);
    T mass(V(0));
    TESSERA_DEVICE_UNROLL
    for (int j = 0; j < tile.size(); ++j) {
      const T w = weight(tile[j], base);
      if constexpr (KeepWeights) tile.set(j, w);
      mass += w;
    }
    return {top, mass};
  }
};

/// log sum_j exp(s_j) of every row: softmax without values.
using logsumexp = softmax;

}  // namespace tessera
