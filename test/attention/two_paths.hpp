// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The same call on the path of few queries and on that of blocks of queries: whatever one gives, the other must give.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "../support/random.hpp"
#include "oracle.hpp"

namespace two_paths {

/// The elements of out and lse that differ in their bits; NaNs count as one.
template <class T, class Exec, class Q, class K, class V, class Mask, class Score, class Accumulation>
int differences(const Exec& exec, const oracle::inputs<Q, K, V>& in, double scale,
                const tessera::attention::options<Mask, Score, Accumulation>& options) {
  namespace detail = tessera::attention::detail;
  const auto extents = in.out_extents();
  const std::int64_t heads = extents[1];
  const std::int64_t len = extents[2];
  const std::int64_t dim = extents[3];
  const auto rows = static_cast<std::size_t>(extents[0] * heads * len);
  const auto columns = static_cast<std::size_t>(dim);
  std::vector<T> out[2];
  std::vector<T> lse[2];
  for (const std::size_t path : {0U, 1U}) {
    out[path].assign(rows * columns, T(-77));
    lse[path].assign(rows, T(-77));
    const auto row = [&](std::int64_t b, std::int64_t h, std::int64_t i) {
      return static_cast<std::size_t>((b * heads + h) * len + i);
    };
    const auto store = [&](std::int64_t b, std::int64_t h, std::int64_t i, const T* values) {
      for (std::size_t c = 0; c < columns; ++c) out[path][row(b, h, i) * columns + c] = values[c];
    };
    const auto emit = [&](std::int64_t b, std::int64_t h, std::int64_t i, T value) { lse[path][row(b, h, i)] = value; };
    const detail::sequences<Q, K, V> x(in.q.view(), in.k.view(), in.v.view());
    if (path == 0) {
      detail::run_forward<T>(tessera::seq, x, {nullptr, x.batch()}, scale, options, store, emit);
    } else {
      detail::run_few_queries<T>(exec, x, {nullptr, x.batch()}, scale, options, store, emit);
    }
  }
  int wrong = 0;
  const auto differ = [](T a, T b) { return !(std::isnan(a) && std::isnan(b)) && std::memcmp(&a, &b, sizeof(T)) != 0; };
  for (std::size_t n = 0; n < out[0].size(); ++n) wrong += differ(out[0][n], out[1][n]);
  for (std::size_t n = 0; n < rows; ++n) wrong += differ(lse[0][n], lse[1][n]);
  return wrong;
}

/// Fills q, k and v with normal numbers, q with larger ones.
template <class Q, class K, class V>
void fill(oracle::inputs<Q, K, V>& in, std::uint64_t seed) {
  in.q.fill([=](std::uint64_t n) { return 3 * support::normal(seed, n); });
  in.k.fill([=](std::uint64_t n) { return support::normal(seed + 1, n); });
  in.v.fill([=](std::uint64_t n) { return support::normal(seed + 2, n); });
}

}  // namespace two_paths
