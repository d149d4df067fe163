// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Logarithms of numbers against libm in double and long double. Packs are compared with these in test/simd/math.cpp.
#include "tessera/numeric/log.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "elementary.hpp"

namespace {

using elementary_test::check;
using elementary_test::worst_double;
using elementary_test::worst_float;

constexpr std::uint32_t shard = 67;

template <class T, class F>
void check_special_values(F f) {
  using limits = std::numeric_limits<T>;
  constexpr T inf = limits::infinity();
  BOOST_TEST(f(T(0)) == -inf);
  BOOST_TEST(f(T(-0.0)) == -inf);
  BOOST_TEST(f(inf) == inf);
  BOOST_TEST(f(T(1)) == T(0));
  BOOST_TEST(!std::signbit(f(T(1))));
  for (const T x :
       {-limits::denorm_min(), -limits::min(), T(-1), limits::lowest(), -inf, limits::quiet_NaN(), -limits::quiet_NaN()}) {
    BOOST_TEST(std::isnan(f(x)));
  }
  BOOST_TEST(f(limits::denorm_min()) < f(2 * limits::denorm_min()));
  BOOST_TEST(f(limits::max()) < inf);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_log)

BOOST_AUTO_TEST_CASE(special_values) {
  const auto natural = [](auto x) { return tessera::log(x); };
  const auto binary = [](auto x) { return tessera::log2(x); };
  check_special_values<float>(natural);
  check_special_values<double>(natural);
  check_special_values<float>(binary);
  check_special_values<double>(binary);
  for (int n = -149; n < 128; ++n) BOOST_TEST(tessera::log2(std::ldexp(1.0F, n)) == static_cast<float>(n));
  for (int n = -1074; n < 1024; ++n) BOOST_TEST(tessera::log2(std::ldexp(1.0, n)) == static_cast<double>(n));
}

BOOST_AUTO_TEST_CASE(float_log_is_within_an_ulp) {
  check(worst_float(shard, [](float x) { return tessera::log(x); }, [](double x) { return std::log(x); }), 0.9);
}

BOOST_AUTO_TEST_CASE(float_log2_is_within_an_ulp) {
  check(worst_float(shard, [](float x) { return tessera::log2(x); }, [](double x) { return std::log2(x); }), 1);
}

BOOST_AUTO_TEST_CASE(double_logarithms_are_within_their_bounds) {
  // Around 1 and where the significand changes its binade, results are small and what cancels shows.
  const auto near_one = {1.0, 0.75, 1.5, 0.5, 2.0, 3.0, std::numeric_limits<double>::min(), 1e300};
  check(worst_double(0, 2, near_one, [](double x) { return tessera::log(x); }, [](long double x) { return std::log(x); }), 1);
  check(worst_double(0.5, 3, near_one, [](double x) { return tessera::log2(x); }, [](long double x) { return std::log2(x); }), 1);
}

BOOST_AUTO_TEST_SUITE_END()
