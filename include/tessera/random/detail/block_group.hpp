// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Philox on a group of blocks at a time: the words that bulk fills are made from, in arrays.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/philox_rounds.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/simd/detail/words.hpp"

namespace tessera::random::detail {

/// Blocks of a group. Groups start at multiples of it, so that the low word of the counter never carries inside one.
inline constexpr std::size_t group_blocks = 64;

/// The bytes of a register of an executor's instruction set; of the compiler's flags for an executor that names none.
template <class Executor>
inline constexpr int register_bytes = [] {
  if constexpr (requires { Executor::arch::alignment(); }) {
    return static_cast<int>(Executor::arch::alignment());
  } else {
    return 64;
  }
}();

/// The blocks of one key and stream, a group at a time.
///
/// `Executor` only picks the registers; it is a parameter so that code for another instruction set has another symbol.
template <class Executor>
class block_source {
  using words = simd::detail::words<simd::detail::word_bytes<register_bytes<Executor>>>;

 public:
  /// The most that a register of the executor holds.
  static constexpr int bytes = register_bytes<Executor>;

  block_source(philox_key key, std::uint64_t stream) : stream_(stream) {
    fill_round_keys(static_cast<std::uint64_t>(key.word[1]) << 32 | key.word[0], key_);
    for (int i = 0; i < words::lanes; ++i) {
      rising_[i] = static_cast<std::uint64_t>(i);
      zipped_[i] = static_cast<std::uint64_t>(words::zipped_lane(i));
    }
  }
  block_source(std::uint64_t seed, std::uint64_t stream)
      : block_source(philox_key{{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}}, stream) {}

  /// The words of blocks first … first + group_blocks - 1 in the order of their indices: word 4 b + i is word i of block first + b.
  /// first is a multiple of group_blocks; out is aligned to 64 bytes.
  TESSERA_ALWAYS_INLINE void words_of(std::uint64_t first, std::uint32_t* TESSERA_RESTRICT out) const { in_order(first, out); }
  /// The same as 64-bit words, two a block, the first 32-bit word of each below.
  TESSERA_ALWAYS_INLINE void words_of(std::uint64_t first, std::uint64_t* TESSERA_RESTRICT out) const { in_order(first, out); }

  /// Words 2 p of the group in a, words 2 p + 1 in b.
  TESSERA_ALWAYS_INLINE void pairs_of(std::uint64_t first, std::uint32_t* TESSERA_RESTRICT a,
                                      std::uint32_t* TESSERA_RESTRICT b) const {
    generate(first, rising_, [&](std::size_t block, words x0, words x1, words x2, words x3) {
      merge(x0, x2).store(a + 2 * block);
      merge(x1, x3).store(b + 2 * block);
    });
  }
  TESSERA_ALWAYS_INLINE void pairs_of(std::uint64_t first, std::uint64_t* TESSERA_RESTRICT a,
                                      std::uint64_t* TESSERA_RESTRICT b) const {
    generate(first, rising_, [&](std::size_t block, words x0, words x1, words x2, words x3) {
      merge(x0, x1).store(a + block);
      merge(x2, x3).store(b + block);
    });
  }

 private:
  // Independent blocks hide each other's latency; as many as registers hold.
  static constexpr int at_once = words::lanes == 8 ? 4 : words::lanes == 1 ? 1 : 2;

  template <class Word>
  TESSERA_ALWAYS_INLINE void in_order(std::uint64_t first, Word* TESSERA_RESTRICT out) const {
    constexpr std::size_t step = 8 / sizeof(Word);  // numbers in a lane
    generate(first, zipped_, [&](std::size_t block, words x0, words x1, words x2, words x3) {
      words low, high;
      zip(merge(x0, x1), merge(x2, x3), low, high);
      low.store(out + 2 * step * block);
      high.store(out + 2 * step * block + step * words::lanes);
    });
  }

  template <class Put>
  TESSERA_ALWAYS_INLINE void generate(std::uint64_t first, const std::uint64_t* lane, Put put) const {
    const words numbers = either(words::load(lane), words::all(first & 0xFFFFFFFFu));
    for (std::size_t block = 0; block < group_blocks; block += static_cast<std::size_t>(at_once * words::lanes)) {
      words x0[at_once], x1[at_once], x2[at_once], x3[at_once];
      TESSERA_UNROLL
      for (int i = 0; i < at_once; ++i) {
        x0[i] = either(numbers, words::all(block + static_cast<std::size_t>(i * words::lanes)));
        x1[i] = words::all(first >> 32);
        x2[i] = words::all(stream_);
        x3[i] = words::all(stream_ >> 32);
      }
      philox_rounds(key_, x0, x1, x2, x3);
      TESSERA_UNROLL
      for (int i = 0; i < at_once; ++i) put(block + static_cast<std::size_t>(i * words::lanes), x0[i], x1[i], x2[i], x3[i]);
    }
  }

  words key_[10][2];
  std::uint64_t stream_;
  alignas(64) std::uint64_t rising_[words::lanes];
  alignas(64) std::uint64_t zipped_[words::lanes];
};

}  // namespace tessera::random::detail
