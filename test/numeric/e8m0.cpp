// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/e8m0.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <unordered_set>

#include "oracle.hpp"

using numeric_test::mix;
using numeric_test::tally;
using tessera::e8m0;
using tessera::overflow;
using tessera::round_to;
using tessera::rounding;

BOOST_AUTO_TEST_SUITE(numeric_e8m0)

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

static_assert(tessera::storage<e8m0> && !tessera::floating<e8m0> && sizeof(e8m0) == 1);
static_assert(std::is_trivially_copyable_v<e8m0> && std::is_trivially_default_constructible_v<e8m0>);
static_assert(std::is_convertible_v<e8m0, float> && !std::is_convertible_v<e8m0, double> && !std::is_convertible_v<float, e8m0>);
static_assert(e8m0(1.0f).bits == 127 && e8m0(0x1p-127).bits == 0 && e8m0(1e300).bits == 0xff && e8m0(-1.0).bits == 0xff);
static_assert(e8m0(0.0f).bits == 0 && e8m0(-0.0f).bits == 0 && e8m0(0x1p-149f).bits == 0);
static_assert(round_to<e8m0, rounding::toward_zero>(448.0f) == 256.0f && round_to<e8m0, rounding::upward>(257.0) == 512.0f);
static_assert(e8m0(2.0f) * 3.0f == 6.0f && std::is_same_v<decltype(e8m0() * 1.0f), float>);
static_assert(std::is_same_v<decltype(e8m0() * tessera::float16()), float> && std::is_same_v<decltype(1.0 / e8m0()), double>);
static_assert(e8m0(4.0) / e8m0(0.5) == 8.0f && tessera::bfloat16(3) * e8m0(2.0f) == 6.0f && e8m0(1.0) < e8m0(2.0));
static_assert(tessera::isnan(e8m0(-1.0f)) && tessera::isfinite(e8m0(3.0f)) && !tessera::isinf(e8m0(inf)));

/// What x becomes, by comparing with powers of two.
template <rounding Mode, overflow Overflow>
int due(double x) {
  const bool saturates = Overflow == overflow::saturate;
  if (std::isnan(x) || x < 0) {
    return 0xff;
  }
  if (std::isinf(x)) {
    return saturates ? 0xfe : 0xff;
  }
  if (x < 0x1p-127) {
    return 0;
  }
  int code = 0;
  while (std::ldexp(1.0, code + 1 - 127) <= x) {
    ++code;
  }
  const double below = std::ldexp(1.0, code - 127);
  const double middle = 1.5 * below;
  bool up = false;
  switch (Mode) {
    case rounding::nearest_even:
      up = x > middle || (x == middle && code % 2 == 1);
      break;
    case rounding::nearest_away:
      up = x >= middle;
      break;
    case rounding::upward:
      up = x > below;
      break;
    case rounding::to_odd:
      up = x > below && code % 2 == 0;
      break;
    default:
      break;
  }
  if (code > 0xfe) {  // 2^128 and more
    const bool stays = Mode == rounding::toward_zero || Mode == rounding::downward;
    return saturates || stays ? 0xfe : 0xff;
  }
  code += up ? 1 : 0;
  return code > 0xfe && saturates ? 0xfe : code;
}

template <rounding Mode>
bool right_in(double x) {
  bool right = round_to<e8m0, Mode>(x).bits == due<Mode, overflow::ieee>(x) &&
               round_to<e8m0, Mode, overflow::saturate>(x).bits == due<Mode, overflow::saturate>(x);
  const auto y = static_cast<float>(x);
  const auto z = static_cast<double>(y);
  right = right && round_to<e8m0, Mode>(y).bits == due<Mode, overflow::ieee>(z) &&
          round_to<e8m0, Mode, overflow::saturate>(y).bits == due<Mode, overflow::saturate>(z);
  return right;
}

bool right(double x) {
  return right_in<rounding::nearest_even>(x) && right_in<rounding::nearest_away>(x) && right_in<rounding::toward_zero>(x) &&
         right_in<rounding::upward>(x) && right_in<rounding::downward>(x) && right_in<rounding::to_odd>(x) &&
         e8m0(x).bits == due<rounding::nearest_even, overflow::ieee>(x);
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_code) {
  tally result;
  const std::hash<e8m0> hash;
  std::unordered_set<std::size_t> seen;
  for (int code = 0; code < 0xff; ++code) {
    const auto x = e8m0::from_bits(static_cast<std::uint8_t>(code));
    const double value = std::ldexp(1.0, code - 127);
    const auto i = static_cast<std::uint64_t>(code);
    result.add(static_cast<double>(static_cast<float>(x)) == value && static_cast<double>(x) == value, i);
    for (const double centre : {value, 1.5 * value, 1.25 * value, 1.75 * value}) {
      for (const double y :
           {centre, std::nextafter(centre, inf), std::nextafter(centre, 0.0), centre * (1 + 0x1p-23), centre * (1 - 0x1p-23)}) {
        result.add(right(y) && right(-y), i);
      }
    }
    result.add(!tessera::isnan(x) && tessera::ulp_distance(e8m0::from_bits(0), x) == i && tessera::ulp_error(x, value) == 0, i);
    seen.insert(hash(x));
  }
  NUMERIC_CHECK_TALLY(result);
  BOOST_TEST(seen.size() == 0xffu);
  const auto none = e8m0::from_bits(0xff);
  BOOST_TEST(std::isnan(static_cast<float>(none)));
  BOOST_TEST(std::isnan(static_cast<double>(none)));
  BOOST_TEST(!(none == none));
}

BOOST_AUTO_TEST_CASE(any_number) {
  tally result;
  for (std::uint64_t i = 0; i < (1u << 14); ++i) {
    const auto x = static_cast<double>(__builtin_bit_cast(float, static_cast<std::uint32_t>(i << 18 | mix(i) >> 46)));
    result.add(right(x), i);
  }
  for (const double x : {0.0, inf, std::numeric_limits<double>::quiet_NaN(), 1e300, 0x1p128, 0x1.8p127, 1e-300, 0x1p-149}) {
    result.add(right(x) && right(-x), 1);
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE(golden_limits) {
  using limits = std::numeric_limits<e8m0>;
  static_assert(limits::min() == 0x1p-127f && limits::max() == 0x1p127f && limits::lowest() == 0x1p-127f);
  static_assert(limits::epsilon() == 1.0f && limits::round_error() == 0.5f && !limits::is_signed && !limits::has_infinity);
  BOOST_TEST(limits::digits10 == 0);
  BOOST_TEST(limits::max_digits10 == static_cast<int>(std::ceil(std::log10(2.0) + 1)));
  BOOST_TEST(std::ldexp(1.0, limits::min_exponent - 1) == static_cast<double>(limits::min()));
  BOOST_TEST(std::ldexp(1.0, limits::max_exponent - 1) == static_cast<double>(limits::max()));
  BOOST_TEST(limits::min_exponent10 == static_cast<int>(std::ceil(std::log10(0x1p-127))));
  BOOST_TEST(limits::max_exponent10 == static_cast<int>(std::floor(std::log10(0x1p127))));
}

BOOST_AUTO_TEST_SUITE_END()
