// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One row of a layer norm or an RMS norm, forward and backward.
///
/// Every sum over a row is one of chunks of 4,096, in interleaved sums of the compute type that are folded in a tree, and of chunks in
/// float64: its bits depend on the row alone.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/detail/row_chunks.hpp"

namespace tessera::training::detail {

/// `Sums` sums over a row at once: add(k, count, P (&sums)[Sums]) adds the terms of elements k … k + count, 0 in lanes past them.
template <class P, int Sums, class F>
[[nodiscard]] TESSERA_ALWAYS_INLINE std::array<double, Sums> row_sums(std::int64_t n, const F& add) {
  using T = typename P::value_type;
  constexpr int packs = tile::detail::row_sums<T> / P::lanes;
  std::array<double, Sums> totals{};
  for (std::int64_t first = 0; first < n; first += tile::detail::row_chunk) {
    P sums[packs][Sums];
    for (int u = 0; u < packs; ++u) {
      for (int s = 0; s < Sums; ++s) sums[u][s] = P(T(0));
    }
    tile::detail::for_packs<P, packs>(std::min(tile::detail::row_chunk, n - first),
                                      [&](int u, std::int64_t k, int count) { add(first + k, count, sums[u]); });
    for (int s = 0; s < Sums; ++s) {
      P of_one[packs];
      for (int u = 0; u < packs; ++u) of_one[u] = sums[u][s];
      totals[static_cast<std::size_t>(s)] += static_cast<double>(simd::fold_add(of_one));
    }
  }
  return totals;
}

/// What a row is normalised by: (x - mean - rest) inverse. `mean` is a number of the compute type, `rest` what its rounding lost: beside a
/// deviation much below the mean that is not little.
template <class T>
struct row_statistics {
  T mean;
  T rest;
  T inverse;
};

template <bool Centered, class P, class X>
[[nodiscard]] TESSERA_ALWAYS_INLINE row_statistics<typename P::value_type> statistics_of(const X* x, std::int64_t n,
                                                                                         double epsilon) {
  using T = typename P::value_type;
  using tile::detail::load_or;
  const auto d = static_cast<double>(n);
  if constexpr (Centered) {
    const auto [sum] =
        row_sums<P, 1>(n, [&](std::int64_t k, int count, P(&sums)[1]) { sums[0] += load_or<P>(x + k, count, T(0)); });
    const T mean = static_cast<T>(sum / d);
    const P all(mean);
    const auto [differences, squares] = row_sums<P, 2>(n, [&](std::int64_t k, int count, P(&sums)[2]) {
      const P difference = load_or<P>(x + k, count, mean) - all;
      sums[0] += difference;
      sums[1] = fma(difference, difference, sums[1]);
    });
    const double rest = differences / d;
    const double spread = squares / d - rest * rest;
    const double variance = spread < 0 ? 0 : spread;  // NaN stays
    return {mean, static_cast<T>(rest), static_cast<T>(1 / std::sqrt(variance + epsilon))};
  } else {
    const auto [squares] = row_sums<P, 1>(n, [&](std::int64_t k, int count, P(&sums)[1]) {
      const P value = load_or<P>(x + k, count, T(0));
      sums[0] = fma(value, value, sums[0]);
    });
    return {T(0), T(0), static_cast<T>(1 / std::sqrt(squares / d + epsilon))};
  }
}

/// x += branch, rounded to x's type.
template <class P, class X, class R>
TESSERA_NOINLINE void add_branch(X* x, const R* branch, std::int64_t n) {
  using T = typename P::value_type;
  using tile::detail::load_or;
  tile::detail::write_run<P>(x, n, false, [&](std::int64_t k, int count) {
    return load_or<P>(static_cast<const X*>(x) + k, count, T(0)) + load_or<P>(branch + k, count, T(0));
  });
}

/// y = (x - mean) inverse gain + bias; gain and bias may be null.
template <bool Centered, class P, class X, class Gain, class B, class Y>
TESSERA_NOINLINE row_statistics<typename P::value_type> normalise_row(const X* x, const Gain* gain, const B* bias, Y* y,
                                                                      std::int64_t n, double epsilon) {
  using T = typename P::value_type;
  using tile::detail::load_or;
  const auto statistics = statistics_of<Centered, P>(x, n, epsilon);
  const P mean(statistics.mean);
  const P rest(statistics.rest);
  const P inverse(statistics.inverse);
  tile::detail::write_run<P>(y, n, false, [&](std::int64_t k, int count) {
    P normal = load_or<P>(x + k, count, T(0));
    if constexpr (Centered) normal = (normal - mean) - rest;
    normal = normal * inverse;
    if (gain != nullptr) normal = normal * load_or<P>(gain + k, count, T(0));
    return bias != nullptr ? normal + load_or<P>(bias + k, count, T(0)) : normal;
  });
  return statistics;
}

/// Where a row's gradients go, each null where it is not wanted: grad_x, and what is added to sums over rows.
template <class T, class D>
struct norm_row_gradients {
  D* x;
  T* gain;
  T* bias;
  bool add_to_x;
};

/// The gradients of a row that has been normalised by `mean` (rounded) and `inverse`.
template <bool Centered, class P, class X, class Gain, class G, class D>
TESSERA_NOINLINE void normalise_row_backward(const X* x, const Gain* gain, typename P::value_type mean_of_row,
                                             typename P::value_type inverse_of_row, const G* grad_y, std::int64_t n,
                                             const norm_row_gradients<typename P::value_type, D>& to) {
  using T = typename P::value_type;
  using tile::detail::load_or;
  const auto d = static_cast<double>(n);
  const P mean(mean_of_row);
  const P inverse(inverse_of_row);
  const auto shifted = [&](std::int64_t k, int count) {
    const P value = load_or<P>(x + k, count, Centered ? mean_of_row : T(0));
    return (Centered ? value - mean : value) * inverse;
  };
  const auto slope = [&](std::int64_t k, int count) {
    const P g = load_or<P>(grad_y + k, count, T(0));
    return gain != nullptr ? g * load_or<P>(gain + k, count, T(0)) : g;
  };
  T rest_of_row = 0;  // of the mean, which was rounded when it was stored: what the normalised row is off 0 by
  T mean_slope = 0;
  T mean_product = 0;
  if constexpr (Centered) {
    const auto [normals, slopes, products] = row_sums<P, 3>(n, [&](std::int64_t k, int count, P(&sums)[3]) {
      const P normal = shifted(k, count);
      const P h = slope(k, count);
      sums[0] += normal;
      sums[1] += h;
      sums[2] = fma(h, normal, sums[2]);
    });
    rest_of_row = static_cast<T>(normals / d);
    mean_slope = static_cast<T>(slopes / d);
    mean_product = static_cast<T>(products / d - normals / d * (slopes / d));
  } else if (to.x != nullptr) {
    const auto [products] = row_sums<P, 1>(
        n, [&](std::int64_t k, int count, P(&sums)[1]) { sums[0] = fma(slope(k, count), shifted(k, count), sums[0]); });
    mean_product = static_cast<T>(products / d);
  }
  const P rest(rest_of_row);
  const P level(mean_slope);
  const P share(mean_product);
  const auto one = [&](std::int64_t k, int count) {
    const auto keep = [&](auto* p, P v) {
      if (count == P::lanes) {
        simd::store_as(p + k, v);
      } else {
        simd::store_partial(p + k, count, v);
      }
    };
    const P normal = shifted(k, count) - rest;
    const P g = load_or<P>(grad_y + k, count, T(0));
    const P h = gain != nullptr ? g * load_or<P>(gain + k, count, T(0)) : g;
    if (to.gain != nullptr) keep(to.gain, fma(g, normal, load_or<P>(static_cast<const T*>(to.gain) + k, count, T(0))));
    if (to.bias != nullptr) keep(to.bias, g + load_or<P>(static_cast<const T*>(to.bias) + k, count, T(0)));
    if (to.x != nullptr) {
      const P grad = fma(-normal, share, h - level) * inverse;
      keep(to.x, to.add_to_x ? grad + load_or<P>(static_cast<const D*>(to.x) + k, count, T(0)) : grad);
    }
  };
  tile::detail::for_packs<P, 2>(n, [&](int, std::int64_t k, int count) { one(k, count); });
}

}  // namespace tessera::training::detail
