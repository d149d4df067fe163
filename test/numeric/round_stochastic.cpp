// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "oracle.hpp"
#include "tessera/numeric/round_to.hpp"

using numeric_test::all_formats;
using numeric_test::extent;
using numeric_test::four_types;
using numeric_test::in_parallel;
using numeric_test::mix;
using numeric_test::of_code;
using numeric_test::oracle;
using numeric_test::oracle_of;
using numeric_test::tally;
using numeric_test::top;
using tessera::bfloat16;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::overflow;
using tessera::round_stochastic;

BOOST_AUTO_TEST_SUITE(numeric_round_stochastic)

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr std::uint64_t one = std::uint64_t{1} << 32;

float float_of(std::uint32_t code) { return __builtin_bit_cast(float, code); }
double double_of(std::uint64_t code) { return __builtin_bit_cast(double, code); }

/// A magnitude between two values of the format, the lower of them and the 32 bits of the part above it, by the oracle's values.
struct place {
  std::uint32_t below;
  std::uint64_t part;
};

place place_of(const oracle& o, double size) {
  std::uint32_t low = 0;
  std::uint32_t high = o.past();  // value(low) <= size < value(high), where past the largest comes the next of its binade
  const double next = 2 * o.midpoint(high - 1) - o.largest();
  if (size >= next) {
    return {high, 0};
  }
  while (high - low > 1) {
    const std::uint32_t middle = (low + high) / 2;
    (o.value(middle) <= size ? low : high) = middle;
  }
  const double unit = 2 * (o.midpoint(low) - o.value(low));
  return {low, static_cast<std::uint64_t>((size - o.value(low)) / unit * 0x1p32)};  // a power of two divides exactly
}

/// Both forms of overflow.
template <class T>
bool right(const oracle& o, double x, std::uint32_t word, T plain, T clamped) {
  if (std::isnan(x)) {
    return plain.bits == T(x).bits && clamped.bits == T(x).bits;
  }
  const std::uint32_t sign = std::signbit(x) ? o.sign() : 0;
  const place at = place_of(o, std::fabs(x));
  const std::uint32_t code = at.below + (at.part + word >= one ? 1 : 0);
  const std::uint32_t largest = o.past() - 1;
  const std::uint32_t held = code > largest ? largest : code;
  return plain.bits == (sign | (o.specials() == top::none ? held : code)) && clamped.bits == (sign | held);
}

template <class T>
bool right(const oracle& o, float x, std::uint32_t word) {
  return right(o, static_cast<double>(x), word, round_stochastic<T>(x, word), round_stochastic<T, overflow::saturate>(x, word));
}
template <class T>
bool right(const oracle& o, double x, std::uint32_t word) {
  return right(o, x, word, round_stochastic<T>(x, word), round_stochastic<T, overflow::saturate>(x, word));
}

/// Whether of all 65,536 words of 16 bits just those round x up that its discarded part says.
template <class T>
bool unbiased(const oracle& o, float x) {
  const place at = place_of(o, std::fabs(static_cast<double>(x)));
  const std::uint32_t low = (std::signbit(x) ? o.sign() : 0) | at.below;
  std::uint32_t ups = 0;
  std::uint32_t strays = 0;
  for (std::uint32_t word = 0; word < 0x10000; ++word) {
    const std::uint32_t code = round_stochastic<T>(x, word << 16).bits;
    ups += code - low;
    strays |= (code - low) >> 1;
  }
  return strays == 0 && ups == at.part >> 16;
}

// Constant expressions: a quarter of the way from 1 to 1 + 2^-7.
static_assert(round_stochastic<bfloat16>(1 + 0x1p-9f, 0xbfffffffu).bits == 0x3f80);
static_assert(round_stochastic<bfloat16>(1 + 0x1p-9f, 0xc0000000u).bits == 0x3f81);
static_assert(round_stochastic<bfloat16>(-1 - 0x1p-9, 0xc0000000u).bits == 0xbf81);
static_assert(round_stochastic<float16>(0x1p-26f, 0xc0000000u).bits == 1 &&
              round_stochastic<float16>(0x1p-26, 0xbfffffffu).bits == 0);
static_assert(round_stochastic<float8_e4m3>(456.0f, 0xc0000000u).bits == 0x7f);
static_assert(round_stochastic<float8_e4m3, overflow::saturate>(456.0f, 0xc0000000u).bits == 0x7e);
static_assert(round_stochastic<float16>(-inf, 0).bits == 0xfc00 &&
              round_stochastic<float16, overflow::saturate>(-inf, 0).bits == 0xfbff);

tally every_low_half(extent visited) {
  const oracle& o = oracle_of<bfloat16>();
  const auto halves = [&](std::uint64_t first, std::uint64_t last) {
    tally result;
    for (std::uint64_t low = first; low < last; ++low) {
      if (visited == extent::whole || low % 64 == (mix(low / 64) & 63)) {
        // One: all upper halves but those of the last binade share the work.
        const auto code = static_cast<std::uint32_t>(0x3f800000u | low);
        result.add(unbiased<bfloat16>(o, float_of(code)), code);
      }
    }
    return result;
  };
  return visited == extent::whole ? in_parallel(0x10000, halves) : halves(0, 0x10000);
}

}  // namespace

BOOST_AUTO_TEST_CASE(low_halves_of_bfloat16_are_unbiased) { NUMERIC_CHECK_TALLY(every_low_half(extent::sample)); }

NUMERIC_FULL
BOOST_AUTO_TEST_CASE(all_low_halves_of_bfloat16_are_unbiased) { NUMERIC_CHECK_TALLY(every_low_half(extent::whole)); }

// In every binade from below the smallest subnormal to the largest, about 2 lower parts of either sign.
BOOST_AUTO_TEST_CASE_TEMPLATE(every_binade_is_unbiased, T, four_types) {
  const oracle& o = oracle_of<T>();
  tally result;
  const int smallest = std::ilogb(o.value(1)) - 4;
  const int largest = std::ilogb(o.largest());
  for (int exponent = smallest < -149 ? -149 : smallest; exponent <= largest; ++exponent) {
    for (std::uint64_t i = 0; i < 4; ++i) {
      const double significand = 1 + static_cast<double>(mix(i + 7 * static_cast<std::uint64_t>(exponent + 200)) >> 41) * 0x1p-23;
      const float x = static_cast<float>(std::ldexp(significand, exponent));
      if (static_cast<double>(x) < 2 * o.midpoint(o.past() - 1) - o.largest()) {
        result.add(unbiased<T>(o, i % 2 == 0 ? x : -x), __builtin_bit_cast(std::uint32_t, x));
      }
    }
  }
  NUMERIC_CHECK_TALLY(result);
}

// 13 bits are lost from float to float16; one tail in some five is tried.
BOOST_AUTO_TEST_CASE(tails_of_float16_are_unbiased) {
  const oracle& o = oracle_of<float16>();
  tally result;
  for (std::uint32_t tail = 0; tail < 0x2000; tail += 1 + (tail * 37 & 7)) {
    result.add(unbiased<float16>(o, float_of(0x3f800000u | tail)), tail);
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_word_decides_as_stated, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  const auto visit = [&](auto x, std::uint64_t i) {
    const double size = std::fabs(static_cast<double>(x));
    const std::uint64_t part = std::isnan(size) ? 0 : place_of(o, size).part;
    const auto edge = static_cast<std::uint32_t>(one - part);
    for (const std::uint32_t word : {edge, edge - 1, edge + 1, 0u, ~0u, static_cast<std::uint32_t>(mix(i) >> 32)}) {
      result.add(right<T>(o, x, word), i);
      result.add(right<T>(o, -x, word), i);
    }
  };
  for (std::uint64_t i = 0; i < (1u << 16); ++i) {
    visit(float_of(static_cast<std::uint32_t>(i << 16 | (mix(i) & 0xffff))), i);
    // Exponents about the range of the format, any number of trailing zeros.
    const std::uint64_t exponent = 1023 - 160 + mix(i) % 300;
    visit(double_of((mix(2 * i + 1) & 0xfffffffffffffu & ~((std::uint64_t{1} << (i % 53)) - 1)) | exponent << 52), i);
  }
  for (std::uint32_t magnitude = 0; magnitude < o.past(); ++magnitude) {
    const double value = o.value(magnitude);
    const double middle = o.midpoint(magnitude);
    for (const double x : {value, middle, std::nextafter(value, inf), std::nextafter(middle, 0.0), std::nextafter(value, 0.0)}) {
      visit(x, magnitude);
      visit(static_cast<float>(x), magnitude);
    }
  }
  for (const double x : {inf, 1e300, 1e-300, std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::quiet_NaN(),
                         std::numeric_limits<double>::signaling_NaN(), std::numeric_limits<double>::max()}) {
    visit(x, 0);
    visit(static_cast<float>(x), 1);
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(values_never_move, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint32_t code = 0; code < o.codes(); ++code) {
    const float x = of_code<T>(code);
    for (const std::uint32_t word : {0u, 1u, ~0u, static_cast<std::uint32_t>(mix(code))}) {
      const std::uint32_t want = o.is_nan(code) ? T(x).bits : code;
      result.add(round_stochastic<T>(x, word).bits == want, code);
      result.add(round_stochastic<T>(static_cast<double>(x), word).bits == want, code);
    }
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_rounding_mode_of_the_processor_does_not_matter, T, four_types) {
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    tally result;
    for (std::uint64_t i = 0; i < (1u << 14); ++i) {
      const volatile float x = float_of(static_cast<std::uint32_t>(i << 18 | (mix(i) & (i % 2 == 0 ? 0 : 0x3ffff))));
      const volatile double y = double_of(i << 50 | (i % 2 == 0 ? 0 : mix(i) >> 14));
      const volatile auto word = static_cast<std::uint32_t>(mix(i) >> 32);
      const std::uint32_t want = round_stochastic<T>(static_cast<float>(x), word).bits;
      const std::uint32_t wide_want = round_stochastic<T>(static_cast<double>(y), word).bits;
      std::fesetround(mode);
      const volatile std::uint32_t got = round_stochastic<T>(static_cast<float>(x), word).bits;
      const volatile std::uint32_t wide_got = round_stochastic<T>(static_cast<double>(y), word).bits;
      std::fesetround(FE_TONEAREST);
      result.add(got == want && wide_got == wide_want, i);
    }
    NUMERIC_CHECK_TALLY(result);
  }
}

BOOST_AUTO_TEST_SUITE_END()
