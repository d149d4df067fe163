// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Uniform numbers in [0, 1) and (0, 1) on equal grids, addressed by (seed, stream, index).
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/random/philox.hpp"

namespace tessera::random {

/// Numbers of type T that one Philox block gives: 2 for double, 4 for float and every 16-bit or 8-bit type.
/// Index i is value i % values_per_block of block i / values_per_block.
template <class T>
inline constexpr int values_per_block = std::numeric_limits<T>::digits > 24 ? 2 : 4;

/// All the numbers of one block, in the order of their indices.
template <class T>
struct block_values {
  T value[values_per_block<T>];

  TESSERA_HD constexpr T operator[](int i) const noexcept { return value[i]; }
};

namespace detail {

/// The random word from which one number of type T is made: 32 bits, or 64 for double.
template <class T>
using word_of = std::conditional_t<values_per_block<T> == 4, std::uint32_t, std::uint64_t>;

/// The type in which a number of type T is made, exactly or before the one rounding to T.
template <class T>
using made_as = std::conditional_t<values_per_block<T> == 4, float, double>;

template <class T>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE word_of<T> word_at(const philox_block& block, int i) noexcept {
  if constexpr (values_per_block<T> == 4) {
    return block.word[i];
  } else {
    return block.pair(i);
  }
}

/// k * 2^-p for k the top p bits of the word, p the digits of T: exact.
template <class T>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE made_as<T> half_open_grid(word_of<T> word) noexcept {
  constexpr int digits = std::numeric_limits<T>::digits;
  if constexpr (values_per_block<T> == 4) {
    // Signed, as at most 24 bits are left: that conversion is an instruction on every SIMD unit.
    return static_cast<float>(static_cast<std::int32_t>(word >> (32 - digits))) * (1.0f / static_cast<float>(1 << digits));
  } else {
    static_assert(std::is_same_v<T, double>, "random: needs float, double or a narrower type");
    return static_cast<double>(static_cast<std::int64_t>(word >> 11)) * 0x1p-53;
  }
}

/// (2 k + 1) 2^-p for k the top p - 1 bits of the word: exact.
template <class T>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE made_as<T> open_grid(word_of<T> word) noexcept {
  constexpr int digits = std::numeric_limits<T>::digits;
  return half_open_grid<T>(word | word_of<T>{1} << (std::numeric_limits<word_of<T>>::digits - digits));
}

}  // namespace detail

/// The uniform number in [0, 1) that a random word stands for: its top p bits times 2^-p, p the digits of T.
///
/// Every multiple of 2^-p in [0, 1) is equally likely (p = 53, 24, 11, 8 for double, float, float16, bfloat16); 1 never occurs.
/// The grid of a narrower type is that of a wider one rounded down. The mean is (1 - 2^-p) / 2.
/// Accuracy     exact
/// Backends     host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T uniform_from(detail::word_of<T> word) noexcept {
  return static_cast<T>(detail::half_open_grid<T>(word));
}

/// The uniform number in (0, 1) that a random word stands for: (2 k + 1) 2^-p, k its top p - 1 bits, p the digits of T.
///
/// The midpoints of 2^(p-1) equal cells: neither 0 nor 1 occurs, u and 1 - u are equally likely, the mean is 1/2. The smallest is
/// 2^-p, so a logarithm of it has a short tail (17.3 at float); distributions with tails take their own, longer, uniform.
/// Accuracy     exact
/// Backends     host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T uniform_open_from(detail::word_of<T> word) noexcept {
  return static_cast<T>(detail::open_grid<T>(word));
}

/// The numbers at indices n * block … n * block + n - 1 of a stream, n = values_per_block<T>: one evaluation of Philox.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE block_values<T> uniform_block(std::uint64_t seed, std::uint64_t stream,
                                                                                       std::uint64_t block) noexcept {
  const philox_block bits = philox(seed, stream, block);
  block_values<T> result{};
  for (int i = 0; i < values_per_block<T>; ++i) result.value[i] = uniform_from<T>(detail::word_at<T>(bits, i));
  return result;
}

/// As uniform_block, in (0, 1).
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE block_values<T> uniform_open_block(std::uint64_t seed,
                                                                                            std::uint64_t stream,
                                                                                            std::uint64_t block) noexcept {
  const philox_block bits = philox(seed, stream, block);
  block_values<T> result{};
  for (int i = 0; i < values_per_block<T>; ++i) result.value[i] = uniform_open_from<T>(detail::word_at<T>(bits, i));
  return result;
}

/// The uniform number in [0, 1) at an address; the grid is that of uniform_from.
///
/// Index i reads word i % 4 of block i / 4; for double, words 2 (i % 2) (low) and 2 (i % 2) + 1 (high) of block i / 2.
/// Accuracy     exact: the same bits on every machine and device
/// Cost         one Philox block, of which the other values are thrown away: fill_uniform and uniform_block keep them
/// Backends     host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T uniform(std::uint64_t seed, std::uint64_t stream,
                                                                   std::uint64_t index) noexcept {
  constexpr std::uint64_t n = values_per_block<T>;
  return uniform_from<T>(detail::word_at<T>(philox(seed, stream, index / n), static_cast<int>(index % n)));
}

/// As uniform, in (0, 1); the grid is that of uniform_open_from.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T uniform_open(std::uint64_t seed, std::uint64_t stream,
                                                                        std::uint64_t index) noexcept {
  constexpr std::uint64_t n = values_per_block<T>;
  return uniform_open_from<T>(detail::word_at<T>(philox(seed, stream, index / n), static_cast<int>(index % n)));
}

}  // namespace tessera::random
