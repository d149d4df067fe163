// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Standard normal numbers, addressed by (seed, stream, index).
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/parameters.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/uniform.hpp"

namespace tessera::random {
namespace detail {

/// The law of standard normal numbers.
template <class T>
struct normal_law {
  using word = word_of<T>;
  using value = made_as<T>;
  static constexpr reads reading = reads::normal;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value operator()(value z) const noexcept { return z; }
};

template <class T>
struct scaled_normal_law {
  using word = word_of<T>;
  using value = made_as<T>;
  static constexpr reads reading = reads::normal;

  value mean;
  value stddev;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value operator()(value z) const noexcept { return fma(stddev, z, mean); }

  constexpr TESSERA_ALWAYS_INLINE void check(const char* function) const {
    check_location(function, "mean", mean);
    check_scale(function, "stddev", stddev);
  }
};

}  // namespace detail

/// The numbers at indices n * block … n * block + n - 1 of a stream, n = values_per_block<T>: one evaluation of Philox.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE block_values<T> normal_block(std::uint64_t seed, std::uint64_t stream,
                                                                                      std::uint64_t block) noexcept {
  return detail::numbers_of_block<T>(detail::normal_law<T>{}, seed, stream, block);
}

/// The standard normal number at an address.
///
/// sqrt(-2 ln u) cos(2 pi v) at even and sqrt(-2 ln u) sin(2 pi v) at odd indices, u and v from two random words a and b:
///   float (and narrower types, which round it)   words 2p and 2p + 1 of block i / 4, p = i / 2 % 2;
///                                                v = (2b + 1) 2^-33; u = (a | 1) 2^-32, but where a < 2^16 that has 16 more
///                                                bits, for the tail: u = (2^16 a + b % 2^16 | 1) 2^-48
///   double                                       the two 64-bit words of block i / 2; u = (a | 1) 2^-64, v = (2b + 1) 2^-65
/// Logarithm, root, sine and cosine are our own polynomials, so that no standard library has a say in the bits.
/// Range          |z| <= 8.16 for float, 9.42 for double; 0 does not occur (in float16 by rounding only)
/// Accuracy       relative error below 5 * 2^-24 for float, 5 * 2^-53 for double; all radii and angles of float swept in test/random/normal.cpp
/// Cost           one Philox block and one pair, of which one value is kept: fill_normal and normal_block keep all
/// Determinism    the same bits with every compiler, instruction set and device, in constant expressions, alone or in a fill: each
///                step is one IEEE operation, rounded to nearest. Where fused multiply-add is no instruction (plain
///                x86-64; -march=x86-64-v3 has it) it is emulated: exactly, at a twentieth of the speed for float, a hundredth for double
/// Backends       host, device, constant expressions
/// Source         Box, Muller, "A note on the generation of random normal deviates", Ann. Math. Statist. 29 (1958)
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T normal(std::uint64_t seed, std::uint64_t stream,
                                                                  std::uint64_t index) noexcept {
  return detail::number_at<T>(detail::normal_law<T>{}, seed, stream, index);
}

/// The normal number of a mean and a standard deviation at an address: mean + stddev normal<T>(seed, stream, index), rounded once more.
///
/// Range          mean finite, stddev at least 0 and finite
/// Special values a stddev at which results leave the range of T rounds them to infinity
/// Accuracy       that of normal times stddev, and one rounding
/// Errors         argument_error on the host: mean not finite, stddev negative, not finite or NaN. Not checked in device code
/// Backends       host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T normal(detail::made_as<T> mean, detail::made_as<T> stddev,
                                                                  std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const detail::scaled_normal_law<T> law{mean, stddev};
  return detail::number_at<T>(detail::checked(law, "random::normal"), seed, stream, index);
}

}  // namespace tessera::random
