// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// As many random words as an address asks for: what rejection needs so that a number still depends on its address alone.
///
/// The first attempt reads the words w0 … w3 of the address itself, w = philox(seed, stream, index). Whoever needs more reads the
/// private blocks of the address, philox(key = (w0, w1), counter = (number, w2, w3)): 2^64 blocks.
///
/// Guarantee: under one seed, Philox is a bijection of (stream, index), so that no two addresses have the same w; hence no two
/// (address, number) evaluate Philox at the same key and counter, and no address reads the words of another one, however many
/// attempts it takes. Under different seeds, and against the words of addresses themselves, two evaluations coincide with
/// probability 2^-128. No index is given up for it.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/philox.hpp"

namespace tessera::random::detail {

/// Block `number` of the private sequence of the address whose own words are `own`.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE philox_block private_block(const philox_block& own, std::uint64_t number) noexcept {
  return philox4x32_10({{static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32), own.word[2], own.word[3]}},
                       {{own.word[0], own.word[1]}});
}

/// The upper 64 bits of a * b, and the lower ones.
struct wide_product {
  std::uint64_t high;
  std::uint64_t low;
};
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE wide_product multiply(std::uint64_t a, std::uint64_t b) noexcept {
  const std::uint64_t a_low = a & 0xFFFFFFFFu;
  const std::uint64_t b_low = b & 0xFFFFFFFFu;
  const std::uint64_t low = a_low * b_low;
  const std::uint64_t middle = (a >> 32) * b_low + (low >> 32);
  const std::uint64_t other = a_low * (b >> 32) + (middle & 0xFFFFFFFFu);
  return {(a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32), other << 32 | (low & 0xFFFFFFFFu)};
}

/// A uniform integer in [0, n) for n > 0, without bias: the upper half of n times a 64-bit word, unless the lower half is one of
/// the 2^64 mod n that some results have too many of; then the next private block is tried.
/// Source: Lemire, "Fast random integer generation in an interval", ACM TOMACS 29 (2019)
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint64_t below(std::uint64_t n, std::uint64_t seed, std::uint64_t stream,
                                                               std::uint64_t index) noexcept {
  const philox_block own = philox(seed, stream, index);
  wide_product p = multiply(own.pair(0), n);
  if (p.low < n) {
    const std::uint64_t surplus = (std::uint64_t{0} - n) % n;
    for (std::uint64_t number = 1; p.low < surplus; ++number) p = multiply(private_block(own, number).pair(0), n);
  }
  return p.high;
}

}  // namespace tessera::random::detail
