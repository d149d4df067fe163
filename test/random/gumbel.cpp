// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/gumbel.hpp"

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

// Absolute error of the standard number over max(1, |x|), in units of 2^-24 (2^-53).
constexpr double bound = 4;

BOOST_AUTO_TEST_SUITE(random_gumbel)

static_assert(tessera::random::gumbel<float>(0, 0, 0) == 0x1.5b6c7ep-4f);
static_assert(tessera::random::gumbel<double>(0, 0, 0) == 0x1.07e484179cd9fp+1);

float of_words(std::uint32_t a, std::uint32_t more) { return detail::gumbel_law<float>{}(a, more); }
double of_words(std::uint64_t a) { return detail::gumbel_law<double>{}(a, 0); }

template <class T, class Real>
double scaled_error(T got, Real want) {
  const Real difference = std::abs(static_cast<Real>(got) - want) / std::max(Real(1), std::abs(want));
  return static_cast<double>(std::ldexp(difference, std::numeric_limits<T>::digits));
}
double error(std::uint32_t a, std::uint32_t more) {
  return scaled_error(of_words(a, more), -std::log(tessera::reference::minus_log<double>(unit_number_of<float>(a, more))));
}
double error(std::uint64_t a) {
  return scaled_error(of_words(a), -std::log(tessera::reference::minus_log<long double>(unit_number_of<double>(a, 0))));
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

// What lies beyond any sample: the share of words whose number is above x is 1 - exp(-exp(-x)), far past the 16.6 at which numbers from 24
// bits end, and below -x it is exp(-exp(x)).
BOOST_AUTO_TEST_CASE(tails) {
  const auto of_48_bits = [](std::uint64_t n) {
    return of_words(static_cast<std::uint32_t>(n >> 16), static_cast<std::uint32_t>(n & 0xFFFF));
  };
  const auto share_above = [&](float x) {
    std::uint64_t low = 0;
    std::uint64_t high = std::uint64_t{1} << 48;
    while (high - low > 1) {
      const std::uint64_t middle = (low + high) / 2;
      (of_48_bits(middle) > x ? high : low) = middle;
    }
    return std::ldexp(static_cast<double>((std::uint64_t{1} << 48) - high), -48);
  };
  // As many as 24 bits would have, plus or minus a cell: none from 16.7 on, and 2^28 draws have 16 of them.
  for (const float x : {12.0f, 14.0f, 16.7f, 18.0f, 20.0f, 22.0f, 25.0f, 28.0f, 30.0f, 32.0f}) {
    const double want = -std::expm1(-std::exp(-static_cast<double>(x)));
    BOOST_TEST(std::abs(share_above(x) / want - 1) < 1e-5 + 0x1p-48 / want);
  }
  for (const float x : {2.5f, 3.0f, 3.2f, 3.4f}) {
    const double want = std::exp(-std::exp(static_cast<double>(x)));
    BOOST_TEST(std::abs((1 - share_above(-x)) / want - 1) < 1e-4 + 0x1p-47 / want);
  }
  BOOST_TEST(0x1p28 * share_above(16.6355f) > 15.9);
  BOOST_TEST(of_words(~0u, ~0u) == static_cast<float>(49 * std::log(2.0)), boost::test_tools::tolerance(1e-6f));
  BOOST_TEST(of_words(0u, 0u) == -3.52531f, boost::test_tools::tolerance(1e-4f));
  BOOST_TEST(of_words(~std::uint64_t{0}) > 45);
  BOOST_TEST(of_words(std::uint64_t{0}) < -3.8);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_reference, T, wide_types) {
  mixer random;
  double worst = 0;
  for (int i = 0; i < 50000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = random() >> (i % 64);
    const std::uint64_t index = i % 2 == 0 ? static_cast<std::uint64_t>(i) : random();
    worst = std::max(worst, scaled_error(tessera::random::gumbel<T>(seed, stream, index),
                                         tessera::reference::gumbel<T, long double>(seed, stream, index)));
  }
  BOOST_TEST(worst < bound);
}

// argmax over logits plus Gumbel numbers draws from their softmax, and the maximum is Gumbel about their log-sum-exp.
BOOST_AUTO_TEST_CASE(maximum_draws_from_the_softmax) {
  constexpr int classes = 8;
  const double logits[classes] = {0, 1, 2, -1, 0.5, -3, 1.5, 0};
  double total = 0;
  for (const double l : logits) total += std::exp(l);
  std::vector<double> hits(classes);
  std::vector<double> p;
  constexpr std::uint64_t n = 200000;
  for (std::uint64_t i = 0; i < n; ++i) {
    int best = 0;
    double most = -100;
    for (int c = 0; c < classes; ++c) {
      const double v =
          logits[c] + static_cast<double>(tessera::random::gumbel<float>(4, 4, classes * i + static_cast<std::uint64_t>(c)));
      if (v > most) {
        most = v;
        best = c;
      }
    }
    hits[static_cast<std::size_t>(best)] += 1;
    p.push_back(std::exp(-std::exp(std::log(total) - most)));
  }
  double squares = 0;
  double off = 0;  // and against probabilities that are 2 % wrong
  for (std::size_t c = 0; c < classes; ++c) {
    const double want = static_cast<double>(n) * std::exp(logits[c]) / total;
    squares += std::pow(hits[c] - want, 2) / want;
    const double wrong = want * (c % 2 == 0 ? 1.02 : 0.98);
    off += std::pow(hits[c] - wrong, 2) / wrong;
  }
  BOOST_TEST(squares < 29);  // 7 degrees of freedom: once in 10,000
  BOOST_TEST(off > 29);
  BOOST_TEST(kolmogorov(p) < 2.2);
  BOOST_TEST(kolmogorov(p) > 0.33);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_block, T, types) {
  using tessera::random::gumbel;
  constexpr std::uint64_t n = values_per_block<T>;
  constexpr double step = std::numeric_limits<detail::made_as<T>>::epsilon();
  int wrong = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const auto one = static_cast<double>(gumbel<T>(1, 2, i));
    const auto of_block = static_cast<double>(tessera::random::gumbel_block<T>(1, 2, i / n)[static_cast<int>(i % n)]);
    wrong += one != of_block || one != static_cast<double>(static_cast<T>(gumbel<detail::made_as<T>>(1, 2, i)));
    wrong += one != static_cast<double>(gumbel<T>(0, 1, 1, 2, i));
    wrong += static_cast<double>(gumbel<T>(7, 0, 1, 2, i)) != 7;
    const auto wide = static_cast<double>(gumbel<detail::made_as<T>>(1, 2, i));
    const auto scaled = static_cast<double>(gumbel<detail::made_as<T>>(-3, 0.5f, 1, 2, i));
    wrong += std::abs(scaled - (0.5 * wide - 3)) > 4 * step * (1 + std::abs(scaled));
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(distribution, T, wide_types) {
  const auto draw = [](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return tessera::random::gumbel<T>(seed, stream, index);
  };
  const std::vector<double> x = drawn(400000, 3, 1, draw);
  check_moments(x, 0.57721566490153286, 1.6449340668482264, 5.4 * 1.6449340668482264 * 1.6449340668482264);
  check_probabilities(mapped(x, [](double v) { return std::exp(-std::exp(-v)); }));
  check_independence(draw);
}

BOOST_AUTO_TEST_CASE(misuse) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const auto error = [](float loc, float scale) {
    return error_of([&] { (void)tessera::random::gumbel<float>(loc, scale, 1, 2, 3); });
  };
  BOOST_TEST(error(0, -1) == "random::gumbel: scale: -1; needs a finite number of at least 0");
  BOOST_TEST(error(0, nan) == "random::gumbel: scale: nan; needs a finite number of at least 0");
  BOOST_TEST(error(0, infinite) == "random::gumbel: scale: inf; needs a finite number of at least 0");
  BOOST_TEST(error(nan, 1) == "random::gumbel: loc: nan; needs a finite number");
  BOOST_TEST(error(-infinite, 1) == "random::gumbel: loc: -inf; needs a finite number");
  BOOST_TEST(error(0, 0) == "no error");
}

BOOST_AUTO_TEST_SUITE_END()
