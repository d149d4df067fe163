// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What every continuous law must show, and faulty samples that must not pass.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "statistics.hpp"

namespace random_test {

template <class F>
std::vector<double> mapped(const std::vector<double>& x, F f) {
  std::vector<double> y(x);
  for (double& v : y) v = f(v);
  return y;
}

/// n numbers draw(seed, stream, index) of one stream.
template <class Draw>
std::vector<double> drawn(std::size_t n, std::uint64_t seed, std::uint64_t stream, Draw draw) {
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<double>(draw(seed, stream, i));
  return x;
}

/// Kolmogorov, chi-square over 1000 cells and 32 x 32 cells of neighbours, and that a small stretch, a dent and an echo are seen. `p` holds
/// the values of the distribution function.
inline void check_probabilities(const std::vector<double>& p) {
  BOOST_TEST(kolmogorov(p) < 2.2);
  BOOST_TEST(kolmogorov(p) > 0.33);
  BOOST_TEST(std::abs(chi_square(cells_of(p, 1000))) < 4);
  const auto neighbours = [](const std::vector<double>& q, std::size_t lag) {
    std::vector<std::int64_t> cells(32 * 32);
    const auto at = [](double v) { return std::min(static_cast<std::size_t>(v * 32), std::size_t{31}); };
    for (std::size_t i = 0; i + lag < q.size(); i += 2 * lag) cells[at(q[i]) * 32 + at(q[i + lag])] += 1;
    return std::abs(chi_square(cells));
  };
  for (const std::size_t lag : {1u, 2u, 3u, 4u}) BOOST_TEST(neighbours(p, lag) < 4);

  const auto n = static_cast<double>(p.size());
  BOOST_TEST(kolmogorov(mapped(p, [&](double v) { return std::pow(v, 1 + 12 / std::sqrt(n)); })) > 2.2);
  const double dent = 300 / n;
  const auto dented = mapped(p, [&](double v) { return v > 0.2 && v < 0.2 + dent ? v + dent : v; });
  BOOST_TEST(std::abs(chi_square(cells_of(dented, 1000))) > 4);
  std::vector<double> twice(p);
  for (std::size_t i = 0; i + 1 < p.size(); i += 20) twice[i + 1] = twice[i];
  BOOST_TEST(neighbours(twice, 1) > 4);
}

/// Neighbours up to 16 apart, streams, seeds and a stream's far indices are not correlated, neither as they are nor in size; an echo is.
template <class Draw>
void check_independence(Draw draw) {
  constexpr std::size_t n = 200000;
  const std::vector<double> x = drawn(n, 5, 9, draw);
  const double middle = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(n);
  const auto size = [&](const std::vector<double>& y) { return mapped(y, [&](double v) { return std::abs(v - middle); }); };
  double worst = 0;
  for (std::size_t lag = 1; lag <= 16; ++lag) {
    worst = std::max({worst, std::abs(serial_correlation(x, lag)), std::abs(serial_correlation(size(x), lag))});
  }
  const auto far = [&](std::uint64_t seed, std::uint64_t stream, std::uint64_t first) {
    std::vector<double> y(n);
    for (std::size_t i = 0; i < n; ++i) y[i] = static_cast<double>(draw(seed, stream, first + i));
    worst =
        std::max({worst, std::abs(correlation(x.data(), y.data(), n)), std::abs(correlation(size(x).data(), size(y).data(), n))});
  };
  far(5, 10, 0);
  far(5, 9 + (std::uint64_t{1} << 32), 0);
  far(6, 9, 0);
  far(5 + (std::uint64_t{1} << 32), 9, 0);
  far(5, 9, std::uint64_t{1} << 33);
  BOOST_TEST(worst < 4.5);

  std::vector<double> echo(x);
  for (std::size_t i = 3; i < n; ++i) echo[i] += 0.02 * x[i - 3];
  BOOST_TEST(std::abs(serial_correlation(echo, 3)) > 4.5);
}

/// Mean and mean square about `mean`, with the fourth central moment for their errors; and that a shift of a hundredth of the deviation
/// and a stretch of as much are seen.
inline void check_moments(const std::vector<double>& x, double mean, double variance, double fourth) {
  const auto spread = [&](const std::vector<double>& y) {
    return mean_deviation(mapped(y, [&](double v) { return (v - mean) * (v - mean); }), variance, fourth - variance * variance);
  };
  BOOST_TEST(std::abs(mean_deviation(x, mean, variance)) < 4);
  BOOST_TEST(std::abs(spread(x)) < 4);
  BOOST_TEST(std::abs(mean_deviation(mapped(x, [&](double v) { return v + 0.01 * std::sqrt(variance); }), mean, variance)) > 4);
  BOOST_TEST(std::abs(spread(mapped(x, [&](double v) { return mean + (v - mean) * 1.015; }))) > 4);
}

/// Words at which something changes: ends, powers of two, multiples of thirds and of square roots of them, and their complements.
inline std::vector<std::uint64_t> critical_words() {
  std::vector<std::uint64_t> words;
  for (int bit = 0; bit < 64; ++bit) {
    const auto root_half = static_cast<std::uint64_t>(std::ldexp(std::sqrt(0.5L), bit));
    const auto silver = static_cast<std::uint64_t>(std::ldexp(std::sqrt(2.0L) - 1, bit));
    for (const std::uint64_t at :
         {std::uint64_t{1} << bit, root_half, silver, std::uint64_t{3} << bit, std::uint64_t{5} << bit}) {
      for (std::uint64_t d = 0; d < 40; ++d) {
        for (const std::uint64_t w : {at + d, at - d}) words.insert(words.end(), {w, ~w});
      }
    }
  }
  return words;
}

/// The text of the error that a call throws.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace random_test
