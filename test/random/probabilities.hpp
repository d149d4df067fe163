// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Distribution functions, written in long double apart from the library, and tests of discrete laws.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace random_test {

/// The regularised lower incomplete gamma function P(a, x) from log x, by its series below a + 1 and by Lentz's continued fraction of
/// the upper one above.
inline double gamma_probability(double shape, double log_x) {
  const auto a = static_cast<long double>(shape);
  const auto l = static_cast<long double>(log_x);
  const long double x = std::exp(l);
  const long double front = std::exp(a * l - x - std::lgamma(a + 1));
  if (x < a + 1) {
    long double term = 1;
    long double sum = 1;
    for (int n = 1; n < 100000 && term > sum * 1e-19L; ++n) {
      term *= x / (a + static_cast<long double>(n));
      sum += term;
    }
    return static_cast<double>(front * sum);
  }
  const long double tiny = 1e-300L;
  long double b = x + 1 - a;
  long double c = 1 / tiny;
  long double d = 1 / b;
  long double h = d;
  for (int n = 1; n < 100000; ++n) {
    const auto k = static_cast<long double>(n);
    const long double an = -k * (k - a);
    b += 2;
    d = an * d + b;
    if (std::fabs(d) < tiny) d = tiny;
    c = b + an / c;
    if (std::fabs(c) < tiny) c = tiny;
    d = 1 / d;
    h *= d * c;
    if (std::fabs(d * c - 1) < 1e-18L) break;
  }
  return static_cast<double>(1 - front * a * h);
}

/// The regularised incomplete beta function I_x(a, b), by its continued fraction; `rest` is 1 - x.
inline double beta_probability(double first, double second, double at, double rest) {
  auto a = static_cast<long double>(first);
  auto b = static_cast<long double>(second);
  auto x = static_cast<long double>(at);
  auto y = static_cast<long double>(rest);
  const bool swapped = x > (a + 1) / (a + b + 2);
  if (swapped) {
    std::swap(a, b);
    std::swap(x, y);
  }
  if (x <= 0) return swapped ? 1 : 0;
  const long double front =
      std::exp(a * std::log(x) + b * std::log(y) + std::lgamma(a + b) - std::lgamma(a + 1) - std::lgamma(b));
  const long double tiny = 1e-300L;
  long double c = 1;
  long double d = 1 - (a + b) * x / (a + 1);
  if (std::fabs(d) < tiny) d = tiny;
  d = 1 / d;
  long double h = d;
  for (int n = 1; n < 100000; ++n) {
    const auto k = static_cast<long double>(n);
    for (const long double numerator :
         {k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k)), -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))}) {
      d = 1 + numerator * d;
      if (std::fabs(d) < tiny) d = tiny;
      c = 1 + numerator / c;
      if (std::fabs(c) < tiny) c = tiny;
      d = 1 / d;
      h *= c * d;
    }
    if (std::fabs(c * d - 1) < 1e-18L) break;
  }
  const auto result = static_cast<double>(front * h);
  return swapped ? 1 - result : result;
}

/// Pearson's statistic for cells of given probabilities (each with some five or more expected counts), as standard deviations from its
/// mean by Wilson and Hilferty's cube root: standard normal also for few cells.
inline double chi_square(const std::vector<std::int64_t>& counts, const std::vector<double>& probabilities) {
  double n = 0;
  for (const std::int64_t c : counts) n += static_cast<double>(c);
  double sum = 0;
  double cells = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (probabilities[i] == 0) {
      if (counts[i] != 0) return std::numeric_limits<double>::infinity();
      continue;
    }
    const double expected = n * probabilities[i];
    sum += (static_cast<double>(counts[i]) - expected) * (static_cast<double>(counts[i]) - expected) / expected;
    cells += 1;
  }
  const double freedom = cells - 1;
  const double spread = 2 / (9 * freedom);
  return (std::cbrt(sum / freedom) - (1 - spread)) / std::sqrt(spread);
}

}  // namespace random_test
