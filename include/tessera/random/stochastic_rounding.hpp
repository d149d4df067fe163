// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rounding by chance with addressed bits: a function of the number and its place.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/round_to.hpp"
#include "tessera/random/philox.hpp"

namespace tessera::random {

/// Numbers that one Philox block rounds: each takes 16 bits.
inline constexpr int roundings_per_block = 8;

namespace detail {

/// The 16 bits at an address: half i % 8 of block i / 8, of every word the lower half first.
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint32_t half_word(std::uint64_t seed, std::uint64_t stream,
                                                                                 std::uint64_t index) noexcept {
  const philox_block bits = philox(seed, stream, index / roundings_per_block);
  const int i = static_cast<int>(index % roundings_per_block);
  return bits.word[i / 2] >> (i % 2 * 16) & 0xFFFFu;
}

}  // namespace detail

/// x as a `To`, rounded up in magnitude with the probability that is the discarded part: round_stochastic<To>(x, 2^16 h), h the 16 random
/// bits at the address.
///
/// Index i reads half i % 8 of Philox block i / 8: word i % 8 / 2, of it the lower 16 bits if i is even.
/// Range           x: float, double, or a narrower type (which widens exactly first); To: float16, bfloat16, float8_e4m3, float8_e5m2
/// Special values  those of tessera::round_stochastic: a value of To never moves, NaN becomes quiet, infinity stays; a number past the
///                 largest may become it or infinity, with overflow::saturate the largest
/// Accuracy        the mean is x where the discarded part has 16 bits or fewer (float to bfloat16: always), less than 2^-16 of the last
///                 place below it in magnitude elsewhere; test/random/stochastic_rounding.cpp
/// Cost            one Philox block, of which seven halves are thrown away: convert_stochastic (tile/convert_stochastic.hpp) keeps them
/// Determinism     the same bits on every machine and device
/// Backends        host, device, constant expressions
template <class To, overflow Overflow = overflow::ieee>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE To round_stochastic(float x, std::uint64_t seed, std::uint64_t stream,
                                                                             std::uint64_t index) noexcept {
  return tessera::round_stochastic<To, Overflow>(x, detail::half_word(seed, stream, index) << 16);
}
template <class To, overflow Overflow = overflow::ieee>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE To round_stochastic(double x, std::uint64_t seed, std::uint64_t stream,
                                                                             std::uint64_t index) noexcept {
  return tessera::round_stochastic<To, Overflow>(x, detail::half_word(seed, stream, index) << 16);
}

}  // namespace tessera::random
