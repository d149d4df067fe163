// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The logarithm to base 10 of numbers against libm in double and long double.
#include "tessera/numeric/log10.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "elementary.hpp"

namespace {

using elementary_test::check;
using elementary_test::worst_double;
using elementary_test::worst_float;

constexpr std::uint32_t shard = 263;

/// The same number, the sign of a zero included; any NaN for NaN.
template <class T>
bool same(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

template <class T>
void check_special_log10() {
  using limits = std::numeric_limits<T>;
  const T inf = limits::infinity();
  const T nan = limits::quiet_NaN();
  const T given[][2] = {
      {T(0), -inf}, {T(-0.0), -inf}, {T(1), T(0)}, {inf, inf}, {-inf, nan}, {T(-1), nan}, {-limits::denorm_min(), nan},
      {nan, nan}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::log10(x), want), x << ": " << tessera::log10(x));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_log10)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_log10<float>();
  check_special_log10<double>();
}

BOOST_AUTO_TEST_CASE(powers_of_ten_are_exact) {
  float power = 1;
  for (int n = 0; n <= 10; ++n, power *= 10) BOOST_TEST(tessera::log10(power) == static_cast<float>(n));
  double wide = 1;
  for (int n = 0; n <= 22; ++n, wide *= 10) BOOST_TEST(tessera::log10(wide) == static_cast<double>(n));
}

BOOST_AUTO_TEST_CASE(log10_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::log10(x); }, [](double x) { return std::log10(x); }), 1.1);
  check(worst_double(
            0.5, 2, {1, 0.75, 1.5, 10, 1e-310, 1e300}, [](double x) { return tessera::log10(x); },
            [](long double x) { return std::log10(x); }),
        1.1);
}

BOOST_AUTO_TEST_CASE(log10_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::log10(x); }, [](double x) { return std::log10(x); }), 1.1);
}

BOOST_AUTO_TEST_SUITE_END()
