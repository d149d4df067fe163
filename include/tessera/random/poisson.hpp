// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Poisson numbers of any rate, addressed by (seed, stream, index).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/detail/groups.hpp"
#include "tessera/random/detail/parameters.hpp"
#include "tessera/random/detail/poisson.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {
namespace detail {

/// The largest rate, and the largest number that is drawn at a rate but once in 10^40 numbers: more than 13 deviations above it.
inline constexpr double most_poisson_rate = 1e12;
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double most_poisson(double rate) noexcept {
  return fma(14.0, square_root(rate > 1.0 ? rate : 1.0), rate) + 30.0;
}

/// The largest count that T holds with all the counts below.
template <class T>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double most_count() noexcept {
  constexpr int digits = std::numeric_limits<T>::digits;
  const double beyond = static_cast<double>(std::uint64_t{1} << (digits - 1)) * 2.0;
  return std::is_integral_v<T> ? beyond - 1.0 : beyond;
}

template <class T>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool poisson_parameters(double rate, [[maybe_unused]] const char* function) {
  const bool good = rate >= 0.0 && rate <= most_poisson_rate;
  const bool fits = most_poisson(good ? rate : 0.0) <= most_count<T>();
#if !TESSERA_DEVICE_PASS
  if (!good) refuse(function, "rate", rate, "needs a number from 0 to 1e12");
  if (!fits) refuse(function, "rate", rate, "needs a type that holds rate + 14 sqrt(rate) + 30");
#endif
  return good && fits;
}

/// A count as T: counts of types that are not the language's own pass through float, exactly.
template <class T>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T as_count(double k) noexcept {
  if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<T>(k);
  } else {
    return static_cast<T>(static_cast<float>(k));
  }
}

}  // namespace detail

/// The Poisson number at an address: P(k) = rate^k e^-rate / k!.
///
/// Below rate 10 the least k with u < P(0) + … + P(k), u the first half of the address's block; from 10 on Hörmann's transformed
/// rejection PTRS, two uniform numbers an attempt, later attempts from the private blocks of the address (detail/attempts.hpp).
/// Range          rate in [0, 1e12], tested from 0 to 1e9; mean and variance are the rate. T an integer type or a floating one
/// Special values 0 at rate 0
/// Accuracy       u has 53 bits, sums of probabilities are right to 2^-50, log P to 2^-48 (1 + |log P|): no probability is off by more
///                than a relative 1e-13 and an absolute 1e-15. Law tested by chi-square in test/random/poisson.cpp
/// Cost           one Philox block, and below rate 10 `rate` steps; from 10 on 1.1 to 1.3 attempts, one in ten with two logarithms
/// Determinism    the same everywhere, alone or in a fill: each step is one IEEE operation
/// Errors         argument_error on the host: rate negative, above 1e12 or NaN, or too large for T. In device code the result is 0
/// Backends       host, device, constant expressions
/// Source         Hörmann, "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics and
///                Economics 12 (1993), algorithm PTRS; Loader, "Fast and accurate computation of binomial probabilities", 2000
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T poisson(double rate, std::uint64_t seed, std::uint64_t stream,
                                                                   std::uint64_t index) {
  if (!detail::poisson_parameters<T>(rate, "random::poisson")) return T{};
  const philox_block own = philox(seed, stream, index);
  if (rate < detail::least_rejected_rate) {
    return detail::as_count<T>(detail::poisson_by_inversion(rate, detail::half_open_grid<double>(own.pair(0))));
  }
  return detail::as_count<T>(detail::poisson_by_rejection(detail::poisson_constants(rate), own));
}

/// Fills a view with Poisson numbers: out[i] = poisson<T>(rate, seed, stream, first_index + i), i the row-major position.
///
/// Shapes         out: any rank from 1, any strides that put no two elements on one another
/// Range          first_index + i is taken modulo 2^64
/// Cost           groups of 64 indices at a time; no scratch memory, no allocation
/// Determinism    the bits of `poisson`, for any executor, number of threads, strides, and split of a range over calls
/// Errors         argument_error: as poisson, and what fill_uniform refuses
/// Backends       host
template <class Executor, mdspan_like Out>
void fill_poisson(const Executor& exec, const Out& out, double rate, std::uint64_t seed, std::uint64_t stream,
                  std::uint64_t first_index = 0) {
  using T = typename Out::element_type;
  const view<T, Out::rank()> to(out);
  detail::check_fill<Executor>(to, "random::fill_poisson");
  detail::poisson_parameters<T>(rate, "random::fill_poisson");
  const detail::block_source<Executor> source(seed, stream);
  constexpr std::size_t group = detail::group_blocks;
  if (rate < detail::least_rejected_rate) {
    const detail::poisson_table table(rate);
    detail::fill_groups<group>(exec, to, first_index, [&](std::uint64_t index, T* TESSERA_RESTRICT values) {
      alignas(64) std::uint64_t a[group];
      alignas(64) std::uint64_t b[group];
      alignas(64) double u[group];
      alignas(64) double k[group];
      source.pairs_of(index, a, b);
      for (std::size_t i = 0; i < group; ++i) u[i] = detail::half_open_grid<double>(a[i]);
      for (std::size_t i = 0; i < group; ++i) k[i] = 0.0;
      for (int j = 0; j < table.size; ++j) {
        const double sum = table.sum[j];
        for (std::size_t i = 0; i < group; ++i) k[i] += u[i] >= sum ? 1.0 : 0.0;
      }
      for (std::size_t i = 0; i < group; ++i) values[i] = detail::as_count<T>(k[i]);
    });
  } else {
    const detail::poisson_ptrs constants = detail::poisson_constants(rate);
    constexpr std::size_t many = detail::poisson_group;
    detail::fill_groups<many>(exec, to, first_index, [&](std::uint64_t index, T* TESSERA_RESTRICT values) {
      alignas(64) std::uint64_t a[many];
      alignas(64) std::uint64_t b[many];
      alignas(64) double k[many];
      for (std::size_t i = 0; i < many; i += group) source.pairs_of(index + i, a + i, b + i);
      detail::poisson_numbers(constants, a, b, k);
      for (std::size_t i = 0; i < many; ++i) values[i] = detail::as_count<T>(k[i]);
    });
  }
}

}  // namespace tessera::random
