// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Philox4x32-10: random bits that are addressed by (seed, stream, index) instead of drawn from a state.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"

namespace tessera::random {

/// Four random words, or the 128-bit counter that names them; word[0] is the least significant.
struct philox_block {
  std::uint32_t word[4];

  TESSERA_HD constexpr std::uint32_t operator[](int i) const noexcept { return word[i]; }
  /// Words 2i and 2i + 1 as one number, the first of them low.
  TESSERA_HD constexpr std::uint64_t pair(int i) const noexcept {
    return static_cast<std::uint64_t>(word[2 * i + 1]) << 32 | word[2 * i];
  }
  friend TESSERA_HD constexpr bool operator==(const philox_block& a, const philox_block& b) noexcept {
    return a.word[0] == b.word[0] && a.word[1] == b.word[1] && a.word[2] == b.word[2] && a.word[3] == b.word[3];
  }
};

/// The 64-bit key; word[0] is the least significant.
struct philox_key {
  std::uint32_t word[2];
};

namespace detail {

/// The product of two words, both halves of it.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE void multiply(std::uint32_t a, std::uint32_t b, std::uint32_t& low,
                                                         std::uint32_t& high) noexcept {
#if TESSERA_DEVICE_PASS
  // Otherwise nvcc keeps the words in 64-bit registers, and every operation on them is two.
  if (!__builtin_is_constant_evaluated()) {
    low = a * b;
    high = __umulhi(a, b);
    return;
  }
#endif
  const std::uint64_t product = std::uint64_t{a} * b;
  low = static_cast<std::uint32_t>(product);
  high = static_cast<std::uint32_t>(product >> 32);
}

}  // namespace detail

/// The block function: a bijection of the counter for every key, ten rounds.
///
/// One round maps (x0, x1, x2, x3) to (hi(M1 x2) ^ x1 ^ k0, lo(M1 x2), hi(M0 x0) ^ x3 ^ k1, lo(M0 x0)); between rounds the key
/// words grow by 0x9E3779B9 and 0xBB67AE85 modulo 2^32.
/// Accuracy     integers: the same on every machine; known answers of Random123 in test/random/philox.cpp
/// Cost         20 multiplications of 32 x 32 bits, no memory
/// Backends     host, device, constant expressions
/// Source       Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE philox_block philox4x32_10(philox_block counter,
                                                                                    philox_key key) noexcept {
  std::uint32_t x0 = counter.word[0];
  std::uint32_t x1 = counter.word[1];
  std::uint32_t x2 = counter.word[2];
  std::uint32_t x3 = counter.word[3];
  std::uint32_t k0 = key.word[0];
  std::uint32_t k1 = key.word[1];
  for (int round = 0; round < 10; ++round) {
    std::uint32_t low0 = 0, high0 = 0, low1 = 0, high1 = 0;
    detail::multiply(0xD2511F53u, x0, low0, high0);
    detail::multiply(0xCD9E8D57u, x2, low1, high1);
    x0 = high1 ^ x1 ^ k0;
    x1 = low1;
    x2 = high0 ^ x3 ^ k1;
    x3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{x0, x1, x2, x3}};
}

/// The four words at an address: 2^64 streams of 2^64 blocks for each of 2^64 seeds.
///
/// key     = (seed low, seed high)
/// counter = (index low, index high, stream low, stream high)
/// These are the words that cuRAND's Philox4_32_10 generator yields for `seed`, subsequence `stream`, offset 4 * `index`.
/// Two addresses that differ give independent blocks, so whatever is computed from the words depends on the address alone: not
/// on the batch, the order of calls, the number of threads or the device. Distributions read from the words of their address:
/// numbers that must be independent of each other need another stream (or seed), not only another distribution.
/// Cost         as philox4x32_10
/// Backends     host, device, constant expressions
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE philox_block philox(std::uint64_t seed, std::uint64_t stream,
                                                                             std::uint64_t index) noexcept {
  return philox4x32_10({{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                         static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)}},
                       {{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}});
}

// Random123's known answer for zeros; the rest are in the tests.
static_assert(philox(0, 0, 0) == philox_block{{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}});

}  // namespace tessera::random
