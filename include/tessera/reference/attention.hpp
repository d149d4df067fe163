// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of attention/forward.hpp and jvp.hpp: the scores of a row are stored, then a softmax, then a weighted mean.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "tessera/attention/options.hpp"
#include "tessera/reference/contraction.hpp"
#include "tessera/reference/rotary.hpp"
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

/// weighted_mean where the weights of dropped pairs are 0 in the sum of values alone, and the rest is multiplied by dropout's factor.
template <class Real>
std::vector<Real> dropped_mean(const tessera::attention::dropout& dropout, const scored_row<Real>& row,
                               const std::vector<std::vector<Real>>& values, std::size_t value_dim, std::int64_t b,
                               std::int64_t h, std::int64_t i, std::int64_t heads, std::int64_t len_q) {
  const std::vector<Real> weights = softmax_weights(row);
  Real mass = 0;
  std::vector<Real> mean(value_dim, Real(0));
  for (std::size_t e = 0; e < row.size(); ++e) {
    mass += weights[e];
    const Real kept =
        dropout.keeps(b, h, i, row[e].key, heads, len_q) ? weights[e] * static_cast<Real>(dropout.factor()) : Real(0);
    for (std::size_t c = 0; c < value_dim; ++c) mean[c] += kept * values[static_cast<std::size_t>(row[e].key)][c];
  }
  for (Real& x : mean) x = mass == 0 ? Real(0) : x / mass;
  return mean;
}

/// emit(b, h, i, out, lse) for every query row, with the row out of softmax(score(scale q k^T)) v and its log-sum-exp.
template <class Real = double, class Q, class K, class V, class Mask = tessera::attention::band,
          class Score = tessera::attention::plain_score, class Accumulation = tessera::attention::plain_sums, class Emit>
void attention(const view<Q, 4>& q, const view<K, 4>& k, const view<V, 4>& v,
               const tessera::attention::options<Mask, Score, Accumulation>& options, const Emit& emit) {
  if (options.rotary.rotates()) {
    with_rotated<Real>(q, k, options, [&](const auto& rotated_q, const auto& rotated_k, const auto& rest) {
      attention<Real>(rotated_q, rotated_k, v, rest, emit);
    });
    return;
  }
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
              for (auto& [j, s] : row)
                s = static_cast<Real>(scored(options.score, static_cast<double>(s), b, h, i, j, len_q, len_k));
            }
            auto mean = weighted_mean(row, values, value_dim);
            if (options.dropout.active())
              mean = dropped_mean(options.dropout, row, values, value_dim, b, h, i, q.extent(1), len_q);
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

/// What the derivative of a call's score in the scaled product is.
template <class Score>
double score_derivative(const Score& score, double s, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j,
                        std::int64_t len_q, std::int64_t len_k) {
  return score.head(b, h, len_q, len_k).derivative(s, i, j);
}

/// The specification of attention/jvp.hpp: emit(b, h, i, out, dout) for every query row.
template <class Real = double, class Q, class K, class V, class DQ, class DK, class DV, class Mask = tessera::attention::band,
          class Score = tessera::attention::plain_score, class Accumulation = tessera::attention::plain_sums, class Emit>
void attention_jvp(const view<Q, 4>& q, const view<K, 4>& k, const view<V, 4>& v, const view<DQ, 4>& dq, const view<DK, 4>& dk,
                   const view<DV, 4>& dv, const tessera::attention::options<Mask, Score, Accumulation>& options,
                   const Emit& emit) {
  if (options.rotary.rotates()) {
    with_rotated<Real>(q, k, options, [&](const auto& rotated_q, const auto& rotated_k, const auto& rest) {
      with_rotated<Real>(dq, dk, options, [&](const auto& rotated_dq, const auto& rotated_dk, const auto&) {
        attention_jvp<Real>(rotated_q, rotated_k, v, rotated_dq, rotated_dk, dv, rest, emit);
      });
    });
    return;
  }
  const std::int64_t len_q = q.extent(2);
  const std::int64_t len_k = k.extent(2);
  const double scale = options.scale ? *options.scale : q.extent(3) > 0 ? 1 / std::sqrt(static_cast<double>(q.extent(3))) : 1.0;
  std::vector<Real> lse;
  attention<Real>(q, k, v, options, [&](auto, auto, auto, const std::vector<Real>&, Real row) { lse.push_back(row); });
  std::size_t at = 0;
  for (std::int64_t b = 0; b < q.extent(0); ++b) {
    for (std::int64_t h = 0; h < q.extent(1); ++h) {
      const std::int64_t kv_h = h * k.extent(1) / q.extent(1);
      const double key_scale = options.key_scales.data_handle() != nullptr ? static_cast<double>(options.key_scales(kv_h)) : 1.0;
      const double value_scale =
          options.value_scales.data_handle() != nullptr ? static_cast<double>(options.value_scales(kv_h)) : 1.0;
      const auto queries = rows<Real>(q[b][h]);
      const auto query_tangents = rows<Real>(dq[b][h]);
      const auto keys = rows<Real>(k[b][kv_h]);
      const auto key_tangents = rows<Real>(dk[b][kv_h]);
      const auto values = rows<Real>(v[b][kv_h]);
      const auto value_tangents = rows<Real>(dv[b][kv_h]);
      for (std::int64_t i = 0; i < len_q; ++i, ++at) {
        const auto row = static_cast<std::size_t>(i);
        std::vector<Real> out(static_cast<std::size_t>(v.extent(3)), Real(0));
        std::vector<Real> dout(out);
        Real mean = 0;
        for (std::int64_t j = 0; j < len_k; ++j) {
          if (!visible(options.mask, b, h, i, j, len_q, len_k)) continue;
          const auto key = static_cast<std::size_t>(j);
          const Real s = static_cast<Real>(scale * key_scale) * dot{}(queries[row], keys[key], i, j);
          const Real ds = static_cast<Real>(scale * key_scale) *
                          (dot{}(query_tangents[row], keys[key], i, j) + dot{}(queries[row], key_tangents[key], i, j)) *
                          static_cast<Real>(score_derivative(options.score, static_cast<double>(s), b, h, i, j, len_q, len_k));
          Real scored_s = s;
          if constexpr (!std::is_same_v<Score, tessera::attention::plain_score>) {
            scored_s = static_cast<Real>(scored(options.score, static_cast<double>(s), b, h, i, j, len_q, len_k));
          }
          const Real p = lse[at] == -std::numeric_limits<Real>::infinity() ? Real(0) : std::exp(scored_s - lse[at]);
          if (p == 0) continue;
          mean += p * ds;
          const bool kept = options.dropout.keeps(b, h, i, j, q.extent(1), len_q);
          const Real share = kept ? p * static_cast<Real>(options.dropout.factor()) : Real(0);
          for (std::size_t c = 0; c < out.size(); ++c) {
            out[c] += share * values[key][c];
            dout[c] += share * (value_tangents[key][c] + ds * values[key][c]);
          }
        }
        for (std::size_t c = 0; c < out.size(); ++c) {
          dout[c] = static_cast<Real>(value_scale) * (dout[c] - mean * out[c]);
          out[c] *= static_cast<Real>(value_scale);
        }
        emit(b, h, i, out, dout);
      }
    }
  }
}

}  // namespace tessera::reference
