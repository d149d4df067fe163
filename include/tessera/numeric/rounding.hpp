// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The one place that rounds: codes of float and double to codes of a narrower format and back.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/format.hpp"

namespace tessera::detail {

/// The arithmetic type and the signed integer that carry a wide format.
template <class Format>
struct carrier;

template <>
struct carrier<binary32> {
  using real = float;
  using integer = std::int32_t;
};

template <>
struct carrier<binary64> {
  using real = double;
  using integer = std::int64_t;
};

/// 2^n as a value of the wide format, for n in its normal range.
template <class Format>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto power_of_two(int n) noexcept {
  using bits = typename Format::bits_type;
  return __builtin_bit_cast(typename carrier<Format>::real,
                            static_cast<bits>(static_cast<bits>(n + Format::bias) << Format::mantissa_bits));
}

// Both functions below choose by masks made of sign bits, not by ?: or comparisons. From those gcc 12 makes branches around the
// floating-point steps and then cannot vectorise the caller's loop (at -O3 two to five times slower, SSE2 or AVX2).

/// Rounds a code of `From` to `To`, to nearest, ties to even, once.
///
/// Past the largest finite value it gives infinity, below half the smallest subnormal a zero of the same sign. A NaN keeps its
/// sign and the top bits of its payload and becomes quiet. Independent of the rounding mode and of flush-to-zero modes:
/// floating-point instructions are used only where their result is exact and normal, or zero.
template <class To, class From>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr typename To::bits_type narrow(typename From::bits_type code) noexcept {
  using real = typename carrier<From>::real;
  using integer = typename carrier<From>::integer;
  using bits = typename From::bits_type;
  constexpr int width = 8 * static_cast<int>(sizeof(bits));
  constexpr int to_width = 8 * static_cast<int>(sizeof(typename To::bits_type));
  constexpr int cut = From::mantissa_bits - To::mantissa_bits;
  constexpr int sign_bit = width - 1;
  static_assert(cut >= 2 && From::min_exponent <= To::min_exponent && From::max_exponent >= To::max_exponent);

  const integer magnitude = static_cast<integer>(code & From::magnitude_mask);
  // The magnitude as a code of To with `cut` more bits below the point. A normal value only needs its exponent shifted.
  integer fixed = magnitude - (static_cast<integer>(From::bias - To::bias) << From::mantissa_bits);
  if constexpr (From::min_exponent != To::min_exponent) {
    // A subnormal code of To is linear in the value: scale (exactly), truncate, and keep in the last bit whether anything was
    // lost. The value is clamped at the smallest normal one, where the two forms meet: below it the linear one is the larger.
    constexpr integer smallest_normal = static_cast<integer>(To::min_exponent + From::bias) << From::mantissa_bits;
    const integer gap = magnitude - smallest_normal;
    const integer clamped = smallest_normal + (gap & (gap >> sign_bit));
    const real scaled = __builtin_bit_cast(real, clamped) * power_of_two<From>(To::mantissa_bits - To::min_exponent + cut);
    const integer whole = static_cast<integer>(scaled);
    const bits lost = __builtin_bit_cast(bits, scaled - static_cast<real>(whole));
    const integer linear = whole | static_cast<integer>((bits{0} - lost) >> sign_bit);
    fixed = fixed > linear ? fixed : linear;
  }
  constexpr integer infinity = static_cast<integer>(To::infinity) << cut;
  const bits finite = static_cast<bits>(fixed < infinity ? fixed : infinity);
  bits rounded = (finite + ((bits{1} << (cut - 1)) - 1) + ((finite >> cut) & 1)) >> cut;

  const bits is_nan = static_cast<bits>((static_cast<integer>(From::infinity) - magnitude) >> sign_bit);
  const bits payload = ((static_cast<bits>(magnitude) >> cut) & To::mantissa_mask) | To::quiet_bit;
  rounded |= payload & is_nan;
  return static_cast<typename To::bits_type>(rounded | ((code >> (width - to_width)) & To::sign_mask));
}

/// The float code of a narrower code; exact.
///
/// A format with the exponents of binary32 is shifted, which keeps even a signalling NaN's code; from any other format a NaN
/// keeps sign and payload and becomes quiet, as the F16C instruction does it.
template <class From>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr std::uint32_t widen(typename From::bits_type code) noexcept {
  constexpr int from_width = 8 * static_cast<int>(sizeof(typename From::bits_type));
  constexpr int cut = binary32::mantissa_bits - From::mantissa_bits;
  const std::uint32_t sign = static_cast<std::uint32_t>(code & From::sign_mask) << (32 - from_width);
  const std::int32_t magnitude = code & From::magnitude_mask;
  std::uint32_t wide = static_cast<std::uint32_t>(magnitude) << cut;
  if constexpr (From::bias != binary32::bias) {
    constexpr std::uint32_t rebias = static_cast<std::uint32_t>(binary32::bias - From::bias) << binary32::mantissa_bits;
    constexpr std::int32_t infinity = From::infinity;
    wide += rebias;
    const float linear = static_cast<float>(magnitude) * power_of_two<binary32>(From::min_exponent - From::mantissa_bits);
    const std::uint32_t is_subnormal = static_cast<std::uint32_t>((magnitude - From::min_normal) >> 31);
    wide ^= (wide ^ __builtin_bit_cast(std::uint32_t, linear)) & is_subnormal;
    wide += rebias & static_cast<std::uint32_t>((infinity - 1 - magnitude) >> 31);           // infinity and NaN
    wide |= binary32::quiet_bit & static_cast<std::uint32_t>((infinity - magnitude) >> 31);  // NaN
  }
  return wide | sign;
}

}  // namespace tessera::detail
