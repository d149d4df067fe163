// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// asinh, acosh and atanh of numbers against libm in double and long double.
#include "tessera/numeric/inverse_hyperbolic.hpp"

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
void check_special_asinh() {
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
                        {-inf, -inf}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::asinh(x), want), x << ": " << tessera::asinh(x));
}

template <class T>
void check_special_acosh() {
  using limits = std::numeric_limits<T>;
  const T inf = limits::infinity();
  const T nan = limits::quiet_NaN();
  const T given[][2] = {{T(1), T(0)},
                        {inf, inf},
                        {-inf, nan},
                        {T(0), nan},
                        {T(-1), nan},
                        {T(1) - limits::epsilon(), nan},
                        {limits::lowest(), nan},
                        {T(-1e10), nan},
                        {nan, nan}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::acosh(x), want), x << ": " << tessera::acosh(x));
}

template <class T>
void check_special_atanh() {
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
                        {T(1), inf},
                        {T(-1), -inf},
                        {inf, nan},
                        {-inf, nan},
                        {T(1) + limits::epsilon(), nan},
                        {T(-2), nan},
                        {limits::max(), nan}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::atanh(x), want), x << ": " << tessera::atanh(x));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_inverse_hyperbolic)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_asinh<float>();
  check_special_asinh<double>();
  check_special_acosh<float>();
  check_special_acosh<double>();
  check_special_atanh<float>();
  check_special_atanh<double>();
}

BOOST_AUTO_TEST_CASE(asinh_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::asinh(x); }, [](double x) { return std::asinh(x); }), 1.9);
  check(worst_double(
            -10, 10, {0, 1, -1, 0x1p30, 0x1p60}, [](double x) { return tessera::asinh(x); },
            [](long double x) { return std::asinh(x); }),
        1.8);
}

BOOST_AUTO_TEST_CASE(asinh_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::asinh(x); }, [](double x) { return std::asinh(x); }), 1.9);
}

BOOST_AUTO_TEST_CASE(acosh_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::acosh(x); }, [](double x) { return std::acosh(x); }), 1.9);
  check(
      worst_double(
          1, 10, {1, 2, 0x1p30, 0x1p60}, [](double x) { return tessera::acosh(x); }, [](long double x) { return std::acosh(x); }),
      1.8);
}

BOOST_AUTO_TEST_CASE(acosh_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::acosh(x); }, [](double x) { return std::acosh(x); }), 1.9);
}

BOOST_AUTO_TEST_CASE(atanh_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::atanh(x); }, [](double x) { return std::atanh(x); }), 1.9);
  check(
      worst_double(
          -1, 1, {0, 1, -1, 0.5, -0.5}, [](double x) { return tessera::atanh(x); }, [](long double x) { return std::atanh(x); }),
      1.8);
}

BOOST_AUTO_TEST_CASE(atanh_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::atanh(x); }, [](double x) { return std::atanh(x); }), 1.9);
}

BOOST_AUTO_TEST_SUITE_END()
