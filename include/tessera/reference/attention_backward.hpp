// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of attention/backward.hpp: the weights of a row are stored, then every gradient is a plain sum.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "tessera/attention/options.hpp"
#include "tessera/reference/attention.hpp"
#include "tessera/reference/contraction.hpp"
#include "tessera/reference/rotary.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::reference {

/// Gradients, each contiguous in the shape of what they belong to.
template <class Real>
struct attention_gradients {
  std::vector<Real> dq;
  std::vector<Real> dk;
  std::vector<Real> dv;
};

/// Gradients of sum(dout * out), out as reference::attention has it. collect(b, h, i, j, ds) is told the gradient of every visible score,
/// with j = -1 that of the sink.
template <class Real = double, class Q, class K, class V, class G, class Mask, class Score, class Accumulation, class Collect>
attention_gradients<Real> attention_backward(const view<Q, 4>& q, const view<K, 4>& k, const view<V, 4>& v,
                                             const view<G, 4>& dout,
                                             const tessera::attention::options<Mask, Score, Accumulation>& options,
                                             const Collect& collect) {
  if (options.rotary.rotates()) {
    attention_gradients<Real> of_rotated;
    with_rotated<Real>(q, k, options, [&](const auto& rotated_q, const auto& rotated_k, const auto& rest) {
      of_rotated = attention_backward<Real>(rotated_q, rotated_k, v, dout, rest, collect);
    });
    const auto back = [&](const auto& like, std::vector<Real>& gradient, std::int64_t first) {
      const view<const Real, 4> x(gradient.data(), like.extent(0), like.extent(1), like.extent(2), like.extent(3));
      gradient = rotated<Real>(x, options.rotary, first, true);
    };
    if (options.rotary.queries) back(q, of_rotated.dq, options.rotary.query_position(q.extent(2), k.extent(2)));
    if (options.rotary.keys) back(k, of_rotated.dk, options.rotary.first_key);
    return of_rotated;
  }
  const std::int64_t len_q = q.extent(2);
  const std::int64_t len_k = k.extent(2);
  const double scale = options.scale ? *options.scale : q.extent(3) > 0 ? 1 / std::sqrt(static_cast<double>(q.extent(3))) : 1.0;
  const auto factor_of = [](const view<const float, 1>& factors, std::int64_t h) {
    return factors.data_handle() != nullptr ? static_cast<double>(factors(h)) : 1.0;
  };
  const auto at = [](const auto& x, std::int64_t b, std::int64_t h, std::int64_t i) {
    return static_cast<std::size_t>(((b * x.extent(1) + h) * x.extent(2) + i) * x.extent(3));
  };
  const auto kept = [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
    return static_cast<Real>(options.dropout.keeps(b, h, i, j, q.extent(1), len_q) ? options.dropout.factor() : 0.0);
  };
  attention_gradients<Real> result;
  result.dq.assign(static_cast<std::size_t>(q.size()), Real(0));
  result.dk.assign(static_cast<std::size_t>(k.size()), Real(0));
  result.dv.assign(static_cast<std::size_t>(v.size()), Real(0));
  for (std::int64_t b = 0; b < q.extent(0); ++b) {
    for (std::int64_t h = 0; h < q.extent(1); ++h) {
      const std::int64_t kv_h = h * k.extent(1) / q.extent(1);
      const auto factor = static_cast<Real>(scale * factor_of(options.key_scales, kv_h));
      const auto value_factor = static_cast<Real>(factor_of(options.value_scales, kv_h));
      const auto queries = rows<Real>(q[b][h]);
      const auto keys = rows<Real>(k[b][kv_h]);
      const auto values = rows<Real>(v[b][kv_h]);
      const auto gradients = rows<Real>(dout[b][h]);
      for (std::int64_t i = 0; i < q.extent(2); ++i) {
        const std::vector<Real>& query = queries[static_cast<std::size_t>(i)];
        const std::vector<Real>& gradient = gradients[static_cast<std::size_t>(i)];
        scored_row<Real> row;
        std::vector<Real> products;
        for (std::int64_t j = 0; j < k.extent(2); ++j) {
          if (!visible(options.mask, b, h, i, j, len_q, len_k)) continue;
          products.push_back(factor * dot{}(query, keys[static_cast<std::size_t>(j)], i, j));
          row.push_back({j, products.back()});
          if constexpr (!std::is_same_v<Score, tessera::attention::plain_score>) {
            row.back().score =
                static_cast<Real>(scored(options.score, static_cast<double>(products.back()), b, h, i, j, len_q, len_k));
          }
        }
        const bool sink = options.sinks.data_handle() != nullptr;
        if (sink) row.push_back({-1, static_cast<Real>(options.sinks(h))});
        std::vector<Real> weights = softmax_weights(row);
        Real mass = 0;
        for (const Real weight : weights) mass += weight;
        if (mass == 0) continue;  // a row that sees nothing has no gradients
        Real mean = 0;            // sum_j p_j (dout . v_j) = dout . out
        std::vector<Real> weight_gradients;
        for (std::size_t e = 0; e < row.size(); ++e) {
          weights[e] /= mass;
          const std::int64_t j = row[e].key;
          weight_gradients.push_back(
              j < 0 ? Real(0) : kept(b, h, i, j) * value_factor * dot{}(gradient, values[static_cast<std::size_t>(j)], i, j));
          mean += weights[e] * weight_gradients[e];
        }
        for (std::size_t e = 0; e < row.size(); ++e) {
          const std::int64_t j = row[e].key;
          const Real ds = weights[e] * (weight_gradients[e] - mean);
          collect(b, h, i, j, ds);
          if (j < 0) continue;
          Real slope = factor * ds;
          if constexpr (!std::is_same_v<Score, tessera::attention::plain_score>) {
            slope *=
                static_cast<Real>(score_derivative(options.score, static_cast<double>(products[e]), b, h, i, j, len_q, len_k));
          }
          const std::vector<Real>& key = keys[static_cast<std::size_t>(j)];
          for (std::size_t d = 0; d < query.size(); ++d) {
            result.dq[at(q, b, h, i) + d] += slope * key[d];
            result.dk[at(k, b, kv_h, j) + d] += slope * query[d];
          }
          for (std::size_t c = 0; c < gradient.size(); ++c)
            result.dv[at(v, b, kv_h, j) + c] += kept(b, h, i, j) * value_factor * weights[e] * gradient[c];
        }
      }
    }
  }
  return result;
}

template <class Real = double, class Q, class K, class V, class G, class Mask = tessera::attention::band,
          class Score = tessera::attention::plain_score, class Accumulation = tessera::attention::plain_sums>
attention_gradients<Real> attention_backward(const view<Q, 4>& q, const view<K, 4>& k, const view<V, 4>& v,
                                             const view<G, 4>& dout,
                                             const tessera::attention::options<Mask, Score, Accumulation>& options) {
  return attention_backward<Real>(q, k, v, dout, options, [](std::int64_t, std::int64_t, std::int64_t, std::int64_t, Real) {});
}

}  // namespace tessera::reference
