// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/bernoulli.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "laws.hpp"
#include "tessera/reference/random.hpp"

using namespace random_test;
using tessera::random::bernoulli;
namespace detail = tessera::random::detail;

BOOST_AUTO_TEST_SUITE(random_bernoulli)

static_assert(bernoulli(0.4, 0, 0, 0) && !bernoulli(0.399, 0, 0, 0));  // the word is 0x6627e8d5, 0.39904 of 2^32

bool of_words(double p, std::uint32_t w, std::uint32_t more) {
  const detail::bernoulli_law law(p);
  return (law.accepts(w) ? law(w) : law.repaired(w, [&](std::uint64_t) { return more; })) != 0;
}

// True for exactly floor(p 2^64) of the 2^64 pairs of words: those below, found by bisection; the sum is a count.
BOOST_AUTO_TEST_CASE(exact_probability) {
  for (const double p : {0.0, 0x1p-65, 0x1p-64, 0x1.8p-63, 1e-18, 1e-12, 0x1p-32, 0x1.00000001p-32, 1e-6, 0.1, 0.25, 1.0 / 3, 0.5,
                         0.7, 1 - 0x1p-32, 1 - 0x1p-53, 1.0}) {
    std::uint64_t below = 0;  // all words below are true, from `above` on false
    bool all = of_words(p, ~0u, ~0u);
    std::uint64_t above = ~std::uint64_t{0};
    if (!of_words(p, 0, 0)) above = 0;
    while (above - below > 1 && !all) {
      const std::uint64_t middle = below + (above - below) / 2;
      const bool hit = of_words(p, static_cast<std::uint32_t>(middle >> 32), static_cast<std::uint32_t>(middle));
      (hit ? below : above) = middle;
    }
    const long double want = std::floor(static_cast<long double>(p) * 0x1p64L);
    BOOST_TEST((all ? 0x1p64L : static_cast<long double>(above)) == want);
  }
}

BOOST_AUTO_TEST_CASE(equals_the_reference) {
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 50000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = random() >> (i % 64);
    const std::uint64_t index = random();
    // Half of the time a p that agrees with the word in all of its 32 bits.
    const double word = static_cast<double>(tessera::reference::random_word<float>(seed, stream, index));
    const double p =
        i % 2 == 0 ? static_cast<double>(random() >> 11) * 0x1p-53 : (word + static_cast<double>(random() % 256) / 256) * 0x1p-32;
    wrong += bernoulli(p, seed, stream, index) != tessera::reference::bernoulli(p, seed, stream, index);
    wrong += bernoulli(0, seed, stream, index) || !bernoulli(1, seed, stream, index);
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(distribution) {
  for (const double p : {0.01, 0.3, 0.5, 0.9}) {
    const auto draw = [&](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
      return bernoulli(p, seed, stream, index);
    };
    const std::vector<double> x = drawn(400000, 3, 1, draw);
    BOOST_TEST(std::abs(mean_deviation(x, p, p * (1 - p))) < 4);
    BOOST_TEST(std::abs(mean_deviation(x, p + 0.005, p * (1 - p))) > 4);
    check_independence(draw);
  }
}

BOOST_AUTO_TEST_CASE(misuse) {
  const auto error = [](double p) { return error_of([&] { (void)bernoulli(p, 1, 2, 3); }); };
  BOOST_TEST(error(-0.1) == "random::bernoulli: p: -0.1; needs a probability, from 0 to 1");
  BOOST_TEST(error(1.5) == "random::bernoulli: p: 1.5; needs a probability, from 0 to 1");
  BOOST_TEST(error(std::numeric_limits<double>::quiet_NaN()) == "random::bernoulli: p: nan; needs a probability, from 0 to 1");
  BOOST_TEST(error(-0.0) == "no error");
}

BOOST_AUTO_TEST_SUITE_END()
