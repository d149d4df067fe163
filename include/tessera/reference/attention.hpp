// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of attention/forward.hpp: the scores of a row are stored, then a softmax, then a weighted mean.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "tessera/attention/options.hpp"
#include "tessera/reference/contraction.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::reference {

/// What a call's mask, a value or a function, says of a pair.
template <class Mask>
bool visible(const Mask& mask, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, std::int64_t len_q,
             std::int64_t len_k) {
  if constexpr (tessera::attention::head_mask<Mask>) {
    return mask.head(b, h, len_q, len_k).visible(i, j);
  } else {
    return static_cast<bool>(mask(b, h, i, j));
  }
}

/// What a call's score, a value or a function, makes of a scaled product.
template <class Score>
double scored(const Score& score, double s, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, std::int64_t len_q,
              std::int64_t len_k) {
  if constexpr (tessera::attention::head_score<Score>) {
    return score.head(b, h, len_q, len_k)(s, i, j);
  } else {
    return static_cast<double>(score(s, b, h, i, j));
  }
}

/// emit(b, h, i, out, lse) for every query row, with the row out of softmax(score(scale q k^T)) v and its log-sum-exp.
template <class Real = double, class Q, class K, class V, class Mask, class Score, class Emit>
void attention(const view<Q, 4>& q, const view<K, 4>& k, const view<V, 4>& v,
               const tessera::attention::options<Mask, Score>& options, const Emit& emit) {
  const std::int64_t len_q = q.extent(2);
  const std::int64_t len_k = k.extent(2);
  const double scale = options.scale ? *options.scale : q.extent(3) > 0 ? 1 / std::sqrt(static_cast<double>(q.extent(3))) : 1.0;
  const auto factor = [](const view<const float, 1>& factors, std::int64_t at) {
    return factors.data_handle() != nullptr ? static_cast<double>(factors(at)) : 1.0;
  };
  for (std::int64_t b = 0; b < q.extent(0); ++b) {
    for (std::int64_t h = 0; h < q.extent(1); ++h) {
      const std::int64_t kv_h = h * k.extent(1) / q.extent(1);
      const auto values = rows<Real>(v[b][kv_h]);
      const auto value_dim = static_cast<std::size_t>(v.extent(3));
      score_rows<Real>(
          q[b][h], k[b][kv_h], scaled_dot{scale * factor(options.key_scales, kv_h)},
          [&](std::int64_t i, scored_row<Real> row) {
            if constexpr (!std::is_same_v<Score, tessera::attention::plain_score>) {
              for (auto& [j, s] : row) s = scored(options.score, static_cast<double>(s), b, h, i, j, len_q, len_k);
            }
            auto mean = weighted_mean(row, values, value_dim);
            Real lse = logsumexp{}(row);
            Real share = static_cast<Real>(factor(options.value_scales, kv_h));
            if (options.sinks.data_handle() != nullptr) {
              row.push_back({-1, static_cast<Real>(options.sinks(h))});
              const Real with_sink = logsumexp{}(row);
              if (lse != with_sink) share *= std::exp(lse - with_sink);
              lse = with_sink;
            }
            for (Real& x : mean) x *= share;
            emit(b, h, i, mean, lse);
          },
          [&](std::int64_t i, std::int64_t j) { return visible(options.mask, b, h, i, j, len_q, len_k); });
    }
  }
}

}  // namespace tessera::reference
