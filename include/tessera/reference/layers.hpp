// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of a network's layers in training/, forward and backward: plain loops in Real.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tessera/reference/contraction.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::reference {

// ---- Activations: value(x) and slope(x) ----

struct identity {
  template <class Real>
  static Real value(Real x) {
    return x;
  }
  template <class Real>
  static Real slope(Real) {
    return 1;
  }
};
struct relu {
  template <class Real>
  static Real value(Real x) {
    return x > 0 ? x : 0;
  }
  template <class Real>
  static Real slope(Real x) {
    return x > 0 ? 1 : 0;
  }
};
struct silu {
  template <class Real>
  static Real value(Real x) {
    return x / (1 + std::exp(-x));
  }
  template <class Real>
  static Real slope(Real x) {
    const Real s = 1 / (1 + std::exp(-x));
    const Real rest = 1 / (1 + std::exp(x));
    return s + x * s * rest;
  }
};
struct gelu {
  template <class Real>
  static Real value(Real x) {
    return x * std::erfc(-x / std::sqrt(Real(2))) / 2;
  }
  template <class Real>
  static Real slope(Real x) {
    const Real pi = 3.141592653589793238462643383279502884L;
    return std::erfc(-x / std::sqrt(Real(2))) / 2 + x * std::exp(-x * x / 2) / std::sqrt(2 * pi);
  }
};
struct gelu_tanh {
  template <class Real>
  static Real exponent(Real x) {
    const Real pi = 3.141592653589793238462643383279502884L;
    return 2 * std::sqrt(2 / pi) * (x + 0.044715L * x * x * x);
  }
  template <class Real>
  static Real value(Real x) {
    return x / (1 + std::exp(-exponent(x)));
  }
  template <class Real>
  static Real slope(Real x) {
    const Real pi = 3.141592653589793238462643383279502884L;
    const Real z = exponent(x);
    const Real s = 1 / (1 + std::exp(-z));
    const Real rest = 1 / (1 + std::exp(z));
    return s + x * s * rest * 2 * std::sqrt(2 / pi) * (1 + 3 * 0.044715L * x * x);
  }
};

// ---- Layers. `Real` is the type of the arithmetic: double, or long double where float64 results are checked. ----

template <class Real>
struct linear_result {
  std::vector<std::vector<Real>> y, grad_x, grad_weight;
  std::vector<Real> grad_bias;
};

/// y = x weight^T + bias (0 where it is empty), and the gradients of sum(y * grad_y).
template <class Real = double, class X, class W, class G>
linear_result<Real> linear(const view<X, 2>& x_view, const view<W, 2>& weight, const std::vector<Real>& bias,
                           const view<G, 2>& grad_y) {
  const auto x = rows<Real>(x_view);
  const auto w = rows<Real>(weight);
  const auto g = rows<Real>(grad_y);
  const auto in = static_cast<std::size_t>(weight.extent(1));
  linear_result<Real> result{std::vector(x.size(), std::vector<Real>(w.size())), std::vector(x.size(), std::vector<Real>(in)),
                             std::vector(w.size(), std::vector<Real>(in)), std::vector<Real>(w.size())};
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < w.size(); ++j) {
      result.y[i][j] = bias.empty() ? Real(0) : bias[j];
      result.grad_bias[j] += g[i][j];
      for (std::size_t k = 0; k < in; ++k) {
        result.y[i][j] += x[i][k] * w[j][k];
        result.grad_x[i][k] += g[i][j] * w[j][k];
        result.grad_weight[j][k] += g[i][j] * x[i][k];
      }
    }
  }
  return result;
}

template <class Real>
struct norm_result {
  std::vector<std::vector<Real>> normal;  ///< (x - mean) / sqrt(variance + epsilon)
  std::vector<Real> mean, inverse;
  std::vector<std::vector<Real>> y, grad_x;
  std::vector<Real> grad_gain, grad_bias;
};

/// y = gain (x - mean) / sqrt(variance + epsilon) + bias of every row, with a mean of 0 where not centered, and the gradients of
/// sum(y * grad_y).
template <class Real = double, class X, class G>
norm_result<Real> norm(const view<X, 2>& x_view, const std::vector<Real>& gain, const std::vector<Real>& bias,
                       const view<G, 2>& grad_y, Real epsilon, bool centered) {
  const auto x = rows<Real>(x_view);
  const auto g = rows<Real>(grad_y);
  const auto d = static_cast<std::size_t>(x_view.extent(1));
  norm_result<Real> r;
  r.grad_gain.resize(d);
  r.grad_bias.resize(d);
  for (std::size_t i = 0; i < x.size(); ++i) {
    Real mean = 0;
    for (std::size_t j = 0; centered && j < d; ++j) mean += x[i][j] / static_cast<Real>(d);
    Real variance = 0;
    for (std::size_t j = 0; j < d; ++j) variance += (x[i][j] - mean) * (x[i][j] - mean) / static_cast<Real>(d);
    const Real inverse = 1 / std::sqrt(variance + epsilon);
    std::vector<Real> normal(d), y(d), grad_x(d);
    Real mean_h = 0;
    Real mean_product = 0;
    for (std::size_t j = 0; j < d; ++j) {
      const Real h = g[i][j] * (gain.empty() ? Real(1) : gain[j]);
      normal[j] = (x[i][j] - mean) * inverse;
      y[j] = normal[j] * (gain.empty() ? Real(1) : gain[j]) + (bias.empty() ? Real(0) : bias[j]);
      mean_h += centered ? h / static_cast<Real>(d) : Real(0);
      mean_product += h * normal[j] / static_cast<Real>(d);
      r.grad_gain[j] += g[i][j] * normal[j];
      r.grad_bias[j] += g[i][j];
    }
    for (std::size_t j = 0; j < d; ++j) {
      grad_x[j] = inverse * (g[i][j] * (gain.empty() ? Real(1) : gain[j]) - mean_h - normal[j] * mean_product);
    }
    r.normal.push_back(normal);
    r.mean.push_back(mean);
    r.inverse.push_back(inverse);
    r.y.push_back(y);
    r.grad_x.push_back(grad_x);
  }
  return r;
}

/// The rows of a table that ids name, zeros for those that are ignored, and the gradient of sum(out * grad_out).
template <class Real>
struct embedding_result {
  std::vector<std::vector<Real>> out, grad_table;
};
template <class Real = double, class S, class Id, class G>
embedding_result<Real> embedding(const view<S, 2>& table_view, const view<Id, 1>& ids, const view<G, 2>& grad_out,
                                 std::optional<std::int64_t> ignored) {
  const auto table = rows<Real>(table_view);
  const auto g = rows<Real>(grad_out);
  const auto d = static_cast<std::size_t>(table_view.extent(1));
  embedding_result<Real> result{{}, std::vector(table.size(), std::vector<Real>(d))};
  for (std::size_t i = 0; i < g.size(); ++i) {
    const auto id = static_cast<std::int64_t>(ids(static_cast<std::int64_t>(i)));
    if (ignored == id) {
      result.out.emplace_back(d);
      continue;
    }
    result.out.push_back(table[static_cast<std::size_t>(id)]);
    for (std::size_t k = 0; k < d; ++k) result.grad_table[static_cast<std::size_t>(id)][k] += g[i][k];
  }
  return result;
}

}  // namespace tessera::reference
