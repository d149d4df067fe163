// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of attention/forward.hpp: the scores of a row are stored, then a softmax, then a weighted mean.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/attention/options.hpp"
#include "tessera/reference/contraction.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::reference {

/// emit(b, h, i, out, lse) for every query row, with the row out of softmax(scale q k^T) v and its log-sum-exp.
template <class Real = double, class Q, class K, class V, class Emit>
void attention(const view<Q, 4>& q, const view<K, 4>& k, const view<V, 4>& v, const tessera::attention::options& options,
               const Emit& emit) {
  const std::int64_t len_q = q.extent(2);
  const std::int64_t len_k = k.extent(2);
  const double scale = options.scale ? *options.scale : q.extent(3) > 0 ? 1 / std::sqrt(static_cast<double>(q.extent(3))) : 1.0;
  const auto visible = [&](std::int64_t i, std::int64_t j) {
    if (options.mask == tessera::attention::mask::none) return true;
    return options.alignment == tessera::attention::alignment::top_left ? j <= i : j <= i + len_k - len_q;
  };
  for (std::int64_t b = 0; b < q.extent(0); ++b) {
    for (std::int64_t h = 0; h < q.extent(1); ++h) {
      const std::int64_t kv_h = h * k.extent(1) / q.extent(1);
      const auto values = rows<Real>(v[b][kv_h]);
      const auto value_dim = static_cast<std::size_t>(v.extent(3));
      score_rows<Real>(
          q[b][h], k[b][kv_h], scaled_dot{scale},
          [&](std::int64_t i, const scored_row<Real>& row) {
            emit(b, h, i, weighted_mean(row, values, value_dim), logsumexp{}(row));
          },
          visible);
    }
  }
}

}  // namespace tessera::reference
