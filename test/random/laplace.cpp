// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/laplace.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "laws.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/random.hpp"

using namespace random_test;
using tessera::bfloat16;
using tessera::float16;
using tessera::random::values_per_block;
using tessera::reference::unit_number_of;
namespace detail = tessera::random::detail;

using wide_types = boost::mpl::list<float, double>;
using types = boost::mpl::list<float, double, float16, bfloat16>;

// Relative error of the standard number, in units of 2^-24 (2^-53): that of the logarithm in exponential.cpp.
constexpr double bound = 2.4;

BOOST_AUTO_TEST_SUITE(random_laplace)

static_assert(tessera::random::laplace<float>(0, 0, 0) == 0x1.cde2c8p-3f);
static_assert(tessera::random::laplace<double>(0, 0, 0) == -0x1.179f5ba60c717p-2);

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_reference, T, wide_types) {
  mixer random;
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = random() >> (i % 64);
    const std::uint64_t index = i % 2 == 0 ? static_cast<std::uint64_t>(i) : random();
    worst = std::max(worst, relative_error(tessera::random::laplace<T>(seed, stream, index),
                                           tessera::reference::laplace<T, long double>(seed, stream, index)));
  }
  BOOST_TEST(worst < bound);
  BOOST_TEST(worst > 1);
}

// The tails reach as far as those of the exponential, on both sides; the sign is the top bit and says nothing of the size.
BOOST_AUTO_TEST_CASE(range_and_sign) {
  const detail::laplace_law<float> law;
  const detail::laplace_law<double> wide;
  BOOST_TEST(law(0u, 0u) == static_cast<float>(49 * std::log(2.0)), boost::test_tools::tolerance(1e-6f));
  BOOST_TEST(law(0x80000000u, 0u) == -law(0u, 0u));
  BOOST_TEST(law(0x7FFFFFFFu, ~0u) == 0x1p-49f);
  BOOST_TEST(law(~0u, ~0u) == -0x1p-49f);
  BOOST_TEST(wide(0u, 0u) > 45);
  BOOST_TEST(wide(std::uint64_t{1} << 63, 0u) == -wide(0u, 0u));
  BOOST_TEST(wide(~std::uint64_t{0}, ~std::uint64_t{0}) == -0x1p-65);
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 100000; ++i) {
    const auto w = static_cast<std::uint32_t>(random());
    const auto more = static_cast<std::uint32_t>(random());
    wrong += law(w ^ 0x80000000u, more) != -law(w, more);
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_block, T, types) {
  using tessera::random::laplace;
  constexpr std::uint64_t n = values_per_block<T>;
  constexpr double step = std::numeric_limits<detail::made_as<T>>::epsilon();
  int wrong = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const auto one = static_cast<double>(laplace<T>(1, 2, i));
    const auto of_block = static_cast<double>(tessera::random::laplace_block<T>(1, 2, i / n)[static_cast<int>(i % n)]);
    wrong += one != of_block || one != static_cast<double>(static_cast<T>(laplace<detail::made_as<T>>(1, 2, i)));
    wrong += one != static_cast<double>(laplace<T>(0, 1, 1, 2, i));
    wrong += static_cast<double>(laplace<T>(7, 0, 1, 2, i)) != 7;
    const auto wide = static_cast<double>(laplace<detail::made_as<T>>(1, 2, i));
    const auto scaled = static_cast<double>(laplace<detail::made_as<T>>(-3, 0.5f, 1, 2, i));
    wrong += std::abs(scaled - (0.5 * wide - 3)) > 4 * step * (1 + std::abs(scaled));
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(distribution, T, wide_types) {
  const auto draw = [](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return tessera::random::laplace<T>(seed, stream, index);
  };
  const std::vector<double> x = drawn(400000, 3, 1, draw);
  check_moments(x, 0, 2, 24);
  check_probabilities(mapped(x, [](double v) { return v < 0 ? 0.5 * std::exp(v) : 1 - 0.5 * std::exp(-v); }));
  check_independence(draw);
}

BOOST_AUTO_TEST_CASE(misuse) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const auto error = [](float loc, float scale) {
    return error_of([&] { (void)tessera::random::laplace<float>(loc, scale, 1, 2, 3); });
  };
  BOOST_TEST(error(0, -1) == "random::laplace: scale: -1; needs a finite number of at least 0");
  BOOST_TEST(error(0, nan) == "random::laplace: scale: nan; needs a finite number of at least 0");
  BOOST_TEST(error(0, infinite) == "random::laplace: scale: inf; needs a finite number of at least 0");
  BOOST_TEST(error(nan, 1) == "random::laplace: loc: nan; needs a finite number");
  BOOST_TEST(error(-infinite, 1) == "random::laplace: loc: -inf; needs a finite number");
  BOOST_TEST(error(0, 0) == "no error");
}

BOOST_AUTO_TEST_SUITE_END()
