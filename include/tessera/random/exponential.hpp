// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Exponential numbers, addressed by (seed, stream, index).
#pragma once

#include <cstdint>
#include <limits>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/logarithm.hpp"
#include "tessera/random/detail/parameters.hpp"

namespace tessera::random {
namespace detail {

template <class T>
struct exponential_law {
  using word = word_of<T>;
  using value = made_as<T>;
  static constexpr reads reading = reads::neighbour;
  // What does not round to 0 or to infinity.
  static constexpr value least = static_cast<value>(std::numeric_limits<T>::denorm_min());
  static constexpr value most = static_cast<value>(std::numeric_limits<T>::max());

  value rate;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value operator()(word w, word more) const noexcept {
    const value x = divide(minus_log_unit(w, more), rate);
    const value y = x < most ? x : most;
    return y > least ? y : least;
  }

  constexpr TESSERA_ALWAYS_INLINE void check(const char* function) const {
    if (!(rate > value(0) && is_finite(rate))) {
      refuse(function, "rate", static_cast<double>(rate), "needs a finite number above 0");
    }
  }
};

}  // namespace detail

/// The exponential number of a rate at an address: -ln(u) / rate.
///
/// u is the random word of the address and one half, over 2^32; where u or 1 - u is below 2^-16 it has 16 more bits, the low ones of the
/// other word of its pair (for double: one half more than the 64-bit word, over 2^64). Both ends are as fine as the tail needs.
/// Range          rate above 0 and finite. Results lie in [2^-49, 33.97] / rate for float, [2^-65, 45.06] / rate for double
/// Special values neither 0 nor infinity occurs: what would round to one of them becomes the smallest or the largest number of T. In
///                float16 at rate 1 that is a number in 2^25, raised to 2^-24; bfloat16 has the range of float
/// Accuracy       relative error below 3.5 * 2^-24 for float, 3.5 * 2^-53 for double; test/random/exponential.cpp
/// Cost           one Philox block, of which the other numbers are thrown away: fill_exponential and exponential_block keep them
/// Determinism    as for normal: the same bits everywhere
/// Errors         argument_error on the host: rate not above 0, not finite or NaN. Not checked in device code
/// Backends       host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T exponential(detail::made_as<T> rate, std::uint64_t seed,
                                                                       std::uint64_t stream, std::uint64_t index) {
  const detail::exponential_law<T> law{rate};
  return detail::number_at<T>(detail::checked(law, "random::exponential"), seed, stream, index);
}

/// The numbers at indices n * block … n * block + n - 1 of a stream, n = values_per_block<T>: one evaluation of Philox.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE block_values<T> exponential_block(detail::made_as<T> rate,
                                                                                           std::uint64_t seed,
                                                                                           std::uint64_t stream,
                                                                                           std::uint64_t block) {
  const detail::exponential_law<T> law{rate};
  return detail::numbers_of_block<T>(detail::checked(law, "random::exponential_block"), seed, stream, block);
}

}  // namespace tessera::random
