// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Text of a number to the nearest code of a small format, with one rounding however many digits the text has. In constant
/// expressions too: literals.hpp and text.hpp share it.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/format.hpp"
#include "tessera/numeric/rounding.hpp"

namespace tessera::detail {

/// What digits with at most one point say: head.rest * base^scale, where `rest` are the digits that `head` had no room for.
struct numeral {
  std::uint64_t head = 0;
  std::int64_t scale = 0;
  const char* rest = nullptr;  ///< text of more digits up to `end`, of which one may be a point; null if there are none
  const char* end = nullptr;   ///< the first character that does not belong to the digits; null if there is no digit
};

/// The value of a digit; 99 for what is none in any base.
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr unsigned digit_value(char c) noexcept {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? static_cast<unsigned>(lower - 'a') + 10 : 99;
}

/// Reads digits of a base of at most 16. `head` stays below `room`.
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr numeral scan_digits(const char* first, const char* last, unsigned base,
                                                                             std::uint64_t room) noexcept {
  numeral number;
  bool any = false;
  bool point = false;
  const char* p = first;
  for (; p != last; ++p) {
    if (*p == '.' && !point) {
      point = true;
      continue;
    }
    const unsigned digit = digit_value(*p);
    if (digit >= base) break;
    any = true;
    if (number.rest == nullptr && number.head < room / base) {
      number.head = number.head * base + digit;
      number.scale -= point ? 1 : 0;
    } else {
      number.rest = number.rest == nullptr ? p : number.rest;
      number.scale += point ? 0 : 1;
    }
  }
  number.end = any ? p : nullptr;
  return number;
}

/// Reads an exponent, `mark` in either case and an integer, into `exponent`; what follows it, or `first` where there is none.
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr const char* scan_exponent(const char* first, const char* last, char mark,
                                                                     std::int64_t& exponent) noexcept {
  if (first == last || (*first | 0x20) != mark) return first;
  const char* p = first + 1;
  const bool negative = p != last && *p == '-';
  if (p != last && (*p == '-' || *p == '+')) ++p;
  if (p == last || digit_value(*p) > 9) return first;
  std::int64_t size = 0;
  for (; p != last && digit_value(*p) <= 9; ++p) {
    if (size < std::int64_t{1} << 56) size = size * 10 + digit_value(*p);  // beyond it no text is long enough to make up for it
  }
  exponent = negative ? -size : size;
  return p;
}

/// 10^n, exact to 10^22.
inline constexpr double power_of_ten[] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
    1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34, 1e35,
    1e36, 1e37, 1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47, 1e48, 1e49, 1e50, 1e51, 1e52, 1e53,
    1e54, 1e55, 1e56, 1e57, 1e58, 1e59, 1e60, 1e61, 1e62, 1e63, 1e64, 1e65, 1e66, 1e67, 1e68, 1e69, 1e70, 1e71};

/// x / 10^n, within 2 ulp, |n| < 72; exact where the exact result is a double and |n| <= 22.
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr double shift_point(double x, int n) noexcept {
  return n < 0 ? x * power_of_ten[-n] : x / power_of_ten[n];
}

/// A natural number of at most 32 * Limbs bits.
template <int Limbs>
struct natural {
  std::uint32_t limb[Limbs] = {};

  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr explicit natural(std::uint64_t n) noexcept {
    limb[0] = static_cast<std::uint32_t>(n);
    limb[1] = static_cast<std::uint32_t>(n >> 32);
  }

  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr void multiply_add(std::uint32_t factor, std::uint32_t addend) noexcept {
    std::uint64_t carry = addend;
    for (std::uint32_t& part : limb) {
      carry += std::uint64_t{part} * factor;
      part = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
  }

  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr void multiply_by_power(std::uint32_t base, std::int64_t n) noexcept {
    for (; n > 0; --n) multiply_add(base, 0);
  }

  /// The sign of *this - other.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr int compare(const natural& other) const noexcept {
    for (int i = Limbs - 1; i >= 0; --i) {
      if (limb[i] != other.limb[i]) return limb[i] < other.limb[i] ? -1 : 1;
    }
    return 0;
  }
};

/// How far the numbers of a format reach, for texts of them.
template <class Format>
struct text_range {
  static_assert(Format::exponent_bits <= 8 && Format::mantissa_bits <= 10, "made for small formats");
  static constexpr int last_bit = Format::mantissa_bits - Format::min_exponent + 1;  ///< a midpoint is a multiple of 2^-last_bit
  /// No midpoint has more significant digits: 2^-n has 0.7 n of them, and a midpoint is an odd number of at most p + 1 bits times that.
  static constexpr int digits = (last_bit * 7 + 9) / 10 + Format::precision + 2 + Format::max_exponent / 3;
  static constexpr int limbs = (digits * 10 / 3 + last_bit + 64) / 32 + 1;
  static constexpr int least_lead = -(last_bit * 30103 / 100000 + 2);             ///< 10^(least_lead + 1) is below 2^-last_bit
  static constexpr std::uint32_t beyond = std::uint32_t{Format::max_finite} + 1;  ///< stands for whatever is too large
  /// The middle between the largest value and the one that would follow.
  static constexpr double limit = ((Format::max_finite & Format::mantissa_mask) + Format::min_normal + 0.5) *
                                  power_of_two<binary64>(Format::max_exponent - Format::mantissa_bits);
  static constexpr int most_lead =
      (Format::max_exponent + 1) * 30103 / 100000 + 1;  ///< 10^most_lead is above 2^(max_exponent + 1)
};

/// The code nearest to x >= 0, ties to even.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr std::uint32_t double_code(double x) noexcept {
  using range = text_range<Format>;
  if (x > range::limit || (x == range::limit && Format::max_finite % 2 != 0)) return range::beyond;
  return narrow<Format, binary64>(__builtin_bit_cast(std::uint64_t, x));
}

/// The sign of x - odd * 2^exponent, exactly, for two numbers that are close to each other and in the range of the format.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr int compare_decimal(const numeral& x, std::uint64_t odd,
                                                                             int exponent) noexcept {
  using range = text_range<Format>;
  natural<range::limbs> left(x.head);
  natural<range::limbs> right(odd);
  std::int64_t scale = x.scale;
  bool more = false;  // the text goes on, with other digits than zeros, beyond the last that any midpoint has
  if (x.rest != nullptr) {
    int room = range::digits - 18;
    for (const char* p = x.rest; p != x.end; ++p) {
      if (*p == '.') continue;
      const unsigned digit = digit_value(*p);
      if (room > 0) {
        left.multiply_add(10, digit);
        --scale;
        --room;
      } else {
        more = more || digit != 0;
      }
    }
  }
  left.multiply_by_power(10, scale);
  right.multiply_by_power(10, -scale);
  right.multiply_by_power(2, exponent);
  left.multiply_by_power(2, -exponent);
  const int order = left.compare(right);
  return order == 0 && more ? 1 : order;
}

/// The code nearest to a decimal number without a sign, ties to even; the code after `max_finite` where it rounds past that.
///
/// Accuracy        correctly rounded, in any rounding mode
/// Cost            a few products of doubles; next to a midpoint, a comparison of natural numbers
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr std::uint32_t decimal_code(const numeral& x) noexcept {
  using range = text_range<Format>;
  if (x.head == 0) return 0;
  std::int64_t lead = x.scale;  // |x| is in [10^lead, 10^(lead + 1))
  for (std::uint64_t n = x.head; n >= 10; n /= 10) ++lead;
  if (lead < range::least_lead) return 0;
  if (lead > range::most_lead) return range::beyond;
  // The double is within 2^-49 of the number: its head's rounding, what the head left out, the power of ten.
  const double approximate = shift_point(static_cast<double>(x.head), static_cast<int>(-x.scale));
  const auto low = double_code<Format>(approximate * (1 - 0x1p-48));
  if (low == double_code<Format>(approximate * (1 + 0x1p-48))) return low;
  // A midpoint lies between: the one above `low`.
  const std::uint32_t biased = low >> Format::mantissa_bits;
  const std::uint32_t significand = (low & Format::mantissa_mask) | (biased != 0 ? std::uint32_t{Format::min_normal} : 0);
  const int exponent = (biased != 0 ? static_cast<int>(biased) : 1) - Format::bias - Format::mantissa_bits - 1;
  const int order = compare_decimal<Format>(x, 2 * significand + 1, exponent);
  return order > 0 || (order == 0 && low % 2 != 0) ? low + 1 : low;
}

/// The same for head.rest * 2^exponent; the head has at most 60 bits, the rest counts for being there.
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr std::uint32_t binary_code(std::uint64_t head, bool rest,
                                                                                   std::int64_t exponent) noexcept {
  if (head == 0) return 0;
  if (head >> 53 != 0) {  // rounded to odd, what is left is a double on the same side of every midpoint
    rest = rest || (head & 0xff) != 0;
    head >>= 8;
    exponent += 8;
  }
  head |= rest ? 1 : 0;
  std::int64_t lead = exponent;
  for (std::uint64_t n = head; n > 1; n >>= 1) ++lead;
  if (lead < Format::min_exponent - Format::mantissa_bits - 1) return 0;
  if (lead > Format::max_exponent) return text_range<Format>::beyond;
  const double x = static_cast<double>(head) * power_of_two<binary64>(static_cast<int>(exponent));
  return double_code<Format>(x);
}

/// Whether the digits after the head hold another than zero.
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr bool rest_is_zero(const numeral& x) noexcept {
  for (const char* p = x.rest; p != nullptr && p != x.end; ++p) {
    if (*p != '.' && *p != '0') return false;
  }
  return true;
}

}  // namespace tessera::detail
