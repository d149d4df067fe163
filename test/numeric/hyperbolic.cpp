// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The hyperbolic tangent of numbers against libm in double and long double. Packs are compared with these in test/simd/smooth.cpp.
#include "tessera/numeric/hyperbolic.hpp"

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
  for (const T x : {T(0), T(-0.0), limits::denorm_min(), -limits::denorm_min(), 3 * limits::denorm_min(), limits::min(),
                    -limits::min(), limits::epsilon() / 8, -limits::epsilon() / 8}) {
    BOOST_TEST(is(tessera::tanh(x), x), x);
  }
  for (const T x : {T(sizeof(T) == 4 ? 9.02 : 19.1), T(25), T(1000), limits::max(), limits::infinity()}) {
    BOOST_TEST(tessera::tanh(x) == T(1));
    BOOST_TEST(tessera::tanh(-x) == T(-1));
  }
  BOOST_TEST(std::isnan(tessera::tanh(limits::quiet_NaN())));
  BOOST_TEST(std::isnan(tessera::tanh(-limits::quiet_NaN())));
  T last = 0;
  for (T x = 0; x < 20; x += T(1) / 256) {
    const T y = tessera::tanh(x);
    BOOST_TEST((y >= last && y <= 1), x);
    BOOST_TEST(is(tessera::tanh(-x), -y), x);
    last = y;
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_hyperbolic)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_values<float>();
  check_special_values<double>();
}

BOOST_AUTO_TEST_CASE(float_tanh_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::tanh(x); }, [](double x) { return std::tanh(x); }), 1.45);
}

BOOST_AUTO_TEST_CASE(double_tanh_is_within_its_bound) {
  for (const double reach : {0.7, 3.0, 20.0}) {
    check(worst_double(
              -reach, reach, {0, 0.625, -0.625, 0.55, 1, 19, -19.06}, [](double x) { return tessera::tanh(x); },
              [](long double x) { return std::tanh(x); }),
          1.6);
  }
}

BOOST_AUTO_TEST_CASE(the_approximate_tanh_is_within_its_bound) {
  const auto check_type = [](auto one) {
    using T = decltype(one);
    double error = 0;
    for (std::uint32_t code = 0; code < 0x7f800000U; code += shard) {
      const auto x = __builtin_bit_cast(float, code);
      const double exact = std::tanh(static_cast<double>(x));
      const T got = tessera::tanh_approximate(static_cast<T>(x));
      if (code >= 0x00800000U) error = std::fmax(error, std::fabs(static_cast<double>(got) / exact - 1));
      // x^2 / 3 is below half a last place of float.
      if (code < 0x38800000U && sizeof(T) == 4 && got != static_cast<T>(x)) BOOST_TEST(false, x);
      if (tessera::tanh_approximate(static_cast<T>(-x)) != -got) BOOST_TEST(false, x);
    }
    BOOST_TEST(error < 5.7e-5);
    BOOST_TEST(error > 5.6e-5);
    BOOST_TEST(is(tessera::tanh_approximate(T(-0.0)), T(-0.0)));
    BOOST_TEST(std::isnan(tessera::tanh_approximate(std::numeric_limits<T>::quiet_NaN())));
    BOOST_TEST(tessera::tanh_approximate(std::numeric_limits<T>::infinity()) == tessera::tanh_approximate(T(5)));
  };
  check_type(1.0F);
  check_type(1.0);
}

BOOST_AUTO_TEST_SUITE_END()
