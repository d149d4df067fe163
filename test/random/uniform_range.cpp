// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/uniform_range.hpp"

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
#include "tessera/numeric/traits.hpp"
#include "tessera/reference/random.hpp"

using namespace random_test;
using tessera::bfloat16;
using tessera::float16;
using tessera::random::uniform;
namespace detail = tessera::random::detail;

using wide_types = boost::mpl::list<float, double>;
using types = boost::mpl::list<float, double, float16, bfloat16>;

BOOST_AUTO_TEST_SUITE(random_uniform_range)

static_assert(uniform<float>(-1, 3, 0, 0, 0) == 0x1.313f4p-1f && uniform<double>(-1, 3, 0, 0, 0) == 0x1.42d38b1acc4fdp+1);

// The number below, against all codes of the 16-bit types and a walk through float.
BOOST_AUTO_TEST_CASE(next_below) {
  int wrong = 0;
  const auto check_all = [&](auto zero) {
    using T = decltype(zero);
    double last = -static_cast<double>(std::numeric_limits<T>::max());
    const auto visit = [&](unsigned code) {
      const auto x = static_cast<float>(tessera::from_bits<T>(static_cast<std::uint16_t>(code)));
      if (static_cast<double>(x) > last) wrong += static_cast<double>(detail::next_below<T>(x)) != last;
      last = static_cast<double>(x);
    };
    const unsigned top = tessera::to_bits(std::numeric_limits<T>::max());
    for (unsigned code = top; code > 0; --code) visit(code | 0x8000u);
    for (unsigned code = 0; code <= top; ++code) visit(code);
  };
  check_all(float16{});
  check_all(bfloat16{});
  for (float x = -3.0e38f; x < 3.0e38f; x = x * (x < 0 ? 0.93f : 1.07f) + (std::abs(x) < 1e-37f ? 3e-39f : 0.0f)) {
    wrong += detail::next_below<float>(x) != std::nextafter(x, -std::numeric_limits<float>::infinity());
    const auto y = static_cast<double>(x) * 1.1;
    wrong += detail::next_below<double>(y) != std::nextafter(y, -std::numeric_limits<double>::infinity());
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(detail::next_below<float>(0) == -std::numeric_limits<float>::denorm_min());
}

template <class T>
std::vector<std::pair<T, T>> ranges() {
  const auto t = [](double x) { return static_cast<T>(static_cast<detail::made_as<T>>(x)); };
  return {{t(0), t(1)},          {t(-1), t(1)},    {t(1), t(2)},        {t(1), t(1 + 4 * std::numeric_limits<double>::epsilon())},
          {t(-1000), t(-999)},   {t(0.1), t(0.3)}, {t(-0.0), t(1e-6)},  {t(1), t(1.01)},
          {t(-60000), t(60000)}, {t(0), t(3e-8)},  {t(-65504), t(0.5)}, {t(256), t(258)}};
}

BOOST_AUTO_TEST_CASE_TEMPLATE(stays_inside, T, types) {
  using value = detail::made_as<T>;
  using word = detail::word_of<T>;
  mixer random;
  int wrong = 0;
  int checked = 0;
  for (const auto& [low, high] : ranges<T>()) {
    const auto from = static_cast<value>(low);
    const auto to = static_cast<value>(high);
    if (!(from < to)) continue;  // one number in the narrower types
    ++checked;
    const detail::uniform_range_law<T> law(from, to);
    std::vector<word> words{0, 1, static_cast<word>(~word{0}), static_cast<word>(~word{0} - 1)};
    for (int i = 0; i < 3000; ++i) words.push_back(static_cast<word>(random()));
    for (const word w : words) {
      const auto x = static_cast<value>(static_cast<T>(law(w)));
      wrong += !(x >= from && x < to);
      // The textbook's sum in long double, on the same integer.
      const long double u = std::floor(static_cast<long double>(w) *
                                       std::ldexp(1.0L, std::numeric_limits<value>::digits - std::numeric_limits<word>::digits));
      const long double want =
          static_cast<long double>(from) +
          std::ldexp(u, -std::numeric_limits<value>::digits) * (static_cast<long double>(to) - static_cast<long double>(from));
      const long double size = std::abs(static_cast<long double>(from)) + std::abs(static_cast<long double>(to));
      const long double step =
          std::ldexp(size, 1 - std::numeric_limits<T>::digits) + static_cast<long double>(std::numeric_limits<T>::denorm_min());
      wrong += std::abs(static_cast<long double>(x) - want) > step;
    }
    wrong += static_cast<value>(static_cast<T>(law(0))) != from;
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(checked >= 10);
}

// The sum rounds up to `high` for one word in two here, and the law must hold it back.
BOOST_AUTO_TEST_CASE(rounding_up_is_held_back) {
  const float high = 1 + 0x1p-23f;
  int at_high = 0;
  for (std::uint32_t w = 0; w < 1000; ++w) {
    const std::uint32_t word = 0xFFFFFFFFu - w * 0x100u;
    BOOST_TEST(detail::uniform_range_law<float>(1, high)(word) == 1);
    at_high += 1 + (high - 1) * tessera::random::uniform_from<float>(word) == high;
  }
  BOOST_TEST(at_high == 1000);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(distribution, T, wide_types) {
  const auto draw = [](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return uniform<T>(-3, 5, seed, stream, index);
  };
  const std::vector<double> x = drawn(400000, 3, 1, draw);
  check_moments(x, 1, 64.0 / 12, 4096.0 / 80);
  check_probabilities(mapped(x, [](double v) { return (v + 3) / 8; }));
  check_independence(draw);
}

BOOST_AUTO_TEST_CASE(misuse) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const auto error = [](float low, float high) { return error_of([&] { (void)uniform<float>(low, high, 1, 2, 3); }); };
  BOOST_TEST(error(1, 1) == "random::uniform: high: 1; needs a number above low (both in the type of the result)");
  BOOST_TEST(error(2, 1) == "random::uniform: high: 1; needs a number above low (both in the type of the result)");
  BOOST_TEST(error(nan, 1) == "random::uniform: low: nan; needs a finite number");
  BOOST_TEST(error(0, nan) == "random::uniform: high: nan; needs a finite number");
  BOOST_TEST(error(0, infinite) == "random::uniform: high: inf; needs a finite number");
  BOOST_TEST(error(-infinite, 0) == "random::uniform: low: -inf; needs a finite number");
  BOOST_TEST(error(-3e38f, 3e38f) == "random::uniform: high - low: inf; needs a finite width");
  BOOST_TEST(error_of([] { (void)uniform<float16>(1, 1.0001f, 1, 2, 3); }).starts_with("random::uniform: high: 1;"));
  BOOST_TEST(error_of([] { (void)uniform<float16>(0, 70000, 1, 2, 3); }) == "random::uniform: high: inf; needs a finite number");
}

BOOST_AUTO_TEST_SUITE_END()
