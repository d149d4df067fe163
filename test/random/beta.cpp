// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/beta.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/error.hpp"
#include "probabilities.hpp"
#include "shaped.hpp"
#include "statistics.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/random_shapes.hpp"

using namespace random_test;
using tessera::float16;
using tessera::seq;
using tessera::view;
using tessera::random::beta;
using tessera::random::fill_beta;

using wide_types = boost::mpl::list<float, double>;
using types = boost::mpl::list<float, double, float16>;

namespace {
struct pair_of_shapes {
  double a;
  double b;
};
constexpr pair_of_shapes shapes[] = {{1, 1}, {2, 3}, {0.5, 0.5}, {0.2, 4}, {7, 0.9}, {100, 300}, {1e6, 1e6}, {1, 1000}};
}  // namespace

BOOST_AUTO_TEST_SUITE(random_beta)

static_assert(beta<double>(2, 3, 1, 2, 3) == 0x1.37d58068c57e9p-1);
static_assert(beta<float>(0.5, 3, 1, 2, 3) == 0x1.d9c962p-5f);

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_reference, T, wide_types) {
  for (const auto [a, b] : shapes) {
    double worst = 0;
    for (std::uint64_t i = 0; i < 2000; ++i) {
      const long double x = tessera::reference::log_gamma_variate<T, long double>(5, 6, 2 * i, static_cast<long double>(a));
      const long double y = tessera::reference::log_gamma_variate<T, long double>(5, 6, 2 * i + 1, static_cast<long double>(b));
      const auto want =
          tessera::reference::beta<T, long double>(5, 6, i, static_cast<long double>(a), static_cast<long double>(b));
      const auto error = static_cast<double>(std::abs(static_cast<long double>(beta<T>(a, b, 5, 6, i)) - want) / want);
      // The errors of the roots count as in the test of gamma; their sum is bounded here by that of a root of a hundredth.
      const auto root = [&](std::uint64_t index, double shape) {
        return static_cast<double>(
            tessera::reference::gamma_root<T, long double>(5, 6, index, static_cast<long double>(shape < 1 ? shape + 1 : shape)));
      };
      const auto spread = [](double r) { return (1 + std::abs(r - 1)) / r; };
      const double bound =
          static_cast<double>(std::numeric_limits<T>::epsilon()) * (spread(root(2 * i, a)) + spread(root(2 * i + 1, b)) + 2) +
          0x1p-52 * static_cast<double>(std::abs(x) + std::abs(y) + 2);
      worst = std::max(worst, error / bound);
    }
    BOOST_TEST(worst < 2.5, a << ", " << b << ": " << worst);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(bulk_is_single, T, types) {
  for (const auto [a, b] : {pair_of_shapes{2, 3}, pair_of_shapes{0.01, 0.3}, pair_of_shapes{5, 0.5}}) {
    check_fill<T>([&](const auto& exec, const auto& out, std::uint64_t first) { fill_beta(exec, out, a, b, 3, 4, first); },
                  [&](std::uint64_t index) { return beta<T>(a, b, 3, 4, index); }, 3000);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(law, T, wide_types) {
  std::uint64_t stream = 0;
  for (const auto [a, b] : shapes) {
    constexpr std::size_t n = 40000;
    std::vector<T> x(n);
    fill_beta(seq, view(x.data(), n), a, b, 1, ++stream);
    std::vector<double> p;
    for (const T v : x) p.push_back(beta_probability(a, b, static_cast<double>(v), static_cast<double>(1 - v)));
    BOOST_TEST_CONTEXT(a << ", " << b) {
      // At 1/2, 1/2 a float cannot tell the last of the numbers near 1 from it; the statistic sees less than 2^-12 of them.
      BOOST_TEST(kolmogorov(p) < 2.2);
      BOOST_TEST(kolmogorov(p) > 0.33);
      BOOST_TEST(std::abs(serial_correlation(p, 1)) < 4);
    }
  }
}

// Jeffreys' beta against the arcsine law, which is written in another way; and a faulty pair: both gammas from one address.
BOOST_AUTO_TEST_CASE(arcsine_and_fault) {
  std::vector<double> p;
  std::vector<double> faulty;
  for (std::uint64_t i = 0; i < 50000; ++i) {
    p.push_back(std::asin(std::sqrt(beta<double>(0.5, 0.5, 1, 2, i))) * 2 / 3.14159265358979324);
    const double x = tessera::random::gamma<double>(2, 1, 1, 2, i);
    const double y = tessera::random::gamma<double>(3, 1, 1, 2, i);
    faulty.push_back(beta_probability(2, 3, x / (x + y), y / (x + y)));
  }
  BOOST_TEST(kolmogorov(p) < 2.2);
  BOOST_TEST(kolmogorov(faulty) > 2.2);
}

BOOST_AUTO_TEST_CASE(small_shapes) {
  std::int64_t ones = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const double x = beta<double>(1e-4, 3e-4, 1, 2, i);
    BOOST_REQUIRE((x >= 0 && x <= 1));
    ones += x > 0.5;
  }
  // P(X near 1) = a / (a + b) = 1/4 but for a thousandth.
  BOOST_TEST(std::abs(static_cast<double>(ones) - 5000) < 4 * std::sqrt(20000 * 0.25 * 0.75));
}

BOOST_AUTO_TEST_CASE(misuse) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {0.0, -1.0, nan, std::numeric_limits<double>::infinity()}) {
    std::vector<float> x(10, 3);
    CHECK_REFUSED("random::beta: a: ", (void)beta<float>(bad, 1, 1, 2, 3));
    CHECK_REFUSED("random::beta: b: ", (void)beta<double>(1, bad, 1, 2, 3));
    CHECK_REFUSED("random::fill_beta: a: ", fill_beta(seq, view(x.data(), 10), bad, 1, 1, 2));
    CHECK_REFUSED("random::fill_beta: b: ", fill_beta(seq, view(x.data(), 10), 1, bad, 1, 2));
    for (const float v : x) BOOST_TEST(v == 3);
  }
  CHECK_REFUSED("random::fill_beta: out: null data", fill_beta(seq, view<float, 1>(nullptr, 3), 1, 1, 1, 2));
}

BOOST_AUTO_TEST_SUITE_END()
