// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/truncated_normal.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "laws.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/random.hpp"

using namespace random_test;
using tessera::bfloat16;
using tessera::float16;
using tessera::random::truncated_normal;
namespace detail = tessera::random::detail;

using types = boost::mpl::list<float, double, float16, bfloat16>;

namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

/// Every kind of proposal, on both sides, and the borders between them.
const std::vector<std::pair<double, double>>& intervals() {
  static const std::vector<std::pair<double, double>> all{{-infinite, infinite},
                                                          {-2, 2},
                                                          {-1, 1},
                                                          {-0.5, 3},
                                                          {-3, 0.5},
                                                          {-1.25, 1.25},
                                                          {0, infinite},
                                                          {-infinite, 0},
                                                          {0, 1},
                                                          {0.5, infinite},
                                                          {1, 1.5},
                                                          {2, 4},
                                                          {-4, -2},
                                                          {8, 9},
                                                          {-9, -8},
                                                          {8, infinite},
                                                          {-infinite, -8},
                                                          {30, 31},
                                                          {3, 3.125},
                                                          {-infinite, 1},
                                                          {-1, infinite}};
  return all;
}

/// ln P(X > x), by erfc where it does not vanish and by the continued fraction beyond.
double log_upper_tail(double x) {
  if (x < 10) return std::log(0.5 * std::erfc(x / std::sqrt(2.0)));
  double fraction = x;
  for (int k = 60; k > 0; --k) fraction = x + k / fraction;
  return -0.5 * x * x - 0.5 * std::log(2 * std::acos(-1.0)) - std::log(fraction);
}

/// P(low < X < x) / P(low < X < high), reflected so that tails are taken where they are small.
double probability(double x, double low, double high) {
  if (low < 0 && high <= 0) return 1 - probability(-x, -high, -low);
  if (low >= 0) {
    const double near = log_upper_tail(low);
    const double all = high == infinite ? 1 : -std::expm1(log_upper_tail(high) - near);
    return -std::expm1(log_upper_tail(x) - near) / all;
  }
  return (normal_probability(x) - normal_probability(low)) / (normal_probability(high) - normal_probability(low));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(random_truncated_normal)

static_assert(truncated_normal<float>(8, 9, 0, 0, 0) == 0x1.008052p+3f &&
              truncated_normal<double>(8, 9, 0, 0, 0) == 0x1.00805253cfcf7p+3);

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_reference, T, types) {
  mixer random;
  double worst = 0;
  int compared = 0;
  int outside = 0;
  for (const auto& [low, high] : intervals()) {
    for (int i = 0; i < 2000; ++i) {
      const std::uint64_t seed = random();
      const std::uint64_t stream = random() >> (i % 64);
      const std::uint64_t index = i % 2 == 0 ? static_cast<std::uint64_t>(i) : random() >> 2;
      using value = detail::made_as<T>;
      const T got = truncated_normal<T>(static_cast<value>(low), static_cast<value>(high), seed, stream, index);
      double room = 0;
      const double want = tessera::reference::truncated_normal<T>(low, high, seed, stream, index, &room);
      const auto x = static_cast<double>(got);
      outside += !(x >= low && x <= high);
      if (room < 1e-11) continue;  // a comparison that a rounding decides
      ++compared;
      // Absolute against the larger of 1 and the value, in roundings of T; double has its own few on the way.
      worst = std::max(worst, std::ldexp(std::abs(x - want) / std::max(1.0, std::abs(want)), std::numeric_limits<T>::digits));
    }
  }
  BOOST_TEST(outside == 0);
  BOOST_TEST(compared > 41900);
  BOOST_TEST(worst < (std::is_same_v<T, double> ? 8 : 1.001));
}

BOOST_AUTO_TEST_CASE(distribution) {
  for (const auto& [low, high] : intervals()) {
    std::vector<double> p;
    for (std::uint64_t i = 0; i < 100000; ++i) p.push_back(probability(truncated_normal<double>(low, high, 3, 1, i), low, high));
    BOOST_TEST_CONTEXT("[" << low << ", " << high << "]") { check_probabilities(p); }
  }
  // The law must be the interval's own: that of a neighbour is seen.
  std::vector<double> p;
  for (std::uint64_t i = 0; i < 100000; ++i)
    p.push_back(std::min(1.0, probability(truncated_normal<double>(8, 9, 3, 1, i), 8, infinite) * 1.01));
  BOOST_TEST(kolmogorov(p) > 2.2);
  check_independence([](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return truncated_normal<float>(-1, 2, seed, stream, index);
  });
  check_independence([](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return truncated_normal<double>(3, infinite, seed, stream, index);
  });
}

// However far out: the distance from the near end is exponential there, of the rate that the end is.
BOOST_AUTO_TEST_CASE(far_tails) {
  for (const double near : {1e3, 1e8}) {
    std::vector<double> p;
    for (std::uint64_t i = 0; i < 50000; ++i) {
      const double x = truncated_normal<double>(near, infinite, 5, 2, i);
      BOOST_REQUIRE(x >= near);
      if (near == 1e3) p.push_back(-std::expm1(-(x - near) * (x + near) / 2));
    }
    if (near == 1e3) BOOST_TEST(kolmogorov(p) < 2.2 + 0.3);  // but for a relative 1e-6 of the density
  }
  BOOST_TEST(truncated_normal<double>(1e300, infinite, 1, 2, 3) == 1e300);
  BOOST_TEST(truncated_normal<float>(-3e38f, -2e38f, 1, 2, 3) == -2e38f);
  BOOST_TEST(truncated_normal<float>(5, std::nextafter(5.0f, 6.0f), 1, 2, 3) >= 5);
}

BOOST_AUTO_TEST_CASE(misuse) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto error = [](float low, float high) { return error_of([&] { (void)truncated_normal<float>(low, high, 1, 2, 3); }); };
  BOOST_TEST(error(1, 1) == "random::truncated_normal: high: 1; needs a number above low (both in the type of the result)");
  BOOST_TEST(error(2, -2) == "random::truncated_normal: high: -2; needs a number above low (both in the type of the result)");
  BOOST_TEST(error(nan, 1) == "random::truncated_normal: low: nan; needs a number");
  BOOST_TEST(error(0, nan) == "random::truncated_normal: high: nan; needs a number");
  BOOST_TEST(
      error_of([] { (void)truncated_normal<bfloat16>(8, 8.001f, 1, 2, 3); }).starts_with("random::truncated_normal: high: 8;"));
}

BOOST_AUTO_TEST_SUITE_END()
