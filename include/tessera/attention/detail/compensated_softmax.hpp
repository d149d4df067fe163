// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The online softmax whose sums over chunks of keys keep beside them what rounding takes from them.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/online/softmax.hpp"

namespace tessera::attention::detail {

/// As softmax, whose states tiles still have; what is lost is kept where they are joined.
///
/// Scores are relative to an anchor that need not be the largest: it begins as that and then moves up to the integer above it, so that all
/// that was summed before is multiplied by powers of 2, exactly. Multiplying it by rounded factors would be as wrong as the sums were.
struct compensated_softmax {
  static constexpr double unit = softmax::unit;
  static constexpr bool smallest_wins = false;
  static constexpr bool keeps_lost = true;

  template <class T>
  struct state {
    T max;   ///< the anchor, less than 1 above the largest score, in base 2
    T mass;  ///< sum of 2^(score - max)
    T lost;  ///< what it lost
  };

  /// sum + lost = kept (sum + lost) + joined term, where sum is rounded and lost is the error of that, exactly (two-sum).
  ///
  /// Products are rounded by themselves, as fma(x, y, 0): a compiler may not contract them into the sums that take their error apart.
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static void add(T& sum, T& lost, T kept, T term, T joined) {
    const T zero(lane_value<T>(0));
    const T before = fma(sum, kept, zero);
    const T added = fma(term, joined, zero);
    const T after = before + added;
    const T rounded = after - before;
    const T error = (before - (after - rounded)) + (added - rounded);
    lost = fma(lost, kept, error);
    sum = after;
  }
  /// sum + lost; the sum alone where it is not finite, of which the error is NaN.
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE static T total(T sum, T lost) {
    return select(lost == lost, sum + lost, sum);
  }

  template <class V>
  TESSERA_HD static constexpr V excluded() {
    return softmax::excluded<V>();
  }
  template <class T>
  [[nodiscard]] TESSERA_HD state<T> identity() const {
    const T zero(lane_value<T>(0));
    return {T(-infinity<lane_value<T>>()), zero, zero};
  }
  template <class T>
  [[nodiscard]] TESSERA_HD softmax::state<T> weigh(const score_tile<T>& tile) const {
    return softmax{}.weigh(tile);
  }

  template <class T>
  TESSERA_HD join_factors<T> join(state<T>& s, const softmax::state<T>& t) const {
    using V = lane_value<T>;
    constexpr int last = sizeof(V) == 4 ? -63 : -511;  // as in softmax
    const T rise = t.max - s.max;                      // NaN where both are -inf
    T top = select(rise > T(V(0)), ceiling(t.max), s.max);
    top = select(rise > T(V(-last)), t.max, top);  // nothing is left of what came before: begin anew
    const T base = softmax::anchor(top);
    const join_factors<T> factors{exp2_nonpositive<last>(s.max - base), exp2_nonpositive<last>(t.max - base)};
    s.max = top;
    add(s.mass, s.lost, factors.kept, t.mass, factors.joined);
    return factors;
  }

  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T normalizer(const state<T>& s) const {
    return total(s.mass, s.lost);
  }
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T finish(const state<T>& s) const {
    return softmax{}.finish(softmax::state<T>{s.max, normalizer(s)});
  }

 private:
  /// The integer above x, where x has less than all digits before the point; x itself elsewhere.
  template <class T>
  TESSERA_HD static T ceiling(T x) {
    using V = lane_value<T>;
    const T most(sizeof(V) == 4 ? V(0x1p22) : V(0x1p51));
    const T shift(sizeof(V) == 4 ? V(0x1.8p23) : V(0x1.8p52));
    const T nearest = (x + shift) - shift;
    const T above = select(nearest < x, nearest + T(V(1)), nearest);
    return select(max(x, -x) < most, above, x);
  }
};

}  // namespace tessera::attention::detail
