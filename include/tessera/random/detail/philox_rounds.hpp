// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The rounds of Philox on registers of words: a block's four words stand in four registers, in as many lanes as there are blocks at once.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"

namespace tessera::random::detail {

/// The key of each round.
template <class Words>
TESSERA_ALWAYS_INLINE void fill_round_keys(std::uint64_t seed, Words (&key)[10][2]) {
  for (int round = 0; round < 10; ++round) {
    key[round][0] = Words::all(static_cast<std::uint32_t>(seed) + static_cast<std::uint32_t>(round) * 0x9E3779B9u);
    key[round][1] = Words::all(static_cast<std::uint32_t>(seed >> 32) + static_cast<std::uint32_t>(round) * 0xBB67AE85u);
  }
}

/// Turns counters into random words, AtOnce independent registers of blocks: they hide each other's latency.
///
/// A product leaves the word that comes next in a lower half and its other half above, so a round is two products, two shifts and two sums
/// of three.
template <class Words, int AtOnce>
TESSERA_ALWAYS_INLINE void philox_rounds(const Words (&key)[10][2], Words (&x0)[AtOnce], Words (&x1)[AtOnce], Words (&x2)[AtOnce],
                                         Words (&x3)[AtOnce]) {
  const Words m0 = Words::all(0xD2511F53u);
  const Words m1 = Words::all(0xCD9E8D57u);
  TESSERA_UNROLL
  for (int round = 0; round < 10; ++round) {
    TESSERA_UNROLL
    for (int i = 0; i < AtOnce; ++i) {
      const Words p0 = product(x0[i], m0);
      const Words p1 = product(x2[i], m1);
      x0[i] = exclusive_or(high(p1), x1[i], key[round][0]);
      x2[i] = exclusive_or(high(p0), x3[i], key[round][1]);
      x1[i] = p1;
      x3[i] = p0;
    }
  }
}

}  // namespace tessera::random::detail
