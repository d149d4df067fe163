// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// e^x - 1 of numbers against libm in double and long double. Packs are compared with these in test/simd/smooth.cpp.
#include "tessera/numeric/expm1.hpp"

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
  constexpr bool single = sizeof(T) == 4;
  for (const T x : {T(0), T(-0.0), limits::denorm_min(), -limits::denorm_min(), 3 * limits::denorm_min(), limits::min(),
                    -limits::min(), limits::epsilon() / 8, -limits::epsilon() / 8}) {
    BOOST_TEST(is(tessera::expm1(x), x), x);
  }
  const T last = single ? T(88.7228317F) : T(709.78271289338397);  // the largest argument with a finite result
  BOOST_TEST(tessera::expm1(last) < inf);
  for (const T x : {std::nextafter(last, inf), last + T(0.01), last + T(1), limits::max(), inf})
    BOOST_TEST(tessera::expm1(x) == inf);
  for (const T x : {-inf, limits::lowest(), T(-1000), T(-100), T(-40)}) BOOST_TEST(tessera::expm1(x) == T(-1));
  BOOST_TEST(std::isnan(tessera::expm1(limits::quiet_NaN())));
  BOOST_TEST(std::isnan(tessera::expm1(-limits::quiet_NaN())));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_expm1)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_values<float>();
  check_special_values<double>();
}

BOOST_AUTO_TEST_CASE(float_expm1_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::expm1(x); }, [](double x) { return std::expm1(x); }), 1.35);
}

BOOST_AUTO_TEST_CASE(double_expm1_is_within_its_bound) {
  for (const double reach : {1.0, 40.0, 710.0}) {
    check(worst_double(
              -std::fmin(reach, 40), reach, {0, 0.34657359, -0.34657359, 1.0397207, -1.0397207, -37.4, 709.78},
              [](double x) { return tessera::expm1(x); }, [](long double x) { return std::expm1(x); }),
          1.5);
  }
}

BOOST_AUTO_TEST_SUITE_END()
