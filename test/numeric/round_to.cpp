// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/round_to.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "oracle.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

using numeric_test::all_formats;
using numeric_test::extent;
using numeric_test::four_types;
using numeric_test::mix;
using numeric_test::of_code;
using numeric_test::oracle;
using numeric_test::oracle_of;
using numeric_test::sweep_32;
using numeric_test::tally;
using numeric_test::top;
using tessera::bfloat16;
using tessera::float16;
using tessera::float4_e2m1;
using tessera::float8_e4m3;
using tessera::float8_e5m2;
using tessera::overflow;
using tessera::round_to;
using tessera::rounding;

BOOST_AUTO_TEST_SUITE(numeric_round_to)

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

float float_of(std::uint32_t code) { return __builtin_bit_cast(float, code); }
double double_of(std::uint64_t code) { return __builtin_bit_cast(double, code); }

/// Whether x is rounded right in one mode, in both forms of overflow. The NaN's code is told apart elsewhere: here it is that of To(x).
template <class T, rounding Mode, class Number>
bool mode_right(const oracle& o, Number x) {
  const T plain = round_to<T, Mode>(x);
  const T clamped = round_to<T, Mode, overflow::saturate>(x);
  const auto exact = static_cast<double>(x);
  if (exact != exact) {
    return plain.bits == T(x).bits && clamped.bits == T(x).bits;
  }
  return o.rounds_to(plain.bits, exact, Mode) && o.rounds_to(clamped.bits, exact, Mode, overflow::saturate);
}

/// The same for all six modes.
template <class T, class Number>
bool all_right(const oracle& o, Number x) {
  return mode_right<T, rounding::nearest_even>(o, x) && mode_right<T, rounding::nearest_away>(o, x) &&
         mode_right<T, rounding::toward_zero>(o, x) && mode_right<T, rounding::upward>(o, x) &&
         mode_right<T, rounding::downward>(o, x) && mode_right<T, rounding::to_odd>(o, x);
}

template <class T, rounding Mode, class Integer>
bool integer_mode_right(const oracle& o, Integer n) {
  const bool negative = n < 0;
  const std::uint64_t size = negative ? 0 - static_cast<std::uint64_t>(n) : static_cast<std::uint64_t>(n);
  return o.rounds_to(round_to<T, Mode>(n).bits, negative, size, Mode) &&
         o.rounds_to(round_to<T, Mode, overflow::saturate>(n).bits, negative, size, Mode, overflow::saturate);
}

template <class T, class Integer>
bool integer_right(const oracle& o, Integer n) {
  return integer_mode_right<T, rounding::nearest_even>(o, n) && integer_mode_right<T, rounding::nearest_away>(o, n) &&
         integer_mode_right<T, rounding::toward_zero>(o, n) && integer_mode_right<T, rounding::upward>(o, n) &&
         integer_mode_right<T, rounding::downward>(o, n) && integer_mode_right<T, rounding::to_odd>(o, n);
}

// In constant expressions, and the ends that the modes disagree on.
static_assert(round_to<float16, rounding::toward_zero>(1e9f).bits == 0x7bff);
static_assert(round_to<float16, rounding::upward>(1e9f).bits == 0x7c00);
static_assert(round_to<float16, rounding::upward>(-1e9).bits == 0xfbff);
static_assert(round_to<float16, rounding::downward>(-1e9).bits == 0xfc00);
static_assert(round_to<float16, rounding::to_odd>(1e9).bits == 0x7bff);
static_assert(round_to<float16, rounding::toward_zero>(inf).bits == 0x7c00);
static_assert(round_to<float16, rounding::nearest_even, overflow::saturate>(-inf).bits == 0xfbff);
static_assert(round_to<float16, rounding::upward>(1e-300).bits == 0x0001 &&
              round_to<float16, rounding::upward>(-1e-300).bits == 0x8000);
static_assert(round_to<float16, rounding::nearest_away>(0x1p-25f).bits == 1 && round_to<float16>(0x1p-25f).bits == 0);
static_assert(round_to<float16, rounding::to_odd>(0x1p-40).bits == 1);
static_assert(round_to<bfloat16, rounding::upward>(257).bits == 0x4381 &&
              round_to<bfloat16, rounding::downward>(257).bits == 0x4380);
static_assert(round_to<bfloat16, rounding::upward>(~0ull).bits == 0x5f80);
static_assert(round_to<bfloat16, rounding::toward_zero>(~0ull).bits == 0x5f7f);
static_assert(round_to<float8_e4m3>(1000).bits == 0x7f);
static_assert(round_to<float8_e4m3, rounding::toward_zero>(1000).bits == 0x7e);
static_assert(round_to<float8_e4m3, rounding::nearest_even, overflow::saturate>(-1000).bits == 0xfe);
static_assert(round_to<float8_e4m3, rounding::toward_zero>(-inf).bits == 0xff);
static_assert(round_to<float8_e4m3, rounding::nearest_even, overflow::saturate>(inf).bits == 0x7e);
static_assert(round_to<float8_e4m3, rounding::to_odd>(460.0).bits == 0x7f);
static_assert(round_to<float8_e5m2, rounding::nearest_even, overflow::saturate>(1e9f).bits == 0x7b);
static_assert(round_to<float4_e2m1, rounding::upward>(4.5f).bits == 7 && round_to<float4_e2m1, rounding::upward>(1e9f).bits == 7);
static_assert(round_to<float8_e4m3>(float16(0.3f)).bits == float8_e4m3(static_cast<float>(float16(0.3f))).bits);

template <class To, class From>
concept converts = requires(From x) { round_to<To>(x); };
static_assert(converts<float16, float> && converts<float16, bfloat16> && converts<bfloat16, bool> &&
              converts<float8_e4m3, float8_e5m2>);
static_assert(!converts<float, double> && !converts<float16, long double> && !converts<float16, void*>);

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(floats_in_every_mode, T, four_types) {
  NUMERIC_CHECK_TALLY(sweep_32(extent::sample, [&](std::uint32_t code) { return all_right<T>(oracle_of<T>(), float_of(code)); }));
}

NUMERIC_FULL
BOOST_AUTO_TEST_CASE_TEMPLATE(all_floats_in_every_mode, T, four_types) {
  NUMERIC_CHECK_TALLY(sweep_32(extent::whole, [&](std::uint32_t code) { return all_right<T>(oracle_of<T>(), float_of(code)); }));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(floats_around_every_midpoint_and_value, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint32_t magnitude = 0; magnitude < o.past(); ++magnitude) {
    for (const double centre : {o.midpoint(magnitude), o.value(magnitude)}) {
      const auto at = __builtin_bit_cast(std::uint32_t, static_cast<float>(centre));  // exact, midpoints too
      for (std::uint32_t code = at < 3 ? 0 : at - 3; code <= at + 3; ++code) {
        result.add(all_right<T>(o, float_of(code)), code);
        result.add(all_right<T>(o, float_of(code | 0x80000000u)), code | 0x80000000u);
      }
    }
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(doubles_around_every_midpoint_and_value, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint32_t magnitude = 0; magnitude < o.past(); ++magnitude) {
    for (const double centre : {o.midpoint(magnitude), o.value(magnitude)}) {
      for (const double x : {centre, centre * (1 + 0x1p-40), centre * (1 - 0x1p-40), std::nextafter(centre, inf),
                             std::nextafter(centre, 0.0), centre * (1 + 0x1p-26), centre * (1 - 0x1p-26)}) {
        result.add(all_right<T>(o, x), magnitude);
        result.add(all_right<T>(o, -x), magnitude);
      }
    }
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(doubles_of_any_bits, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint64_t i = 0; i < (1u << 19); ++i) {
    // Even: any exponent, NaNs among them. Odd: exponents about the range of the format, any number of trailing zeros.
    std::uint64_t code = mix(2 * i + 1);
    if (i % 2 == 1) {
      const std::uint64_t exponent = 1023 - 140 + mix(i) % 270;
      code = (code & 0x800fffffffffffffu & ~((std::uint64_t{1} << (i % 53)) - 1)) | exponent << 52;
    }
    result.add(all_right<T>(o, double_of(code)), code);
  }
  for (const double x : {0.0, std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::min(),
                         std::numeric_limits<double>::max(), inf}) {
    result.add(all_right<T>(o, x), 1);
    result.add(all_right<T>(o, -x), 2);
  }
  for (const std::uint64_t payload : {std::uint64_t{1}, std::uint64_t{1} << 51, (std::uint64_t{1} << 52) - 1}) {
    result.add(all_right<T>(o, double_of(0x7ff0000000000000u | payload)), payload);
    result.add(all_right<T>(o, double_of(0xfff0000000000000u | payload)), payload);
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(integers_in_every_mode, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  const auto visit = [&](std::uint64_t n) {
    result.add(integer_right<T>(o, n), n);
    result.add(integer_right<T>(o, static_cast<std::int64_t>(n)), n);
    result.add(integer_right<T>(o, -static_cast<std::int64_t>(n >> 1)), n);
    result.add(integer_right<T>(o, static_cast<std::uint32_t>(n)) && integer_right<T>(o, static_cast<std::int32_t>(n)), n);
    result.add(integer_right<T>(o, static_cast<std::uint16_t>(n)) && integer_right<T>(o, static_cast<std::int16_t>(n)), n);
    result.add(integer_right<T>(o, static_cast<std::uint8_t>(n)) && integer_right<T>(o, static_cast<std::int8_t>(n)), n);
  };
  for (std::uint64_t n = 0; n < 0x10000; ++n) {
    visit(n);
  }
  for (std::uint32_t code = 0; code < o.past(); ++code) {
    for (const double x : {o.midpoint(code), o.value(code)}) {
      if (x >= 1 && x < 0x1p64) {
        const auto n = static_cast<std::uint64_t>(x);
        for (const std::uint64_t d : {0u, 1u, 2u, 2047u, 2048u, 2049u}) {
          visit(n + d);
          visit(n - d);
        }
      }
    }
  }
  for (std::uint64_t i = 0; i < (1u << 16); ++i) {
    visit(mix(i) >> (i % 64));
  }
  NUMERIC_CHECK_TALLY(result);
  BOOST_TEST(
      (o.rounds_to(round_to<T, rounding::downward>(std::numeric_limits<std::int64_t>::min()).bits, -0x1p63, rounding::downward)));
}

// Whatever the formats, a narrow float widens exactly and rounds once.
BOOST_AUTO_TEST_CASE_TEMPLATE(from_every_narrow_code, T, all_formats) {
  tally result;
  const auto from = [&]<class From>(From) {
    for (std::uint32_t code = 0; code < oracle_of<From>().codes(); ++code) {
      const From x = of_code<From>(code);
      const double exact = static_cast<double>(x);
      const T got = round_to<T, rounding::upward, overflow::saturate>(x);
      result.add(exact == exact ? oracle_of<T>().rounds_to(got.bits, exact, rounding::upward, overflow::saturate)
                                : got.bits == T(static_cast<float>(x)).bits,
                 code);
      result.add(round_to<T>(x).bits == T(static_cast<float>(x)).bits, code);
    }
  };
  from(float16());
  from(bfloat16());
  from(float8_e4m3());
  from(float8_e5m2());
  from(float4_e2m1());
  NUMERIC_CHECK_TALLY(result);
}

// Rounding to odd is for rounding again: through 16 bits to 8, as from the float at once.
BOOST_AUTO_TEST_CASE(to_odd_makes_a_second_rounding_harmless) {
  tally result;
  std::uint64_t twice_rounded = 0;
  for (std::uint64_t i = 0; i < (1u << 20); ++i) {
    const float x = float_of(static_cast<std::uint32_t>(i << 12 | (mix(i) & 0xfff)));
    if (x != x) {
      continue;
    }
    result.add(float8_e5m2(round_to<float16, rounding::to_odd>(x)).bits == float8_e5m2(x).bits, i);
    result.add(float8_e4m3(round_to<bfloat16, rounding::to_odd>(x)).bits == float8_e4m3(x).bits, i);
    twice_rounded += float8_e4m3(bfloat16(x)).bits == float8_e4m3(x).bits ? 0 : 1;
  }
  NUMERIC_CHECK_TALLY(result);
  BOOST_TEST(twice_rounded > 0u);
}

// The caller's rounding mode is neither obeyed nor changed. Ties, exact values and zeros are where a difference would show it.
BOOST_AUTO_TEST_CASE_TEMPLATE(the_rounding_mode_of_the_processor_does_not_matter, T, all_formats) {
  const oracle& o = oracle_of<T>();
  std::vector<double> numbers = {0.0, inf, 1e300, 1e-300};
  for (std::uint32_t magnitude = 0; magnitude < o.past(); magnitude += o.past() > 256 ? 1 + (magnitude * 37) % 64 : 1) {
    numbers.push_back(o.value(magnitude));
    numbers.push_back(o.midpoint(magnitude));
    numbers.push_back(o.midpoint(magnitude) * (1 + 0x1p-20));
  }
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    tally result;
    BOOST_REQUIRE(std::fesetround(mode) == 0);
    for (const double size : numbers) {
      for (const double number : {size, -size}) {
        const volatile double x = number;
        result.add(all_right<T>(o, static_cast<double>(x)), __builtin_bit_cast(std::uint64_t, number));
        // To float and to integers by the bits: a conversion would round here.
        const volatile std::uint32_t code = static_cast<std::uint32_t>(__builtin_bit_cast(std::uint64_t, number) >> 32);
        result.add(all_right<T>(o, float_of(code)), code);
        const volatile std::uint64_t n = __builtin_bit_cast(std::uint64_t, number) % 5 * static_cast<std::uint64_t>(code) * code;
        result.add(integer_right<T>(o, std::uint64_t{n}) && integer_right<T>(o, static_cast<std::int64_t>(n)), n);
        result.add(integer_right<T>(o, std::uint32_t{code}) && integer_right<T>(o, static_cast<std::int32_t>(code)), code);
      }
    }
    for (const std::uint64_t small : {0u, 1u, 2u, 255u}) {
      const volatile std::uint64_t n = small;
      result.add(integer_right<T>(o, std::uint64_t{n}) && integer_right<T>(o, static_cast<std::int64_t>(n)), n);
      result.add(integer_right<T>(o, static_cast<std::uint32_t>(n)) && integer_right<T>(o, static_cast<std::int32_t>(n)), n);
      result.add(integer_right<T>(o, static_cast<std::uint16_t>(n)) && integer_right<T>(o, static_cast<std::int8_t>(n)), n);
    }
    const int after = std::fegetround();
    std::fesetround(FE_TONEAREST);
    BOOST_TEST(after == mode);
    NUMERIC_CHECK_TALLY(result);
  }
}

#if defined(__x86_64__)

BOOST_AUTO_TEST_CASE_TEMPLATE(flush_to_zero_does_not_matter, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  const auto visit = [&]<rounding Mode>(std::integral_constant<rounding, Mode>, std::uint64_t code) {
    const unsigned state = _mm_getcsr();
    _mm_setcsr(state | 0x8040);  // flush to zero, subnormals are zero
    const std::uint32_t from_double = tessera::detail::narrow<typename T::format, tessera::binary64, Mode, overflow::ieee>(code);
    const std::uint32_t from_float = tessera::detail::narrow<typename T::format, tessera::binary32, Mode, overflow::ieee>(
        static_cast<std::uint32_t>(code >> 32));
    _mm_setcsr(state);
    const double x = double_of(code);
    const double y = static_cast<double>(float_of(static_cast<std::uint32_t>(code >> 32)));
    result.add(x != x || o.rounds_to(from_double, x, Mode), code);
    result.add(y != y || o.rounds_to(from_float, y, Mode), code);
  };
  for (std::uint64_t i = 0; i < (1u << 16); ++i) {
    // Sparse bits below the exponents, subnormals of float and double among them.
    const std::uint64_t code = i << 48 | (i % 3 == 0 ? 0 : mix(i) >> (16 + i % 48));
    visit(std::integral_constant<rounding, rounding::nearest_even>(), code);
    visit(std::integral_constant<rounding, rounding::nearest_away>(), code);
    visit(std::integral_constant<rounding, rounding::toward_zero>(), code);
    visit(std::integral_constant<rounding, rounding::upward>(), code);
    visit(std::integral_constant<rounding, rounding::downward>(), code);
    visit(std::integral_constant<rounding, rounding::to_odd>(), code);
  }
  NUMERIC_CHECK_TALLY(result);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
