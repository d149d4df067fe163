// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// erf and erfc of numbers against libm in double and long double. Packs are compared with these in test/simd/special.cpp.
#include "tessera/numeric/erf.hpp"

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

const auto erf_ = [](auto x) { return tessera::erf(x); };
const auto erfc_ = [](auto x) { return tessera::erfc(x); };
const auto exact_erf = [](auto x) { return std::erf(x); };
const auto exact_erfc = [](auto x) { return std::erfc(x); };

template <class T>
void check_special_values() {
  using limits = std::numeric_limits<T>;
  constexpr T inf = limits::infinity();
  for (const T zero : {T(0), T(-0.0)}) {
    BOOST_TEST(tessera::erf(zero) == T(0));
    BOOST_TEST(std::signbit(tessera::erf(zero)) == std::signbit(zero));
    BOOST_TEST(tessera::erfc(zero) == T(1));
  }
  const T one_from = sizeof(T) == 4 ? T(3.92) : T(5.93);
  for (const T big : {one_from, T(8), T(27), limits::max(), inf}) {
    BOOST_TEST(tessera::erf(big) == T(1));
    BOOST_TEST(tessera::erf(-big) == T(-1));
    BOOST_TEST(tessera::erfc(-big) == T(2));
  }
  BOOST_TEST(tessera::erf(one_from - T(0.2)) < T(1));
  const T last = sizeof(T) == 4 ? T(10.05) : T(27.22);
  BOOST_TEST(tessera::erfc(last) > T(0));
  BOOST_TEST(tessera::erfc(last) < limits::min());
  for (const T big : {last + T(0.02), last + T(0.2), last + T(1), T(100), limits::max(), inf}) {
    BOOST_TEST(tessera::erfc(big) == T(0));
    BOOST_TEST(!std::signbit(tessera::erfc(big)));
  }
  for (const T nan : {limits::quiet_NaN(), -limits::quiet_NaN()}) {
    BOOST_TEST(std::isnan(tessera::erf(nan)));
    BOOST_TEST(std::isnan(tessera::erfc(nan)));
  }
  // Subnormal arguments: 2 / sqrt(pi) times a count of the smallest number.
  for (int i = 1; i < 1000; ++i) {
    const T x = static_cast<T>(i) * limits::denorm_min();
    BOOST_TEST(tessera::erf(x) == static_cast<T>(std::nearbyint(i * 1.1283791670955126)) * limits::denorm_min());
    BOOST_TEST(tessera::erf(-x) == -tessera::erf(x));
    BOOST_TEST(tessera::erfc(x) == T(1));
  }
}

/// x and the function there, from 120 digits.
struct known {
  double x;
  double value;
};

template <class T, class F>
void check_known(std::initializer_list<known> table, F f, double bound) {
  for (const known& k : table) {
    if (std::fabs(k.value) < static_cast<double>(std::numeric_limits<T>::min())) continue;
    const double error = tessera::ulp_error(f(static_cast<T>(k.x)), k.value);
    BOOST_TEST(error <= bound, error << " ulp at " << k.x);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_erf)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_values<float>();
  check_special_values<double>();
}

BOOST_AUTO_TEST_CASE(known_values) {
  const std::initializer_list<known> of_erf = {{0.25, 0x1.1af54e232d609p-2},
                                               {1, 0x1.af767a741088bp-1},
                                               {-1.75, -0x1.f92d077f8d56dp-1},
                                               {3.5, 0x1.ffffe710d565ep-1},
                                               {5.5, 0x1.fffffffffffbep-1}};
  const std::initializer_list<known> of_erfc = {{0.25, 0x1.728558ee694fcp-1},  {1, 0x1.4226162fbddd5p-3},
                                                {-1.75, 0x1.fc9683bfc6ab7p+0}, {3.5, 0x1.8ef2a9a18d857p-21},
                                                {9, 0x1.198d422be3f8cp-121},   {26, 0x1.284bfe1cdea24p-981}};
  check_known<float>(of_erf, erf_, 1.2);
  check_known<double>(of_erf, erf_, 1);
  check_known<float>(of_erfc, erfc_, 1.5);
  check_known<double>(of_erfc, erfc_, 1);
}

BOOST_AUTO_TEST_CASE(floats_are_within_their_bounds) {
  check(worst_float(shard, erf_, exact_erf), 1.2);
  check(worst_float(shard, erfc_, exact_erfc), 1.5);
}

BOOST_AUTO_TEST_CASE(all_floats_are_within_their_bounds, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, erf_, exact_erf), 1.2);
  check(worst_float(1, erfc_, exact_erfc), 1.5);
}

BOOST_AUTO_TEST_CASE(doubles_are_within_their_bounds) {
  check(worst_double(-6, 6, {0, 0.75, -0.75, 5.92}, erf_, exact_erf), 0.9);
  check(worst_double(-6, 27.3, {0, 0.5, 1.5, 26.54, 27.22}, erfc_, exact_erfc), 1.5);
}

BOOST_AUTO_TEST_SUITE_END()
