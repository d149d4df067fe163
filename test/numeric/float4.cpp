// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/float4.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>

using tessera::float4_e2m1;

BOOST_AUTO_TEST_SUITE(numeric_float4)

// Golden codes, from table 6 of the OCP Microscaling Formats Specification 1.0.
BOOST_AUTO_TEST_CASE(golden_codes) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const struct {
    double value;
    std::uint8_t code;
  } table[] = {{0, 0},    {-0.0, 8}, {0.5, 1},  {1, 2},    {1.5, 3},  {2, 4},    {3, 5},     {4, 6},     {6, 7},
               {-6, 15},  {0.25, 0}, {0.26, 1}, {0.75, 2}, {1.25, 2}, {1.75, 4}, {2.5, 4},   {3.5, 6},   {5, 6},
               {5.01, 7}, {7, 7},    {1e9, 7},  {inf, 7},  {nan, 7},  {-nan, 7}, {-inf, 15}, {-2.5, 12}, {-0.1, 8}};
  for (const auto& [value, code] : table) {
    BOOST_TEST(float4_e2m1(value).bits == code, "float4_e2m1(" << value << ")");
    BOOST_TEST(float4_e2m1(static_cast<float>(value)).bits == code, "float4_e2m1(" << value << "f)");
  }
  const float values[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  for (std::uint8_t code = 0; code < 8; ++code) {
    BOOST_TEST(float4_e2m1::from_bits(code) == values[code]);
    BOOST_TEST((-float4_e2m1::from_bits(code)).bits == (code | 8));
  }
}

BOOST_AUTO_TEST_CASE(golden_limits) {
  using limits = std::numeric_limits<float4_e2m1>;
  static_assert(limits::digits == 2 && limits::digits10 == 0 && limits::max_digits10 == 2);
  static_assert(limits::min_exponent == 1 && limits::min_exponent10 == 0);
  static_assert(limits::max_exponent == 3 && limits::max_exponent10 == 0);
  static_assert(limits::min().bits == 2 && limits::max().bits == 7 && limits::lowest().bits == 15);
  static_assert(limits::epsilon().bits == 1 && limits::round_error().bits == 1 && limits::denorm_min().bits == 1);
  static_assert(!limits::has_infinity && !limits::has_quiet_NaN && !limits::has_signaling_NaN && !limits::is_iec559);
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
