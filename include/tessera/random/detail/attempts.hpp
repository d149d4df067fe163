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

}  // namespace tessera::random::detail
