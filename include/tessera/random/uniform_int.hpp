// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Integers from a range, all equally likely, addressed by (seed, stream, index).
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/parameters.hpp"

namespace tessera::random {
namespace detail {

/// The upper and the lower half of a product.
struct product_32 {
  std::uint32_t high;
  std::uint32_t low;
};
struct product_64 {
  std::uint64_t high;
  std::uint64_t low;
};
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE product_32 whole_product(std::uint32_t a, std::uint32_t b) noexcept {
  const std::uint64_t p = std::uint64_t{a} * b;
  return {static_cast<std::uint32_t>(p >> 32), static_cast<std::uint32_t>(p)};
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE product_64 whole_product(std::uint64_t a, std::uint64_t b) noexcept {
  const std::uint64_t a0 = a & 0xFFFFFFFFu;
  const std::uint64_t b0 = b & 0xFFFFFFFFu;
  const std::uint64_t low = a0 * b0;
  const std::uint64_t cross = (a >> 32) * b0 + (low >> 32);
  const std::uint64_t other = a0 * (b >> 32) + (cross & 0xFFFFFFFFu);
  return {(a >> 32) * (b >> 32) + (cross >> 32) + (other >> 32), other << 32 | (low & 0xFFFFFFFFu)};
}

template <class Integer>
struct uniform_int_law {
  using word = std::conditional_t<sizeof(Integer) == 8, std::uint64_t, std::uint32_t>;
  using value = Integer;
  static constexpr reads reading = reads::word;
  static constexpr bool repairs = true;

  Integer low;
  Integer high;
  word count;     // 0 where every word is in the range
  word unevenly;  // 2^bits mod count: so many lower halves of a product come once too often

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE uniform_int_law(Integer from, Integer to) noexcept
      : low(from),
        high(to),
        count(static_cast<word>(static_cast<word>(to) - static_cast<word>(from) + 1)),
        unevenly(count == 0 ? 0 : static_cast<word>(0 - count) % count) {}

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value operator()(word w) const noexcept {
    const word step = count == 0 ? w : whole_product(w, count).high;
    return static_cast<Integer>(static_cast<word>(low) + step);
  }
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool accepts(word w) const noexcept {
    return whole_product(w, count).low >= unevenly;
  }
  template <class Further>
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value repaired(word, Further further) const noexcept {
    for (std::uint64_t k = 1;; ++k) {
      const word w = further(k);
      if (accepts(w)) return (*this)(w);
    }
  }

  constexpr TESSERA_ALWAYS_INLINE void check(const char* function) const {
    if (!(low <= high)) refuse_range(function);
  }

 private:
  [[noreturn]] TESSERA_ALWAYS_INLINE void refuse_range(const char* function) const {
    tessera::detail::fail(function, "high", std::to_string(high) + " below low " + std::to_string(low),
                          "needs a range that is not empty");
  }
};

}  // namespace detail

/// The integer in [low, high] at an address, both ends included.
///
/// The upper half of w (high - low + 1), w the word of the address: of 32 bits (word index % 4 of block index / 4) for integers of up to 32
/// bits, of 64 (block index / 2) for wider ones. Where the lower half says that w belongs to a value that has one word too many, the next
/// further word of the address takes its place.
/// Range          low <= high; low = min and high = max of the type give all its values
/// Accuracy       all values are equally likely, exactly
/// Cost           one Philox block, of which the other words are thrown away (fill_uniform_int keeps them). A word is refused with
///                probability (2^bits mod count) / 2^bits, below count / 2^bits; each refusal costs two more blocks
/// Determinism    the same on every machine and device
/// Errors         argument_error on the host: high below low. Not checked in device code
/// Backends       host, device, constant expressions
/// Source         Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019, section 4
template <std::integral Integer>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE Integer uniform_int(Integer low, Integer high, std::uint64_t seed,
                                                                             std::uint64_t stream, std::uint64_t index) {
  static_assert(!std::is_same_v<Integer, bool>, "random: a bool is drawn by bernoulli");
  const detail::uniform_int_law<Integer> law(low, high);
  return detail::number_at<Integer>(detail::checked(law, "random::uniform_int"), seed, stream, index);
}

}  // namespace tessera::random
