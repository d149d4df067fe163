// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Inputs on which 16-bit types in wide use are wrong, each a named case that ours must pass. The sweeps beside this file contain
/// them all; here they say what goes wrong, and how often, for whoever chooses between types.
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

#include "oracle.hpp"
#include "tessera/numeric.hpp"

using numeric_test::four_types;
using numeric_test::of_code;
using numeric_test::oracle;
using numeric_test::oracle_of;
using numeric_test::sixteen_bits;
using numeric_test::tally;
using tessera::bfloat16;
using tessera::float16;

BOOST_AUTO_TEST_SUITE(numeric_known_defects)

namespace {

float float_of(std::uint32_t code) { return __builtin_bit_cast(float, code); }

}  // namespace

// Conversion from int by truncation: 511 becomes 510.
BOOST_AUTO_TEST_CASE(int_511_rounds_up) {
  BOOST_TEST(bfloat16(511).bits == 0x4400);
  BOOST_TEST(bfloat16(-511).bits == 0xc400);
  BOOST_TEST(bfloat16(511u).bits == 0x4400);
  BOOST_TEST(bfloat16(511ll).bits == 0x4400);
}

// Conversion from int through float rounds twice, for 16,256 of 2^31 integers; through double for some of 64 bits.
BOOST_AUTO_TEST_CASE(integers_do_not_round_twice) {
  BOOST_TEST(bfloat16(2143289343).bits == 0x4eff);
  BOOST_TEST(bfloat16(static_cast<float>(2143289343)).bits == 0x4f00);  // what the detour gives
  const std::int64_t long_one = (std::int64_t{1} << 62) + (std::int64_t{1} << 54) + 1;
  BOOST_TEST(bfloat16(long_one).bits == 0x5e81);
  BOOST_TEST(bfloat16(static_cast<double>(long_one)).bits == 0x5e80);
}

// Conversion from double through float: of all midpoints times 1 +- 2^-40, half go wrong.
BOOST_AUTO_TEST_CASE_TEMPLATE(doubles_next_to_midpoints, T, sixteen_bits) {
  const oracle& o = oracle_of<T>();
  std::uint64_t cases = 0;
  std::uint64_t wrong = 0;
  std::uint64_t wrong_through_float = 0;
  for (std::uint32_t code = 0; code + 1 < o.past(); ++code) {
    for (const double x : {o.midpoint(code) * (1 + 0x1p-40), o.midpoint(code) * (1 - 0x1p-40)}) {
      ++cases;
      wrong += o.rounds_to(T(x).bits, x) ? 0 : 1;
      wrong_through_float += o.rounds_to(T(static_cast<float>(x)).bits, x) ? 0 : 1;
    }
  }
  BOOST_TEST(cases == 2u * (o.past() - 1));
  BOOST_TEST(wrong == 0u);
  BOOST_TEST(wrong_through_float == o.past() - 1);
}

// Rounding a NaN as if it were a number: 0xffffffff becomes +0, others become infinities.
BOOST_AUTO_TEST_CASE_TEMPLATE(every_nan_stays_one_and_keeps_its_sign, T, four_types) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint32_t payload = 1; payload < 0x800000; ++payload) {
    for (const std::uint32_t code : {0x7f800000u | payload, 0xff800000u | payload}) {
      const std::uint32_t got = tessera::detail::narrow<typename T::format, tessera::binary32>(code);
      result.add(o.is_nan(got) && (got >= o.sign()) == (code >> 31 != 0), code);
    }
  }
  NUMERIC_CHECK_TALLY(result);
  BOOST_TEST(o.is_nan(T(float_of(0xffffffffu)).bits));
}

// A conversion that sets the processor's rounding mode and leaves it so; one that obeys it.
BOOST_AUTO_TEST_CASE(the_rounding_mode_is_neither_set_nor_obeyed) {
  const volatile float above_one = 1.0000001f;
  const volatile float tie = 1 + 0x1p-8f;
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST}) {
    std::fesetround(mode);
    const volatile std::uint32_t plain = bfloat16(above_one).bits;
    const volatile std::uint32_t even = bfloat16(tie).bits;
    const volatile std::uint32_t upward = tessera::round_to<bfloat16, tessera::rounding::upward>(above_one).bits;
    const volatile std::uint32_t downward = tessera::round_to<float16, tessera::rounding::downward>(-above_one).bits;
    const int after = std::fegetround();
    std::fesetround(FE_TONEAREST);
    BOOST_TEST(after == mode);
    BOOST_TEST(plain == 0x3f80u);
    BOOST_TEST(even == 0x3f80u);
    BOOST_TEST(upward == 0x3f81u);
    BOOST_TEST(downward == 0xbc01u);
  }
}

// Ties away from zero, or truncation, under the name of rounding to nearest even.
BOOST_AUTO_TEST_CASE(ties_go_to_even) {
  BOOST_TEST(float16(2049.0f).bits == 0x6800);
  BOOST_TEST(float16(2051.0f).bits == 0x6802);
  BOOST_TEST(float16(2049.5f).bits == 0x6801);
  BOOST_TEST(bfloat16(257.0f).bits == 0x4380);
  BOOST_TEST(bfloat16(259.0f).bits == 0x4382);
}

// Comparison by the order of the codes: -0 below +0, NaN equal to itself and above all numbers.
BOOST_AUTO_TEST_CASE_TEMPLATE(comparison_is_of_values, T, four_types) {
  const T zero(0.0f);
  const T minus_zero(-0.0f);
  const T nan = tessera::quiet_nan<T>();
  const T one(1);
  BOOST_TEST((zero == minus_zero && !(minus_zero < zero) && zero <= minus_zero));
  BOOST_TEST((!(nan == nan) && nan != nan && !(nan > one) && !(nan < one) && !(nan >= nan)));
  BOOST_TEST(std::hash<T>()(zero) == std::hash<T>()(minus_zero));  // equal keys, one hash
}

// A smallest value that is subnormal, an epsilon or a count of digits without the implied bit, a signalling NaN that is infinity.
BOOST_AUTO_TEST_CASE(limits_are_those_of_the_format) {
  using half = std::numeric_limits<float16>;
  using brain = std::numeric_limits<bfloat16>;
  BOOST_TEST((half::digits == 11 && half::min().bits == 0x0400 && half::epsilon().bits == 0x1400));
  BOOST_TEST((brain::digits == 8 && brain::min().bits == 0x0080 && brain::epsilon().bits == 0x3c00));
  BOOST_TEST((tessera::isnan(half::signaling_NaN()) && tessera::isnan(brain::signaling_NaN())));
}

// Subnormal floats flushed to zero: bfloat16 has subnormals of its own there, and rounds up to them.
BOOST_AUTO_TEST_CASE(subnormal_floats_are_kept) {
  const oracle& o = oracle_of<bfloat16>();
  tally result;
  for (std::uint32_t code = 0; code < 0x800000; ++code) {
    result.add(o.rounds_to(bfloat16(float_of(code)).bits, static_cast<double>(float_of(code))), code);
  }
  NUMERIC_CHECK_TALLY(result);
  BOOST_TEST(bfloat16(0x1p-133f).bits == 0x0001);
  BOOST_TEST(bfloat16(-0x1p-133f).bits == 0x8001);
}

// Fused multiply-add through float, or bfloat16's through double: the product is half way between two values, and the addend lost.
BOOST_AUTO_TEST_CASE(fma_sees_the_smallest_addend) {
  const auto a = bfloat16::from_bits(0x3f82);
  const auto b = bfloat16::from_bits(0x3fa0);
  const auto c = bfloat16::from_bits(0x0080);
  BOOST_TEST(fma(a, b, c).bits == 0x3fa3);
  BOOST_TEST(fma(a, b, -c).bits == 0x3fa2);
  BOOST_TEST(bfloat16(static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(c)).bits == 0x3fa2);
  // 1.0625 * 1.890625 is half way between two values of float16, and 2^-24 below half of the last place that it has as a float.
  const float16 x(1.0625f);
  const float16 y(1.890625f);
  const float16 z(0x1p-24f);
  BOOST_TEST(fma(x, y, z).bits == 0x4005);
  const volatile float product = static_cast<float>(x) * static_cast<float>(y);
  const volatile float sum = product + static_cast<float>(z);
  BOOST_TEST(float16(static_cast<float>(sum)).bits == 0x4004);
}

BOOST_AUTO_TEST_SUITE_END()
