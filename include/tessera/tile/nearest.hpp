// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The k nearest neighbours of every query.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/top_k.hpp"
#include "tessera/tile/contraction.hpp"
#include "tessera/tile/detail/nearest_checks.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {

namespace tile::detail {

/// top_k<K> for a k below K: the first K - k places are taken by what nothing beats, so that the last one holds the k-th best.
template <int K, bool Smallest>
struct top_of_list : top_k<K, Smallest> {
  int taken;

  template <class T>
  [[nodiscard]] typename top_k<K, Smallest>::template state<T> identity() const {
    using V = lane_value<T>;
    auto s = top_k<K, Smallest>::template identity<T>();
    for (int k = 0; k < taken; ++k) s.score[k] = T(Smallest ? -infinity<V>() : infinity<V>());
    return s;
  }
};

template <int K, class Exec, class Q, class Keys, class Metric, class Index, class Distance>
void run_nearest(const Exec& exec, const view<const Q, 2>& queries, const view<const Keys, 2>& keys, std::int64_t k,
                 const Metric& metric, const view<Index, 2>& indices, const view<Distance, 2>& distances) {
  const int taken = K - static_cast<int>(k);
  const top_of_list<K, distance_score<Metric>> reducer{{}, taken};
  contract(exec, queries, keys, metric, reducer, [&](std::int64_t i, const auto& best) {
    for (std::int64_t j = 0; j < k; ++j) {
      indices(i, j) = static_cast<Index>(best.where[taken + j]);
      distances(i, j) = static_cast<Distance>(best.score[taken + j]);
    }
  });
}

}  // namespace tile::detail

/// indices[i, 0 … k) = the k keys nearest to query i, nearest first, equally near ones by rising index; distances[i, j] how near.
///
/// Metric          squared_distance: |q - x|^2, the smallest first (the default). dot: q . x, the largest first; of unit vectors that is
///                 cosine similarity.
/// Shapes          queries [n, depth], keys [m, depth], rows contiguous and at any stride; indices [n, k] of any signed integer type that
///                 holds m, distances [n, k]; 1 <= k <= 128 (most_nearest).
/// Types           float64, float32, float16, bfloat16 in any mixture; computed in float64 if queries or keys are, else in float32;
///                 distances rounded once.
/// Special values  fewer than k keys: index -1 and distance +inf (dot: -inf) behind them. Keys whose distance is NaN or +inf (dot: -inf) are
///                 never among the nearest.
/// Accuracy        a distance is within (depth + 2) u of that of its key, relatively, however far from 0 both lie; a product within
///                 depth u sum |q||x|. A key that was passed over is no nearer than the last one given by more than the errors of both.
///                 test/tile/nearest.cpp.
/// Cost            2 n m depth flops, one comparison a pair, and about k log(m / k) insertions of up to 1, 8, 32 or 128 steps a query.
///                 Scratch: as contract.
/// Determinism     the same bits for every number of threads, and for a query alone or among others.
/// Errors          argument_error before anything is written: shapes, null data, rows that are not contiguous, overlap, k out of range.
template <executor Exec, mdspan_like Queries, mdspan_like Keys, mdspan_like Indices, mdspan_like Distances,
          class Metric = squared_distance>
  requires(Queries::rank() == 2 && Keys::rank() == 2 && Indices::rank() == 2 && Distances::rank() == 2 &&
           std::signed_integral<value_type_of<Indices>> && (std::same_as<Metric, squared_distance> || std::same_as<Metric, dot>))
void nearest(const Exec& exec, const Queries& queries, const Keys& keys, std::int64_t k, const Indices& indices,
             const Distances& distances, const Metric& metric = {}) {
  using T = std::common_type_t<compute_t<value_type_of<Queries>>, compute_t<value_type_of<Keys>>>;
  const view<const value_type_of<Queries>, 2> q(queries);
  const view<const value_type_of<Keys>, 2> x(keys);
  const view<value_type_of<Indices>, 2> where(indices);
  const view<value_type_of<Distances>, 2> score(distances);
  tile::detail::check_nearest<T>(q, x, k, where, score);
  // A sorted list of few sizes: every size is a kernel of its own.
  if (k == 1) {
    tile::detail::run_nearest<1>(exec, q, x, k, metric, where, score);
  } else if (k <= 8) {
    tile::detail::run_nearest<8>(exec, q, x, k, metric, where, score);
  } else if (k <= 32) {
    tile::detail::run_nearest<32>(exec, q, x, k, metric, where, score);
  } else {
    tile::detail::run_nearest<128>(exec, q, x, k, metric, where, score);
  }
}

}  // namespace tessera
