// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/exponential.hpp"

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
using tessera::random::exponential;
using tessera::random::exponential_block;
using tessera::random::values_per_block;
using tessera::reference::unit_number_of;
namespace detail = tessera::random::detail;

using wide_types = boost::mpl::list<float, double>;
using types = boost::mpl::list<float, double, float16, bfloat16>;

// Of -ln u, and of the quotient with the rate, in units of 2^-24 (2^-53) relative to the value.
constexpr double log_bound = 2.4;
constexpr double value_bound = 3.5;  // and the rounding of the quotient

BOOST_AUTO_TEST_SUITE(random_exponential)

// Golden values: computed in the compiler, they fix the bits for every machine.
static_assert(exponential<float>(1, 0, 0, 0) == 0x1.d65ce2p-1f && exponential<double>(1, 0, 0, 0) == 0x1.0497ab7861bc8p-3);

BOOST_AUTO_TEST_CASE(golden_values_at_run_time) {
  volatile std::uint64_t zero = 0;  // volatile: the compiler must not do this in advance
  BOOST_TEST(exponential<float>(1, zero, 0, 0) == 0x1.d65ce2p-1f);
  BOOST_TEST(exponential<double>(1, zero, 0, 0) == 0x1.0497ab7861bc8p-3);
}

double log_error(std::uint32_t a, std::uint32_t more) {
  return relative_error(detail::minus_log_unit(a, more), tessera::reference::minus_log<double>(unit_number_of<float>(a, more)));
}
double log_error(std::uint64_t a) {
  return relative_error(detail::minus_log_unit(a, std::uint64_t{0}),
                        tessera::reference::minus_log<long double>(unit_number_of<double>(a, 0)));
}

/// Every `step`-th word, and every `step`-th number of 48 bits at either end.
void sweep(std::uint64_t from, std::uint64_t step) {
  double worst = 0;
  double deep = 0;
  for (std::uint64_t w = from; w >> 32 == 0; w += step) {
    const auto word = static_cast<std::uint32_t>(w);
    worst = std::max(worst, log_error(word, 0x5555));
    deep = std::max({deep, log_error(word >> 16, word), log_error(~(word >> 16), word)});
  }
  BOOST_TEST(worst < log_bound);
  BOOST_TEST(deep < log_bound);
  BOOST_TEST(worst > 1);  // not correctly rounded: a sweep that sees nothing is broken
}

BOOST_AUTO_TEST_CASE(float_logarithm) { sweep(17, 6151); }
BOOST_AUTO_TEST_CASE(float_logarithm_whole, *boost::unit_test::disabled() * boost::unit_test::label("full")) { sweep(0, 1); }

BOOST_AUTO_TEST_CASE(critical_logarithms) {
  double worst = 0;
  double wide = 0;
  for (const std::uint64_t w : critical_words()) {
    const auto word = static_cast<std::uint32_t>(w);
    worst =
        std::max({worst, log_error(word, 0), log_error(word, word), log_error(word >> 16, word), log_error(~(word >> 16), word)});
    wide = std::max(wide, log_error(w));
  }
  BOOST_TEST(worst < log_bound);
  BOOST_TEST(wide < log_bound);
}

BOOST_AUTO_TEST_CASE(double_logarithm) {
  mixer random;
  double worst = 0;
  for (int i = 0; i < 300000; ++i) {
    const std::uint64_t w = random() >> (i % 4 == 0 ? random() % 64 : 0);
    worst = std::max({worst, log_error(w), log_error(~w)});
  }
  BOOST_TEST(worst < log_bound);
  BOOST_TEST(worst > 1);
}

// -ln x of a result, over all binades that exponential numbers have.
BOOST_AUTO_TEST_CASE(logarithm_of_numbers) {
  mixer random;
  double worst = 0;
  double wide = 0;
  for (int i = 0; i < 1000000; ++i) {
    const float x = std::ldexp(1.0f + std::ldexp(static_cast<float>(random() >> 41), -23), static_cast<int>(random() % 58) - 50);
    const double y = std::ldexp(1.0 + std::ldexp(static_cast<double>(random() >> 12), -52), static_cast<int>(random() % 74) - 66);
    if (x != 1) worst = std::max(worst, relative_error(detail::minus_log(x), -std::log(static_cast<double>(x))));
    if (y != 1) wide = std::max(wide, relative_error(detail::minus_log(y), -std::log(static_cast<long double>(y))));
  }
  BOOST_TEST(worst < log_bound);
  BOOST_TEST(wide < log_bound);
  BOOST_TEST(detail::minus_log(1.0f) == 0);
  BOOST_TEST(detail::minus_log(1.0) == 0);
}

BOOST_AUTO_TEST_CASE(range) {
  // The ends, and the words where the depth changes, in order.
  BOOST_TEST(detail::minus_log_unit(~0u, ~0u) == 0x1p-49f);
  BOOST_TEST(detail::minus_log_unit(~std::uint64_t{0}, std::uint64_t{0}) == 0x1p-65);
  BOOST_TEST(detail::minus_log_unit(0u, 0u) == static_cast<float>(49 * std::log(2.0)), boost::test_tools::tolerance(1e-6f));
  BOOST_TEST(detail::minus_log_unit(std::uint64_t{0}, std::uint64_t{0}) == 65 * std::log(2.0),
             boost::test_tools::tolerance(1e-15));
  for (const std::uint32_t at : {0x10000u, 0xB504F334u, 0xFFFF0000u, 0x80000000u}) {
    BOOST_TEST(detail::minus_log_unit(at - 1, 0xFFFFu) >= detail::minus_log_unit(at, 0u));
    BOOST_TEST(detail::minus_log_unit(at - 0x100, 0u) > detail::minus_log_unit(at + 0x100, 0u));
  }
  BOOST_TEST(detail::minus_log_unit(0xFFFEFFFFu, 0u) > detail::minus_log_unit(0xFFFF0000u, 0u));
  BOOST_TEST(detail::minus_log_unit(0xFFFF0000u, 0u) > detail::minus_log_unit(0xFFFF0000u, 0xFFFFu));
  BOOST_TEST(detail::minus_log_unit(0xFFFFu, 0xFFFFu) > detail::minus_log_unit(0x10000u, 0u));
}

// Neither 0 nor infinity, whatever the rate and the type.
BOOST_AUTO_TEST_CASE_TEMPLATE(never_zero_never_infinite, T, types) {
  using law = detail::exponential_law<T>;
  using value = detail::made_as<T>;
  using word = detail::word_of<T>;
  for (const value rate : {std::numeric_limits<value>::denorm_min(), std::numeric_limits<value>::min(), value(0x1p-30), value(1),
                           value(0x1p30), std::numeric_limits<value>::max()}) {
    for (const word w :
         {word{0}, word{1}, static_cast<word>(~word{0}), static_cast<word>(~word{1}), static_cast<word>(0x12345678u)}) {
      for (const word more : {word{0}, static_cast<word>(~word{0})}) {
        const auto x = static_cast<double>(static_cast<T>(law{rate}(w, more)));
        BOOST_TEST(x > 0);
        BOOST_TEST(x <= static_cast<double>(std::numeric_limits<T>::max()));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_reference, T, wide_types) {
  mixer random;
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = random() >> (i % 64);
    const std::uint64_t index = i % 2 == 0 ? static_cast<std::uint64_t>(i) : random();
    const T rate = static_cast<T>(std::ldexp(1.0 + static_cast<double>(random() % 1000) / 999, i % 40 - 20));
    const long double want =
        tessera::reference::exponential<T, long double>(seed, stream, index) / static_cast<long double>(rate);
    worst = std::max(worst, relative_error(exponential<T>(rate, seed, stream, index), want));
  }
  BOOST_TEST(worst < value_bound);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_block, T, types) {
  constexpr std::uint64_t n = values_per_block<T>;
  int wrong = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const T one = exponential<T>(3, 1, 2, i);
    const T of_block = exponential_block<T>(3, 1, 2, i / n)[static_cast<int>(i % n)];
    const T rounded = static_cast<T>(exponential<detail::made_as<T>>(3, 1, 2, i));
    wrong +=
        static_cast<double>(one) != static_cast<double>(of_block) || static_cast<double>(one) != static_cast<double>(rounded);
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(distribution, T, wide_types) {
  const auto draw = [](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return exponential<T>(2, seed, stream, index);
  };
  const std::vector<double> x = drawn(400000, 3, 1, draw);
  check_moments(x, 0.5, 0.25, 9.0 / 16);
  check_probabilities(mapped(x, [](double v) { return -std::expm1(-2 * v); }));
  check_independence(draw);
}

BOOST_AUTO_TEST_CASE(misuse) {
  const auto error = [](float rate) { return error_of([&] { (void)exponential<float>(rate, 1, 2, 3); }); };
  BOOST_TEST(error(0) == "random::exponential: rate: 0; needs a finite number above 0");
  BOOST_TEST(error(-2) == "random::exponential: rate: -2; needs a finite number above 0");
  BOOST_TEST(error(std::numeric_limits<float>::quiet_NaN()) == "random::exponential: rate: nan; needs a finite number above 0");
  BOOST_TEST(error(std::numeric_limits<float>::infinity()) == "random::exponential: rate: inf; needs a finite number above 0");
  BOOST_TEST(error_of([] { (void)exponential_block<double>(-1, 1, 2, 3); }).starts_with("random::exponential_block: rate: -1"));
}

BOOST_AUTO_TEST_SUITE_END()
