// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Laplace numbers, addressed by (seed, stream, index).
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/logarithm.hpp"
#include "tessera/random/detail/parameters.hpp"

namespace tessera::random {
namespace detail {

/// -ln u with a random sign: the top bit of the word. u is what minus_log_unit makes of the other bits and of one bit of `more` below them,
/// which is none of those that make u finer.
struct standard_laplace {
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float operator()(std::uint32_t a, std::uint32_t more) const noexcept {
    const float magnitude = minus_log_unit(a << 1 | (more >> 16 & 1u), more);
    return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, magnitude) | (a & 0x80000000u));
  }
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double operator()(std::uint64_t a, std::uint64_t more) const noexcept {
    const double magnitude = minus_log_unit(a << 1 | (more >> 16 & 1u), more);
    return __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, magnitude) | (a & 0x8000000000000000u));
  }
};
template <class T>
using laplace_law = location_scale_law<T, standard_laplace>;

}  // namespace detail

/// The Laplace number at an address: loc + scale s e, s = 1 or -1 and e exponential of rate 1.
///
/// s is the sign that the top bit of the address's word is; e = -ln u as for exponential, u from the word's other bits and bit 16 of the
/// other word of its pair.
/// Range          loc finite, scale at least 0 and finite. |x - loc| / scale <= 33.97 for float, 45.06 for double;
///                the standard number is never 0
/// Special values a scale at which results leave the range of T rounds them to infinity. In float16 a standard number in 2^25 rounds to 0
/// Accuracy       of the standard number: relative error below 2.4 * 2^-24 for float, 2.4 * 2^-53 for double; test/random/laplace.cpp
/// Cost           one Philox block, of which the other numbers are thrown away: fill_laplace and laplace_block keep them
/// Determinism    as for normal: the same bits everywhere
/// Errors         argument_error on the host: loc not finite, scale negative, not finite or NaN. Not checked in device code
/// Backends       host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T laplace(detail::made_as<T> loc, detail::made_as<T> scale,
                                                                   std::uint64_t seed, std::uint64_t stream,
                                                                   std::uint64_t index) {
  const detail::laplace_law<T> law{loc, scale};
  return detail::number_at<T>(detail::checked(law, "random::laplace"), seed, stream, index);
}

/// The standard number at an address: loc 0, scale 1.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T laplace(std::uint64_t seed, std::uint64_t stream,
                                                                   std::uint64_t index) noexcept {
  return detail::number_at<T>(detail::laplace_law<T>{}, seed, stream, index);
}

/// The standard numbers at indices n * block … n * block + n - 1 of a stream, n = values_per_block<T>: one evaluation of Philox.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE block_values<T> laplace_block(std::uint64_t seed, std::uint64_t stream,
                                                                                       std::uint64_t block) noexcept {
  return detail::numbers_of_block<T>(detail::laplace_law<T>{}, seed, stream, block);
}

}  // namespace tessera::random
