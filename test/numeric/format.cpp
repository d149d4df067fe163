// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/format.hpp"

#include <boost/test/unit_test.hpp>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

BOOST_AUTO_TEST_SUITE(numeric_format)

namespace {

template <class Format, class T>
void landmarks_match(T smallest, T smallest_normal, T largest, int digits, int min_exponent, int max_exponent) {
  const auto code = [](T x) {
    typename Format::bits_type bits{};
    static_assert(sizeof bits == sizeof x);
    std::memcpy(&bits, &x, sizeof x);
    return bits;
  };
  BOOST_TEST(code(smallest) == Format::min_subnormal);
  BOOST_TEST(code(smallest_normal) == Format::min_normal);
  BOOST_TEST(code(largest) == Format::max_finite);
  BOOST_TEST(code(T(1)) == Format::one);
  BOOST_TEST(code(T(-0.0)) == Format::sign_mask);
  BOOST_TEST(code(std::numeric_limits<T>::infinity()) == Format::infinity);
  BOOST_TEST(code(std::numeric_limits<T>::quiet_NaN()) == Format::quiet_nan);
  BOOST_TEST(code(std::numeric_limits<T>::signaling_NaN()) == Format::signaling_nan);
  BOOST_TEST(Format::precision == digits);
  BOOST_TEST(Format::min_exponent + 1 == min_exponent);  // <cfloat> counts from a leading 0.1, we from 1.0
  BOOST_TEST(Format::max_exponent + 1 == max_exponent);
}

}  // namespace

BOOST_AUTO_TEST_CASE(float_and_double_agree_with_the_compiler) {
  landmarks_match<tessera::binary32>(FLT_TRUE_MIN, FLT_MIN, FLT_MAX, FLT_MANT_DIG, FLT_MIN_EXP, FLT_MAX_EXP);
  landmarks_match<tessera::binary64>(DBL_TRUE_MIN, DBL_MIN, DBL_MAX, DBL_MANT_DIG, DBL_MIN_EXP, DBL_MAX_EXP);
}

BOOST_AUTO_TEST_CASE(sixteen_bit_landmarks) {
  using tessera::binary16;
  using tessera::brain16;
  static_assert(binary16::precision == 11 && binary16::bias == 15 && binary16::max_exponent == 15 &&
                binary16::min_exponent == -14);
  static_assert(binary16::max_finite == 0x7bff && binary16::infinity == 0x7c00 && binary16::quiet_nan == 0x7e00);
  static_assert(binary16::signaling_nan == 0x7d00 && binary16::one == 0x3c00 && binary16::min_normal == 0x0400);
  static_assert(brain16::precision == 8 && brain16::bias == 127 && brain16::max_exponent == 127 && brain16::min_exponent == -126);
  static_assert(brain16::max_finite == 0x7f7f && brain16::infinity == 0x7f80 && brain16::quiet_nan == 0x7fc0);
  static_assert(brain16::signaling_nan == 0x7fa0 && brain16::one == 0x3f80 && brain16::min_normal == 0x0080);
  BOOST_TEST(true);
}

// OCP 8-bit Floating Point Specification 1.0, table 2, and Microscaling Formats 1.0, tables 3 to 6.
BOOST_AUTO_TEST_CASE(ocp_landmarks) {
  using tessera::ocp_e2m1;
  using tessera::ocp_e4m3;
  using tessera::ocp_e5m2;
  static_assert(ocp_e4m3::bias == 7 && ocp_e4m3::precision == 4 && ocp_e4m3::max_exponent == 8 && ocp_e4m3::min_exponent == -6);
  static_assert(ocp_e4m3::max_finite == 0x7e && ocp_e4m3::quiet_nan == 0x7f && ocp_e4m3::one == 0x38);
  static_assert(ocp_e4m3::overflow == 0x7f && ocp_e4m3::max_number == 0x7e && !ocp_e4m3::has_infinity && ocp_e4m3::has_nan);
  static_assert(ocp_e5m2::bias == 15 && ocp_e5m2::precision == 3 && ocp_e5m2::max_exponent == 15 &&
                ocp_e5m2::min_exponent == -14);
  static_assert(ocp_e5m2::max_finite == 0x7b && ocp_e5m2::infinity == 0x7c && ocp_e5m2::quiet_nan == 0x7e);
  static_assert(ocp_e5m2::overflow == 0x7c && ocp_e5m2::max_number == 0x7c && ocp_e5m2::signaling_nan == 0x7d);
  static_assert(ocp_e2m1::bias == 1 && ocp_e2m1::precision == 2 && ocp_e2m1::max_exponent == 2 && ocp_e2m1::min_exponent == 0);
  static_assert(ocp_e2m1::max_finite == 7 && ocp_e2m1::overflow == 7 && ocp_e2m1::sign_mask == 8 && !ocp_e2m1::has_nan);
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
