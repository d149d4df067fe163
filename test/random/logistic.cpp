// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/logistic.hpp"

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

// Relative error of the standard number, in units of 2^-24 (2^-53).
constexpr double bound = 4;

BOOST_AUTO_TEST_SUITE(random_logistic)

static_assert(tessera::random::logistic<float>(0, 0, 0) == -0x1.a3442cp-2f);
static_assert(tessera::random::logistic<double>(0, 0, 0) == 0x1.ff5358ec2afc9p+0);

double error(std::uint32_t a, std::uint32_t more) {
  return relative_error(detail::standard_logistic{}(a, more), tessera::reference::logit<double>(unit_number_of<float>(a, more)));
}
double error(std::uint64_t a) {
  return relative_error(detail::standard_logistic{}(a, std::uint64_t{0}),
                        tessera::reference::logit<long double>(unit_number_of<double>(a, 0)));
}

void sweep(std::uint64_t from, std::uint64_t step) {
  double worst = 0;
  for (std::uint64_t w = from; w >> 32 == 0; w += step) {
    const auto word = static_cast<std::uint32_t>(w);
    worst = std::max({worst, error(word, 0x5555), error(word >> 16, word), error(~(word >> 16), word)});
  }
  BOOST_TEST(worst < bound);
  BOOST_TEST(worst > 1);
}
BOOST_AUTO_TEST_CASE(float_words) { sweep(17, 6151); }
BOOST_AUTO_TEST_CASE(float_words_whole, *boost::unit_test::disabled() * boost::unit_test::label("full")) { sweep(0, 1); }

BOOST_AUTO_TEST_CASE(critical_and_double_words) {
  double worst = 0;
  double wide = 0;
  mixer random;
  std::vector<std::uint64_t> words = critical_words();
  for (int i = 0; i < 100000; ++i) words.push_back(random());
  for (const std::uint64_t w : words) {
    const auto word = static_cast<std::uint32_t>(w);
    worst = std::max({worst, error(word, 0), error(word, word), error(word >> 16, word), error(~(word >> 16), word)});
    wide = std::max({wide, error(w), error(~w)});
  }
  BOOST_TEST(worst < bound);
  BOOST_TEST(wide < bound);
}

BOOST_AUTO_TEST_CASE(symmetric_and_never_zero) {
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::uint64_t w = random() >> (i % 64);
    const auto word = static_cast<std::uint32_t>(w);
    wrong += detail::standard_logistic{}(~word, ~word) != -detail::standard_logistic{}(word, word);
    wrong += detail::standard_logistic{}(~w, std::uint64_t{0}) != -detail::standard_logistic{}(w, std::uint64_t{0});
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(detail::standard_logistic{}(0x80000000u, 0u) == 0x1p-31f);
  BOOST_TEST(detail::standard_logistic{}(std::uint64_t{0x8000000000000000u}, std::uint64_t{0}) == 0x1p-63);
  BOOST_TEST(detail::standard_logistic{}(~0u, ~0u) == static_cast<float>(49 * std::log(2.0)),
             boost::test_tools::tolerance(1e-6f));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_block, T, types) {
  using tessera::random::logistic;
  constexpr std::uint64_t n = values_per_block<T>;
  constexpr auto step = static_cast<double>(std::numeric_limits<detail::made_as<T>>::epsilon());
  int wrong = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const auto one = static_cast<double>(logistic<T>(1, 2, i));
    const auto of_block = static_cast<double>(tessera::random::logistic_block<T>(1, 2, i / n)[static_cast<int>(i % n)]);
    wrong += one != of_block || one != static_cast<double>(static_cast<T>(logistic<detail::made_as<T>>(1, 2, i)));
    wrong += one != static_cast<double>(logistic<T>(0, 1, 1, 2, i));
    wrong += static_cast<double>(logistic<T>(7, 0, 1, 2, i)) != 7;
    const auto wide = static_cast<double>(logistic<detail::made_as<T>>(1, 2, i));
    const auto scaled = static_cast<double>(logistic<detail::made_as<T>>(-3, detail::made_as<T>(0.5), 1, 2, i));
    wrong += std::abs(scaled - (0.5 * wide - 3)) > 4 * step * (1 + std::abs(scaled));
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(distribution, T, wide_types) {
  const auto draw = [](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return tessera::random::logistic<T>(seed, stream, index);
  };
  const std::vector<double> x = drawn(400000, 3, 1, draw);
  check_moments(x, 0, 3.2898681336964529, 4.2 * 3.2898681336964529 * 3.2898681336964529);
  check_probabilities(mapped(x, [](double v) { return 1 / (1 + std::exp(-v)); }));
  check_independence(draw);
}

BOOST_AUTO_TEST_CASE(misuse) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const auto error = [](float loc, float scale) {
    return error_of([&] { (void)tessera::random::logistic<float>(loc, scale, 1, 2, 3); });
  };
  BOOST_TEST(error(0, -1) == "random::logistic: scale: -1; needs a finite number of at least 0");
  BOOST_TEST(error(0, nan) == "random::logistic: scale: nan; needs a finite number of at least 0");
  BOOST_TEST(error(0, infinite) == "random::logistic: scale: inf; needs a finite number of at least 0");
  BOOST_TEST(error(nan, 1) == "random::logistic: loc: nan; needs a finite number");
  BOOST_TEST(error(-infinite, 1) == "random::logistic: loc: -inf; needs a finite number");
  BOOST_TEST(error(0, 0) == "no error");
}

BOOST_AUTO_TEST_SUITE_END()
