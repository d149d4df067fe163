// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Beta numbers, addressed by (seed, stream, index).
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/detail/elementary.hpp"
#include "tessera/random/detail/gamma.hpp"
#include "tessera/random/detail/gamma_group.hpp"
#include "tessera/random/detail/groups.hpp"
#include "tessera/random/gamma.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {
namespace detail {

/// X / (X + Y) from log X and log Y: whichever is larger, nothing overflows.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double share_of_logs(double log_x, double log_y) noexcept {
  const double gap = log_x - log_y;
  const double smaller = exponential_of(gap < 0.0 ? gap : -gap);
  return (gap < 0.0 ? smaller : 1.0) / (1.0 + smaller);
}

/// The same from the roots of two gamma numbers whose shapes are at least 1.
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE V share_of_roots(V d_x, V root_x, V d_y, V root_y) noexcept {
  // Three factors each, lest a compiler fuse the last product of one into the sum.
  const V x = d_x * (root_x * root_x * root_x);
  const V y = d_y * (root_y * root_y * root_y);
  return divide(x, fma(V(1), x, y));
}

}  // namespace detail

/// The beta number at an address: density x^(a-1) (1-x)^(b-1) / B(a, b).
///
/// X / (X + Y) for the gamma numbers X at index 2i of shape a and Y at index 2i + 1 of shape b; from their logarithms where a or b is
/// below 1.
/// Range          a, b in (0, inf), tested from 1e-4 to 1e6; the result in [0, 1], with 0 and 1 where the number rounds to them: at
///                a = b = 0.001 nearly all do. index is taken modulo 2^63
/// Accuracy       the relative errors of X and Y (see gamma), and where a logarithm is taken 2.5 * 2^-52 (|log X| + |log Y| + 2)
/// Cost           two gamma numbers; fill_beta is several times cheaper a number
/// Determinism    as gamma
/// Errors         argument_error on the host: a or b not positive and finite. In device code the result is NaN
/// Backends       host, device, constant expressions
/// Source         Devroye, "Non-uniform random variate generation", Springer 1986, IX.4
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T beta(double a, double b, std::uint64_t seed, std::uint64_t stream,
                                                                std::uint64_t index) {
  using V = detail::made_as<T>;
#if !TESSERA_DEVICE_PASS
  detail::check_positive_finite("random::beta", "a", a);
  detail::check_positive_finite("random::beta", "b", b);
#endif
  if (!detail::is_positive_finite(a) || !detail::is_positive_finite(b)) return static_cast<T>(__builtin_nanf(""));
  const auto g = detail::gamma_constants_of<V>(a);
  const auto h = detail::gamma_constants_of<V>(b);
  const auto x = detail::gamma_at<V>(g, seed, stream, 2 * index);
  const auto y = detail::gamma_at<V>(h, seed, stream, 2 * index + 1);
  if (g.inverse_shape == 0.0 && h.inverse_shape == 0.0) {
    return static_cast<T>(detail::share_of_roots(g.d, x.root, h.d, y.root));
  }
  return static_cast<T>(
      static_cast<V>(detail::share_of_logs(detail::gamma_log(g, x.root, x.e), detail::gamma_log(h, y.root, y.e))));
}

/// Fills a view with beta numbers: out[i] = beta<T>(a, b, seed, stream, first_index + i), i the row-major position.
///
/// Shapes         out: any rank from 1, any strides that put no two elements on one another
/// Range          first_index + i is taken modulo 2^63
/// Cost           groups of 128 indices at a time; no scratch memory, no allocation
/// Determinism    the bits of `beta`, for any executor, number of threads, strides, and split of a range over calls
/// Errors         argument_error: a or b not positive and finite, and what fill_uniform refuses
/// Backends       host
template <class Executor, mdspan_like Out>
void fill_beta(const Executor& exec, const Out& out, double a, double b, std::uint64_t seed, std::uint64_t stream,
               std::uint64_t first_index = 0) {
  using T = typename Out::element_type;
  using V = detail::made_as<T>;
  const view<T, Out::rank()> to(out);
  detail::check_fill<Executor>(to, "random::fill_beta");
  detail::check_positive_finite("random::fill_beta", "a", a);
  detail::check_positive_finite("random::fill_beta", "b", b);
  detail::many_shapes<V> shapes;
  for (std::size_t i = 0; i < detail::gamma_group; ++i) shapes.set(i, detail::gamma_constants_of<V>(i % 2 == 0 ? a : b));
  const detail::block_source<Executor> source(seed, stream);
  constexpr std::size_t group = detail::gamma_group / 2;
  detail::fill_groups<static_cast<std::int64_t>(group)>(
      exec, to, first_index, [&](std::uint64_t index, T* TESSERA_RESTRICT values) {
        detail::gamma_workspace<V> w;
        if (shapes.boosted()) {
          alignas(64) double logs[detail::gamma_group];
          alignas(64) V shares[group];
          detail::gamma_logs(w, shapes, source, 2 * index, logs);
          for (std::size_t i = 0; i < group; ++i) {
            shares[i] = static_cast<V>(detail::share_of_logs(logs[2 * i], logs[2 * i + 1]));
          }
          for (std::size_t i = 0; i < group; ++i) values[i] = static_cast<T>(shares[i]);
        } else {
          detail::gamma_roots(w, shapes, source, 2 * index);
          for (std::size_t i = 0; i < group; ++i) {
            values[i] =
                static_cast<T>(detail::share_of_roots(shapes.d[2 * i], w.root[2 * i], shapes.d[2 * i + 1], w.root[2 * i + 1]));
          }
        }
      });
}

}  // namespace tessera::random
