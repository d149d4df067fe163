// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Square root and fused multiply-add of the narrow types, rounded once.
#pragma once

#include <cstdint>
#include <limits>

#include "tessera/core/config.hpp"
#include "tessera/numeric/detail/exact_sum.hpp"
#include "tessera/numeric/format.hpp"
#include "tessera/numeric/small_float.hpp"

namespace tessera {

namespace detail {

/// Whether a * b + c in double, then in the format, is what one rounding gives.
///
/// a * b is exact in double, and so is the sum unless it has more than 53 bits, from the last place 2^-k of its smaller operand up.
/// If that is a * b, of 2p bits, it is below 2^(2p-k), and the other, c, above 2^(52-k), so that the nearest midpoint is at least
/// 2^(51-k-p) away: either way c comes out, for p up to 16. If it is c, the sum is at least 2^53 times the smallest subnormal, which
/// this condition puts past the largest value: either way it overflows.
template <class Format>
inline constexpr bool double_holds_fma = Format::max_exponent + 1 < 53 + Format::min_exponent - Format::mantissa_bits;

/// The square root of a positive normal number, within 2^-34 of itself: 1/sqrt(x) from halving the exponent, 3.5 % off, squared away
/// by three Newton steps. Not the instruction, which compilers do not know in constant expressions nor in loops that keep errno.
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr double approximate_root(double x) noexcept {
  const double half = 0.5 * x;
  double y = __builtin_bit_cast(double, 0x5FE6EB50C7B537A9u - (__builtin_bit_cast(std::uint64_t, x) >> 1));
  y = y * (1.5 - half * y * y);
  y = y * (1.5 - half * y * y);
  y = y * (1.5 - half * y * y);
  return x * y;
}

/// What makes a NaN quiet: nothing in a format without infinity, whose NaN is quiet.
template <class Format>
inline constexpr std::int32_t quieting_bit = 0;
template <class Format>
  requires Format::has_infinity
inline constexpr std::int32_t quieting_bit<Format> = Format::quiet_bit;

/// x where the mask is all ones, +0 where it is 0.
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr double masked(double x, std::uint64_t mask) noexcept {
  return __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, x) & mask);
}

}  // namespace detail

/// a * b + c, rounded once: as if the product and the sum had been exact.
///
/// Special values  as IEEE 754 has them: 0 * inf and inf - inf are NaN, a sum that cancels is +0. Overflow as in a conversion:
///                 infinity, NaN in float8_e4m3.
/// Accuracy        correctly rounded, with and without an FMA instruction, contracted by the compiler or not, in round-to-nearest with
///                 subnormals enabled; float and double must be computed as such (SSE, not x87). test/numeric/arithmetic.cpp
/// Cost            two operations in double and a conversion; bfloat16, whose sums double cannot hold, about 15 more
/// Backends        host, device, constant expressions
/// Source          Boldo, Melquiond 2008, Emulation of FMA and correctly rounded sums: proven algorithms using rounding to odd
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr small_float<Format> fma(small_float<Format> a, small_float<Format> b,
                                                                                 small_float<Format> c) noexcept {
  const double product = static_cast<double>(a) * static_cast<double>(b);
  const double addend = static_cast<double>(c);
  double sum = product + addend;
  if constexpr (!detail::double_holds_fma<Format>) {
    // The error of an infinite sum would be NaN: there it is that of 0 + 0.
    const auto magnitude = __builtin_bit_cast(std::uint64_t, sum) & binary64::magnitude_mask;
    const std::uint64_t is_finite = std::uint64_t{0} - ((magnitude - binary64::infinity) >> 63);
    using detail::masked;
    sum = detail::round_to_odd(sum,
                               detail::sum_error(masked(product, is_finite), masked(addend, is_finite), masked(sum, is_finite)));
  }
  return small_float<Format>(sum);
}

/// The square root, rounded once.
///
/// Special values  sqrt(-0) is -0; below that NaN, positive and quiet; sqrt(inf) is inf.
/// Accuracy        correctly rounded on every code, with subnormals enabled; test/numeric/arithmetic.cpp. A root of a number of p
///                 bits is at least 2^-(2p+3) (relative) from any midpoint, 2^-25 in float16.
/// Cost            14 operations in double, which vectorise; the instruction on the device
/// Backends        host, device, constant expressions
template <class Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr small_float<Format> sqrt(small_float<Format> x) noexcept {
  using number = small_float<Format>;
  using bits = typename Format::bits_type;
#if TESSERA_DEVICE_PASS
  if (!__builtin_is_constant_evaluated()) {
    return number(__fsqrt_rn(static_cast<float>(x)));
  }
#endif
  // Masks, all ones or 0, for the reason given in rounding.hpp. Where there is no root to compute, that of one is, and not used.
  constexpr std::int32_t quiet = detail::quieting_bit<Format>;
  const std::int32_t code = x.bits;
  const std::int32_t magnitude = code & Format::magnitude_mask;
  const std::int32_t is_negative = -(code >> (Format::width - 1));
  const std::int32_t is_zero = (magnitude - 1) >> 31;
  const std::int32_t is_special = (Format::max_finite - magnitude) >> 31;
  const std::int32_t is_nan = (Format::max_number - magnitude) >> 31;
  const std::int32_t has_root = ~(is_negative | is_zero | is_special);
  const std::int32_t stays = is_zero | is_nan | (is_special & ~is_negative);
  const auto argument = static_cast<bits>(Format::one ^ ((Format::one ^ code) & has_root));
  const std::int32_t root = number(detail::approximate_root(static_cast<double>(number::from_bits(argument)))).bits;
  const std::int32_t none = std::numeric_limits<number>::quiet_NaN().bits;
  return number::from_bits(
      static_cast<bits>((root & has_root) | (stays & (code | (quiet & is_nan))) | (none & ~has_root & ~stays)));
}

}  // namespace tessera
