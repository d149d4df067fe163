// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// How the score of a pair is made: from a sum of products, from norms, or from differences.
#pragma once

#include <cstdint>

#include "tessera/online/reducer.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/score.hpp"

namespace tessera::tile::detail {

/// |q - k|^2 from the differences: 4 interleaved packs of partial sums, so the order is the same wherever the pair stands.
template <class P, class T, class K>
T squared_difference(const T* q, const K* k, std::int64_t depth) {
  P sums[2] = {P(T(0)), P(T(0))};
  constexpr int lanes = P::lanes;
  std::int64_t d = 0;
  for (; d + 2 * lanes <= depth; d += 2 * lanes) {
    for (int u = 0; u < 2; ++u) {
      const P difference = P::load_unaligned(q + d + u * lanes) - simd::load_as<P>(k + d + u * lanes);
      sums[u] = fma(difference, difference, sums[u]);
    }
  }
  for (; d < depth; d += lanes) {
    const int n = static_cast<int>(depth - d < lanes ? depth - d : lanes);
    const P difference = simd::load_partial<P>(q + d, n) - simd::load_partial<P>(k + d, n);
    sums[0] = fma(difference, difference, sums[0]);
  }
  return simd::fold_add(sums[0] + sums[1]);
}

/// How scores of a contraction are made, once for all panels.
template <class Score, class Reducer, class T>
struct score_rule {
  static constexpr bool is_distance = distance_score<Score>;
  /// Distances from norms first, from differences where it matters; without `exact_within` always from differences.
  static constexpr bool has_suspects = requires(const Reducer& r, const typename Reducer::template state<T>& s,
                                                const score_tile<T>& tile, T error) { r.exact_within(s, tile, error); };
  static constexpr bool from_norms = is_distance && has_suspects;
  static constexpr bool from_differences = is_distance && !has_suspects;
  static constexpr bool folds_unit = tessera::detail::is_linear<Score>;

  const Score& score;
  const Reducer& reducer;
  T factor;  ///< of the squared distance, `unit` included

  score_rule(const Score& s, const Reducer& r) : score(s), reducer(r), factor(T(1)) {
    if constexpr (is_distance) factor = static_cast<T>(s.distance_factor() * tessera::detail::unit_of<Reducer>);
  }

  /// What a query is multiplied by while it is packed.
  [[nodiscard]] T query_factor() const {
    if constexpr (from_norms) {
      return T(-2) * factor;
    } else if constexpr (from_differences) {
      return T(1);
    } else {
      return static_cast<T>(tessera::detail::query_scale(score) * (folds_unit ? tessera::detail::unit_of<Reducer> : 1.0));
    }
  }

  /// The score of a pair from its sum of products; norms come multiplied by `factor`. A distance may come out below zero by its
  /// error: where that matters it is computed again.
  template <class P, class I>
  TESSERA_ALWAYS_INLINE P operator()(P sum, P query_norm, T key_norm, I i, I j) const {
    if constexpr (from_norms) {
      return (sum + P(key_norm)) + query_norm;
    } else if constexpr (from_differences) {
      return sum * P(factor);
    } else if constexpr (folds_unit || tessera::detail::unit_of<Reducer> == 1.0) {
      return score(sum, i, j);
    } else {
      return score(sum, i, j) * P(static_cast<T>(tessera::detail::unit_of<Reducer>));
    }
  }
};

}  // namespace tessera::tile::detail
