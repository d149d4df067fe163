// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of training/linear_cross_entropy.hpp and its gradients: all logits of a row, then its loss.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "tessera/reference/contraction.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/cross_entropy_options.hpp"

namespace tessera::reference {

template <class Real>
struct cross_entropy {
  std::vector<Real> row_losses;  ///< 0 in rows that do not count
  std::vector<Real> lse;
  Real loss;  ///< reduced; of reduction::none the sum
  std::vector<std::vector<Real>> grad_hidden, grad_weight;
  std::vector<Real> grad_bias;
};

/// The loss of logits hidden weight^T + bias (all 0 where it is empty), and its gradients for grad_loss of one number, or one a row.
template <class Real = double, class H, class W, class Target>
cross_entropy<Real> linear_cross_entropy(const view<H, 2>& hidden, const view<W, 2>& weight, const std::vector<Real>& bias,
                                         const view<Target, 1>& target, const tessera::training::cross_entropy_options& options,
                                         const std::vector<Real>& grad_loss) {
  using tessera::training::reduction;
  const auto h = rows<Real>(hidden);
  const auto w = rows<Real>(weight);
  const auto depth = static_cast<std::size_t>(hidden.extent(1));
  const auto smoothing = static_cast<Real>(options.label_smoothing);
  const auto z_loss = static_cast<Real>(options.z_loss);
  cross_entropy<Real> result{std::vector<Real>(h.size()),
                             std::vector<Real>(h.size()),
                             0,
                             std::vector(h.size(), std::vector<Real>(depth)),
                             std::vector(w.size(), std::vector<Real>(depth)),
                             std::vector<Real>(w.size())};
  Real counting = 0;
  for (std::size_t i = 0; i < h.size(); ++i) counting += target(static_cast<std::int64_t>(i)) != options.ignore_index;
  for (std::size_t i = 0; i < h.size(); ++i) {
    const auto t = static_cast<std::int64_t>(target(static_cast<std::int64_t>(i)));
    if (t == options.ignore_index) continue;
    scored_row<Real> row;
    Real sum = 0;
    for (std::size_t j = 0; j < w.size(); ++j) {
      row.push_back({static_cast<std::int64_t>(j), dot{}(h[i], w[j], 0, 0) + (bias.empty() ? Real(0) : bias[j])});
      sum += row[j].score;
    }
    const Real lse = logsumexp{}(row);
    const auto classes = static_cast<Real>(w.size());
    result.lse[i] = lse;
    result.row_losses[i] = (1 - smoothing) * (lse - row[static_cast<std::size_t>(t)].score);
    if (smoothing > 0) result.row_losses[i] += smoothing * (lse - sum / classes);
    if (z_loss > 0) result.row_losses[i] += z_loss * lse * lse;
    result.loss += result.row_losses[i];
    Real scale = grad_loss[options.reduce == reduction::none ? i : 0];
    if (options.reduce == reduction::mean) scale /= counting;
    for (std::size_t j = 0; j < w.size(); ++j) {
      const Real hit = static_cast<std::int64_t>(j) == t ? 1 - smoothing : Real(0);
      const Real g = scale * (std::exp(row[j].score - lse) * (1 + 2 * z_loss * lse) - smoothing / classes - hit);
      result.grad_bias[j] += g;
      for (std::size_t k = 0; k < depth; ++k) {
        result.grad_hidden[i][k] += g * w[j][k];
        result.grad_weight[j][k] += g * h[i][k];
      }
    }
  }
  if (options.reduce == reduction::mean) result.loss /= counting;
  return result;
}

}  // namespace tessera::reference
