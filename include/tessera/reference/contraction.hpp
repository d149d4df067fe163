// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of tile/contraction.hpp, its scores and online/: a row's scores are all stored, then reduced, one key after
/// another. `Real` is the type of the arithmetic: double, or long double where float64 results are checked.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "tessera/tile/view.hpp"

namespace tessera::reference {

/// A number of any storage type as Real, exactly.
template <class Real, class T>
Real widened(T x) {
  if constexpr (std::is_same_v<T, Real>) {
    return x;
  } else {
    return static_cast<Real>(static_cast<double>(x));
  }
}

/// The rows of a matrix as they are stored, widened.
template <class Real = double, class T>
std::vector<std::vector<Real>> rows(const view<T, 2>& matrix) {
  std::vector<std::vector<Real>> result(static_cast<std::size_t>(matrix.extent(0)));
  for (std::int64_t i = 0; i < matrix.extent(0); ++i) {
    for (std::int64_t k = 0; k < matrix.extent(1); ++k) {
      result[static_cast<std::size_t>(i)].push_back(widened<Real>(matrix(i, k)));
    }
  }
  return result;
}

// ---- Scores: score(q, k, i, j) of query i, the row q, and key j, the row k ----

/// q . k
struct dot {
  template <class Real>
  Real operator()(const std::vector<Real>& q, const std::vector<Real>& k, std::int64_t, std::int64_t) const {
    Real sum = 0;
    for (std::size_t d = 0; d < q.size(); ++d) sum += q[d] * k[d];
    return sum;
  }
};

struct scaled_dot {
  double scale;
  template <class Real>
  Real operator()(const std::vector<Real>& q, const std::vector<Real>& k, std::int64_t i, std::int64_t j) const {
    return static_cast<Real>(scale) * dot{}(q, k, i, j);
  }
};

template <class B>
struct scaled_dot_bias {
  double scale;
  view<const B, 2> bias;
  template <class Real>
  Real operator()(const std::vector<Real>& q, const std::vector<Real>& k, std::int64_t i, std::int64_t j) const {
    return static_cast<Real>(scale) * dot{}(q, k, i, j) + static_cast<Real>(static_cast<double>(bias(i, j)));
  }
};

/// |q - k|^2
struct squared_distance {
  template <class Real>
  Real operator()(const std::vector<Real>& q, const std::vector<Real>& k, std::int64_t, std::int64_t) const {
    Real sum = 0;
    for (std::size_t d = 0; d < q.size(); ++d) sum += (q[d] - k[d]) * (q[d] - k[d]);
    return sum;
  }
};

struct gaussian {
  double sigma;
  template <class Real>
  Real operator()(const std::vector<Real>& q, const std::vector<Real>& k, std::int64_t i, std::int64_t j) const {
    return -squared_distance{}(q, k, i, j) / (2 * static_cast<Real>(sigma) * static_cast<Real>(sigma));
  }
};

// ---- A row: the keys that a query sees, in rising order, with their scores ----

template <class Real>
struct scored_key {
  std::int64_t key;
  Real score;
};

template <class Real>
using scored_row = std::vector<scored_key<Real>>;

// ---- Reducers: functions of a row ----

/// The largest score that is not NaN; -inf where there is none.
template <class Real>
Real largest(const scored_row<Real>& row) {
  Real top = -std::numeric_limits<Real>::infinity();
  for (const auto& [key, score] : row) top = score > top ? score : top;
  return top;
}

/// exp(s_j - max), one for each entry of the row. All 0 where every score is -inf.
template <class Real>
std::vector<Real> softmax_weights(const scored_row<Real>& row) {
  const Real top = largest(row);
  std::vector<Real> weights;
  for (const auto& [key, score] : row) {
    weights.push_back(score == -std::numeric_limits<Real>::infinity() ? Real(0) : std::exp(score - top));
  }
  return weights;
}

/// log sum_j exp(s_j); -inf for a row without weight.
struct logsumexp {
  template <class Real>
  Real operator()(const scored_row<Real>& row) const {
    Real mass = 0;
    for (const Real weight : softmax_weights(row)) mass += weight;
    return mass == 0 ? -std::numeric_limits<Real>::infinity() : largest(row) + std::log(mass);
  }
};

/// sum_j w_j v_j / sum_j w_j with w = softmax_weights; zeros for a row without weight. values[j] belongs to key j.
template <class Real>
std::vector<Real> weighted_mean(const scored_row<Real>& row, const std::vector<std::vector<Real>>& values,
                                std::size_t value_dim) {
  const std::vector<Real> weights = softmax_weights(row);
  Real mass = 0;
  std::vector<Real> mean(value_dim, Real(0));
  for (std::size_t e = 0; e < row.size(); ++e) {
    mass += weights[e];
    for (std::size_t c = 0; c < value_dim; ++c) mean[c] += weights[e] * values[static_cast<std::size_t>(row[e].key)][c];
  }
  for (Real& x : mean) x = mass == 0 ? Real(0) : x / mass;
  return mean;
}

/// The smallest (largest) score and the lowest key that has it; a NaN wins over every number. Key -1 where no score is better
/// than +inf (-inf).
template <bool Smallest>
struct extremum {
  template <class Real>
  scored_key<Real> operator()(const scored_row<Real>& row) const {
    const Real none = std::numeric_limits<Real>::infinity();
    scored_key<Real> best{-1, Smallest ? none : -none};
    for (const auto& entry : row) {
      if (std::isnan(entry.score)) return entry;
      if (Smallest ? entry.score < best.score : entry.score > best.score) best = entry;
    }
    return best;
  }
};
using argmin = extremum<true>;
using argmax = extremum<false>;

/// The k smallest (largest) scores, best first, equal ones by rising key, without NaN, filled up with key -1.
template <bool Smallest = true>
struct top_k {
  std::size_t k;
  template <class Real>
  scored_row<Real> operator()(const scored_row<Real>& row) const {
    const Real none = Smallest ? std::numeric_limits<Real>::infinity() : -std::numeric_limits<Real>::infinity();
    scored_row<Real> best;
    for (const auto& entry : row) {
      if (!std::isnan(entry.score) && entry.score != none) best.push_back(entry);
    }
    std::sort(best.begin(), best.end(),
              [](const auto& a, const auto& b) { return a.score == b.score ? a.key < b.key : (a.score < b.score) == Smallest; });
    best.resize(k, scored_key<Real>{-1, none});
    return best;
  }
};

/// Under p = softmax(s): log-sum-exp, sum p_j s_j and -sum p_j log p_j. Without a distribution: -inf, NaN, NaN.
struct moments {
  template <class Real>
  struct result {
    Real lse;
    Real mean;
    Real entropy;
  };
  template <class Real>
  result<Real> operator()(const scored_row<Real>& row) const {
    const Real lse = logsumexp{}(row);
    if (lse == -std::numeric_limits<Real>::infinity()) {
      return {lse, std::numeric_limits<Real>::quiet_NaN(), std::numeric_limits<Real>::quiet_NaN()};
    }
    const std::vector<Real> weights = softmax_weights(row);
    Real mass = 0;
    for (const Real weight : weights) mass += weight;
    result<Real> r{lse, 0, 0};
    for (std::size_t e = 0; e < row.size(); ++e) {
      const Real p = weights[e] / mass;
      if (p == 0) continue;  // the limit of p s and of p log p
      r.mean += p * row[e].score;
      r.entropy -= p * std::log(p);
    }
    return r;
  }
};

/// sum_j f(s_j)
template <class F>
struct kernel_sum {
  F f;
  template <class Real>
  Real operator()(const scored_row<Real>& row) const {
    Real sum = 0;
    for (const auto& [key, score] : row) sum += f(score);
    return sum;
  }
};
template <class F>
kernel_sum(F) -> kernel_sum<F>;

// ---- The contraction ----

struct sees_all {
  bool operator()(std::int64_t, std::int64_t) const { return true; }
};

/// emit(i, row) for every query i, row = the scores of the keys j that visible(i, j).
template <class Real = double, class Q, class K, class Score, class Emit, class Visible = sees_all>
void score_rows(const view<Q, 2>& queries, const view<K, 2>& keys, const Score& score, const Emit& emit,
                const Visible& visible = {}) {
  const auto q = rows<Real>(queries);
  const auto k = rows<Real>(keys);
  for (std::size_t i = 0; i < q.size(); ++i) {
    scored_row<Real> row;
    for (std::size_t j = 0; j < k.size(); ++j) {
      const auto at_i = static_cast<std::int64_t>(i);
      const auto at_j = static_cast<std::int64_t>(j);
      if (visible(at_i, at_j)) row.push_back({at_j, score(q[i], k[j], at_i, at_j)});
    }
    emit(static_cast<std::int64_t>(i), row);
  }
}

/// tessera::contract without values: emit(i, reduce(row i)).
template <class Real = double, class Q, class K, class Score, class Reduce, class Emit, class Visible = sees_all>
void contract(const view<Q, 2>& queries, const view<K, 2>& keys, const Score& score, const Reduce& reduce, const Emit& emit,
              const Visible& visible = {}) {
  score_rows<Real>(queries, keys, score, [&](std::int64_t i, const scored_row<Real>& row) { emit(i, reduce(row)); }, visible);
}

/// tessera::contract with values under a softmax: emit(i, the weighted mean of the values of row i).
template <class Real = double, class Q, class K, class V, class Score, class Emit, class Visible = sees_all>
void contract_values(const view<Q, 2>& queries, const view<K, 2>& keys, const view<V, 2>& values, const Score& score,
                     const Emit& emit, const Visible& visible = {}) {
  const auto v = rows<Real>(values);
  const auto value_dim = static_cast<std::size_t>(values.extent(1));
  score_rows<Real>(
      queries, keys, score, [&](std::int64_t i, const scored_row<Real>& row) { emit(i, weighted_mean(row, v, value_dim)); },
      visible);
}

}  // namespace tessera::reference
