// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of tile/softmax_rows.hpp and its gradients: a row at a time, each sum from the first number to the last.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/reference/contraction.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::reference {

/// emit(i, p, log p) for every row: its softmax and the logarithm of that. Zeros and -inf where every number is -inf.
template <class Real = double, class S, class Emit>
void softmax_rows(const view<S, 2>& in, const Emit& emit) {
  const auto numbers = rows<Real>(in);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    scored_row<Real> row;
    for (const Real x : numbers[i]) row.push_back({static_cast<std::int64_t>(row.size()), x});
    const std::vector<Real> weights = softmax_weights(row);
    const Real top = largest(row);
    Real mass = 0;
    for (const Real w : weights) mass += w;
    std::vector<Real> p(row.size());
    std::vector<Real> log_p(row.size());
    for (std::size_t j = 0; j < row.size(); ++j) {
      p[j] = mass == 0 ? Real(0) : weights[j] / mass;
      log_p[j] = mass == 0 ? row[j].score : row[j].score - top - std::log(mass);
    }
    emit(static_cast<std::int64_t>(i), p, log_p);
  }
}

/// emit(i, grad_in) for every row, p (g - sum p g), of p = out and g = grad_out.
template <class Real = double, class O, class G, class Emit>
void softmax_rows_backward(const view<O, 2>& out, const view<G, 2>& grad_out, const Emit& emit) {
  const auto p = rows<Real>(out);
  const auto g = rows<Real>(grad_out);
  for (std::size_t i = 0; i < p.size(); ++i) {
    Real sum = 0;
    for (std::size_t j = 0; j < p[i].size(); ++j) sum += p[i][j] * g[i][j];
    std::vector<Real> grad_in(p[i].size());
    for (std::size_t j = 0; j < p[i].size(); ++j) grad_in[j] = p[i][j] * (g[i][j] - sum);
    emit(static_cast<std::int64_t>(i), grad_in);
  }
}

/// emit(i, grad_in) for every row, g - exp(y) sum g, of y = out and g = grad_out.
template <class Real = double, class O, class G, class Emit>
void log_softmax_rows_backward(const view<O, 2>& out, const view<G, 2>& grad_out, const Emit& emit) {
  const auto y = rows<Real>(out);
  const auto g = rows<Real>(grad_out);
  for (std::size_t i = 0; i < y.size(); ++i) {
    Real sum = 0;
    for (const Real x : g[i]) sum += x;
    std::vector<Real> grad_in(y[i].size());
    for (std::size_t j = 0; j < y[i].size(); ++j) grad_in[j] = g[i][j] - std::exp(y[i][j]) * sum;
    emit(static_cast<std::int64_t>(i), grad_in);
  }
}

}  // namespace tessera::reference
