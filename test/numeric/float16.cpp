// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/float16.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>

using tessera::float16;

BOOST_AUTO_TEST_SUITE(numeric_float16)

// Golden codes, computed by hand from the definition of binary16.
BOOST_AUTO_TEST_CASE(golden_codes) {
  const struct {
    double value;
    std::uint16_t code;
  } table[] = {{0.0, 0x0000},     {-0.0, 0x8000},    {1.0, 0x3c00},     {-2.0, 0xc000},          {0.1, 0x2e66},
               {1.0 / 3, 0x3555}, {65504, 0x7bff},   {0x1p-14, 0x0400}, {0x1.ff8p-15, 0x03ff},   {0x1p-24, 0x0001},
               {0x1p-25, 0x0000}, {0x3p-25, 0x0002}, {2049, 0x6800},    {2051, 0x6802},          {65519, 0x7bff},
               {65520, 0x7c00},   {1e300, 0x7c00},   {-1e-300, 0x8000}, {1 + 0x1p-11, 0x3c00},   {1 + 0x3p-11, 0x3c02},
               {3.14159, 0x4248}, {5.96e-8, 0x0001}, {-65504, 0xfbff},  {1 + 0x1.8p-10, 0x3c02}, {1 + 0x1.7p-10, 0x3c01}};
  for (const auto& [value, code] : table) {
    BOOST_TEST(float16(value).bits == code, "float16(" << value << ")");
  }
}

BOOST_AUTO_TEST_CASE(golden_limits) {
  using limits = std::numeric_limits<float16>;
  static_assert(limits::digits == 11 && limits::digits10 == 3 && limits::max_digits10 == 5);
  static_assert(limits::min_exponent == -13 && limits::min_exponent10 == -4);
  static_assert(limits::max_exponent == 16 && limits::max_exponent10 == 4);
  static_assert(limits::min().bits == 0x0400 && limits::max().bits == 0x7bff && limits::lowest().bits == 0xfbff);
  static_assert(limits::epsilon().bits == 0x1400 && limits::round_error().bits == 0x3800 && limits::denorm_min().bits == 0x0001);
  static_assert(limits::infinity().bits == 0x7c00 && limits::quiet_NaN().bits == 0x7e00 &&
                limits::signaling_NaN().bits == 0x7d00);
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
