// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// e8m0: a power of two in a byte, the scale of a block of narrow numbers.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <typeindex>  // the smallest standard header that declares std::hash

#include "tessera/core/config.hpp"
#include "tessera/numeric/format.hpp"
#include "tessera/numeric/rounding.hpp"
#include "tessera/numeric/small_float.hpp"
#include "tessera/numeric/traits.hpp"

namespace tessera {

/// OCP E8M0: an exponent and nothing else. Code c is 2^(c - 127), 0xFF is NaN; no sign, no zero, no infinity.
struct ocp_e8m0 {
  using bits_type = std::uint8_t;

  static constexpr bool has_infinity = false;
  static constexpr bool has_nan = true;

  static constexpr int width = 8;
  static constexpr int exponent_bits = 8;
  static constexpr int mantissa_bits = 0;
  static constexpr int precision = 1;
  static constexpr int bias = 127;
  static constexpr int max_exponent = 127;
  static constexpr int min_exponent = -127;

  static constexpr bits_type sign_mask = 0;
  static constexpr bits_type magnitude_mask = 0xff;
  static constexpr bits_type min_normal = 0;
  static constexpr bits_type one = 127;
  static constexpr bits_type max_finite = 0xfe;
  static constexpr bits_type max_number = 0xfe;
  static constexpr bits_type overflow = 0xff;
  static constexpr bits_type quiet_nan = 0xff;
};

namespace detail {

/// Rounds a code of binary32 or binary64 to a power of two.
template <class From, rounding Mode, overflow Overflow>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr std::uint8_t narrow_to_power(typename From::bits_type code) noexcept {
  using bits = typename From::bits_type;
  constexpr int cut = From::mantissa_bits;
  const bits magnitude = code & From::magnitude_mask;
  if (magnitude > From::infinity || (magnitude != 0 && magnitude != code)) {  // NaN, or below zero
    return ocp_e8m0::quiet_nan;
  }
  // The exponent that counts from 2^-127, then the fraction. In float the binade of 2^-127 is subnormal.
  constexpr bits lowest = static_cast<bits>(From::bias - ocp_e8m0::bias) << cut;
  bits fixed = magnitude > lowest ? magnitude - lowest : 0;
  if constexpr (From::bias == ocp_e8m0::bias) {
    constexpr bits half = From::min_normal / 2;
    if (magnitude < From::min_normal) {
      fixed = magnitude > half ? (magnitude - half) * 2 : 0;
    }
  }
  // As in `narrow`: what is finite stops short of the first value past the range, for the mode to say what becomes of it.
  constexpr bits beyond = static_cast<bits>(ocp_e8m0::overflow) << cut;
  constexpr bool nearest = Mode == rounding::nearest_even || Mode == rounding::nearest_away;
  const bits limit = Overflow == overflow::saturate ? static_cast<bits>(ocp_e8m0::max_finite) << cut
                                                    : beyond - (nearest || magnitude == From::infinity ? 0 : 1);
  return static_cast<std::uint8_t>(round_off<Mode, cut>(fixed < limit ? fixed : limit, bits{0}));
}

}  // namespace detail

/// A power of two from 2^-127 to 2^127, or NaN: storage and conversion. In arithmetic and comparison it is a float,
/// or a double beside a double: a product with a float16 is a float.
///
/// Conversions     explicit from float and double, rounded once: to the nearer power, of two equally near (1.5 * 2^k) the one of even
///                 code; `round_to<e8m0, mode, overflow>(x)` has the other modes (toward_zero takes the exponent of x, upward the
///                 smallest power that is not below x). To float implicit, to double explicit; exact.
/// Special values  zero and what lies below 2^-127 become 2^-127, in every mode. Past 2^127 comes NaN, or 2^127 where the mode leads
///                 towards zero or overflow saturates. NaN and what is below zero become NaN.
/// Accuracy        correctly rounded; every code and both sides of every midpoint in test/numeric/e8m0.cpp
/// Backends        host, device
/// Source          OCP Microscaling Formats Specification 1.0, section 5.4.1; rounding is ours, the specification leaves it open
struct e8m0 {
  using format = ocp_e8m0;
  using bits_type = std::uint8_t;

  bits_type bits;

  e8m0() = default;

  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr explicit e8m0(float x) noexcept
      : bits(detail::narrow_to_power<binary32, rounding::nearest_even, overflow::ieee>(__builtin_bit_cast(std::uint32_t, x))) {}

  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr explicit e8m0(double x) noexcept
      : bits(detail::narrow_to_power<binary64, rounding::nearest_even, overflow::ieee>(__builtin_bit_cast(std::uint64_t, x))) {}

  /// The value whose bits are `code`.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr e8m0 from_bits(bits_type code) noexcept {
    e8m0 x{};
    x.bits = code;
    return x;
  }

  template <std::same_as<float> Real>
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr operator Real() const noexcept {
    const std::uint32_t shifted = static_cast<std::uint32_t>(bits) << binary32::mantissa_bits;
    const std::uint32_t extra = bits == 0 ? binary32::min_normal / 2 : bits == format::quiet_nan ? binary32::quiet_bit : 0;
    return __builtin_bit_cast(float, shifted | extra);
  }

  template <std::same_as<double> Real>
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr explicit operator Real() const noexcept {
    // Not through float, which a processor that reads subnormals as zero would lose 2^-127 in.
    if (bits == format::quiet_nan) {
      return quiet_nan<double>();
    }
    return detail::power_of_two<binary64>(static_cast<int>(bits) - format::bias);
  }
};

namespace detail {

template <>
struct format_of<e8m0> {
  using type = ocp_e8m0;
};

// In the operators of small_float.hpp it takes part as the float that it is.
template <>
struct result_of_mixing<e8m0, e8m0> {
  using type = float;
};

template <class Format>
struct result_of_mixing<e8m0, small_float<Format>> {
  using type = float;
};

template <class Format>
struct result_of_mixing<small_float<Format>, e8m0> {
  using type = float;
};

template <class Other>
  requires(std::same_as<Other, float> || std::same_as<Other, double>)
struct result_of_mixing<e8m0, Other> {
  using type = Other;
};

template <class Other>
  requires(std::same_as<Other, float> || std::same_as<Other, double>)
struct result_of_mixing<Other, e8m0> {
  using type = Other;
};

}  // namespace detail

template <std::same_as<e8m0> To, rounding Mode = rounding::nearest_even, overflow Overflow = overflow::ieee>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr To round_to(float x) noexcept {
  return To::from_bits(detail::narrow_to_power<binary32, Mode, Overflow>(__builtin_bit_cast(std::uint32_t, x)));
}

template <std::same_as<e8m0> To, rounding Mode = rounding::nearest_even, overflow Overflow = overflow::ieee>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr To round_to(double x) noexcept {
  return To::from_bits(detail::narrow_to_power<binary64, Mode, Overflow>(__builtin_bit_cast(std::uint64_t, x)));
}

}  // namespace tessera

/// Every member that the standard asks for; the functions run on the device too.
template <>
class std::numeric_limits<tessera::e8m0> {
  using number = tessera::e8m0;

 public:
  static constexpr bool is_specialized = true;
  static constexpr bool is_signed = false;
  static constexpr bool is_integer = false;
  static constexpr bool is_exact = false;
  static constexpr bool has_infinity = false;
  static constexpr bool has_quiet_NaN = true;
  static constexpr bool has_signaling_NaN = false;
  static constexpr std::float_denorm_style has_denorm = std::denorm_absent;
  static constexpr bool has_denorm_loss = false;
  static constexpr std::float_round_style round_style = std::round_to_nearest;
  static constexpr bool is_iec559 = false;
  static constexpr bool is_bounded = true;
  static constexpr bool is_modulo = false;
  static constexpr int radix = 2;
  static constexpr int digits = 1;
  static constexpr int digits10 = 0;
  static constexpr int max_digits10 = 2;
  static constexpr int min_exponent = -126;
  static constexpr int min_exponent10 = -38;
  static constexpr int max_exponent = 128;
  static constexpr int max_exponent10 = 38;
  static constexpr bool traps = false;
  static constexpr bool tinyness_before = false;

  TESSERA_HD static constexpr number min() noexcept { return number::from_bits(0); }
  TESSERA_HD static constexpr number lowest() noexcept { return number::from_bits(0); }
  TESSERA_HD static constexpr number max() noexcept { return number::from_bits(0xfe); }
  TESSERA_HD static constexpr number epsilon() noexcept { return number::from_bits(127); }
  TESSERA_HD static constexpr number round_error() noexcept { return number::from_bits(126); }
  TESSERA_HD static constexpr number infinity() noexcept { return number::from_bits(0xff); }
  TESSERA_HD static constexpr number quiet_NaN() noexcept { return number::from_bits(0xff); }
  TESSERA_HD static constexpr number signaling_NaN() noexcept { return number::from_bits(0xff); }
  TESSERA_HD static constexpr number denorm_min() noexcept { return number::from_bits(0); }
};

/// The bits.
template <>
struct std::hash<tessera::e8m0> {
  [[nodiscard]] std::size_t operator()(tessera::e8m0 x) const noexcept { return x.bits; }
};
