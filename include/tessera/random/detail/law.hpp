// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// How a distribution reads the words of its addresses. A law is written once, as a function of words; its single values, blocks
/// and fills are made here and in fill.hpp, so that they agree.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/normal_pair.hpp"
#include "tessera/random/detail/parameters.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/uniform.hpp"

namespace tessera::random::detail {

/// What a law makes of words of its type `word`; `value` is what it makes, before the rounding to the type asked for.
enum class reads : std::uint8_t {
  word,       ///< law(w): the number of a word
  neighbour,  ///< law(w, more): the number of a word; the low bits of the other word of its pair serve where w alone is too coarse
  normal,     ///< law(z): the number made of a standard normal number, of which two words make two (normal_pair.hpp)
  block       ///< law.trial(a, b): the one number of the two 64-bit words of a block, as {x, accepted}
};
// A law of words with `repairs` also has accepts(w): whether law(w) stands; where it does not, repaired(w, further) is the number, made
// from as many more words as it needs. So is repaired(further) for a block whose trial is not accepted.

/// loc + scale x, x the number that Standard{}(w, more) makes of a word.
template <class T, class Standard>
struct location_scale_law {
  using word = word_of<T>;
  using value = made_as<T>;
  static constexpr reads reading = reads::neighbour;

  value loc = 0;
  value scale = 1;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value operator()(word w, word more) const noexcept {
    return fma(scale, Standard{}(w, more), loc);
  }

  constexpr TESSERA_ALWAYS_INLINE void check(const char* function) const {
    check_location(function, "loc", loc);
    check_scale(function, "scale", scale);
  }
};

/// Numbers of a law in one block.
template <class Law>
inline constexpr int numbers_per_block = Law::reading == reads::block ? 1 : static_cast<int>(16 / sizeof(typename Law::word));

template <class Word>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE Word word_from(const philox_block& bits, int i) noexcept {
  if constexpr (sizeof(Word) == 4) {
    return bits.word[i];
  } else {
    return bits.pair(i);
  }
}

/// More words for an address, as many as a rejection needs: its own, so that no other number depends on them.
///
/// Block k (k >= 1) of (seed, stream, block) is Philox at the same counter, under a key that Philox itself makes from the seed: words 0 and
/// 1 of index k of stream 2^64 - 1.
class further_blocks {
 public:
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE further_blocks(std::uint64_t seed, std::uint64_t stream,
                                                            std::uint64_t block) noexcept
      : seed_(seed), stream_(stream), block_(block) {}

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE philox_block operator()(std::uint64_t k) const noexcept {
    return philox(philox(seed_, ~std::uint64_t{0}, k).pair(0), stream_, block_);
  }

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t block_;
};

/// The words of further blocks at a number's own place in the block.
template <class Word>
class further_words {
 public:
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE further_words(further_blocks blocks, int place) noexcept
      : blocks_(blocks), place_(place) {}

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE Word operator()(std::uint64_t k) const noexcept {
    return word_from<Word>(blocks_(k), place_);
  }

 private:
  further_blocks blocks_;
  int place_;
};

/// The one rounding. Integers pass through float to types that are not the language's own: exact for what laws make.
template <class T, class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T rounded(V x) noexcept {
  if constexpr (std::is_arithmetic_v<T> || !std::is_integral_v<V>) {
    return static_cast<T>(x);
  } else {
    return static_cast<T>(static_cast<float>(x));
  }
}

/// The number at place i of a block.
template <class T, class Law>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T number_of(const Law& law, const philox_block& bits, int i,
                                                       [[maybe_unused]] further_blocks further) {
  using word = typename Law::word;
  if constexpr (Law::reading == reads::block) {
    const auto t = law.trial(bits.pair(0), bits.pair(1));
    return rounded<T>(t.accepted ? t.x : law.repaired(further));
  } else if constexpr (Law::reading == reads::normal) {
    const auto z = normal_pair_from(word_from<word>(bits, i & ~1), word_from<word>(bits, i | 1));
    return rounded<T>(law((i & 1) == 0 ? z.cosine : z.sine));
  } else if constexpr (Law::reading == reads::neighbour) {
    return rounded<T>(law(word_from<word>(bits, i), word_from<word>(bits, i ^ 1)));
  } else {
    const word w = word_from<word>(bits, i);
    if constexpr (Law::repairs) {
      if (!law.accepts(w)) return rounded<T>(law.repaired(w, further_words<word>(further, i)));
    }
    return rounded<T>(law(w));
  }
}

/// The number at an address.
template <class T, class Law>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T number_at(const Law& law, std::uint64_t seed, std::uint64_t stream,
                                                       std::uint64_t index) {
  constexpr std::uint64_t n = numbers_per_block<Law>;
  return number_of<T>(law, philox(seed, stream, index / n), static_cast<int>(index % n), {seed, stream, index / n});
}

/// All the numbers of a block of float or double numbers.
template <class T, class Law>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE block_values<T> numbers_of_block(const Law& law, std::uint64_t seed,
                                                                            std::uint64_t stream, std::uint64_t block) {
  static_assert(numbers_per_block<Law> == values_per_block<T>);
  const philox_block bits = philox(seed, stream, block);
  block_values<T> result{};
  for (int i = 0; i < values_per_block<T>; ++i) result.value[i] = number_of<T>(law, bits, i, {seed, stream, block});
  return result;
}

}  // namespace tessera::random::detail
