// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of attention/backward.hpp: the weights of a row are stored, then every gradient is a plain sum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/reference/contraction.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::reference {

/// The score that is the scaled product itself.
struct plain_score {
  template <class Real>
  Real operator()(Real s, std::int64_t, std::int64_t, std::int64_t, std::int64_t) const {
    return s;
  }
  template <class Real>
  Real derivative(Real, std::int64_t, std::int64_t, std::int64_t, std::int64_t) const {
    return 1;
  }
};

/// Gradients, each contiguous in the shape of what they belong to.
template <class Real>
struct attention_gradients {
  std::vector<Real> dq;
  std::vector<Real> dk;
  std::vector<Real> dv;
};

/// Gradients of sum(dout * out), out = softmax(score(scale q k^T)) v.
///
/// visible(b, h, i, j) says whether query i sees key j; score(s, b, h, i, j) makes a score of the scaled product s, and
/// score.derivative(s, b, h, i, j) is its derivative there. collect(b, h, i, j, ds) is told the gradient of every visible score.
template <class Real = double, class Q, class K, class V, class G, class Visible, class Score, class Collect>
attention_gradients<Real> attention_backward(const view<Q, 4>& q, const view<K, 4>& k, const view<V, 4>& v,
                                             const view<G, 4>& dout, double scale, const Visible& visible, const Score& score,
                                             const Collect& collect) {
  const auto at = [](const auto& x, std::int64_t b, std::int64_t h, std::int64_t i) {
    return static_cast<std::size_t>(((b * x.extent(1) + h) * x.extent(2) + i) * x.extent(3));
  };
  attention_gradients<Real> result;
  result.dq.assign(static_cast<std::size_t>(q.size()), Real(0));
  result.dk.assign(static_cast<std::size_t>(k.size()), Real(0));
  result.dv.assign(static_cast<std::size_t>(v.size()), Real(0));
  const auto factor = static_cast<Real>(scale);
  for (std::int64_t b = 0; b < q.extent(0); ++b) {
    for (std::int64_t h = 0; h < q.extent(1); ++h) {
      const std::int64_t kv_h = h * k.extent(1) / q.extent(1);
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
          if (!visible(b, h, i, j)) continue;
          products.push_back(factor * dot{}(query, keys[static_cast<std::size_t>(j)], i, j));
          row.push_back({j, score(products.back(), b, h, i, j)});
        }
        std::vector<Real> weights = softmax_weights(row);
        Real mass = 0;
        for (const Real weight : weights) mass += weight;
        if (mass == 0) continue;  // a row that sees nothing has no gradients
        Real mean = 0;            // sum_j p_j (dout . v_j) = dout . out
        std::vector<Real> weight_gradients;
        for (std::size_t e = 0; e < row.size(); ++e) {
          weights[e] /= mass;
          weight_gradients.push_back(dot{}(gradient, values[static_cast<std::size_t>(row[e].key)], i, row[e].key));
          mean += weights[e] * weight_gradients[e];
        }
        for (std::size_t e = 0; e < row.size(); ++e) {
          const std::int64_t j = row[e].key;
          const Real ds = weights[e] * (weight_gradients[e] - mean);
          collect(b, h, i, j, ds);
          const Real slope = factor * ds * score.derivative(products[e], b, h, i, j);
          const std::vector<Real>& key = keys[static_cast<std::size_t>(j)];
          for (std::size_t d = 0; d < query.size(); ++d) {
            result.dq[at(q, b, h, i) + d] += slope * key[d];
            result.dk[at(k, b, kv_h, j) + d] += slope * query[d];
          }
          for (std::size_t c = 0; c < gradient.size(); ++c) result.dv[at(v, b, kv_h, j) + c] += weights[e] * gradient[c];
        }
      }
    }
  }
  return result;
}

template <class Real = double, class Q, class K, class V, class G, class Visible, class Score = plain_score>
attention_gradients<Real> attention_backward(const view<Q, 4>& q, const view<K, 4>& k, const view<V, 4>& v,
                                             const view<G, 4>& dout, double scale, const Visible& visible,
                                             const Score& score = {}) {
  return attention_backward<Real>(q, k, v, dout, scale, visible, score,
                                  [](std::int64_t, std::int64_t, std::int64_t, std::int64_t, Real) {});
}

}  // namespace tessera::reference
