// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// asin, acos and atan of numbers against libm in double and long double.
#include "tessera/numeric/inverse_trigonometric.hpp"

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
void check_special_atan() {
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
                        {inf, static_cast<T>(3.14159265358979323846L / 2)},
                        {-inf, static_cast<T>(3.14159265358979323846L / -2)},
                        {limits::max(), static_cast<T>(3.14159265358979323846L / 2)},
                        {T(1), static_cast<T>(3.14159265358979323846L / 4)}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::atan(x), want), x << ": " << tessera::atan(x));
}

template <class T>
void check_special_asin() {
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
                        {T(1), static_cast<T>(3.14159265358979323846L / 2)},
                        {T(-1), static_cast<T>(3.14159265358979323846L / -2)},
                        {T(1) + limits::epsilon(), nan},
                        {-inf, nan},
                        {inf, nan},
                        {limits::lowest(), nan}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::asin(x), want), x << ": " << tessera::asin(x));
}

template <class T>
void check_special_acos() {
  using limits = std::numeric_limits<T>;
  const T inf = limits::infinity();
  const T nan = limits::quiet_NaN();
  const T given[][2] = {{T(1), T(0)},
                        {T(-1), static_cast<T>(3.14159265358979323846L)},
                        {T(0), static_cast<T>(3.14159265358979323846L / 2)},
                        {T(-0.0), static_cast<T>(3.14159265358979323846L / 2)},
                        {T(1) + limits::epsilon(), nan},
                        {-inf, nan},
                        {inf, nan},
                        {nan, nan},
                        {limits::lowest(), nan}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::acos(x), want), x << ": " << tessera::acos(x));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_inverse_trigonometric)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_atan<float>();
  check_special_atan<double>();
  check_special_asin<float>();
  check_special_asin<double>();
  check_special_acos<float>();
  check_special_acos<double>();
}

BOOST_AUTO_TEST_CASE(atan_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::atan(x); }, [](double x) { return std::atan(x); }), 1.95);
  check(worst_double(
            -10, 10, {0, 1, -1, 0.5, 0.41421356237309505, -0.41421356237309505, 2.414213562373095},
            [](double x) { return tessera::atan(x); }, [](long double x) { return std::atan(x); }),
        1.95);
}

BOOST_AUTO_TEST_CASE(atan_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::atan(x); }, [](double x) { return std::atan(x); }), 1.95);
}

BOOST_AUTO_TEST_CASE(asin_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::asin(x); }, [](double x) { return std::asin(x); }), 0.7);
  check(worst_double(
            -1, 1, {0, 1, -1, 0.5, -0.5}, [](double x) { return tessera::asin(x); }, [](long double x) { return std::asin(x); }),
        0.7);
}

BOOST_AUTO_TEST_CASE(asin_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::asin(x); }, [](double x) { return std::asin(x); }), 0.7);
}

BOOST_AUTO_TEST_CASE(acos_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::acos(x); }, [](double x) { return std::acos(x); }), 0.7);
  check(worst_double(
            -1, 1, {0, 1, -1, 0.5, -0.5}, [](double x) { return tessera::acos(x); }, [](long double x) { return std::acos(x); }),
        0.7);
}

BOOST_AUTO_TEST_CASE(acos_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::acos(x); }, [](double x) { return std::acos(x); }), 0.7);
}

BOOST_AUTO_TEST_SUITE_END()
