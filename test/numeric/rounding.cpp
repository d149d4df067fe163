// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/rounding.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>

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
using numeric_test::sixteen_bits;
using numeric_test::sweep_32;
using numeric_test::tally;
using numeric_test::top;
using tessera::bfloat16;
using tessera::float16;

BOOST_AUTO_TEST_SUITE(numeric_rounding)

namespace {

float float_of(std::uint32_t code) { return __builtin_bit_cast(float, code); }
double double_of(std::uint64_t code) { return __builtin_bit_cast(double, code); }

/// The stated NaN rule: sign, quiet bit, top of the payload.
template <class T>
std::uint32_t nan_code(const oracle& o, bool negative, std::uint32_t payload) {
  if (o.specials() != top::ieee) {
    return o.specials() == top::none ? o.past() - 1 : (negative ? o.sign() : 0) | o.past();
  }
  return (negative ? o.sign() : 0) | o.infinity() | 1u << (o.mantissa_bits() - 1) | payload;
}

template <class T>
bool narrows_right(const oracle& o, std::uint32_t code) {
  const float x = float_of(code);
  const std::uint32_t got = T(x).bits;
  if (x != x) {
    return got == nan_code<T>(o, code >> 31 != 0, (code & 0x7fffff) >> (23 - o.mantissa_bits()));
  }
  return o.rounds_to(got, static_cast<double>(x));
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(every_code_widens_and_comes_back, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally wide;
  tally back;
  for (std::uint32_t code = 0; code < o.codes(); ++code) {
    const T x = of_code<T>(code);
    const float y = x;
    const bool negative = (code & o.sign()) != 0;
    if (o.is_nan(code)) {
      const std::uint32_t payload = o.specials() == top::one_nan ? 0 : code & ((1u << o.mantissa_bits()) - 1);
      const std::uint32_t got = __builtin_bit_cast(std::uint32_t, y);
      // A code with the exponents of float is only shifted; the others become quiet.
      const std::uint32_t quiet = std::is_same_v<T, bfloat16> ? 0 : 0x400000u;
      wide.add(got == ((negative ? 0x80000000u : 0) | 0x7f800000u | quiet | payload << (23 - o.mantissa_bits())), code);
      back.add(T(y).bits == nan_code<T>(o, negative, payload), code);
      back.add(T(static_cast<double>(y)).bits == nan_code<T>(o, negative, payload), code);
      continue;
    }
    const double want = o.value(code);
    wide.add(static_cast<double>(y) == want && std::signbit(y) == negative, code);
    wide.add(static_cast<double>(x) == want && std::signbit(static_cast<double>(x)) == negative, code);
    back.add(T(y).bits == code, code);
    back.add(T(want).bits == code, code);
  }
  NUMERIC_CHECK_TALLY(wide);
  NUMERIC_CHECK_TALLY(back);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(floats_round_to_nearest_even, T, four_types) {
  NUMERIC_CHECK_TALLY(sweep_32(extent::sample, [&](std::uint32_t code) { return narrows_right<T>(oracle_of<T>(), code); }));
}

NUMERIC_FULL
BOOST_AUTO_TEST_CASE_TEMPLATE(all_floats_round_to_nearest_even, T, four_types) {
  NUMERIC_CHECK_TALLY(sweep_32(extent::whole, [&](std::uint32_t code) { return narrows_right<T>(oracle_of<T>(), code); }));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(floats_around_every_midpoint_and_value, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint32_t magnitude = 0; magnitude < o.past(); ++magnitude) {
    for (const double centre : {o.midpoint(magnitude), o.value(magnitude)}) {
      const auto at = __builtin_bit_cast(std::uint32_t, static_cast<float>(centre));  // exact, midpoints too
      for (std::uint32_t code = at < 3 ? 0 : at - 3; code <= at + 3; ++code) {
        result.add(narrows_right<T>(o, code), code);
        result.add(narrows_right<T>(o, code | 0x80000000u), code | 0x80000000u);
      }
    }
  }
  NUMERIC_CHECK_TALLY(result);
}

// Rounding double to float and then to 16 bits is wrong at half of these: the first rounding lands on the midpoint.
BOOST_AUTO_TEST_CASE_TEMPLATE(doubles_around_every_midpoint_round_once, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  std::uint64_t twice_rounded = 0;
  for (std::uint32_t magnitude = 0; magnitude < o.past(); ++magnitude) {
    const double middle_of = o.midpoint(magnitude);
    const double inf = std::numeric_limits<double>::infinity();
    for (const double x : {middle_of, middle_of * (1 + 0x1p-40), middle_of * (1 - 0x1p-40), std::nextafter(middle_of, inf),
                           std::nextafter(middle_of, 0.0), middle_of * (1 + 0x1p-26), middle_of * (1 - 0x1p-26)}) {
      result.add(o.rounds_to(T(x).bits, x), magnitude);
      result.add(o.rounds_to(T(-x).bits, -x), magnitude);
      twice_rounded += o.rounds_to(T(static_cast<float>(x)).bits, x) ? 0 : 1;
    }
  }
  NUMERIC_CHECK_TALLY(result);
  BOOST_TEST(twice_rounded >= o.past());  // the set is one that double rounding does not survive
}

BOOST_AUTO_TEST_CASE_TEMPLATE(doubles_of_any_bits, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint64_t i = 0; i < (1u << 20); ++i) {
    // Even: any exponent, NaNs among them. Odd: exponents about the range of the format, any number of trailing zeros.
    std::uint64_t code = mix(2 * i + 1);
    if (i % 2 == 1) {
      const std::uint64_t exponent = 1023 - 140 + mix(i) % 270;
      code = (code & 0x800fffffffffffffu & ~((std::uint64_t{1} << (i % 53)) - 1)) | exponent << 52;
    }
    const double x = double_of(code);
    const std::uint32_t got = T(x).bits;
    if (x != x) {
      const auto payload = static_cast<std::uint32_t>((code & 0xfffffffffffffu) >> (52 - o.mantissa_bits()));
      result.add(got == nan_code<T>(o, code >> 63 != 0, payload), code);
    } else {
      result.add(o.rounds_to(got, x), code);
    }
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(doubles_at_the_ends, T, all_formats) {
  const oracle& o = oracle_of<T>();
  const double inf = std::numeric_limits<double>::infinity();
  const double overflow = o.midpoint(o.past() - 1);
  for (const double x :
       {0.0, std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::min(), o.midpoint(0), overflow,
        std::nextafter(overflow, 0.0), std::nextafter(overflow, inf), std::numeric_limits<double>::max(), inf}) {
    BOOST_TEST(o.rounds_to(T(x).bits, x), "at " << x);
    BOOST_TEST(o.rounds_to(T(-x).bits, -x), "at " << -x);
  }
  for (const std::uint64_t payload : {std::uint64_t{1}, std::uint64_t{1} << 51, (std::uint64_t{1} << 52) - 1}) {
    const auto top = static_cast<std::uint32_t>(payload >> (52 - o.mantissa_bits()));
    BOOST_TEST(T(double_of(0x7ff0000000000000u | payload)).bits == nan_code<T>(o, false, top));
    BOOST_TEST(T(double_of(0xfff0000000000000u | payload)).bits == nan_code<T>(o, true, top));
  }
}

// A conversion is integer work and exact floating-point steps: the caller's rounding mode must not show.
BOOST_AUTO_TEST_CASE_TEMPLATE(the_rounding_mode_does_not_matter, T, all_formats) {
  const oracle& o = oracle_of<T>();
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    tally result;
    BOOST_REQUIRE(std::fesetround(mode) == 0);
    for (std::uint32_t i = 0; i < (1u << 18); ++i) {
      const std::uint32_t code = i << 14 | static_cast<std::uint32_t>(mix(i) & 0x3fff);
      const volatile float x = float_of(code);
      const std::uint32_t got = T(x).bits;
      const std::uint32_t own = i & (o.codes() - 1);
      const float back = of_code<T>(own);
      result.add(std::isnan(x) || o.rounds_to(got, static_cast<double>(x)), code);
      result.add(o.is_nan(own) || (static_cast<double>(back) == o.value(own) && std::signbit(back) == ((own & o.sign()) != 0)),
                 i);
    }
    for (std::uint32_t magnitude = 0; magnitude < o.past(); ++magnitude) {
      const volatile double tie = o.midpoint(magnitude);
      const volatile float narrower = float_of(__builtin_bit_cast(std::uint32_t, static_cast<float>(tie)));
      result.add(o.rounds_to(T(tie).bits, tie) && o.rounds_to(T(narrower).bits, tie), magnitude);
    }
    std::fesetround(FE_TONEAREST);
    NUMERIC_CHECK_TALLY(result);
  }
}

#if defined(__x86_64__)

namespace {

// Compiled for F16C by attribute, so that the check runs under any flags where the processor has it.
__attribute__((target("f16c"))) std::uint16_t hardware_narrow(float x) {
  return static_cast<std::uint16_t>(_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT), 0));
}

__attribute__((target("f16c"))) std::uint32_t hardware_widen(std::uint16_t code) {
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_castps_si128(_mm_cvtph_ps(_mm_cvtsi32_si128(code)))));
}

bool has_the_bits_of_hardware(std::uint32_t code) {
  return tessera::detail::narrow<tessera::binary16, tessera::binary32>(code) == hardware_narrow(float_of(code));
}

void flush_subnormals(bool on) {
  constexpr unsigned flush_to_zero_and_denormals_are_zero = 0x8040;
  const unsigned state = _mm_getcsr();
  _mm_setcsr(on ? state | flush_to_zero_and_denormals_are_zero : state & ~flush_to_zero_and_denormals_are_zero);
}

}  // namespace

BOOST_AUTO_TEST_CASE(float16_has_the_bits_of_f16c) {
  if (!__builtin_cpu_supports("f16c")) {
    BOOST_TEST_MESSAGE("no F16C here");
    return;
  }
  tally wide;
  for (std::uint32_t code = 0; code < 0x10000; ++code) {
    const auto c = static_cast<std::uint16_t>(code);
    wide.add(tessera::detail::widen<tessera::binary16>(c) == hardware_widen(c), code);
  }
  NUMERIC_CHECK_TALLY(wide);
  NUMERIC_CHECK_TALLY(sweep_32(extent::sample, has_the_bits_of_hardware));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(flush_to_zero_does_not_matter, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint32_t code = 0; code < o.codes(); ++code) {
    const T x = of_code<T>(code);
    const std::uint32_t magnitude = code & (o.sign() - 1);
    const double above = magnitude < o.past() ? std::copysign(o.midpoint(magnitude), (code & o.sign()) != 0 ? -1.0 : 1.0) : 0;
    flush_subnormals(true);
    const std::uint32_t rounded = T(above).bits;
    const std::uint32_t wide = tessera::detail::widen<typename T::format>(x.bits);
    const std::uint32_t back = tessera::detail::narrow<typename T::format, tessera::binary32>(wide);
    flush_subnormals(false);
    const auto y = __builtin_bit_cast(float, wide);
    result.add(o.rounds_to(rounded, above), code);
    result.add(o.is_nan(code) || (back == code && static_cast<double>(y) == o.value(code)), code);
  }
  NUMERIC_CHECK_TALLY(result);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
