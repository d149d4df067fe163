// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Gumbel numbers, addressed by (seed, stream, index).
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/logarithm.hpp"
#include "tessera/random/detail/parameters.hpp"

namespace tessera::random {
namespace detail {

struct standard_gumbel {
  template <class Word>
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE auto operator()(Word w, Word more) const noexcept {
    return minus_log(minus_log_unit(w, more));
  }
};
template <class T>
using gumbel_law = location_scale_law<T, standard_gumbel>;

}  // namespace detail

/// The Gumbel number at an address: loc - scale ln(-ln u), the law of a maximum.
///
/// u as for exponential: the upper tail comes from 1 - u, the lower from u, both to 2^-48 (double: 2^-64), so that argmax over
/// logits plus these numbers still draws what has a probability of 1e-14. (A u on the grid of float stops at 16.6.)
/// Range          loc finite, scale at least 0 and finite. (x - loc) / scale in [-3.53, 33.97] for float, [-3.81, 45.06] for double
/// Special values a scale at which results leave the range of T rounds them to infinity
/// Accuracy       of the standard number: absolute error below 4 * 2^-24 max(1, |x|) for float, 4 * 2^-53 max(1, |x|) for
///                double; test/random/gumbel.cpp
/// Cost           one Philox block, of which the other numbers are thrown away: fill_gumbel and gumbel_block keep them
/// Determinism    as for normal: the same bits everywhere
/// Errors         argument_error on the host: loc not finite, scale negative, not finite or NaN. Not checked in device code
/// Backends       host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T gumbel(detail::made_as<T> loc, detail::made_as<T> scale,
                                                                  std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const detail::gumbel_law<T> law{loc, scale};
  return detail::number_at<T>(detail::checked(law, "random::gumbel"), seed, stream, index);
}

/// The standard number at an address: loc 0, scale 1.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T gumbel(std::uint64_t seed, std::uint64_t stream,
                                                                  std::uint64_t index) noexcept {
  return detail::number_at<T>(detail::gumbel_law<T>{}, seed, stream, index);
}

/// The standard numbers at indices n * block … n * block + n - 1 of a stream, n = values_per_block<T>: one evaluation of Philox.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE block_values<T> gumbel_block(std::uint64_t seed, std::uint64_t stream,
                                                                                      std::uint64_t block) noexcept {
  return detail::numbers_of_block<T>(detail::gumbel_law<T>{}, seed, stream, block);
}

}  // namespace tessera::random
