// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Random bits as integers, addressed by (seed, stream, index).
#pragma once

#include <concepts>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/philox.hpp"

namespace tessera::random {

/// A random word: an unsigned integer of 32 or 64 bits.
template <class Word>
concept random_word = std::unsigned_integral<Word> && (sizeof(Word) == 4 || sizeof(Word) == 8);

namespace detail {

template <class Word>
struct bits_law {
  using word = Word;
  using value = Word;
  static constexpr reads reading = reads::word;
  static constexpr bool repairs = false;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE Word operator()(Word w) const noexcept { return w; }
};

}  // namespace detail

/// The random word at an address: word index % 4 of Philox block index / 4; for 64 bits, words 2 (index % 2) (low) and
/// 2 (index % 2) + 1 (high) of block index / 2.
///
/// Every other distribution reads these words: of one stream and index, take one or the other.
/// Accuracy     integers: the same on every machine
/// Cost         one Philox block, of which the other words are thrown away: fill_bits and philox keep them
/// Backends     host, device, constant expressions
template <random_word Word>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE Word bits(std::uint64_t seed, std::uint64_t stream,
                                                                   std::uint64_t index) noexcept {
  return detail::number_at<Word>(detail::bits_law<Word>{}, seed, stream, index);
}

}  // namespace tessera::random
