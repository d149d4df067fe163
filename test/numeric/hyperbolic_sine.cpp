// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// sinh and cosh of numbers against libm in double and long double.
#include "tessera/numeric/hyperbolic_sine.hpp"

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
void check_special_sinh() {
  using limits = std::numeric_limits<T>;
  const T inf = limits::infinity();
  const T nan = limits::quiet_NaN();
  const T given[][2] = {{T(0), T(0)},
                        {T(-0.0), T(-0.0)},
                        {nan, nan},
                        {-nan, nan},
                        {limits::denorm_min(), limits::denorm_min()},
                        {-limits::denorm_min(), -limits::denorm_min()},
                        {limits::min(), limits::min()},
                        {T(-1e-30), T(-1e-30)},
                        {inf, inf},
                        {-inf, -inf},
                        {limits::lowest(), -inf}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::sinh(x), want), x << ": " << tessera::sinh(x));
}

template <class T>
void check_special_cosh() {
  using limits = std::numeric_limits<T>;
  const T inf = limits::infinity();
  const T nan = limits::quiet_NaN();
  const T given[][2] = {
      {T(0), T(1)}, {T(-0.0), T(1)}, {inf, inf}, {-inf, inf}, {nan, nan}, {limits::lowest(), inf}, {limits::denorm_min(), T(1)}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::cosh(x), want), x << ": " << tessera::cosh(x));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_hyperbolic_sine)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_sinh<float>();
  check_special_sinh<double>();
  check_special_cosh<float>();
  check_special_cosh<double>();
}

BOOST_AUTO_TEST_CASE(sinh_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::sinh(x); }, [](double x) { return std::sinh(x); }), 1.7);
  check(worst_double(
            -720, 720, {0, 1, -1, 710.4758, -710.4758}, [](double x) { return tessera::sinh(x); },
            [](long double x) { return std::sinh(x); }),
        1.7);
}

BOOST_AUTO_TEST_CASE(sinh_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::sinh(x); }, [](double x) { return std::sinh(x); }), 1.7);
}

BOOST_AUTO_TEST_CASE(cosh_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::cosh(x); }, [](double x) { return std::cosh(x); }), 1.7);
  check(worst_double(
            -720, 720, {0, 1, -1, 710.4758, -710.4758}, [](double x) { return tessera::cosh(x); },
            [](long double x) { return std::cosh(x); }),
        1.7);
}

BOOST_AUTO_TEST_CASE(cosh_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::cosh(x); }, [](double x) { return std::cosh(x); }), 1.7);
}

BOOST_AUTO_TEST_SUITE_END()
