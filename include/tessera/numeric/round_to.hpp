// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Conversions to the narrow types that say how they round: six modes, saturation, and rounding by chance.
#pragma once

#include <concepts>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/format.hpp"
#include "tessera/numeric/rounding.hpp"
#include "tessera/numeric/small_float.hpp"

namespace tessera {

namespace detail {

template <class T>
concept narrow_float = is_small_float<T>;

}  // namespace detail

/// x as a `To`, rounded once in the given mode: `round_to<bfloat16, rounding::upward>(x)`.
///
/// x is a float, a double, a narrow float (which widens exactly first) or an integer of at most 64 bits. `To(x)` is
/// `round_to<To>(x)`.
///
/// Special values  A zero, and what rounds to zero, keeps its sign. A NaN stays one by the policy of small_float, saturated or not.
///                 Overflow, `overflow::ieee`: a finite x past the largest value becomes infinity, or the largest value where the
///                 mode leads towards zero; to_odd gives the largest value of an IEEE format, whose last bit is 1; infinity stays.
///                 In float8_e4m3 the NaN of x's sign takes the place of infinity, in each of these. `overflow::saturate`: the
///                 largest value, also for an infinity. float4_e2m1 always saturates.
/// Accuracy        correctly rounded in every mode, on every input, whatever the processor's rounding and flushing modes, which are
///                 neither read nor set; test/numeric/round_to.cpp
/// Cost            about that of `To(x)`; loops over it vectorise
/// Backends        host, device
/// Source          IEEE 754-2019, sections 4.3 and 7.4; OCP 8-bit Floating Point Specification 1.0 for float8; to_odd: Boldo, Melquiond
///                 2008, Emulation of FMA and correctly rounded sums
template <detail::narrow_float To, rounding Mode = rounding::nearest_even, overflow Overflow = overflow::ieee>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr To round_to(float x) noexcept {
  return To::from_bits(detail::narrow<typename To::format, binary32, Mode, Overflow>(__builtin_bit_cast(std::uint32_t, x)));
}

template <detail::narrow_float To, rounding Mode = rounding::nearest_even, overflow Overflow = overflow::ieee>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr To round_to(double x) noexcept {
  return To::from_bits(detail::narrow<typename To::format, binary64, Mode, Overflow>(__builtin_bit_cast(std::uint64_t, x)));
}

template <detail::narrow_float To, rounding Mode = rounding::nearest_even, overflow Overflow = overflow::ieee,
          std::integral Integer>
  requires(sizeof(Integer) <= 8)
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr To round_to(Integer n) noexcept {
  return To::from_bits(detail::narrow_integer<typename To::format, Mode, Overflow>(n));
}

/// x as a `To`, rounded up in magnitude with the probability that is the discarded part, if `word` is uniform: its mean is x.
///
/// Let f be the discarded part of |x| in units of the last place of To (below the normal range, of the subnormals), times 2^32 and
/// truncated to an integer. The magnitude is rounded up iff f + word >= 2^32. So the probability is exact for a discarded part of at
/// most 32 bits, and f / 2^32 else, less than 2^-32 below the part; 16 random bits in the upper half of `word` are exact for parts of
/// at most 16 bits, such as all those of float to bfloat16.
///
/// Range           any word; the result is a function of x and word alone. Take word from addressed bits (random/philox.hpp) and the
///                 result is a function of the place of x.
/// Special values  a value of To never moves, NaN becomes quiet as in a conversion. `overflow::ieee`: past the largest value the next
///                 place is infinity (in float8_e4m3 NaN), and whatever is beyond that goes there; `overflow::saturate`: the
///                 largest value from there on, for infinity too. float4_e2m1 always saturates.
/// Accuracy        the counts of all words equal the fraction exactly; test/numeric/round_stochastic.cpp
/// Determinism     one result everywhere, whatever the processor's rounding and flushing modes
/// Backends        host, device
template <detail::narrow_float To, overflow Overflow = overflow::ieee>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr To round_stochastic(float x, std::uint32_t word) noexcept {
  return To::from_bits(
      detail::narrow_stochastic<typename To::format, binary32, Overflow>(__builtin_bit_cast(std::uint32_t, x), word));
}

template <detail::narrow_float To, overflow Overflow = overflow::ieee>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr To round_stochastic(double x, std::uint32_t word) noexcept {
  return To::from_bits(
      detail::narrow_stochastic<typename To::format, binary64, Overflow>(__builtin_bit_cast(std::uint64_t, x), word));
}

}  // namespace tessera
