// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Small floats to text and back, as <charconv> has it for float: to_chars, from_chars, to_string.
///
/// Streams need no header of ours: a small float converts to float, and `out << x` prints that float to the stream's precision.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <system_error>

#include "tessera/core/config.hpp"
#include "tessera/numeric/classify.hpp"
#include "tessera/numeric/detail/decimal.hpp"
#include "tessera/numeric/small_float.hpp"

namespace tessera {
namespace detail {

/// digits * 10^scale
struct short_decimal {
  std::uint32_t digits;
  int scale;
};

/// A magnitude and the midpoints on both sides of it, exact.
template <class Format>
struct neighbourhood {
  std::uint32_t code;
  double low;
  double high;

  /// Whether digits * 10^scale rounds to the magnitude. Not a lambda in shortest: its symbol would be one for all instruction sets.
  [[nodiscard]] TESSERA_ALWAYS_INLINE constexpr bool holds(std::uint32_t digits, int scale) const noexcept {
    const double decimal = shift_point(static_cast<double>(digits), -scale);  // within 2^-51 of itself
    if (decimal > low * (1 + 0x1p-48) && decimal < high * (1 - 0x1p-48)) return true;
    if (decimal < low * (1 - 0x1p-48) || decimal > high * (1 + 0x1p-48)) return false;
    return decimal_code<Format>(numeral{digits, scale, nullptr, nullptr}) == code;
  }
};

/// The shortest decimal number that rounds to |x|, the nearest to it among those, ties to even. For finite x other than 0.
template <class Format>
[[nodiscard]] TESSERA_ALWAYS_INLINE constexpr short_decimal shortest(small_float<Format> x) noexcept {
  const auto code = static_cast<std::uint32_t>(x.bits & Format::magnitude_mask);
  const double value = static_cast<double>(small_float<Format>::from_bits(static_cast<typename Format::bits_type>(code)));
  const auto biased = static_cast<int>(__builtin_bit_cast(std::uint64_t, value) >> binary64::mantissa_bits);
  int exponent = biased - binary64::bias;
  int lead = (exponent * 78913) >> 18;  // log10(2) is 78913 / 2^18 + 2e-6
  exponent = exponent < Format::min_exponent ? Format::min_exponent : exponent;
  const double half = power_of_two<binary64>(exponent - Format::precision);
  const bool is_power = (code & Format::mantissa_mask) == 0 && code > Format::min_normal;
  const neighbourhood<Format> near_x{code, value - (is_power ? half / 2 : half), value + half};
  if (shift_point(value, lead) >= 10) ++lead;
  for (int scale = lead;; --scale) {
    // An error of the division moves no decision: a tie is exact, and a value next to an integer has that integer beside it.
    const double shifted = shift_point(value, scale);
    const auto below = static_cast<std::uint32_t>(shifted);
    const double over = shifted - static_cast<double>(below);
    const std::uint32_t up = over > 0.5 || (over == 0.5 && below % 2 != 0) ? 1 : 0;
    // At a power of two the numbers that round to x reach less far down than up: the farther neighbour may be the only one.
    for (const std::uint32_t digits : {below + up, below + 1 - up}) {
      if (near_x.holds(digits, scale)) return digits == 10 ? short_decimal{1, scale + 1} : short_decimal{digits, scale};
    }
  }
}

/// Where a shortest text is laid out without an exponent, and how long its parts are.
struct text_layout {
  bool fixed;
  int digits;    ///< how many
  int exponent;  ///< of the first digit
  int length;    ///< of all without the sign
};

/// `value` is the number that x stands for: an integer without an exponent has all its digits. std::chars_format{} is the shorter of
/// the two layouts.
[[nodiscard]] TESSERA_ALWAYS_INLINE constexpr text_layout lay_out(short_decimal x, double value,
                                                                  std::chars_format format) noexcept {
  int digits = 1;
  for (std::uint32_t n = x.digits; n >= 10; n /= 10) ++digits;
  const int exponent = x.scale + digits - 1;
  const int scientific = digits + (digits > 1 ? 5 : 4);  // exponents of small formats have two digits
  int fixed = x.scale >= 0 ? exponent + 1 : exponent >= 0 ? digits + 1 : digits + 1 - exponent;
  if (x.scale > 0 && value < power_of_ten[exponent]) --fixed;  // 1e5 stands for 99840
  bool choice = fixed <= scientific;
  if (format == std::chars_format::general) choice = exponent >= -4 && exponent < 6;  // as %g chooses
  if (format == std::chars_format::scientific) choice = false;
  if (format == std::chars_format::fixed) choice = true;
  return {choice, digits, exponent, choice ? fixed : scientific};
}

/// Writes digits that end before `last`.
TESSERA_ALWAYS_INLINE constexpr void put_digits(char* last, std::uint32_t number, int count) noexcept {
  for (; count > 0; --count, number /= 10) *--last = static_cast<char>('0' + number % 10);
}

/// The shortest text of a finite x that is not below zero.
template <class Format>
[[nodiscard]] TESSERA_ALWAYS_INLINE std::to_chars_result put_shortest(char* first, char* last, small_float<Format> x,
                                                                      std::chars_format format) noexcept {
  short_decimal number{0, 0};
  if ((x.bits & Format::magnitude_mask) != 0) number = shortest(x);
  const text_layout layout = lay_out(number, static_cast<double>(x), format);
  if (layout.fixed && number.scale > 0) {
    // All digits of the integer: zeros in place of the last would be as long and farther from x.
    return std::to_chars(first, last, static_cast<float>(x), std::chars_format::fixed, 0);
  }
  if (last - first < layout.length) return {last, std::errc::value_too_large};
  char* const end = first + layout.length;
  if (!layout.fixed) {
    put_digits(end - 4, number.digits, layout.digits);
    if (layout.digits > 1) {
      first[0] = first[1];
      first[1] = '.';
    }
    end[-4] = 'e';
    end[-3] = layout.exponent < 0 ? '-' : '+';
    put_digits(end, static_cast<std::uint32_t>(layout.exponent < 0 ? -layout.exponent : layout.exponent), 2);
  } else if (number.scale == 0) {
    put_digits(end, number.digits, layout.digits);
  } else if (layout.exponent >= 0) {
    std::uint32_t unit = 1;
    for (int i = number.scale; i < 0; ++i) unit *= 10;
    put_digits(end, number.digits % unit, -number.scale);
    end[number.scale - 1] = '.';
    put_digits(end + number.scale - 1, number.digits / unit, layout.exponent + 1);
  } else {
    for (char* p = first; p != end; ++p) *p = '0';
    first[1] = '.';
    put_digits(end, number.digits, layout.digits);
  }
  return {end, std::errc{}};
}

/// "inf" or "nan": standard libraries differ in what else they say of a NaN.
template <class Format>
[[nodiscard]] TESSERA_ALWAYS_INLINE constexpr std::to_chars_result put_special(char* first, char* last,
                                                                               small_float<Format> x) noexcept {
  if (last - first < 3 + signbit(x)) return {last, std::errc::value_too_large};
  if (signbit(x)) *first++ = '-';
  const char* const word = isnan(x) ? "nan" : "inf";
  for (int i = 0; i < 3; ++i) *first++ = word[i];
  return {first, std::errc{}};
}

/// Whether [first, last) begins with a lower-case word, in any case.
[[nodiscard]] TESSERA_ALWAYS_INLINE constexpr bool begins_with(const char* first, const char* last, const char* word) noexcept {
  for (; *word != '\0'; ++word, ++first) {
    if (first == last || (*first | 0x20) != *word) return false;
  }
  return true;
}

/// What follows the (letters) of a NaN, or `first`.
[[nodiscard]] TESSERA_ALWAYS_INLINE constexpr const char* skip_payload(const char* first, const char* last) noexcept {
  if (first == last || *first != '(') return first;
  for (const char* p = first + 1; p != last; ++p) {
    if (*p == ')') return p + 1;
    const char lower = static_cast<char>(*p | 0x20);
    if (!(digit_value(*p) <= 9 || (lower >= 'a' && lower <= 'z') || *p == '_')) break;
  }
  return first;
}

}  // namespace detail

/// Writes the shortest decimal text that from_chars reads as x again: "0.1" for float16(0.1), whose value is 0.0999755859375.
///
/// The digits are the fewest that round to x in its own format, and of those the nearest to x; they are laid out as
/// std::to_chars lays out a float's: without an exponent where that is not longer.
///
/// Special values  "inf", "nan", "0", each with "-" before it where the sign bit is set
/// Accuracy        the text rounds back to x, and no text of fewer digits does: all codes in test/numeric/text.cpp
/// Cost            about 60 ns; no allocation, no locale
/// Errors          std::errc::value_too_large and `last` where the text has no room; the characters before are then unspecified
/// Backends        host
/// Source          the standard's [charconv.to.chars]
template <class Format>
TESSERA_ALWAYS_INLINE std::to_chars_result to_chars(char* first, char* last, small_float<Format> x,
                                                    std::chars_format format = std::chars_format{}) noexcept {
  if (!isfinite(x)) return detail::put_special(first, last, x);
  if (format == std::chars_format::hex) return std::to_chars(first, last, static_cast<float>(x), format);
  if (signbit(x)) {
    if (first == last) return {last, std::errc::value_too_large};
    *first++ = '-';
  }
  return detail::put_shortest(first, last, abs(x), format);
}

/// Writes x to a number of digits, as printf does it with %e, %f, %g or %a: the exact value, rounded once, to decimal.
template <class Format>
TESSERA_ALWAYS_INLINE std::to_chars_result to_chars(char* first, char* last, small_float<Format> x, std::chars_format format,
                                                    int precision) noexcept {
  if (!isfinite(x)) return detail::put_special(first, last, x);
  return std::to_chars(first, last, static_cast<float>(x), format, precision);
}

/// Reads a number, rounded once from the decimal (or hexadecimal) text to the format, to nearest, ties to even.
///
/// Text            what std::from_chars takes for a float: digits with at most one point and an exponent, "inf", "infinity",
///                 "nan", "nan(...)", a minus before any of them; no plus, no space, no "0x". `format` as there.
/// Special values  a text's minus is kept, by zeros and NaNs too; NaN is the quiet one without payload
/// Accuracy        correctly rounded whatever the number of digits; every midpoint and its neighbours in test/numeric/text.cpp
/// Cost            about 25 ns; next to a midpoint, with 150 digits, 3 us; no allocation, no locale
/// Errors          std::errc::invalid_argument and `first` where no number begins; std::errc::result_out_of_range and the end of
///                 the number where it rounds past the largest finite value, or to zero without being zero, or is an infinity or
///                 NaN that the format does not have. x is written only where there is no error.
/// Backends        host, constant expressions
/// Source          the standard's [charconv.from.chars]
template <class Format>
TESSERA_ALWAYS_INLINE constexpr std::from_chars_result from_chars(
    const char* first, const char* last, small_float<Format>& x, std::chars_format format = std::chars_format::general) noexcept {
  using limits = std::numeric_limits<small_float<Format>>;
  const bool negative = first != last && *first == '-';
  const char* const start = negative ? first + 1 : first;
  const char* end = start;
  std::uint32_t code = 0;
  bool in_range = true;
  if (detail::begins_with(start, last, "inf")) {
    end = start + (detail::begins_with(start, last, "infinity") ? 8 : 3);
    code = limits::infinity().bits;
    in_range = limits::has_infinity;
  } else if (detail::begins_with(start, last, "nan")) {
    end = detail::skip_payload(start + 3, last);
    code = limits::quiet_NaN().bits;
    in_range = limits::has_quiet_NaN;
  } else {
    const bool hex = format == std::chars_format::hex;
    detail::numeral number = hex ? detail::scan_digits(start, last, 16, std::uint64_t{1} << 60)
                                 : detail::scan_digits(start, last, 10, 10'000'000'000'000'000'000u);
    if (number.end == nullptr) return {first, std::errc::invalid_argument};
    const bool may = hex || (format & std::chars_format::scientific) != std::chars_format{};
    const bool must = may && !hex && (format & std::chars_format::fixed) == std::chars_format{};
    std::int64_t exponent = 0;
    end = may ? detail::scan_exponent(number.end, last, hex ? 'p' : 'e', exponent) : number.end;
    if (must && end == number.end) return {first, std::errc::invalid_argument};
    if (hex) {
      code = detail::binary_code<Format>(number.head, !detail::rest_is_zero(number), 4 * number.scale + exponent);
    } else {
      number.scale += exponent;
      code = detail::decimal_code<Format>(number);
    }
    in_range = code <= Format::max_finite && (code != 0 || number.head == 0);
  }
  if (!in_range) return {end, std::errc::result_out_of_range};
  x.bits = static_cast<typename Format::bits_type>(negative ? code | Format::sign_mask : code);
  return {end, std::errc{}};
}

/// The shortest text of x, as to_chars writes it.
template <class Format>
[[nodiscard]] TESSERA_ALWAYS_INLINE std::string to_string(small_float<Format> x) {
  char text[32];
  return std::string(text, to_chars(text, text + sizeof text, x).ptr);
}

}  // namespace tessera
