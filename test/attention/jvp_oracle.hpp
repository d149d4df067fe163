// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One call of attention::jvp against reference/attention.hpp, with the bound of its docs.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "oracle.hpp"

namespace oracle {

/// Compares dout of a call at `at` along `along`.
template <class T, class Out, class Mask, class Score>
void compare_jvp(support::worst& errors, const inputs<T>& at, const inputs<T>& along, const Out& dout,
                 const tessera::attention::options<Mask, Score>& options) {
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  using C = tessera::compute_t<T>;
  const std::vector<row_bound> rows = bounds(at, options);  // for S
  const auto q = at.q.view();
  const auto k = at.k.view();
  const std::int64_t dim = q.extent(3);
  const double call_scale = options.scale ? *options.scale : 1 / std::sqrt(static_cast<double>(dim > 0 ? dim : 1));
  const auto size = [](auto x) { return std::fabs(static_cast<double>(x)); };
  const double faintest = sizeof(C) == 4 ? 0x1p-63 : 0x1p-511;
  std::size_t r = 0;
  tessera::reference::attention_jvp<Real>(
      q, k, at.v.view(), along.q.view(), along.k.view(), along.v.view(), options,
      [&](std::int64_t b, std::int64_t h, std::int64_t i, const std::vector<Real>& want_out, const std::vector<Real>& want) {
        const std::int64_t kv_h = h * k.extent(1) / q.extent(1);
        const double scale = call_scale * factor_of(options.key_scales, kv_h);
        const double value_scale = std::fabs(factor_of(options.value_scales, kv_h));
        double largest_move = 0;  // D
        std::vector<double> weights;
        std::vector<std::int64_t> seen;
        double top = options.sinks.data_handle() != nullptr ? static_cast<double>(options.sinks(h))
                                                            : -std::numeric_limits<double>::infinity();
        const double sink = top;
        for (std::int64_t j = 0; j < k.extent(2); ++j) {
          if (!tessera::reference::visible(options.mask, b, h, i, j, q.extent(2), k.extent(2))) continue;
          double moved = 0;
          double logit = 0;
          for (std::int64_t e = 0; e < dim; ++e) {
            moved += size(along.q(b, h, i, e)) * size(k(b, kv_h, j, e)) + size(q(b, h, i, e)) * size(along.k(b, kv_h, j, e));
            logit += static_cast<double>(q(b, h, i, e)) * static_cast<double>(k(b, kv_h, j, e));
          }
          largest_move = std::fmax(largest_move, std::fabs(scale) * moved);
          seen.push_back(j);
          weights.push_back(tessera::reference::scored(options.score, scale * logit, b, h, i, j, q.extent(2), k.extent(2)));
          top = std::fmax(top, weights.back());
        }
        double mass = sink == top ? 1 : std::exp(sink - top);
        for (double& weight : weights) mass += weight = weight == top ? 1 : std::exp(weight - top);
        const double roundings = (static_cast<double>(dim) + 4) * rows[r].scores + 2 * static_cast<double>(dim) + 230 +
                                 static_cast<double>(k.extent(2)) / 192;
        for (std::size_t c = 0; c < want.size(); ++c) {
          const auto column = static_cast<std::int64_t>(c);
          double touched = 0;  // A
          double dropped = 0;  // what weights that are taken for 0 would have added
          for (std::size_t e = 0; e < seen.size(); ++e) {
            const bool kept = options.dropout.keeps(b, h, i, seen[e], q.extent(1), q.extent(2));
            const double factor = kept ? value_scale * options.dropout.factor() : 0;
            const double term =
                factor * (size(along.v(b, kv_h, seen[e], column)) + largest_move * size(at.v(b, kv_h, seen[e], column))) +
                largest_move * size(want_out[c]);
            touched += weights[e] / mass * term;
            dropped += faintest * term + support::rounding<C>(0);
          }
          const double bound =
              2 * roundings * tessera::unit_roundoff<C> * touched + support::rounding<T>(want[c]) + dropped + 1e-37;
          errors(static_cast<double>(dout(b, h, i, column)), want[c], bound, "row", b, h, i, "column", c);
        }
        ++r;
      });
}

}  // namespace oracle
