// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Scale-free errors against float64, on a sample of rows: the largest difference in units of what was added up.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <vector>

#include "support/array.hpp"

namespace bench {

/// Calls visit(row) for at most `count` rows of n, from the first to the last.
template <class F>
void sample(std::int64_t n, std::int64_t count, const F& visit) {
  count = std::min(n, count);
  for (std::int64_t i = 0; i < count; ++i) visit(count > 1 ? i * (n - 1) / (count - 1) : 0);
}

/// std::max that keeps a NaN: a result that is not a number is an error, not a good one.
inline double worse(double a, double b) { return b <= a ? a : (a != a ? a : b); }

/// max |c - a b| / (|a| |b|)
template <class T, class C>
double product_error(view<const T, 2> a, view<const T, 2> b, view<const C, 2> c) {
  const std::int64_t n = c.extent(1);
  double error = 0;
  sample(c.extent(0), 16, [&](std::int64_t i) {
    std::vector<double> sums(static_cast<std::size_t>(n));
    std::vector<double> sizes(static_cast<std::size_t>(n));
    for (std::int64_t k = 0; k < a.extent(1); ++k) {
      const auto x = static_cast<double>(a(i, k));
      for (std::int64_t j = 0; j < n; ++j) {
        const double term = x * static_cast<double>(b(k, j));
        sums[static_cast<std::size_t>(j)] += term;
        sizes[static_cast<std::size_t>(j)] += std::abs(term);
      }
    }
    for (std::int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<std::size_t>(j);
      error = worse(error, std::abs(static_cast<double>(c(i, j)) - sums[at]) / sizes[at]);
    }
  });
  return error;
}

/// By how much the chosen y is farther than the nearest: max (|x - y_chosen|^2 - min_j |x - y_j|^2) / min_j |x - y_j|^2.
inline double nearest_error(view<const float, 2> x, view<const float, 2> y, view<const std::int32_t, 1> where) {
  double error = 0;
  sample(x.extent(0), 32, [&](std::int64_t i) {
    const auto distance = [&](std::int64_t j) {
      double sum = 0;
      for (std::int64_t k = 0; k < x.extent(1); ++k) {
        const double difference = static_cast<double>(x(i, k)) - static_cast<double>(y(j, k));
        sum += difference * difference;
      }
      return sum;
    };
    double best = std::numeric_limits<double>::infinity();
    for (std::int64_t j = 0; j < y.extent(0); ++j) best = std::min(best, distance(j));
    const bool exists = where(i) >= 0 && where(i) < y.extent(0);
    error = worse(error, exists ? (distance(where(i)) - best) / best : std::numeric_limits<double>::infinity());
  });
  return error;
}

/// max |out - p v| / (p |v|), p = softmax(scale q k^T) over the keys j that query i sees: visible(i, j).
template <class T, class Visible>
  requires std::predicate<Visible, std::int64_t, std::int64_t>
double attention_error(view<const T, 2> q, view<const T, 2> k, view<const T, 2> v, double scale, const Visible& visible,
                       view<const T, 2> out, std::int64_t rows = 32) {
  double error = 0;
  sample(q.extent(0), rows, [&](std::int64_t i) {
    const std::int64_t seen = k.extent(0);
    std::vector<double> weights(static_cast<std::size_t>(seen), -std::numeric_limits<double>::infinity());
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t j = 0; j < seen; ++j) {
      if (!visible(i, j)) continue;
      double dot = 0;
      for (std::int64_t e = 0; e < q.extent(1); ++e) dot += static_cast<double>(q(i, e)) * static_cast<double>(k(j, e));
      weights[static_cast<std::size_t>(j)] = scale * dot;
      largest = std::max(largest, scale * dot);
    }
    double mass = 0;
    for (double& weight : weights) mass += weight = std::exp(weight - largest);
    for (std::int64_t e = 0; e < v.extent(1); ++e) {
      double sum = 0;
      double size = 0;
      for (std::int64_t j = 0; j < seen; ++j) {
        const double term = weights[static_cast<std::size_t>(j)] * static_cast<double>(v(j, e));
        sum += term;
        size += std::abs(term);
      }
      error = worse(error, std::abs(static_cast<double>(out(i, e)) - sum / mass) / (size / mass));
    }
  });
  return error;
}

/// The same; causal: key j is seen by query i >= j.
template <class T>
double attention_error(view<const T, 2> q, view<const T, 2> k, view<const T, 2> v, double scale, bool causal,
                       view<const T, 2> out, std::int64_t rows = 32) {
  return attention_error<T>(q, k, v, scale, [=](std::int64_t i, std::int64_t j) { return !causal || j <= i; }, out, rows);
}

}  // namespace bench
