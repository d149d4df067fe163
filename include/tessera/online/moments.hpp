// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Log-sum-exp together with the mean score under the softmax: what the entropy of a row needs.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/log.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"

namespace tessera {

/// What `moments` gives for a row, in natural units.
template <class T>
struct row_moments {
  T lse;      ///< log sum exp(s_j)
  T mean;     ///< sum p_j s_j with p = softmax(s)
  T entropy;  ///< -sum p_j log p_j = lse - mean, never negative
};

/// The entropy of softmax(s) in one pass: H = lse - sum p_j s_j.
///
/// Special values  no key or only -inf: lse = -inf, mean and entropy NaN (there is no distribution). A -inf score adds nothing.
/// Accuracy        the first moment is kept relative to the running maximum, so that nothing cancels: entropy has an absolute
///                 error below 2 (100 + keys / 96) u (1 + entropy + log keys) for the scores it is given.
/// Source          Cai et al. 2024, arXiv:2401.10774, typical acceptance needs H of every row of logits
struct moments {
  static constexpr double unit = 1.4426950408889634;  ///< log2(e)

  template <class T>
  struct state {
    T max;    ///< largest score, in base 2
    T mass;   ///< sum of w_j = 2^(s_j - max)
    T first;  ///< sum of w_j (s_j - max)
  };

  template <class V>
  TESSERA_HD static constexpr V excluded() {
    return -infinity<V>();
  }

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> identity() const {
    using V = lane_value<T>;
    return {T(-infinity<V>()), T(V(0)), T(V(0))};
  }

  template <class T, class Tile>
  TESSERA_HD void absorb(state<T>& s, const Tile& tile) const {
    using V = lane_value<T>;
    const T top = tile_extremum<true>(tile, s.max);
    state<T> t{top, T(V(0)), T(V(0))};
    const T base = anchor(top);
    TESSERA_DEVICE_UNROLL
    for (int j = 0; j < tile.size(); ++j) {
      const T shifted = tile[j] - base;
      const T weight = exp2_nonpositive(shifted);
      t.mass += weight;
      t.first = fma(weight, at_least(shifted), t.first);
    }
    s = merge(s, t);
  }

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> merge(const state<T>& a, const state<T>& b) const {
    const T top = max(a.max, b.max);
    const T base = anchor(top);
    const T a_shift = a.max - base;
    const T b_shift = b.max - base;
    const T a_factor = exp2_nonpositive(a_shift);
    const T b_factor = exp2_nonpositive(b_shift);
    return {top, fma(a.mass, a_factor, b.mass * b_factor),
            fma(a_factor, fma(a.mass, at_least(a_shift), a.first), b_factor * fma(b.mass, at_least(b_shift), b.first))};
  }

  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE row_moments<T> finish(const state<T>& s) const {
    using V = lane_value<T>;
    const T to_natural(V(1 / unit));
    const T shifted_mean = s.first / s.mass;
    const T log_mass = log2(s.mass);
    return {(s.max + log_mass) * to_natural, (s.max + shifted_mean) * to_natural,
            max(T(V(0)), (log_mass - shifted_mean) * to_natural)};
  }

 private:
  template <class T>
  TESSERA_HD static T anchor(T top) {
    return select(top == T(-infinity<lane_value<T>>()), T(lane_value<T>(0)), top);
  }
  /// Below -126 the weight is 0 and 0 * -inf must not be NaN.
  template <class T>
  TESSERA_HD static T at_least(T shifted) {
    using V = lane_value<T>;
    return max(T(V(sizeof(V) == 4 ? -1000 : -10000)), shifted);
  }
};

}  // namespace tessera
