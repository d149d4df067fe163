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

/// Softmax of rows (or its logarithm): max |out - p| / p, max |out - log p| / |log p|, of numbers that are not among the subnormal ones.
template <class T>
double softmax_error(view<const T, 2> in, bool log, view<const T, 2> out) {
  double error = 0;
  sample(in.extent(0), 16, [&](std::int64_t i) {
    double largest = -std::numeric_limits<double>::infinity();
    double mass = 0;
    for (std::int64_t j = 0; j < in.extent(1); ++j) largest = std::max(largest, static_cast<double>(in(i, j)));
    for (std::int64_t j = 0; j < in.extent(1); ++j) mass += std::exp(static_cast<double>(in(i, j)) - largest);
    for (std::int64_t j = 0; j < in.extent(1); ++j) {
      const double log_p = static_cast<double>(in(i, j)) - largest - std::log(mass);
      const double want = log ? log_p : std::exp(log_p);
      error = worse(error, std::abs(static_cast<double>(out(i, j)) - want) / std::max(1e-30, std::abs(want)));
    }
  });
  return error;
}

/// The gradients of these, of what they gave, y, and g: max |out - p (g - sum p g)| / p (|g| + sum p|g|), or of g - p sum g.
template <class T>
double softmax_backward_error(view<const T, 2> y, view<const T, 2> g, bool log, view<const T, 2> out) {
  double error = 0;
  sample(y.extent(0), 16, [&](std::int64_t i) {
    const auto at = [&](view<const T, 2> v, std::int64_t j) { return static_cast<double>(v(i, j)); };
    double sum = 0;
    double size = 0;
    for (std::int64_t j = 0; j < y.extent(1); ++j) {
      const double term = (log ? 1 : at(y, j)) * at(g, j);
      sum += term;
      size += std::abs(term);
    }
    for (std::int64_t j = 0; j < y.extent(1); ++j) {
      const double p = log ? std::exp(at(y, j)) : at(y, j);
      const double want = log ? at(g, j) - p * sum : p * (at(g, j) - sum);
      const double unit = log ? std::abs(at(g, j)) + p * size : p * (std::abs(at(g, j)) + size);
      error = worse(error, std::abs(at(out, j) - want) / std::max(1e-30, unit));
    }
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

/// max |gradient - want| in units of what is summed up, of one head: gradients of q on a sample of rows, of k and v on a sample of keys.
template <class T>
class attention_gradients {
 public:
  attention_gradients(view<const T, 2> q, view<const T, 2> k, view<const T, 2> v, view<const T, 2> dout, bool causal)
      : q_(wide(q)),
        k_(wide(k)),
        v_(wide(v)),
        dout_(wide(dout)),
        length_(q.extent(0)),
        d_(q.extent(1)),
        scale_(1 / std::sqrt(static_cast<double>(d_))),
        causal_(causal) {
    for (std::int64_t i = 0; i < length_; ++i) {
      double mass = 0;
      double mean = 0;
      double size = 0;
      for (std::int64_t j = 0; j < seen(i); ++j) {
        const double weight = std::exp(scale_ * dot(q_, i, k_, j).sum);  // normal inputs: no overflow
        const terms product = dot(dout_, i, v_, j);
        mass += weight;
        mean += weight * product.sum;
        size += weight * product.size;
      }
      rows_.push_back({std::log(mass), mean / mass, size / mass});
    }
  }

  [[nodiscard]] double error(view<const T, 2> dq, view<const T, 2> dk, view<const T, 2> dv, std::int64_t count = 8) const {
    double worst = 0;
    sample(length_, count, [&](std::int64_t i) {
      std::vector<terms> sums(static_cast<std::size_t>(d_));
      for (std::int64_t j = 0; j < seen(i); ++j) add(sums, slope(i, j), k_, j);
      compare(worst, sums, dq, i);
    });
    sample(length_, count, [&](std::int64_t j) {
      std::vector<terms> keys(static_cast<std::size_t>(d_));
      std::vector<terms> values(static_cast<std::size_t>(d_));
      for (std::int64_t i = causal_ ? j : 0; i < length_; ++i) {
        add(keys, slope(i, j), q_, i);
        const double weight = std::exp(scale_ * dot(q_, i, k_, j).sum - rows_[static_cast<std::size_t>(i)].lse);
        add(values, {weight, weight}, dout_, i);
      }
      compare(worst, keys, dk, j);
      compare(worst, values, dv, j);
    });
    return worst;
  }

 private:
  struct terms {
    double sum = 0;
    double size = 0;
  };
  struct row {
    double lse;
    double mean;
    double size;
  };
  static std::vector<double> wide(view<const T, 2> x) {
    std::vector<double> result;
    for (std::int64_t i = 0; i < x.extent(0); ++i) {
      for (std::int64_t e = 0; e < x.extent(1); ++e) result.push_back(static_cast<double>(x(i, e)));
    }
    return result;
  }
  [[nodiscard]] std::int64_t seen(std::int64_t i) const { return causal_ ? i + 1 : length_; }
  [[nodiscard]] terms dot(const std::vector<double>& x, std::int64_t i, const std::vector<double>& y, std::int64_t j) const {
    terms result;
    const double* const a = x.data() + i * d_;
    const double* const b = y.data() + j * d_;
    for (std::int64_t e = 0; e < d_; ++e) {
      result.sum += a[e] * b[e];
      result.size += std::abs(a[e] * b[e]);
    }
    return result;
  }
  [[nodiscard]] terms slope(std::int64_t i, std::int64_t j) const {
    const row& r = rows_[static_cast<std::size_t>(i)];
    const double weight = scale_ * std::exp(scale_ * dot(q_, i, k_, j).sum - r.lse);
    const terms product = dot(dout_, i, v_, j);
    return {weight * (product.sum - r.mean), weight * (product.size + r.size)};
  }
  void add(std::vector<terms>& sums, terms factor, const std::vector<double>& x, std::int64_t i) const {
    for (std::int64_t e = 0; e < d_; ++e) {
      const double number = x[static_cast<std::size_t>(i * d_ + e)];
      sums[static_cast<std::size_t>(e)].sum += factor.sum * number;
      sums[static_cast<std::size_t>(e)].size += factor.size * std::abs(number);
    }
  }
  void compare(double& worst, const std::vector<terms>& want, view<const T, 2> got, std::int64_t i) const {
    for (std::int64_t e = 0; e < d_; ++e) {
      const terms& x = want[static_cast<std::size_t>(e)];
      worst = worse(worst, std::abs(static_cast<double>(got(i, e)) - x.sum) / x.size);
    }
  }

  std::vector<double> q_, k_, v_, dout_;
  std::int64_t length_;
  std::int64_t d_;
  double scale_;
  bool causal_;
  std::vector<row> rows_;
};

/// The same; causal: key j is seen by query i >= j.
template <class T>
double attention_error(view<const T, 2> q, view<const T, 2> k, view<const T, 2> v, double scale, bool causal,
                       view<const T, 2> out, std::int64_t rows = 32) {
  return attention_error<T>(q, k, v, scale, [=](std::int64_t i, std::int64_t j) { return !causal || j <= i; }, out, rows);
}

}  // namespace bench
