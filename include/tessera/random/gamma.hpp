// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Gamma numbers of any shape, and their logarithms, addressed by (seed, stream, index).
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/detail/elementary.hpp"
#include "tessera/random/detail/gamma.hpp"
#include "tessera/random/detail/gamma_group.hpp"
#include "tessera/random/detail/groups.hpp"
#include "tessera/random/detail/parameters.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {
namespace detail {

TESSERA_ALWAYS_INLINE constexpr void check_positive_finite(const char* function, const char* argument, double x) {
  if (!is_positive_finite(x)) refuse(function, argument, x, "needs a positive finite number");
}

template <class Executor, class T, std::size_t Rank>
void fill_gamma(const Executor& exec, const view<T, Rank>& out, double shape, double scale, std::uint64_t seed,
                std::uint64_t stream, std::uint64_t first) {
  using V = made_as<T>;
  const one_shape<V> shapes{gamma_constants_of<V>(shape)};
  const V factor = static_cast<V>(scale);
  const block_source<Executor> source(seed, stream);
  fill_groups<static_cast<std::int64_t>(gamma_group)>(exec, out, first, [&](std::uint64_t index, T* TESSERA_RESTRICT values) {
    gamma_workspace<V> w;
    if (shapes.boosted()) {
      alignas(64) double logs[gamma_group];
      gamma_logs(w, shapes, source, index, logs);
      for (std::size_t i = 0; i < gamma_group; ++i) logs[i] = exponential_of(logs[i]);
      for (std::size_t i = 0; i < gamma_group; ++i) values[i] = static_cast<T>(static_cast<V>(logs[i]) * factor);
    } else {
      gamma_roots(w, shapes, source, index);
      for (std::size_t i = 0; i < gamma_group; ++i) {
        values[i] = static_cast<T>(shapes.g.d * (w.root[i] * w.root[i] * w.root[i]) * factor);
      }
    }
  });
}

template <class Executor, class T, std::size_t Rank>
void fill_log_gamma_variate(const Executor& exec, const view<T, Rank>& out, double shape, double scale, std::uint64_t seed,
                            std::uint64_t stream, std::uint64_t first) {
  using V = made_as<T>;
  const one_shape<V> shapes{gamma_constants_of<V>(shape)};
  const double log_scale = natural_log(scale);
  const block_source<Executor> source(seed, stream);
  fill_groups<static_cast<std::int64_t>(gamma_group)>(exec, out, first, [&](std::uint64_t index, T* TESSERA_RESTRICT values) {
    gamma_workspace<V> w;
    alignas(64) double logs[gamma_group];
    gamma_logs(w, shapes, source, index, logs);
    for (std::size_t i = 0; i < gamma_group; ++i) values[i] = static_cast<T>(static_cast<V>(logs[i] + log_scale));
  });
}

/// What the functions of gamma numbers refuse, on the host: true where they may go on.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool gamma_parameters(double shape, double scale, bool logarithm,
                                                                 [[maybe_unused]] const char* function) {
  const bool good_scale = is_positive_finite(scale) && (!logarithm || scale >= 0x1p-1022);
#if !TESSERA_DEVICE_PASS
  if (!is_positive_finite(shape)) refuse(function, "shape", shape, "needs a positive finite number");
  if (!good_scale) {
    refuse(function, "scale", scale,
           logarithm ? "needs a positive finite number, not subnormal" : "needs a positive finite number");
  }
#endif
  return is_positive_finite(shape) && good_scale;
}

}  // namespace detail

/// The gamma number at an address: density x^(a-1) e^(-x/s) / (Gamma(a) s^a), a the shape, s the scale.
///
/// d v for d = a - 1/3, v = (1 + x / (3 sqrt d))^3, x normal, taken where log u < x^2/2 + d (1 - v + log v). For a < 1 the number of
/// shape a + 1 times U^(1/a), through its logarithm.
/// Groups of 256 indices share a run of blocks, not numbers, for their first attempts (detail/gamma.hpp says where); later attempts
/// read the private blocks of the address (detail/attempts.hpp). So a number depends on its address and its parameters alone.
/// Range          shape and scale in (0, inf), tested for shapes from 1e-4 to 1e6; mean a s, variance a s^2
/// Special values 0 where the number is below all numbers of T: at shape 0.001 that is half of them in double; log_gamma_variate has
///                them all
/// Accuracy       with r = 1 + c x the accepted root, relative error 2.5 e ((1 + |c x|) / r + 1), e the epsilon of T, and where a < 1
///                also 2.5 * 2^-52 |log x|; test/random/gamma.cpp. The acceptance sees 32 random bits (in float, most often 23 of
///                them): no density is off by more than 2^-23. Law tested by Kolmogorov's statistic for shapes 1e-4 … 1e6
/// Cost           1 to 1.05 attempts of half a Philox block (double: 3/4) and a normal number; for a < 1 half a block more, two
///                logarithms and an exponential. Alone, a number costs whole blocks
/// Determinism    as normal: the same bits everywhere, alone or in a fill
/// Errors         argument_error on the host: shape or scale not positive and finite. In device code the result is NaN
/// Backends       host, device, constant expressions; T = float, double, or a narrower type, which rounds the float
/// Source         Marsaglia, Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000)
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T gamma(double shape, double scale, std::uint64_t seed,
                                                                 std::uint64_t stream, std::uint64_t index) {
  using V = detail::made_as<T>;
  if (!detail::gamma_parameters(shape, scale, false, "random::gamma")) return static_cast<T>(__builtin_nanf(""));
  const auto g = detail::gamma_constants_of<V>(shape);
  return static_cast<T>(detail::gamma_value(g, detail::gamma_at<V>(g, seed, stream, index)) * static_cast<V>(scale));
}

/// The logarithm of the gamma number at an address: log(gamma) but for rounding, also for shapes whose numbers underflow.
///
/// Range          as gamma; scale not subnormal
/// Accuracy       absolute error 2.5 e ((1 + |c x|) / r + |log x|); test/random/gamma.cpp
/// Otherwise gamma
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T log_gamma_variate(double shape, double scale, std::uint64_t seed,
                                                                             std::uint64_t stream, std::uint64_t index) {
  using V = detail::made_as<T>;
  if (!detail::gamma_parameters(shape, scale, true, "random::log_gamma_variate")) return static_cast<T>(__builtin_nanf(""));
  const auto g = detail::gamma_constants_of<V>(shape);
  const auto parts = detail::gamma_at<V>(g, seed, stream, index);
  return static_cast<T>(static_cast<V>(detail::gamma_log(g, parts.root, parts.e) + detail::natural_log(scale)));
}

/// Fills a view with gamma numbers: out[i] = gamma<T>(shape, scale, seed, stream, first_index + i), i the row-major position.
///
/// Shapes         out: any rank from 1, any strides that put no two elements on one another
/// Range          first_index + i is taken modulo 2^64
/// Cost           groups of 256 indices at a time; no scratch memory, no allocation
/// Determinism    the bits of `gamma`, for any executor, number of threads, strides, and split of a range over calls
/// Errors         argument_error: shape or scale not positive and finite, and what fill_uniform refuses
/// Backends       host
template <class Executor, mdspan_like Out>
void fill_gamma(const Executor& exec, const Out& out, double shape, double scale, std::uint64_t seed, std::uint64_t stream,
                std::uint64_t first_index = 0) {
  const view<typename Out::element_type, Out::rank()> to(out);
  detail::check_fill<Executor>(to, "random::fill_gamma");
  detail::gamma_parameters(shape, scale, false, "random::fill_gamma");
  detail::fill_gamma(exec, to, shape, scale, seed, stream, first_index);
}

/// Fills a view with logarithms of gamma numbers: out[i] = log_gamma_variate<T>(…, first_index + i). Otherwise fill_gamma.
template <class Executor, mdspan_like Out>
void fill_log_gamma_variate(const Executor& exec, const Out& out, double shape, double scale, std::uint64_t seed,
                            std::uint64_t stream, std::uint64_t first_index = 0) {
  const view<typename Out::element_type, Out::rank()> to(out);
  detail::check_fill<Executor>(to, "random::fill_log_gamma_variate");
  detail::gamma_parameters(shape, scale, true, "random::fill_log_gamma_variate");
  detail::fill_log_gamma_variate(exec, to, shape, scale, seed, stream, first_index);
}

}  // namespace tessera::random
