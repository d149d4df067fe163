// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/float8.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>

using tessera::float8_e4m3;
using tessera::float8_e5m2;

BOOST_AUTO_TEST_SUITE(numeric_float8)

// Golden codes, computed by hand from the OCP 8-bit Floating Point Specification 1.0.
BOOST_AUTO_TEST_CASE(golden_codes_of_e4m3) {
  const double inf = std::numeric_limits<double>::infinity();
  const struct {
    double value;
    std::uint8_t code;
  } table[] = {{0.0, 0x00},    {-0.0, 0x80},    {1.0, 0x38},      {-2.0, 0xc0},   {0.1, 0x1d},  {448, 0x7e},     {-448, 0xfe},
               {464, 0x7e},    {464.001, 0x7f}, {480, 0x7f},      {-1e300, 0xff}, {inf, 0x7f},  {-inf, 0xff},    {0x1p-6, 0x08},
               {0x7p-9, 0x07}, {0x1p-9, 0x01},  {17, 0x58},       {0x1p-10, 0},   {0x3p-10, 2}, {240, 0x77},     {431, 0x7d},
               {432, 0x7e},    {19, 0x5a},      {0x1.1p-10, 0x1}, {1.75, 0x3e},   {0.3, 0x2a},  {3.14159, 0x45}, {-1e-300, 0x80}};
  for (const auto& [value, code] : table) {
    BOOST_TEST(float8_e4m3(value).bits == code, "float8_e4m3(" << value << ")");
  }
}

BOOST_AUTO_TEST_CASE(golden_codes_of_e5m2) {
  const double inf = std::numeric_limits<double>::infinity();
  const struct {
    double value;
    std::uint8_t code;
  } table[] = {{0.0, 0x00},      {-0.0, 0x80},    {1.0, 0x3c},     {-2.0, 0xc0},    {0.1, 0x2e},  {57344, 0x7b},
               {61439.99, 0x7b}, {61440, 0x7c},   {-61440, 0xfc},  {inf, 0x7c},     {-inf, 0xfc}, {0x1p-14, 0x04},
               {0x3p-16, 0x03},  {0x1p-16, 0x01}, {0x1p-17, 0x00}, {0x3p-17, 0x02}, {9, 0x48},    {11, 0x4a},
               {3.14159, 0x42},  {-1e-300, 0x80}, {1e300, 0x7c},   {0.3, 0x35},     {1.75, 0x3f}};
  for (const auto& [value, code] : table) {
    BOOST_TEST(float8_e5m2(value).bits == code, "float8_e5m2(" << value << ")");
  }
}

BOOST_AUTO_TEST_CASE(golden_limits) {
  using e4m3 = std::numeric_limits<float8_e4m3>;
  static_assert(e4m3::digits == 4 && e4m3::digits10 == 0 && e4m3::max_digits10 == 3);
  static_assert(e4m3::min_exponent == -5 && e4m3::min_exponent10 == -1 && e4m3::max_exponent == 9 && e4m3::max_exponent10 == 2);
  static_assert(e4m3::min().bits == 0x08 && e4m3::max().bits == 0x7e && e4m3::lowest().bits == 0xfe);
  static_assert(e4m3::epsilon().bits == 0x20 && e4m3::round_error().bits == 0x30 && e4m3::denorm_min().bits == 0x01);
  static_assert(!e4m3::has_infinity && e4m3::has_quiet_NaN && !e4m3::has_signaling_NaN && !e4m3::is_iec559);
  static_assert(e4m3::infinity().bits == 0x7f && e4m3::quiet_NaN().bits == 0x7f && e4m3::signaling_NaN().bits == 0x7f);
  using e5m2 = std::numeric_limits<float8_e5m2>;
  static_assert(e5m2::digits == 3 && e5m2::digits10 == 0 && e5m2::max_digits10 == 2);
  static_assert(e5m2::min_exponent == -13 && e5m2::min_exponent10 == -4 && e5m2::max_exponent == 16 && e5m2::max_exponent10 == 4);
  static_assert(e5m2::min().bits == 0x04 && e5m2::max().bits == 0x7b && e5m2::lowest().bits == 0xfb);
  static_assert(e5m2::epsilon().bits == 0x34 && e5m2::round_error().bits == 0x38 && e5m2::denorm_min().bits == 0x01);
  static_assert(e5m2::has_infinity && e5m2::has_quiet_NaN && e5m2::has_signaling_NaN && e5m2::is_iec559);
  static_assert(e5m2::infinity().bits == 0x7c && e5m2::quiet_NaN().bits == 0x7e && e5m2::signaling_NaN().bits == 0x7d);
  BOOST_TEST(true);
}

// What arithmetic gives past the largest value: e4m3 has only NaN to say it with.
BOOST_AUTO_TEST_CASE(overflow_in_arithmetic) {
  static_assert((float8_e4m3(448) + float8_e4m3(16)).bits == 0x7e && (float8_e4m3(448) + float8_e4m3(18)).bits == 0x7f);
  static_assert((float8_e4m3(-30) * float8_e4m3(30)).bits == 0xff && float8_e4m3(465).bits == 0x7f);
  static_assert((float8_e5m2(57344) + float8_e5m2(4096)).bits == 0x7c && (float8_e5m2(57344) + float8_e5m2(3584)).bits == 0x7b);
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
