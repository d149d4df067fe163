// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The cube root of numbers against libm in double and long double.
#include "tessera/numeric/cbrt.hpp"

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
void check_special_cbrt() {
  using limits = std::numeric_limits<T>;
  const T inf = limits::infinity();
  const T nan = limits::quiet_NaN();
  const T given[][2] = {{T(0), T(0)}, {T(-0.0), T(-0.0)}, {nan, nan},   {-nan, nan},
                        {inf, inf},   {-inf, -inf},       {T(8), T(2)}, {T(-27), T(-3)}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::cbrt(x), want), x << ": " << tessera::cbrt(x));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_cbrt)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_cbrt<float>();
  check_special_cbrt<double>();
}

BOOST_AUTO_TEST_CASE(cubes_are_exact) {
  for (int n = -200; n <= 200; ++n) {
    const double cube = static_cast<double>(n) * n * n;
    BOOST_TEST(tessera::cbrt(cube) == static_cast<double>(n));
    BOOST_TEST(tessera::cbrt(static_cast<float>(cube)) == static_cast<float>(n));
    BOOST_TEST(tessera::cbrt(cube * 0x1p-999) == n * 0x1p-333);
    BOOST_TEST(tessera::cbrt(cube * 0x1p-1074) == n * 0x1p-358);
  }
}

BOOST_AUTO_TEST_CASE(cbrt_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::cbrt(x); }, [](double x) { return std::cbrt(x); }), 0.502);
  check(worst_double(
            -100, 100, {0, 1, -1, 0.375, 3, 1e-310, 1e300}, [](double x) { return tessera::cbrt(x); },
            [](long double x) { return std::cbrt(x); }),
        0.502);
}

BOOST_AUTO_TEST_CASE(cbrt_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::cbrt(x); }, [](double x) { return std::cbrt(x); }), 0.502);
}

BOOST_AUTO_TEST_SUITE_END()
