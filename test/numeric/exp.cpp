// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Exponentials of numbers against libm in double and long double. Packs are compared with these in test/simd/math.cpp.
#include "tessera/numeric/exp.hpp"

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

template <class T>
void check_special_values() {
  using limits = std::numeric_limits<T>;
  constexpr T inf = limits::infinity();
  constexpr bool single = sizeof(T) == 4;
  constexpr T least = single ? -126 : -1022;
  constexpr T most = single ? 128 : 1024;
  constexpr T faintest = single ? -149 : -1074;
  const auto plus_zero = [](T x) { return x == 0 && !std::signbit(x); };

  for (const T zero : {T(0), T(-0.0)}) {
    BOOST_TEST(tessera::exp2(zero) == T(1));
    BOOST_TEST(tessera::exp2_nonpositive(zero) == T(1));
    BOOST_TEST(tessera::exp(zero) == T(1));
  }
  BOOST_TEST(plus_zero(tessera::exp2(-inf)));
  BOOST_TEST(plus_zero(tessera::exp2_nonpositive(-inf)));
  BOOST_TEST(plus_zero(tessera::exp(-inf)));
  BOOST_TEST(plus_zero(tessera::exp2(limits::lowest())));
  BOOST_TEST(plus_zero(tessera::exp2_nonpositive(limits::lowest())));
  BOOST_TEST(plus_zero(tessera::exp(limits::lowest())));
  BOOST_TEST(tessera::exp2(inf) == inf);
  BOOST_TEST(tessera::exp(inf) == inf);
  BOOST_TEST(tessera::exp2(limits::max()) == inf);
  BOOST_TEST(tessera::exp(limits::max()) == inf);
  BOOST_TEST(std::isnan(tessera::exp2(limits::quiet_NaN())));
  BOOST_TEST(std::isnan(tessera::exp2_nonpositive(limits::quiet_NaN())));
  BOOST_TEST(std::isnan(tessera::exp(limits::quiet_NaN())));
  BOOST_TEST(std::isnan(tessera::exp2(-limits::quiet_NaN())));
  BOOST_TEST(std::isnan(tessera::exp2_nonpositive(-limits::quiet_NaN())));
  BOOST_TEST(std::isnan(tessera::exp(-limits::quiet_NaN())));

  // Powers of two are exact, down to the smallest subnormal; half of that is a tie and goes to the even 0.
  for (T n = faintest; n < most; n += 1) {
    BOOST_TEST(tessera::exp2(n) == std::ldexp(T(1), static_cast<int>(n)));
    if (n <= 0) BOOST_TEST(tessera::exp2_nonpositive(n) == (n > least ? std::ldexp(T(1), static_cast<int>(n)) : T(0)));
  }
  BOOST_TEST(tessera::exp2(faintest - T(0.5)) == limits::denorm_min());
  BOOST_TEST(plus_zero(tessera::exp2(faintest - T(1))));
  BOOST_TEST(tessera::exp2(most) == inf);
  BOOST_TEST(tessera::exp2(std::nextafter(most, T(0))) < inf);
  // The flush of exp2_nonpositive begins half a unit above the subnormal numbers.
  BOOST_TEST(tessera::exp2_nonpositive(least + T(0.53125)) == tessera::exp2(least + T(0.53125)));
  BOOST_TEST(plus_zero(tessera::exp2_nonpositive(least + T(0.5))));
  BOOST_TEST(plus_zero(tessera::exp2_nonpositive(least)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_exp)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_values<float>();
  check_special_values<double>();
}

BOOST_AUTO_TEST_CASE(float_exp2_is_within_an_ulp) {
  check(worst_float(shard, [](float x) { return tessera::exp2(x); }, [](double x) { return std::exp2(x); }), 0.88);
}

BOOST_AUTO_TEST_CASE(float_exp_is_within_an_ulp) {
  check(worst_float(shard, [](float x) { return tessera::exp(x); }, [](double x) { return std::exp(x); }), 0.9);
}

BOOST_AUTO_TEST_CASE(float_exp2_nonpositive_is_within_an_ulp) {
  check(worst_float(
            shard, [](float x) { return x > 0 ? 0.0F : tessera::exp2_nonpositive(x); },
            [](double x) { return x > 0 || x <= -125.5 ? 0.0 : std::exp2(x); }),
        0.8);
}

/// The largest relative error over the floats of (-126, 0], and exactness where there should be no error.
BOOST_AUTO_TEST_CASE(the_approximate_exp2_is_within_its_bound) {
  const auto check_type = [](auto from) {
    using T = decltype(from);
    double error = 0;
    for (std::uint32_t code = 0x80000000U; code < __builtin_bit_cast(std::uint32_t, -125.5F); code += shard) {
      const auto x = __builtin_bit_cast(float, code);
      const double exact = std::exp2(static_cast<double>(x));
      error =
          std::fmax(error, std::fabs(static_cast<double>(tessera::exp2_nonpositive_approximate(static_cast<T>(x))) / exact - 1));
    }
    BOOST_TEST(error < 1.02e-4);
    BOOST_TEST(error > 1.00e-4);
    for (T n = 0; n > T(-125); n -= 1) BOOST_TEST(tessera::exp2_nonpositive_approximate(n) == tessera::exp2(n));
    BOOST_TEST(tessera::exp2_nonpositive_approximate(-std::numeric_limits<T>::infinity()) == T(0));
    BOOST_TEST(std::isnan(tessera::exp2_nonpositive_approximate(std::numeric_limits<T>::quiet_NaN())));
    BOOST_TEST(tessera::exp2_nonpositive_approximate<-41>(T(-41.5)) == T(0));
    BOOST_TEST(tessera::exp2_nonpositive_approximate<-41>(T(-41)) == std::ldexp(T(1), -41));
  };
  check_type(1.0F);
  check_type(1.0);
}

BOOST_AUTO_TEST_CASE(double_exponentials_are_within_their_bounds) {
  check(worst_double(
            -1080, 1030, {0, 1, -1, 0.5, -0.5, -1022, -1074, -1075, 1024}, [](double x) { return tessera::exp2(x); },
            [](long double x) { return std::exp2(x); }),
        1);
  check(worst_double(
            -750, 715, {0, 1, -1, 0.34657359, -708.4, -745.13, 709.78}, [](double x) { return tessera::exp(x); },
            [](long double x) { return std::exp(x); }),
        1);
  check(worst_double(
            -1022, 0, {0, -0.5, -1, -1021.5, -1022}, [](double x) { return x > 0 ? 0 : tessera::exp2_nonpositive(x); },
            [](long double x) { return x > 0 || x <= -1021.5L ? 0 : std::exp2(x); }),
        1);
}

BOOST_AUTO_TEST_SUITE_END()
