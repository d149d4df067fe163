// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// 1 / sqrt(x) of numbers against libm in double and long double. Packs are compared with these in test/simd/smooth.cpp.
#include "tessera/numeric/rsqrt.hpp"

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
  BOOST_TEST(tessera::rsqrt(T(0)) == inf);
  BOOST_TEST(tessera::rsqrt(T(-0.0)) == -inf);
  BOOST_TEST(tessera::rsqrt(inf) == T(0));
  BOOST_TEST(!std::signbit(tessera::rsqrt(inf)));
  for (const T x :
       {-limits::denorm_min(), -limits::min(), T(-1), limits::lowest(), -inf, limits::quiet_NaN(), -limits::quiet_NaN()}) {
    BOOST_TEST(std::isnan(tessera::rsqrt(x)), x);
  }
  // Even powers of two are exact, subnormal ones too.
  const int least = limits::min_exponent - limits::digits;
  for (int e = least - least % 2; e < limits::max_exponent; e += 2) {
    BOOST_TEST(tessera::rsqrt(std::ldexp(T(1), e)) == std::ldexp(T(1), -e / 2), e);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_rsqrt)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_values<float>();
  check_special_values<double>();
}

BOOST_AUTO_TEST_CASE(float_rsqrt_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::rsqrt(x); }, [](double x) { return 1 / std::sqrt(x); }), 1.01);
}

BOOST_AUTO_TEST_CASE(double_rsqrt_is_within_its_bound) {
  for (const double reach : {4.0, 1e300, 1e-307}) {
    check(worst_double(
              0, reach, {0x1p-1074, 0x1p-1022, 1, 2, 4, 0.25}, [](double x) { return tessera::rsqrt(x); },
              [](long double x) { return 1 / std::sqrt(x); }),
          1.01);
  }
}

BOOST_AUTO_TEST_SUITE_END()
