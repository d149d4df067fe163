// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/brownian.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/error.hpp"
#include "shaped.hpp"
#include "statistics.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/brownian.hpp"

using namespace random_test;
using tessera::float16;
using tessera::seq;
using tessera::view;
using tessera::random::brownian;
using tessera::random::brownian_bridge;
using tessera::random::brownian_increment;
using tessera::random::brownian_path;
using tessera::random::fill_brownian;
using tessera::random::fill_brownian_bridge;
using tessera::random::fill_brownian_increment;

using wide_types = boost::mpl::list<float, double>;
using types = boost::mpl::list<float, double, float16>;

namespace {

std::vector<double> filled(const brownian_path& path, double t, std::size_t n) {
  std::vector<double> x(n);
  fill_brownian(seq, view(x.data(), n), path, t);
  return x;
}

/// (sum x_i y_i - n covariance) / its deviation for normal numbers of these variances.
double covariance_deviation(const std::vector<double>& x, const std::vector<double>& y, double covariance, double var_x,
                            double var_y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i] - covariance;
  return sum / std::sqrt(static_cast<double>(x.size()) * (var_x * var_y + covariance * covariance));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(random_brownian)

static_assert(brownian<double>({1, 2}, 0.3, 3) == 0x1.7ae34050c6c5ep-1);
static_assert(brownian<float>({1, 2}, 0.3, 3) == 0x1.7e1cbep-2f);
static_assert(brownian<double>({1, 2}, 0, 3) == 0 && brownian_increment<double>({1, 2}, 0.7, 0.7, 3) == 0);

BOOST_AUTO_TEST_CASE(equals_the_reference) {
  mixer random;
  for (const brownian_path& path : {brownian_path{1, 2}, brownian_path{3, 4, -5, 80, 10}, brownian_path{3, 4, 0.25, 0.5, 0},
                                    brownian_path{3, 4, 0, 1e-3, 40}}) {
    double worst = 0;
    for (int i = 0; i < 3000; ++i) {
      double s = static_cast<double>(random() >> 11) * 0x1p-53;
      if (i % 4 == 0) s = std::ldexp(std::floor(std::ldexp(s, i % 20)), -(i % 20));
      const double t = std::min(path.begin + s * (path.end - path.begin), path.end);
      const auto index = static_cast<std::uint64_t>(i);
      const double scale = std::sqrt(path.end - path.begin);
      const auto compare = [&](double got, long double want) {
        worst = std::max(worst, std::abs(got - static_cast<double>(want)) / scale);
      };
      // In a tree of depth 40 the last interval is but 2^13 roundings of t long, and the root of the distance to its end counts.
      compare(brownian<double>(path, t, index), tessera::reference::brownian<double, long double>(path, t, index));
      const double from = std::max(path.begin, path.end - (t - path.begin) / 3);
      compare(brownian_increment<double>(path, from, t, index),
              tessera::reference::brownian_increment<double, long double>(path, from, t, index));
      compare(brownian_bridge<double>(path, t, 2 * scale, -scale, index),
              tessera::reference::brownian_bridge<double, long double>(path, t, 2 * scale, -scale, index));
    }
    BOOST_TEST(worst < (path.depth == 40 ? 1e-7 : 1e-13), path.depth << ": " << worst);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(bulk_is_single, T, types) {
  const brownian_path path{5, 6, 1, 3, 20};
  for (const double t : {1.0, 1.3, 2.0, 3.0}) {
    check_fill<T>([&](const auto& exec, const auto& out, std::uint64_t first) { fill_brownian(exec, out, path, t, first); },
                  [&](std::uint64_t index) { return brownian<T>(path, t, index); }, 1500);
    check_fill<T>(
        [&](const auto& exec, const auto& out, std::uint64_t first) { fill_brownian_increment(exec, out, path, t, 2.7, first); },
        [&](std::uint64_t index) { return brownian_increment<T>(path, t, 2.7, index); }, 1500);
    check_fill<T>(
        [&](const auto& exec, const auto& out, std::uint64_t first) { fill_brownian_bridge(exec, out, path, t, -4, 9, first); },
        [&](std::uint64_t index) { return brownian_bridge<T>(path, t, -4, 9, index); }, 1500);
  }
}

// However an interval is cut into steps, the steps add up to the same path.
BOOST_AUTO_TEST_CASE_TEMPLATE(any_number_of_steps, T, wide_types) {
  const brownian_path path{7, 8, 0.02, 80};
  const double tolerance = 64 * static_cast<double>(std::numeric_limits<T>::epsilon()) * std::sqrt(80.0);
  for (std::uint64_t index = 0; index < 50; ++index) {
    const auto whole = static_cast<double>(brownian_increment<T>(path, 80, 0.02, index));
    BOOST_TEST(std::abs(whole + static_cast<double>(brownian<T>(path, 80, index))) < tolerance);
    for (const int steps : {1, 2, 3, 7, 20, 64, 333}) {
      double sum = 0;
      double t = 80;
      double worst = 0;
      for (int i = 1; i <= steps; ++i) {
        // Karras' spacing, downwards.
        const double next =
            i == steps ? 0.02
                       : std::pow(std::pow(80.0, 1.0 / 7) + i * (std::pow(0.02, 1.0 / 7) - std::pow(80.0, 1.0 / 7)) / steps, 7.0);
        sum += static_cast<double>(brownian_increment<T>(path, t, next, index));
        t = next;
        const double direct =
            static_cast<double>(brownian<T>(path, next, index)) - static_cast<double>(brownian<T>(path, 80, index));
        worst = std::max(worst, std::abs(sum - direct));
      }
      BOOST_TEST(worst < tolerance * std::sqrt(static_cast<double>(steps)));
      BOOST_TEST(std::abs(sum - whole) < tolerance * std::sqrt(static_cast<double>(steps)));
    }
    BOOST_TEST(static_cast<double>(brownian_increment<T>(path, 3, 5, index)) ==
               -static_cast<double>(brownian_increment<T>(path, 5, 3, index)));
  }
}

// Small steps keep their digits: the float of a step of 2^-20 against the double of it.
BOOST_AUTO_TEST_CASE(small_steps_do_not_cancel) {
  for (const int depth : {22, 30}) {
    for (std::uint64_t index = 0; index < 2000; ++index) {
      const brownian_path path{1, 2, 0, 1, depth};
      const double a = 0.5 + static_cast<double>(index) * 0x1p-12;
      if (a > 0.99) break;
      // Float and double draw different numbers, so that only sizes can be compared: 2^-10 deviations.
      const auto step = static_cast<double>(brownian_increment<float>(path, a, a + 0x1p-20, index));
      BOOST_TEST(std::abs(step) < 6 * 0x1p-10);
      const auto parts = static_cast<double>(brownian_increment<float>(path, a, a + 0x1p-21, index)) +
                         static_cast<double>(brownian_increment<float>(path, a + 0x1p-21, a + 0x1p-20, index));
      BOOST_TEST(std::abs(step - parts) < 1e-5 * 0x1p-10);
    }
  }
}

BOOST_AUTO_TEST_CASE(law) {
  constexpr std::size_t n = 40000;
  const brownian_path path{11, 12, 0, 1, 12};
  const double times[] = {0x1p-12, 0.1, 0.25, 1.0 / 3, 0.5, 0.500001, 0.77, 1};
  std::vector<std::vector<double>> w;
  for (const double t : times) {
    w.push_back(filled(path, t, n));
    std::vector<double> p;
    for (const double x : w.back()) p.push_back(normal_probability(x / std::sqrt(t)));
    BOOST_TEST(kolmogorov(p) < 2.2, "t " << t);
    BOOST_TEST(std::abs(serial_correlation(w.back(), 1)) < 4);
    BOOST_TEST(std::abs(covariance_deviation(w.back(), w.back(), t, t, t)) < 4.5, "t " << t);
  }
  for (std::size_t i = 0; i < w.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const double least = std::min(times[i], times[j]);
      BOOST_TEST(std::abs(covariance_deviation(w[i], w[j], least, times[i], times[j])) < 4, times[i] << ", " << times[j]);
    }
  }
  // Increments over disjoint intervals are independent.
  const double cuts[] = {0, 0.1, 0.35, 0.350001, 0.9};
  std::vector<std::vector<double>> steps;
  for (std::size_t k = 0; k + 1 < 5; ++k) {
    std::vector<double> x(n);
    fill_brownian_increment(seq, view(x.data(), n), path, cuts[k], cuts[k + 1]);
    for (const auto& earlier : steps) BOOST_TEST(std::abs(correlation(x.data(), earlier.data(), n)) < 4);
    steps.push_back(x);
  }
}

BOOST_AUTO_TEST_CASE(bridge_law) {
  constexpr std::size_t n = 40000;
  const brownian_path path{21, 22, 2, 6, 10};
  for (const double t : {2.0, 2.5, 4.1, 6.0}) {
    std::vector<double> x(n);
    fill_brownian_bridge(seq, view(x.data(), n), path, t, 10, -2);
    const double s = (t - 2) / 4;
    const double mean = 10 - 12 * s;
    const double variance = 4 * s * (1 - s);
    if (variance == 0) {
      for (const double v : x) BOOST_REQUIRE(v == mean);
      continue;
    }
    std::vector<double> p;
    for (const double v : x) p.push_back(normal_probability((v - mean) / std::sqrt(variance)));
    BOOST_TEST(kolmogorov(p) < 2.2);
    // What is left of the path where its end is known: independent of the end.
    const std::vector<double> end = filled(path, 6, n);
    BOOST_TEST(std::abs(correlation(x.data(), end.data(), n)) < 4);
    for (std::uint64_t i = 0; i < 100; ++i) {
      const double other = mean + brownian<double>(path, t, i) - s * brownian<double>(path, 6, i);
      BOOST_TEST(std::abs(x[i] - other) < 1e-13);
    }
  }
}

// Without the last interval's own number, as interpolation has it, the variance between grid points is too small.
BOOST_AUTO_TEST_CASE(faulty_samples_are_seen) {
  constexpr std::size_t n = 40000;
  const brownian_path path{31, 32, 0, 1, 2};
  const std::vector<double> a = filled(path, 0.25, n);
  const std::vector<double> c = filled(path, 0.5, n);
  std::vector<double> middle(n);
  for (std::size_t i = 0; i < n; ++i) middle[i] = (a[i] + c[i]) / 2;
  BOOST_TEST(covariance_deviation(middle, middle, 0.375, 0.375, 0.375) < -4.5);
  // Independent noise in every step, which is what a solver without a path takes, is not the covariance of the path.
  BOOST_TEST(std::abs(covariance_deviation(a, filled({33, 32, 0, 1, 2}, 0.5, n), 0.25, 0.25, 0.5)) > 4);
}

BOOST_AUTO_TEST_CASE(misuse) {
  constexpr double nan_time = std::numeric_limits<double>::quiet_NaN();
  std::vector<float> x(4, 3);
  const auto out = view(x.data(), 4);
  CHECK_REFUSED("random::brownian: t: 1.5; needs a time from path.begin to path.end", (void)brownian<float>({1, 2}, 1.5, 3));
  CHECK_REFUSED("random::brownian: t: nan; needs a time", (void)brownian<float>({1, 2}, nan_time, 3));
  CHECK_REFUSED("random::brownian_increment: t_b: -1; needs a time", (void)brownian_increment<float>({1, 2}, 0, -1, 3));
  CHECK_REFUSED("random::brownian_bridge: t: -1; needs a time", (void)brownian_bridge<float>({1, 2}, -1, 0, 1, 3));
  CHECK_REFUSED("random::fill_brownian: path.end: 0; needs a finite time after path.begin",
                fill_brownian(seq, out, {1, 2, 0, 0}, 0));
  CHECK_REFUSED("random::fill_brownian: path.end: nan; needs a finite", fill_brownian(seq, out, {1, 2, 0, nan_time}, 0));
  CHECK_REFUSED("random::fill_brownian: path.end: inf; needs a finite",
                fill_brownian(seq, out, {1, 2, 0, std::numeric_limits<double>::infinity()}, 0));
  CHECK_REFUSED("random::fill_brownian: path.depth: 51; needs 0 to 50 halvings", fill_brownian(seq, out, {1, 2, 0, 1, 51}, 0));
  CHECK_REFUSED("random::fill_brownian: path.depth: -1;", fill_brownian(seq, out, {1, 2, 0, 1, -1}, 0));
  CHECK_REFUSED("random::fill_brownian_increment: t_a: 2;", fill_brownian_increment(seq, out, {1, 2}, 2, 0));
  CHECK_REFUSED("random::fill_brownian_bridge: t: 2;", fill_brownian_bridge(seq, out, {1, 2}, 2, 0, 1));
  CHECK_REFUSED("random::fill_brownian: out: null data", fill_brownian(seq, view<float, 1>(nullptr, 3), {1, 2}, 0));
  for (const float v : x) BOOST_TEST(v == 3);
}

BOOST_AUTO_TEST_SUITE_END()
