// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Statistics of random numbers, each scaled so that its law under the hypothesis does not depend on the sample size.
/// The samples are fixed by their addresses, so a bound that holds once holds always; it is set where a good generator falls
/// outside once in some ten thousand tests, and every test program also shows a faulty sample that does fall outside.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace random_test {

/// sqrt(n) sup |F_n - F| from the values F(x_i): above 2.2 once in 10,000 samples, below 0.33 as rarely.
inline double kolmogorov(std::vector<double> probabilities) {
  std::sort(probabilities.begin(), probabilities.end());
  const auto n = static_cast<double>(probabilities.size());
  double worst = 0;
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    const auto rank = static_cast<double>(i);
    worst = std::max({worst, probabilities[i] - rank / n, (rank + 1) / n - probabilities[i]});
  }
  return worst * std::sqrt(n);
}

/// Pearson's statistic of equally likely cells, as standard deviations from its mean: within +-4 but for one sample in 10,000
/// (cells are many, so that the law is close to normal). A fit that is too good is as wrong as a bad one.
inline double chi_square(const std::vector<std::int64_t>& counts) {
  double n = 0;
  for (const std::int64_t c : counts) n += static_cast<double>(c);
  const auto cells = static_cast<double>(counts.size());
  double sum = 0;
  for (const std::int64_t c : counts) sum += std::pow(static_cast<double>(c) - n / cells, 2);
  return (sum * cells / n - (cells - 1)) / std::sqrt(2 * (cells - 1));
}

/// Counts of F(x_i) in equal cells of [0, 1).
inline std::vector<std::int64_t> cells_of(const std::vector<double>& probabilities, std::size_t cells) {
  std::vector<std::int64_t> counts(cells);
  for (const double p : probabilities) {
    counts[std::min(static_cast<std::size_t>(p * static_cast<double>(cells)), cells - 1)] += 1;
  }
  return counts;
}

/// sqrt(n) times the correlation of x_i and y_i: standard normal for independent samples.
inline double correlation(const double* x, const double* y, std::size_t n) {
  const auto count = static_cast<double>(n);
  double mean_x = 0;
  double mean_y = 0;
  for (std::size_t i = 0; i < n; ++i) {
    mean_x += x[i] / count;
    mean_y += y[i] / count;
  }
  double xx = 0;
  double yy = 0;
  double xy = 0;
  for (std::size_t i = 0; i < n; ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xy / std::sqrt(xx * yy) * std::sqrt(count);
}

/// The correlation of a sequence with itself, `lag` later.
inline double serial_correlation(const std::vector<double>& x, std::size_t lag) {
  return correlation(x.data(), x.data() + lag, x.size() - lag);
}

/// (mean of x_i - mean) / standard error.
inline double mean_deviation(const std::vector<double>& x, double mean, double variance) {
  double sum = 0;
  for (const double v : x) sum += v - mean;
  return sum / std::sqrt(variance * static_cast<double>(x.size()));
}

/// |got - want| / |want| in units of 2^-digits of T: an ulp is 1 to 2 of them.
template <class T, class Real>
double relative_error(T got, Real want) {
  const Real difference = std::abs(static_cast<Real>(got) - want);
  return static_cast<double>(difference / std::abs(want) * std::ldexp(Real(1), std::numeric_limits<T>::digits));
}

/// The standard normal distribution function.
inline double normal_probability(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

/// Integers to test with that owe nothing to Philox: the finaliser of MurmurHash3 on a counter.
class mixer {
 public:
  std::uint64_t operator()() {
    state_ += 0x9E3779B97F4A7C15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 33)) * 0xFF51AFD7ED558CCDu;
    z = (z ^ (z >> 33)) * 0xC4CEB9FE1A85EC53u;
    return z ^ (z >> 33);
  }

 private:
  std::uint64_t state_ = 1;
};

}  // namespace random_test
