// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Optimisers as their papers have them: one weight, or one tensor, after the other, in Real.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/training/optimizer_options.hpp"

namespace tessera::reference {

/// Loshchilov & Hutter 2019, algorithm 2; with decoupled = false Kingma & Ba 2015, algorithm 1, with decay in the gradient.
template <class Real>
void adam(Real& weight, Real gradient, Real& first, Real& second, std::int64_t step, const training::adam_options& o,
          bool decoupled) {
  const auto k = static_cast<Real>(step);
  const Real beta1 = o.beta1;
  const Real beta2 = o.beta2;
  Real g = gradient * static_cast<Real>(o.gradient_factor);
  if (!decoupled) g += o.weight_decay * weight;
  first = beta1 * first + (1 - beta1) * g;
  second = beta2 * second + (1 - beta2) * g * g;
  const Real mean = first / (1 - std::pow(beta1, k));
  const Real square = second / (1 - std::pow(beta2, k));
  if (decoupled) weight -= o.rate * o.weight_decay * weight;
  weight -= o.rate * mean / (std::sqrt(square) + o.epsilon);
}

/// Sutskever et al. 2013, in the form of PyTorch, which does not dampen the first step.
template <class Real>
void sgd(Real& weight, Real gradient, Real& velocity, std::int64_t step, const training::sgd_options& o, bool with_velocity) {
  Real g = gradient * static_cast<Real>(o.gradient_factor) + o.weight_decay * weight;
  if (with_velocity) {
    velocity = o.momentum * velocity + (step == 1 ? Real(1) : 1 - o.dampening) * g;
    g = o.nesterov ? g + o.momentum * velocity : velocity;
  }
  weight -= o.rate * g;
}

/// Chen et al. 2023, algorithm 2.
template <class Real>
void lion(Real& weight, Real gradient, Real& average, const training::lion_options& o) {
  const Real g = gradient * static_cast<Real>(o.gradient_factor);
  const Real u = o.beta1 * average + (1 - o.beta1) * g;
  average = o.beta2 * average + (1 - o.beta2) * g;
  weight -= o.rate * (static_cast<Real>(u > 0 ? 1 : u < 0 ? -1 : u) + o.weight_decay * weight);
}

/// You et al. 2020, algorithm 2, of one tensor.
template <class Real>
void lamb(std::vector<Real>& weights, const std::vector<Real>& gradients, std::vector<Real>& first, std::vector<Real>& second,
          std::int64_t step, const training::lamb_options& o) {
  const auto k = static_cast<Real>(step);
  const Real beta1 = o.beta1;
  const Real beta2 = o.beta2;
  std::vector<Real> r(weights.size());
  Real of_weights = 0;
  Real of_directions = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Real g = gradients[i] * static_cast<Real>(o.gradient_factor);
    first[i] = beta1 * first[i] + (1 - beta1) * g;
    second[i] = beta2 * second[i] + (1 - beta2) * g * g;
    const Real mean = first[i] / (1 - std::pow(beta1, k));
    const Real square = second[i] / (1 - std::pow(beta2, k));
    r[i] = mean / (std::sqrt(square) + o.epsilon) + o.weight_decay * weights[i];
    of_weights += weights[i] * weights[i];
    of_directions += r[i] * r[i];
  }
  const Real ratio = of_weights == 0 || of_directions == 0 ? Real(1) : std::sqrt(of_weights) / std::sqrt(of_directions);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] -= o.rate * ratio * r[i];
}

}  // namespace tessera::reference
