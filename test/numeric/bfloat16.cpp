// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/bfloat16.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>

using tessera::bfloat16;

BOOST_AUTO_TEST_SUITE(numeric_bfloat16)

// Golden codes, computed by hand: the upper half of the float, rounded.
BOOST_AUTO_TEST_CASE(golden_codes) {
  const struct {
    double value;
    std::uint16_t code;
  } table[] = {{0.0, 0x0000},        {-0.0, 0x8000},       {1.0, 0x3f80},
               {-2.0, 0xc000},       {0.1, 0x3dcd},        {1.0 / 3, 0x3eab},
               {257, 0x4380},        {259, 0x4382},        {0x1p-126, 0x0080},
               {0x1p-133, 0x0001},   {0x1p-134, 0x0000},   {0x3p-134, 0x0002},
               {0x1.fep127, 0x7f7f}, {0x1.ffp127, 0x7f80}, {0x1.fefffffp127, 0x7f7f},
               {1e300, 0x7f80},      {-1e-300, 0x8000},    {3.14159, 0x4049},
               {1 + 0x1p-8, 0x3f80}, {1 + 0x3p-8, 0x3f82}, {1 + 0x1.000001p-8, 0x3f81}};
  for (const auto& [value, code] : table) {
    BOOST_TEST(bfloat16(value).bits == code, "bfloat16(" << value << ")");
  }
}

// Integers on which others truncate or round twice.
BOOST_AUTO_TEST_CASE(golden_integers) {
  static_assert(bfloat16(511).bits == 0x4400);
  static_assert(bfloat16(2143289343).bits == 0x4eff);
  static_assert(bfloat16(2143289344).bits == 0x4f00);
  static_assert(bfloat16(-2143289343).bits == 0xceff);
  static_assert(bfloat16((1ll << 62) + (1ll << 54) + 1).bits == 0x5e81);
  static_assert(bfloat16((1ll << 62) + (1ll << 54)).bits == 0x5e80);
  static_assert(bfloat16(~0ull).bits == 0x5f80);
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_CASE(golden_limits) {
  using limits = std::numeric_limits<bfloat16>;
  static_assert(limits::digits == 8 && limits::digits10 == 2 && limits::max_digits10 == 4);
  static_assert(limits::min_exponent == -125 && limits::min_exponent10 == -37);
  static_assert(limits::max_exponent == 128 && limits::max_exponent10 == 38);
  static_assert(limits::min().bits == 0x0080 && limits::max().bits == 0x7f7f && limits::lowest().bits == 0xff7f);
  static_assert(limits::epsilon().bits == 0x3c00 && limits::round_error().bits == 0x3f00 && limits::denorm_min().bits == 0x0001);
  static_assert(limits::infinity().bits == 0x7f80 && limits::quiet_NaN().bits == 0x7fc0 &&
                limits::signaling_NaN().bits == 0x7fa0);
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
