// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/text.hpp"

#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "oracle.hpp"

using numeric_test::all_formats;
using numeric_test::mix;
using numeric_test::of_code;
using numeric_test::oracle;
using numeric_test::oracle_of;
using numeric_test::tally;
using tessera::bfloat16;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::float8_e5m2;

BOOST_AUTO_TEST_SUITE(numeric_text)

namespace {

constexpr std::chars_format plain{};

/// The doubles on both sides of the number that a text means, equal where it is a double. The C library reads exactly.
struct bracket {
  explicit bracket(const std::string& text) {
    std::fesetround(FE_DOWNWARD);
    below = std::strtod(text.c_str(), nullptr);
    std::fesetround(FE_UPWARD);
    above = std::strtod(text.c_str(), nullptr);
    std::fesetround(FE_TONEAREST);
  }
  /// The sign of the number less x.
  int compare(double x) const { return below < x ? -1 : above > x ? 1 : 0; }
  double below, above;
};

/// Whether the number of a text without a sign rounds to a magnitude.
bool rounds_to(const oracle& o, std::uint32_t code, const std::string& text) {
  const bracket number(text);
  const int low = code == 0 ? 1 : number.compare(o.midpoint(code - 1));
  const int high = code == o.past() ? -1 : number.compare(o.midpoint(code));
  return code % 2 == 0 ? low >= 0 && high <= 0 : low > 0 && high < 0;
}

template <class T>
std::string print(T x, std::chars_format format) {
  char text[200];
  return std::string(text, to_chars(text, text + sizeof text, x, format).ptr);
}

template <class Number>
std::string print_std(Number x, std::chars_format format) {
  char text[200];
  return std::string(
      text,
      (format == plain ? std::to_chars(text, text + sizeof text, x) : std::to_chars(text, text + sizeof text, x, format)).ptr);
}

template <class T>
struct parsed {
  T value;
  std::ptrdiff_t length;
  std::errc error;
};

template <class T>
parsed<T> parse(std::string_view text, std::chars_format format = std::chars_format::general) {
  T value = of_code<T>(0x2a);
  const char* const first = text.data();
  const auto [end, error] = from_chars(first, first + text.size(), value, format);
  return {value, end - first, error};
}

/// x to n significant digits, away from the side that a rounding mode is away from.
std::string digits(double x, int n, int mode) {
  char text[64];
  std::fesetround(mode);
  std::snprintf(text, sizeof text, "%.*e", n - 1, x);
  std::fesetround(FE_TONEAREST);
  return text;
}

/// All digits of a double.
std::string exactly(double x) {
  char text[400];
  std::snprintf(text, sizeof text, "%.200f", x);
  return text;
}

int digits_of(const std::string& scientific) {
  int n = 0;
  for (const char c : scientific.substr(0, scientific.find('e'))) n += c != '.';
  return n;
}

}  // namespace

BOOST_AUTO_TEST_CASE(golden_texts) {
  BOOST_TEST(to_string(float16(0.1)) == "0.1");
  BOOST_TEST(to_string(bfloat16(0.1)) == "0.1");
  BOOST_TEST(to_string(float16(1.0 / 3)) == "0.3333");
  BOOST_TEST(to_string(bfloat16(1.0 / 3)) == "0.334");
  BOOST_TEST(to_string(float16(2.0 / 3)) == "0.6665");
  BOOST_TEST(to_string(float16(3.14159265)) == "3.14");
  BOOST_TEST(to_string(bfloat16(3.14159265)) == "3.14");
  BOOST_TEST(to_string(float16(65504)) == "65504");
  BOOST_TEST(to_string(float16(2049)) == "2048");
  BOOST_TEST(to_string(float16(0x1p-24)) == "6e-08");
  BOOST_TEST(to_string(float16(0x1p-14)) == "6.104e-05");
  BOOST_TEST(to_string(bfloat16(0x1p-133)) == "9e-41");
  BOOST_TEST(to_string(bfloat16(3.3895e38)) == "3.39e+38");
  BOOST_TEST(to_string(bfloat16(1e10)) == "1e+10");
  BOOST_TEST(to_string(bfloat16(99840)) == "99840");  // no longer than 1e+05, and nearer
  BOOST_TEST(to_string(float16(-1.5)) == "-1.5");
  BOOST_TEST(to_string(float16(1e-3)) == "0.001");
  BOOST_TEST(to_string(float16(1e-4)) == "1e-04");
  BOOST_TEST(to_string(float16(0)) == "0");
  BOOST_TEST(to_string(float16(-0.0)) == "-0");
  BOOST_TEST(to_string(float8_e5m2(0.75)) == "0.8");  // as near as 0.7, and even
  BOOST_TEST(to_string(float8_e4m3(448)) == "448");
  BOOST_TEST(to_string(float8_e4m3(0.1)) == "0.1");
  BOOST_TEST(to_string(float8_e4m3(0x1p-9)) == "0.002");
  BOOST_TEST(to_string(float8_e5m2(57344)) == "57344");
  BOOST_TEST(to_string(tessera::float4_e2m1(-1.5)) == "-1.5");
  BOOST_TEST(to_string(-std::numeric_limits<float16>::infinity()) == "-inf");
  BOOST_TEST(to_string(std::numeric_limits<bfloat16>::quiet_NaN()) == "nan");
  BOOST_TEST(to_string(-std::numeric_limits<bfloat16>::signaling_NaN()) == "-nan");
  BOOST_TEST(print(bfloat16(3.3895e38), std::chars_format::fixed) == "338953138925153547590470800371487866880");
  BOOST_TEST(print(float16(0.1), std::chars_format::hex) == "1.998p-4");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(every_text_comes_back, T, all_formats) {
  tally wrong;
  for (std::uint32_t code = 0; code < oracle_of<T>().codes(); ++code) {
    const T x = of_code<T>(code);
    const bool nan = x != x;
    for (const auto format :
         {plain, std::chars_format::general, std::chars_format::scientific, std::chars_format::fixed, std::chars_format::hex}) {
      const std::string text = print(x, format);
      const auto [value, length, error] = parse<T>(text, format == plain ? std::chars_format::general : format);
      const bool same = nan ? value != value && std::signbit(static_cast<float>(value)) == std::signbit(static_cast<float>(x))
                            : value.bits == x.bits;
      wrong.add(same && error == std::errc{} && length == static_cast<std::ptrdiff_t>(text.size()), code);
    }
  }
  NUMERIC_CHECK_TALLY(wrong);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(every_text_is_the_shortest_and_nearest, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally foreign;
  tally too_long;
  tally far;
  for (std::uint32_t code = 1; code < o.past(); ++code) {
    const std::string text = print(of_code<T>(code), std::chars_format::scientific);
    foreign.add(rounds_to(o, code, text), code);
    const int n = digits_of(text);
    const double x = o.value(code);
    if (n > 1) {
      too_long.add(!rounds_to(o, code, digits(x, n - 1, FE_DOWNWARD)) && !rounds_to(o, code, digits(x, n - 1, FE_UPWARD)), code);
    }
    // The nearest number of n digits, unless only one farther away rounds to x.
    const std::string nearest = digits(x, n, FE_TONEAREST);
    far.add(text == nearest || !rounds_to(o, code, nearest), code);
  }
  NUMERIC_CHECK_TALLY(foreign);
  NUMERIC_CHECK_TALLY(too_long);
  NUMERIC_CHECK_TALLY(far);
}

// Short digits are a float's shortest text too, so that the standard library tells how to lay them out.
BOOST_AUTO_TEST_CASE_TEMPLATE(the_layout_is_that_of_a_float, T, all_formats) {
  tally wrong;
  for (std::uint32_t code = 0; code < oracle_of<T>().codes(); ++code) {
    const T x = of_code<T>(code);
    if (!(static_cast<float>(x - x) == 0.0f)) continue;
    const float alike = std::strtof(print(x, std::chars_format::scientific).c_str(), nullptr);
    for (const auto format : {plain, std::chars_format::general, std::chars_format::scientific, std::chars_format::fixed}) {
      const std::string text = print(x, format);
      std::string expected = print_std(alike, format);
      // A whole number without an exponent has all its digits: the float's are others, and in 99840 of bfloat16 more.
      const std::string whole = print_std(static_cast<float>(x), std::chars_format::fixed);
      const bool shorter = format == plain && whole.find('.') == std::string::npos && whole.size() <= expected.size();
      if (expected.find_first_of("e.") == std::string::npos || shorter) expected = whole;
      wrong.add(text == expected, code);
    }
    wrong.add(print(x, std::chars_format::hex) == print_std(static_cast<float>(x), std::chars_format::hex), code);
  }
  NUMERIC_CHECK_TALLY(wrong);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_precision_gives_the_digits_of_the_value, T, all_formats) {
  tally wrong;
  for (std::uint32_t code = 0; code < oracle_of<T>().codes(); code += 7) {
    const T x = of_code<T>(code);
    for (const int precision : {0, 3, 20}) {
      char expected[300];
      char text[300];
      std::snprintf(expected, sizeof expected, "%.*e", precision, static_cast<double>(x));
      *to_chars(text, text + sizeof text - 1, x, std::chars_format::scientific, precision).ptr = '\0';
      wrong.add(std::strcmp(text, expected) == 0, code);
      std::snprintf(expected, sizeof expected, "%.*f", precision, static_cast<double>(x));
      *to_chars(text, text + sizeof text - 1, x, std::chars_format::fixed, precision).ptr = '\0';
      wrong.add(std::strcmp(text, expected) == 0, code);
    }
  }
  NUMERIC_CHECK_TALLY(wrong);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_short_buffer_is_refused, T, all_formats) {
  tally wrong;
  for (std::uint32_t code = 0; code < oracle_of<T>().codes(); code += 3) {
    const T x = of_code<T>(code);
    for (const auto format : {plain, std::chars_format::general, std::chars_format::scientific, std::chars_format::fixed}) {
      const std::string whole = print(x, format);
      for (std::size_t room = 0; room <= whole.size(); ++room) {
        std::string buffer(room + 4, '#');
        const auto [end, error] = to_chars(buffer.data(), buffer.data() + room, x, format);
        const bool fits = room == whole.size();
        wrong.add(end == buffer.data() + room && error == (fits ? std::errc{} : std::errc::value_too_large) &&
                      buffer.substr(room) == "####" && (!fits || buffer.substr(0, room) == whole),
                  code);
      }
    }
  }
  NUMERIC_CHECK_TALLY(wrong);
}

// A midpoint to its last digit, and numbers that differ from it in a digit that no double sees.
BOOST_AUTO_TEST_CASE_TEMPLATE(midpoints_round_once, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally wrong;
  const auto expect = [&](const std::string& text, std::uint32_t want, std::uint32_t code) {
    for (const bool negative : {false, true}) {
      const auto [value, length, error] = parse<T>(negative ? "-" + text : text);
      if (want == o.past() || want == 0) {
        wrong.add(error == std::errc::result_out_of_range && value.bits == 0x2a, code);
      } else {
        wrong.add(error == std::errc{} && value.bits == (negative ? want | o.sign() : want), code);
      }
      wrong.add(length == static_cast<std::ptrdiff_t>(text.size()) + negative, code);
    }
  };
  for (std::uint32_t code = 0; code < o.past(); ++code) {
    const std::uint32_t even = code + code % 2;
    const std::string middle_text = exactly(o.midpoint(code));
    expect(middle_text, even, code);
    expect(middle_text + "00000000000000000000000000001", code + 1, code);
    std::string less = middle_text;
    less.erase(less.find_last_not_of('0') + 1);
    if (less.back() == '.') less += "0";  // a whole number ends in a digit again
    std::size_t last = less.find_last_not_of(".0");
    --less[last];
    for (++last; last < less.size(); ++last) less[last] = less[last] == '.' ? '.' : '9';
    expect(less + "999999999999999999999999999999", code, code);
    std::string shifted = middle_text;  // the same number with an exponent
    shifted.erase(shifted.find('.'), 1);
    expect(shifted + "e-200", even, code);
    expect("0." + std::string(30, '0') + shifted + "e" + std::to_string(middle_text.find('.') + 30), even, code);
  }
  NUMERIC_CHECK_TALLY(wrong);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(random_numbers_round_once, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally wrong;
  const int reach = std::numeric_limits<T>::max_exponent10 + 3;
  for (std::uint64_t i = 0; i < 200000; ++i) {
    std::string text;
    const auto n = 1 + mix(3 * i) % 24;
    for (std::uint64_t d = 0; d < n; ++d) text += static_cast<char>('0' + mix(i * 100 + d + 7) % 10);
    const auto point = mix(3 * i + 1) % (n + 1);
    text.insert(point, ".");
    text += 'e' + std::to_string(static_cast<int>(mix(3 * i + 2) % static_cast<unsigned>(2 * reach)) - reach);
    const auto [value, length, error] = parse<T>(text);
    wrong.add(length == static_cast<std::ptrdiff_t>(text.size()), i);
    if (error == std::errc{}) {
      wrong.add(rounds_to(o, value.bits, text), i);
    } else {
      wrong.add(error == std::errc::result_out_of_range && value.bits == 0x2a &&
                    (rounds_to(o, o.past(), text) || rounds_to(o, 0, text)),
                i);
    }
  }
  NUMERIC_CHECK_TALLY(wrong);
}

#if defined(__cpp_lib_to_chars)  // libc++ 19 reads no floats
// What is a number, and where it ends, is what std::from_chars says of a float.
BOOST_AUTO_TEST_CASE_TEMPLATE(the_grammar_is_that_of_a_float, T, all_formats) {
  tally wrong;
  const std::string_view alphabet = "0123456789012.eE+-pPxXabcfn_ ()";
  const char* const starts[] = {"", "-", "1.5", "-2e", "inf", "-INFINI", "nan", "NaN(", "0x", "1p", ".", "-.", "1e+"};
  for (std::uint64_t i = 0; i < 300000; ++i) {
    std::string text = starts[mix(i) % std::size(starts)];
    for (std::uint64_t n = mix(i + (1u << 20)) % 7; n > 0; --n) text += alphabet[mix(i * 8 + n) % alphabet.size()];
    for (const auto format :
         {std::chars_format::general, std::chars_format::scientific, std::chars_format::fixed, std::chars_format::hex}) {
      // libstdc++ 12 takes the exponent "+-1" for one.
      if (format == std::chars_format::hex && text.find("+-") != std::string::npos) continue;
      float reference = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), reference, format);
      const auto [value, length, our_error] = parse<T>(text, format);
      const bool valid = error != std::errc::invalid_argument;
      bool right = length == end - text.data() && (our_error != std::errc::invalid_argument) == valid;
      if (error == std::errc{} && our_error == std::errc{} && reference == reference) {
        right = right && value.bits == T(reference).bits;  // few digits: reading a float first changes nothing
      }
      if (our_error != std::errc{}) right = right && value.bits == 0x2a;
      wrong.add(right, i);
      if (!right && wrong.failures() < 10) {
        BOOST_TEST_MESSAGE('"' << text << "\" in format " << static_cast<int>(format) << ": " << length << " characters");
      }
    }
  }
  NUMERIC_CHECK_TALLY(wrong);
}
#endif

BOOST_AUTO_TEST_CASE(the_error_says_what_is_wrong) {
  const auto error = [](std::string_view text, std::chars_format format = std::chars_format::general) {
    return parse<float16>(text, format).error;
  };
  BOOST_CHECK(error("65519.99999999999999999999") == std::errc{});
  BOOST_CHECK(error("65520") == std::errc::result_out_of_range);
  BOOST_CHECK(error("1e99999999999999999999999") == std::errc::result_out_of_range);
  BOOST_CHECK(error("1e-99999999999999999999999") == std::errc::result_out_of_range);
  BOOST_CHECK(error("0e99999999999999999999999") == std::errc{});
  BOOST_CHECK(error("2.98e-8") == std::errc::result_out_of_range);
  BOOST_CHECK(error("2.99e-8") == std::errc{});
  BOOST_CHECK(error("1p16", std::chars_format::hex) == std::errc::result_out_of_range);
  BOOST_CHECK(error("f.ffp12", std::chars_format::hex) == std::errc::result_out_of_range);
  BOOST_CHECK(error("1p-26", std::chars_format::hex) == std::errc::result_out_of_range);
  BOOST_CHECK(parse<float8_e4m3>("464").value.bits == 0x7e);
  BOOST_CHECK(parse<float8_e4m3>("464.0000000000000000000000001").error == std::errc::result_out_of_range);
  BOOST_CHECK(parse<float8_e4m3>("inf").error == std::errc::result_out_of_range);
  BOOST_CHECK(parse<float8_e4m3>("-nan").value.bits == 0xff);
  BOOST_CHECK(parse<tessera::float4_e2m1>("6.9").value.bits == 7);
  BOOST_CHECK(parse<tessera::float4_e2m1>("7").error == std::errc::result_out_of_range);
  BOOST_CHECK(parse<tessera::float4_e2m1>("7", std::chars_format::hex).error == std::errc::result_out_of_range);
  BOOST_CHECK(parse<tessera::float4_e2m1>("6.ff", std::chars_format::hex).value.bits == 7);
  BOOST_CHECK(parse<tessera::float4_e2m1>("nan").error == std::errc::result_out_of_range);
  BOOST_CHECK(error("") == std::errc::invalid_argument);
  BOOST_CHECK(error("+1") == std::errc::invalid_argument);
  BOOST_CHECK(error("1", std::chars_format::scientific) == std::errc::invalid_argument);
  BOOST_TEST(parse<float16>("-nan").value.bits == 0xfe00u);
  BOOST_TEST(parse<float16>("-Infinity").value.bits == 0xfc00u);
}

BOOST_AUTO_TEST_CASE(hexadecimal_midpoints_round_once) {
  BOOST_TEST(parse<float16>("1.002", std::chars_format::hex).value.bits == 0x3c00u);
  BOOST_TEST(parse<float16>("1.00200000000000000000000000001", std::chars_format::hex).value.bits == 0x3c01u);
  BOOST_TEST(parse<float16>("1.00200000000001", std::chars_format::hex).value.bits == 0x3c01u);
  BOOST_TEST(parse<float16>("1.001ffffffffffffffffffffffffff", std::chars_format::hex).value.bits == 0x3c00u);
  BOOST_TEST(parse<float16>("1.006", std::chars_format::hex).value.bits == 0x3c02u);
  BOOST_TEST(parse<float16>("0.0000000000000000000000000000000008p133", std::chars_format::hex).value.bits == 0x3c00u);
  BOOST_TEST(parse<bfloat16>("1p-134", std::chars_format::hex).value.bits == 0x2au);
  BOOST_TEST(parse<bfloat16>("1.0000001p-134", std::chars_format::hex).value.bits == 1u);
}

// The rounding mode of the processor is not the text's.
BOOST_AUTO_TEST_CASE(every_rounding_mode_reads_and_prints_the_same) {
  tally wrong;
  for (const int mode : {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO}) {
    for (std::uint32_t code = 1; code < 0x7c00; ++code) {
      const std::string text = to_string(of_code<float16>(code));
      std::fesetround(mode);
      const std::string again = to_string(of_code<float16>(code));
      const auto value = parse<float16>(text).value;
      std::fesetround(FE_TONEAREST);
      wrong.add(again == text && value.bits == code, code);
    }
  }
  NUMERIC_CHECK_TALLY(wrong);
}

// Also in constant expressions, where no pointer may leave its array.
static_assert([] {
  const char text[] = {'7'};
  float16 x(0);
  return tessera::from_chars(text, text + 1, x).ptr == text + 1 && x == 7;
}());
static_assert([] {
  constexpr std::string_view text = "1.00048828125000000000000000000000000000000000000000001";
  float16 x(0);
  return tessera::from_chars(text.data(), text.data() + text.size(), x).ec == std::errc{} && x.bits == 0x3c01;
}());

BOOST_AUTO_TEST_SUITE_END()
