// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// log(1 + x) of numbers against libm in double and long double. Packs are compared with these in test/simd/smooth.cpp.
#include "tessera/numeric/log1p.hpp"

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

/// The same number, its sign included.
template <class T>
bool is(T got, T want) {
  return got == want && std::signbit(got) == std::signbit(want);
}

template <class T>
void check_special_values() {
  using limits = std::numeric_limits<T>;
  constexpr T inf = limits::infinity();
  for (const T x : {T(0), T(-0.0), limits::denorm_min(), -limits::denorm_min(), 3 * limits::denorm_min(), limits::min(),
                    -limits::min(), limits::epsilon() / 8, -limits::epsilon() / 8}) {
    BOOST_TEST(is(tessera::log1p(x), x), x);
  }
  BOOST_TEST(tessera::log1p(T(-1)) == -inf);
  BOOST_TEST(std::isfinite(tessera::log1p(std::nextafter(T(-1), T(0)))));
  BOOST_TEST(tessera::log1p(inf) == inf);
  for (const T x : {std::nextafter(T(-1), T(-2)), T(-2), limits::lowest(), -inf, limits::quiet_NaN(), -limits::quiet_NaN()}) {
    BOOST_TEST(std::isnan(tessera::log1p(x)), x);
  }
  // Up to the last binade, where 2^-e is subnormal.
  for (int e = 0; e < limits::max_exponent; ++e) {
    for (const T m : {T(1), T(1.25), T(1.5), T(2) - limits::epsilon()}) {
      const T x = std::ldexp(m, e);
      BOOST_TEST(std::abs(tessera::log1p(x) / static_cast<T>(std::log1p(static_cast<long double>(x))) - 1) <=
                 2 * limits::epsilon());
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_log1p)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_values<float>();
  check_special_values<double>();
}

BOOST_AUTO_TEST_CASE(float_log1p_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::log1p(x); }, [](double x) { return std::log1p(x); }), 1.05);
}

BOOST_AUTO_TEST_CASE(double_log1p_is_within_an_ulp) {
  for (const double reach : {4.0, 100.0, 1e300}) {
    check(worst_double(
              -1, reach, {0, -0.25, 0.5, -0.5, 1, 2, -0.999, 0x1p52, 0x1p53, 1e308}, [](double x) { return tessera::log1p(x); },
              [](long double x) { return std::log1p(x); }),
          1);
  }
}

BOOST_AUTO_TEST_SUITE_END()
