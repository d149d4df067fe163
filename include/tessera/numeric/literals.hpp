// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// 0.1_f16, 1e-30_bf16, 448_e4m3, 0x1p-16_e5m2: constants of the small formats, rounded once from the text of the source.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/detail/decimal.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/numeric/small_float.hpp"

namespace tessera {
namespace detail {

struct literal_code {
  std::uint32_t code;
  bool zero;  ///< the text itself is zero
};

/// The code of a C++ literal, decimal, hexadecimal, binary or octal; the text ends with a null.
template <class Format, std::size_t Size>
[[nodiscard]] TESSERA_HD consteval literal_code read_literal(const char (&all)[Size]) noexcept {
  char text[Size] = {};
  std::size_t size = 0;
  bool real = false;  // has a point or a decimal exponent
  for (const char c : all) {
    if (c != '\'') text[size++] = c;
    real = real || c == '.' || c == 'e' || c == 'E';
  }
  const char mark = static_cast<char>(text[1] | 0x20);
  const bool hexadecimal = text[0] == '0' && mark == 'x';
  const bool binary = text[0] == '0' && mark == 'b';
  const bool octal = text[0] == '0' && size > 1 && !hexadecimal && !binary && !real;
  const char* const last = text + size;
  std::int64_t exponent = 0;
  if (hexadecimal || binary || octal) {
    const int bits = hexadecimal ? 4 : octal ? 3 : 1;
    const numeral number = scan_digits(text + (octal ? 1 : 2), last, 1u << bits, std::uint64_t{1} << 60);
    if (hexadecimal) scan_exponent(number.end, last, 'p', exponent);
    return {binary_code<Format>(number.head, !rest_is_zero(number), bits * number.scale + exponent), number.head == 0};
  }
  numeral number = scan_digits(text, last, 10, 10'000'000'000'000'000'000u);
  scan_exponent(number.end, last, 'e', exponent);
  number.scale += exponent;
  return {decimal_code<Format>(number), number.head == 0};
}

template <class Number, char... Text>
[[nodiscard]] TESSERA_HD consteval Number literal() noexcept {
  using format = typename Number::format;
  constexpr literal_code read = read_literal<format>({Text..., '\0'});
  static_assert(read.code <= format::max_finite, "the literal is larger than the largest number of its format");
  static_assert(read.code != 0 || read.zero, "the literal is so small that it rounds to zero in its format");
  return Number::from_bits(static_cast<typename format::bits_type>(read.code));
}

}  // namespace detail

/// Literals of the small formats; `using namespace tessera::literals` brings them alone.
///
/// The text is rounded once, to nearest, ties to even, however many digits it has: 1.0004882812500000001_f16 is the code after 1.
/// Through double it would be 1.
///
/// Accuracy        correctly rounded: test/numeric/literals.cpp
/// Errors          a literal beyond the largest number does not compile, nor one that is not zero and would become zero, such as
///                 the 1e-8_f16 that is meant to keep a quotient finite
/// Backends        host, device: a constant
inline namespace literals {

template <char... Text>
[[nodiscard]] TESSERA_HD consteval float16 operator""_f16() noexcept {
  return detail::literal<float16, Text...>();
}

template <char... Text>
[[nodiscard]] TESSERA_HD consteval bfloat16 operator""_bf16() noexcept {
  return detail::literal<bfloat16, Text...>();
}

template <char... Text>
[[nodiscard]] TESSERA_HD consteval float8_e4m3 operator""_e4m3() noexcept {
  return detail::literal<float8_e4m3, Text...>();
}

template <char... Text>
[[nodiscard]] TESSERA_HD consteval float8_e5m2 operator""_e5m2() noexcept {
  return detail::literal<float8_e5m2, Text...>();
}

}  // namespace literals
}  // namespace tessera
