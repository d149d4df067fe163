// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Calls of tessera::contract against the plain loops of reference/contraction.hpp.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/online/extremum.hpp"
#include "tessera/online/kernel_sum.hpp"
#include "tessera/online/moments.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/online/top_k.hpp"
#include "tessera/reference/contraction.hpp"
#include "tessera/tile/contraction.hpp"

namespace oracle {

using support::matrix;
namespace reference = tessera::reference;

template <class Q, class K>
using compute_of = std::common_type_t<tessera::compute_t<Q>, tessera::compute_t<K>>;
/// What the reference computes in: wider than what is tested.
template <class T>
using wide_of = std::conditional_t<std::is_same_v<T, double>, long double, double>;

/// Scores of every row, and for each score a bound on the error of ours.
template <class Real>
struct expected {
  std::vector<reference::scored_row<Real>> rows;
  std::vector<std::vector<double>> errors;
  std::int64_t keys = 0;

  [[nodiscard]] double largest_error(std::size_t i) const {
    double largest = 0;
    for (const double error : errors[i]) largest = std::fmax(largest, error);
    return largest;
  }
};

/// `size(q, k)` is what the relative error of a score refers to: sum |q||k| for products, |q - k|^2 for exact distances.
template <class T, class Q, class K, class Score, class Size, class Visible = reference::sees_all>
expected<wide_of<T>> expect(const matrix<Q>& queries, const matrix<K>& keys, const Score& score, const Size& size,
                            double roundings, const Visible& visible = {}) {
  using Real = wide_of<T>;
  expected<Real> result;
  result.keys = keys.view().extent(0);
  reference::score_rows<Real>(
      queries.view(), keys.view(), score,
      [&](std::int64_t, const reference::scored_row<Real>& row) {
        result.rows.push_back(row);
        result.errors.emplace_back();
      },
      visible);
  reference::score_rows<double>(
      queries.view(), keys.view(), size,
      [&](std::int64_t i, const reference::scored_row<double>& row) {
        for (const auto& entry : row) {
          result.errors[static_cast<std::size_t>(i)].push_back(roundings * tessera::unit_roundoff<T> * std::fabs(entry.score));
        }
      },
      visible);
  return result;
}

/// scale * sum |q||k|
struct product_size {
  double scale = 1;
  double operator()(const std::vector<double>& q, const std::vector<double>& k, std::int64_t, std::int64_t) const {
    double sum = 0;
    for (std::size_t d = 0; d < q.size(); ++d) sum += std::fabs(q[d] * k[d]);
    return std::fabs(scale) * sum;
  }
};

/// The key we give for a row is one whose true score is as good as the best, within the errors of both; the score is its score.
template <bool Smallest, class T, class Real>
void check_extremum(support::worst& errors, const expected<Real>& want, std::int64_t i, const tessera::extremum<T>& got) {
  const auto at = static_cast<std::size_t>(i);
  const auto& row = want.rows[at];
  const auto best = reference::extremum<Smallest>{}(row);
  if (best.key < 0 || std::isnan(best.score)) {
    errors(static_cast<double>(got.where), best.key, 0, "row", i);
    errors(static_cast<double>(got.score), best.score, 0, "row", i);
    return;
  }
  for (std::size_t e = 0; e < row.size(); ++e) {
    if (row[e].key != static_cast<std::int64_t>(got.where)) continue;
    errors(static_cast<double>(got.score), row[e].score, want.errors[at][e], "row", i, "key", row[e].key);
    errors(static_cast<double>(row[e].score), best.score, want.errors[at][e] + want.largest_error(at), "row", i, "best",
           best.key);
    return;
  }
  errors(static_cast<double>(got.where), best.key, 0, "row", i, "a key that it does not see");
}

/// log-sum-exp: the error of the scores, the rounding of the result, and the sum of the weights.
template <class T, class Real>
void check_lse(support::worst& errors, const expected<Real>& want, std::int64_t i, T got, double extra = 0) {
  const auto at = static_cast<std::size_t>(i);
  const double u = tessera::unit_roundoff<T>;
  const Real lse = reference::logsumexp{}(want.rows[at]);
  const double top = std::fabs(static_cast<double>(reference::largest(want.rows[at])));
  const double size = std::isfinite(top) ? top + std::log(static_cast<double>(want.keys) + 1) : 0;
  const double sums = 192 + static_cast<double>(want.keys) / 192;
  errors(static_cast<double>(got), lse, want.largest_error(at) + extra + (sums + 8 + 6 * size) * u, "row", i);
}

/// A row of weighted means: weights wrong by the errors of their scores, then two sums. bounds: to get those of all elements.
template <class T, class Out, class Real>
void check_mean(support::worst& errors, const expected<Real>& want, const std::vector<std::vector<Real>>& values, std::int64_t i,
                const Out* got, std::size_t value_dim, double extra = 0, std::vector<double>* bounds = nullptr) {
  const auto at = static_cast<std::size_t>(i);
  const double u = tessera::unit_roundoff<T>;
  const auto& row = want.rows[at];
  const auto mean = reference::weighted_mean(row, values, value_dim);
  const std::vector<Real> weights = reference::softmax_weights(row);
  Real mass = 0;
  for (const Real w : weights) mass += w;
  double range = 0;
  for (std::size_t e = 0; e < row.size(); ++e) {
    if (weights[e] > 0) range = std::fmax(range, static_cast<double>(reference::largest(row) - row[e].score));
  }
  const double faintest = sizeof(T) == 4 ? 0x1p-63 : 0x1p-511;  // lighter weights are taken for 0
  const double weight_error = want.largest_error(at) + extra + u * (range + 4);
  const double sums = 2 * (192 + static_cast<double>(want.keys) / 192) + 1;
  for (std::size_t c = 0; c < value_dim; ++c) {
    Real size = 0;
    double largest_value = 0;
    for (std::size_t e = 0; e < row.size(); ++e) {
      const Real value = std::fabs(values[static_cast<std::size_t>(row[e].key)][c]);
      size += weights[e] * value;
      largest_value = std::fmax(largest_value, static_cast<double>(value));
    }
    const double mean_size = mass > 0 ? static_cast<double>(size / mass) : 0;
    const double bound = (std::expm1(2 * weight_error) + sums * u) * mean_size + support::rounding<Out>(mean[c]) +
                         static_cast<double>(want.keys) * (faintest * largest_value + support::rounding<T>(0));
    errors(static_cast<double>(got[c]), mean[c], bound, "row", i, "column", c);
    if (bounds != nullptr) bounds->push_back(bound);
  }
}

}  // namespace oracle
