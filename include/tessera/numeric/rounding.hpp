// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The one place that rounds: codes of float and double to codes of a narrower format and back.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/numeric/format.hpp"

namespace tessera {

/// Which of two neighbours a number between them becomes.
enum class rounding : std::uint8_t {
  nearest_even,  ///< the nearer; of two equally near the one whose last bit is 0
  nearest_away,  ///< the nearer; of two equally near the one of larger magnitude
  toward_zero,   ///< the one of smaller magnitude
  upward,        ///< the larger
  downward,      ///< the smaller
  to_odd  ///< the one whose last bit is 1: rounding once more, to at least two bits less, then gives what rounding once gives
};

/// What a number beyond the largest finite one becomes.
enum class overflow : std::uint8_t {
  ieee,     ///< what IEEE 754 says: infinity, or where the mode rounds it towards zero the largest finite value; infinity stays
  saturate  ///< the largest finite value, for infinity too
};

namespace detail {

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

/// x without its last `Cut` bits, rounded; `sign` is 1 below zero. A bit that stands for more bits below it must be the last of x, and
/// `Cut` at least 2.
template <rounding Mode, int Cut, class Bits>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr Bits round_off(Bits x, [[maybe_unused]] Bits sign) noexcept {
  constexpr Bits below = (Bits{1} << Cut) - 1;
  if constexpr (Mode == rounding::nearest_even) {
    return (x + (below >> 1) + ((x >> Cut) & 1)) >> Cut;
  } else if constexpr (Mode == rounding::nearest_away) {
    return (x + (Bits{1} << (Cut - 1))) >> Cut;
  } else if constexpr (Mode == rounding::toward_zero) {
    return x >> Cut;
  } else if constexpr (Mode == rounding::upward) {
    return (x + (below & (sign - 1))) >> Cut;
  } else if constexpr (Mode == rounding::downward) {
    return (x + (below & (Bits{0} - sign))) >> Cut;
  } else {
    return (x | ((x & below) + below)) >> Cut;  // the sum carries into the last bit that stays if anything is lost
  }
}

/// The rounded magnitude of a code, with the code's sign; where the code is a NaN, that instead.
template <class To, class From, bool Saturated>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr typename To::bits_type with_sign_and_nan(typename From::bits_type code,
                                                                                    typename From::bits_type rounded) noexcept {
  using integer = typename carrier<From>::integer;
  using bits = typename From::bits_type;
  constexpr int cut = From::mantissa_bits - To::mantissa_bits;
  const integer magnitude = static_cast<integer>(code & From::magnitude_mask);
  const bits is_nan = static_cast<bits>((static_cast<integer>(From::infinity) - magnitude) >> (From::width - 1));
  bits sign = (code >> (From::width - To::width)) & To::sign_mask;
  if constexpr (To::has_infinity) {
    // Not saturated, what is rounded is infinity already, and lacks the payload.
    const bits payload =
        ((static_cast<bits>(magnitude) >> cut) & To::mantissa_mask) | (Saturated ? To::quiet_nan : To::quiet_bit);
    rounded = (Saturated ? rounded & ~is_nan : rounded) | (payload & is_nan);
  } else if constexpr (To::has_nan) {
    rounded |= Saturated ? To::quiet_nan & is_nan : 0;  // not saturated, it is the NaN already
  } else {
    sign &= ~is_nan;
  }
  return static_cast<typename To::bits_type>(rounded | sign);
}

/// Rounds a code of `From` to `To`, once.
///
/// To nearest: past the largest finite value it gives infinity, below half the smallest subnormal a zero of the same sign. A NaN
/// keeps its sign and the top bits of its payload and becomes quiet. A format without infinity has its NaN in the place of
/// infinity, so that everything past the middle between its largest value and the next is NaN; a format without either saturates,
/// and turns a NaN into its largest value, positive. Independent of the processor's rounding mode and of flush-to-zero modes:
/// floating-point instructions are used only where their result is exact and normal, or zero.
template <class To, class From, rounding Mode = rounding::nearest_even, overflow Overflow = overflow::ieee>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr typename To::bits_type narrow(typename From::bits_type code) noexcept {
  using real = typename carrier<From>::real;
  using integer = typename carrier<From>::integer;
  using bits = typename From::bits_type;
  constexpr int cut = From::mantissa_bits - To::mantissa_bits;
  constexpr int sign_bit = From::width - 1;
  constexpr bool nearest = Mode == rounding::nearest_even || Mode == rounding::nearest_away;
  constexpr bool saturated = Overflow == overflow::saturate || !To::has_nan;
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
    // By the bits, not by a difference: when the processor rounds downward, x - x is -0.
    const bits lost = __builtin_bit_cast(bits, scaled) ^ __builtin_bit_cast(bits, static_cast<real>(whole));
    const integer linear = whole | static_cast<integer>((bits{0} - lost) >> sign_bit);
    fixed = fixed > linear ? fixed : linear;
    if constexpr (!nearest) {
      // A processor that reads subnormals as zero loses those of From, and a directed mode must see that they were there.
      const integer something = static_cast<integer>((bits{0} - static_cast<bits>(magnitude)) >> sign_bit);
      fixed = fixed > something ? fixed : something;
    }
  }
  constexpr integer beyond = static_cast<integer>(To::max_finite + 1) << cut;
  integer limit = beyond;
  if constexpr (saturated) {
    limit = static_cast<integer>(To::max_finite) << cut;
  } else if constexpr (!nearest) {
    // Whatever is finite stops short of `beyond`, for the mode to say what becomes of it; an infinity goes there in any mode.
    limit = beyond - 1 - ((static_cast<integer>(From::infinity - 1) - magnitude) >> sign_bit);
  }
  const bits finite = static_cast<bits>(fixed < limit ? fixed : limit);
  return with_sign_and_nan<To, From, saturated>(code, round_off<Mode, cut>(finite, code >> sign_bit));
}

/// Rounds a code of `From` to `To` by chance: up in magnitude iff the discarded part, as a fraction of 2^32, and `word` sum to 2^32.
/// See round_stochastic (round_to.hpp); independent of the processor's modes as `narrow` is.
template <class To, class From, overflow Overflow = overflow::ieee>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr typename To::bits_type narrow_stochastic(typename From::bits_type code,
                                                                                    std::uint32_t word) noexcept {
  using real = typename carrier<From>::real;
  using integer = typename carrier<From>::integer;
  using bits = typename From::bits_type;
  constexpr int cut = From::mantissa_bits - To::mantissa_bits;
  constexpr int sign_bit = From::width - 1;
  constexpr bool saturated = Overflow == overflow::saturate || !To::has_nan;
  static_assert(cut >= 2 && From::min_exponent <= To::min_exponent && From::max_exponent >= To::max_exponent);

  // The magnitude as a code of To, truncated, and the 32 bits after its point.
  const integer magnitude = static_cast<integer>(code & From::magnitude_mask);
  const integer fixed = magnitude - (static_cast<integer>(From::bias - To::bias) << From::mantissa_bits);
  integer whole = fixed >> cut;
  std::uint32_t part = 0;
  if constexpr (cut < 32) {
    part = static_cast<std::uint32_t>(fixed) << (32 - cut);
  } else {
    part = static_cast<std::uint32_t>(fixed >> (cut - 32));
  }
  if constexpr (From::min_exponent != To::min_exponent) {
    // Below the normal range a code is linear in the value, as in `narrow`. Two steps of 16 bits, because a signed conversion holds 31.
    constexpr integer smallest_normal = static_cast<integer>(To::min_exponent + From::bias) << From::mantissa_bits;
    const integer gap = magnitude - smallest_normal;
    const integer is_small = gap >> sign_bit;
    const integer clamped = smallest_normal + (gap & is_small);
    const real scaled = __builtin_bit_cast(real, clamped) * power_of_two<From>(To::mantissa_bits - To::min_exponent);
    const std::int32_t linear = static_cast<std::int32_t>(scaled);
    const real rest = (scaled - static_cast<real>(linear)) * real(65536);
    const std::int32_t first = static_cast<std::int32_t>(rest);
    const std::int32_t second = static_cast<std::int32_t>((rest - static_cast<real>(first)) * real(65536));
    whole ^= (whole ^ static_cast<integer>(linear)) & is_small;
    part ^= (part ^ (static_cast<std::uint32_t>(first) << 16 | static_cast<std::uint32_t>(second))) &
            static_cast<std::uint32_t>(is_small);
  }
  constexpr integer limit = static_cast<integer>(saturated ? To::max_finite : To::max_finite + 1);
  const integer inside = (whole - limit) >> sign_bit;
  whole = limit + ((whole - limit) & inside);
  part &= static_cast<std::uint32_t>(inside);
  const std::uint32_t sum = part + word;
  const std::uint32_t carry = ((part & word) | ((part | word) & ~sum)) >> 31;
  return with_sign_and_nan<To, From, saturated>(code, static_cast<bits>(whole) + carry);
}

/// The float code of a narrower code; exact.
///
/// A format with the exponents of binary32 is shifted, which keeps even a signalling NaN's code; from any other format a NaN
/// keeps sign and payload and becomes quiet, as the F16C instruction does it. The one NaN of a format without infinity has no
/// payload.
template <class From>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr std::uint32_t widen(typename From::bits_type code) noexcept {
  constexpr int cut = binary32::mantissa_bits - From::mantissa_bits;
  const std::uint32_t sign = static_cast<std::uint32_t>(code & From::sign_mask) << (32 - From::width);
  const std::int32_t magnitude = code & From::magnitude_mask;
  std::uint32_t wide = static_cast<std::uint32_t>(magnitude) << cut;
  if constexpr (From::bias != binary32::bias) {
    constexpr std::uint32_t rebias = static_cast<std::uint32_t>(binary32::bias - From::bias) << binary32::mantissa_bits;
    constexpr std::int32_t max_number = From::max_number;
    wide += rebias;
    const float linear = static_cast<float>(magnitude) * power_of_two<binary32>(From::min_exponent - From::mantissa_bits);
    const std::uint32_t is_subnormal = static_cast<std::uint32_t>((magnitude - From::min_normal) >> 31);
    wide ^= (wide ^ __builtin_bit_cast(std::uint32_t, linear)) & is_subnormal;
    if constexpr (From::has_infinity) {
      wide += rebias & static_cast<std::uint32_t>((max_number - 1 - magnitude) >> 31);           // infinity and NaN
      wide |= binary32::quiet_bit & static_cast<std::uint32_t>((max_number - magnitude) >> 31);  // NaN
    } else if constexpr (From::has_nan) {
      wide ^= (wide ^ binary32::quiet_nan) & static_cast<std::uint32_t>((max_number - magnitude) >> 31);
    }
  }
  return wide | sign;
}

/// A float or double that rounds to every narrow format, in every mode, as `n` does.
template <class Integer>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto rounds_alike(Integer n) noexcept {
  if constexpr (sizeof(Integer) <= 2) {
    return static_cast<float>(n);
  } else if constexpr (sizeof(Integer) <= 4) {
    return static_cast<double>(n);
  } else {
    // From 2^53 on double would round, and the format a second time. So the last 11 bits are folded into the one above them
    // (rounding to odd): what is left fits in double, and lies on the same side of every value and midpoint of the format.
    const bool negative = n < 0;
    std::uint64_t magnitude = negative ? 0 - static_cast<std::uint64_t>(n) : static_cast<std::uint64_t>(n);
    constexpr std::uint64_t tail = 0x7ff;
    if (magnitude >> 53 != 0) {
      magnitude = (magnitude & ~tail) | ((magnitude & tail) != 0 ? tail + 1 : 0);
    }
    const double x = static_cast<double>(magnitude);
    return negative ? -x : x;
  }
}

/// Rounds an integer to `To`, once.
template <class To, rounding Mode = rounding::nearest_even, overflow Overflow = overflow::ieee, class Integer>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr typename To::bits_type narrow_integer(Integer n) noexcept {
  const auto x = rounds_alike(n);
  using format = std::conditional_t<sizeof x == 4, binary32, binary64>;
  using bits = typename To::bits_type;
  bits code = narrow<To, format, Mode, Overflow>(__builtin_bit_cast(typename format::bits_type, x));
  if constexpr (sizeof(Integer) == 8 || (sizeof(Integer) == 4 && static_cast<Integer>(-1) > Integer(0))) {
    // Where there is no instruction for these, compilers convert by a difference, which makes 0 a -0 when the processor rounds
    // downward, and clang then relies on the sign bit that it did not clear.
    code = static_cast<bits>(code & (bits{0} - static_cast<bits>(n != 0)));
  }
  return code;
}

}  // namespace detail
}  // namespace tessera
