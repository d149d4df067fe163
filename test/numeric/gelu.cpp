// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// gelu of numbers against libm's erfc and exp in double and long double. Packs are compared with these in test/simd/special.cpp.
#include "tessera/numeric/gelu.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "elementary.hpp"
#include "exact.hpp"

namespace {

using elementary_test::check;
using elementary_test::worst_double;
using elementary_test::worst_float;

constexpr std::uint32_t shard = 263;

const auto gelu_ = [](auto x) { return tessera::gelu(x); };
const auto gelu_tanh_ = [](auto x) { return tessera::gelu_tanh(x); };
const auto exact_gelu = [](auto x) { return exact::gelu(x); };
const auto exact_gelu_tanh = [](auto x) { return exact::gelu_tanh(x); };

template <class T, class F>
void check_special_values(F f, T last) {
  using limits = std::numeric_limits<T>;
  constexpr T inf = limits::infinity();
  for (const T zero : {T(0), T(-0.0)}) {
    BOOST_TEST(f(zero) == T(0));
    BOOST_TEST(std::signbit(f(zero)) == std::signbit(zero));
  }
  BOOST_TEST(f(inf) == inf);
  BOOST_TEST(f(limits::max()) == limits::max());
  BOOST_TEST(f(T(50)) == T(50));
  // The last negative argument with a result, and those without.
  BOOST_TEST(f(last) < T(0));
  BOOST_TEST(f(last) > -limits::min());
  for (const T x : {last * T(1.01), last * T(1.05), last * T(2), T(-1000), limits::lowest(), -inf}) {
    BOOST_TEST(f(x) == T(0));
    BOOST_TEST(std::signbit(f(x)));
  }
  for (const T nan : {limits::quiet_NaN(), -limits::quiet_NaN()}) BOOST_TEST(std::isnan(f(nan)));
  // Near 0 it is x / 2, which for a subnormal x is a rounding.
  for (int i = 1; i < 1000; ++i) {
    const T x = static_cast<T>(i) * limits::denorm_min();
    BOOST_TEST(f(x) == x / 2);
    BOOST_TEST(f(-x) == -(x / 2));
  }
  for (T x = limits::denorm_min(); x < limits::epsilon() / 8; x *= T(1.37)) {
    BOOST_TEST(f(x) == x / 2);
    BOOST_TEST(f(-x) == -(x / 2));
    if (x < limits::denorm_min() * 10) x *= 2;
  }
}

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

BOOST_AUTO_TEST_SUITE(numeric_gelu)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_values<float>(gelu_, -14.34F);
  check_special_values<double>(gelu_, -38.57);
  check_special_values<float>(gelu_tanh_, -10.77F);
  check_special_values<double>(gelu_tanh_, -21.54);
}

BOOST_AUTO_TEST_CASE(known_values) {
  const std::initializer_list<known> exact = {{0.25, 0x1.3289a2b16ed6cp-3},   {1, 0x1.aec4bd120d37dp-1},
                                              {-1.75, -0x1.1f24df91cac01p-4}, {-5, -0x1.80bcbae98063dp-20},
                                              {-13, -0x1.b0f71384ef01ep-124}, {-37, -0x1.1bbe62e6f3e25p-989}};
  const std::initializer_list<known> by_tanh = {{0.25, 0x1.3288fd823fa07p-3},   {1, 0x1.aeb0b772a3ae1p-1},
                                                {-1.75, -0x1.1f8ee08df5ccbp-4}, {-5, -0x1.ec28d40db8458p-23},
                                                {-10, -0x1.47c8fd5284feap-123}, {-21, -0x1.9c99db33e694cp-998}};
  check_known<float>(exact, gelu_, 1.8);
  check_known<double>(exact, gelu_, 1);
  check_known<float>(by_tanh, gelu_tanh_, 2);
  check_known<double>(by_tanh, gelu_tanh_, 1);
}

// What is missing from x above 0 is what is there below.
BOOST_AUTO_TEST_CASE(both_sides_add_up) {
  for (float x = 0.01F; x < 20; x += 0.01F) {
    BOOST_TEST(std::fabs(tessera::gelu(x) + tessera::gelu(-x) - x * std::erf(x * 0.70710678F)) <= 3e-7F * x);
    BOOST_TEST(tessera::gelu_tanh(x) + tessera::gelu_tanh(-x) <= x);
    BOOST_TEST(std::fabs(tessera::gelu(-x) - tessera::gelu_tanh(-x)) < 5e-4F);
  }
}

BOOST_AUTO_TEST_CASE(floats_are_within_their_bounds) {
  check(worst_float(shard, gelu_, exact_gelu), 1.8);
  check(worst_float(shard, gelu_tanh_, exact_gelu_tanh), 2);
}

BOOST_AUTO_TEST_CASE(all_floats_are_within_their_bounds, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, gelu_, exact_gelu), 1.8);
  check(worst_float(1, gelu_tanh_, exact_gelu_tanh), 2);
}

BOOST_AUTO_TEST_CASE(doubles_are_within_their_bounds) {
  check(worst_double(-39, 10, {0, -1, -1.85, 2.125, -37.5, -38.56}, gelu_, exact_gelu), 1.8);
  check(worst_double(-22, 10, {0, -1, -1.4, 2, -21.2, -21.5}, gelu_tanh_, exact_gelu_tanh), 2);
}

BOOST_AUTO_TEST_SUITE_END()
