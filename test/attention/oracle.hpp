// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One call of attention::forward against the plain loops of reference/attention.hpp, with the bound of its docs.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/reference/attention.hpp"
#include "tessera/reference/rotary.hpp"

namespace oracle {

using support::array;

struct shape {
  std::int64_t batch, heads, kv_heads, len_q, len_k, head_dim, value_dim;
};

/// Queries, keys and values of a call.
template <class Q, class K = Q, class V = K>
struct inputs {
  array<Q, 4> q;
  array<K, 4> k;
  array<V, 4> v;

  inputs(std::int64_t batch, std::int64_t heads, std::int64_t kv_heads, std::int64_t len_q, std::int64_t len_k,
         std::int64_t head_dim, std::int64_t value_dim, support::placement where = {})
      : q({batch, heads, len_q, head_dim}, where),
        k({batch, kv_heads, len_k, head_dim}, where),
        v({batch, kv_heads, len_k, value_dim}, where) {}
  explicit inputs(const shape& x, support::placement where = {})
      : inputs(x.batch, x.heads, x.kv_heads, x.len_q, x.len_k, x.head_dim, x.value_dim, where) {}

  [[nodiscard]] std::array<std::int64_t, 4> out_extents() const {
    const auto rows = q.view();
    return {rows.extent(0), rows.extent(1), rows.extent(2), v.view().extent(3)};
  }
  [[nodiscard]] std::array<std::int64_t, 3> lse_extents() const {
    const auto rows = q.view();
    return {rows.extent(0), rows.extent(1), rows.extent(2)};
  }
  [[nodiscard]] bool untouched() const { return q.untouched() && k.untouched() && v.untouched(); }
};

/// sizes [batch, heads, len, dim] of elements become those of rotated ones: |a cos| + |b sin| of pairs. Row i stands at first + i.
inline void rotate_sizes(std::vector<double>& sizes, std::int64_t len, std::int64_t dim, const tessera::attention::rotary& by,
                         std::int64_t first) {
  for (std::size_t row = 0; dim > 0 && row * static_cast<std::size_t>(dim) < sizes.size(); ++row) {
    double* const at = sizes.data() + row * static_cast<std::size_t>(dim);
    const std::int64_t position = first + static_cast<std::int64_t>(row) % len;
    for (std::int64_t m = 0; m < by.dims() / 2; ++m) {
      std::int64_t a;
      std::int64_t b;
      tessera::reference::rotary_pair(by, m, a, b);
      const double c = std::fabs(static_cast<double>(by.cos(position, m)));
      const double s = std::fabs(static_cast<double>(by.sin(position, m)));
      const double of_a = at[a];
      at[a] = c * of_a + s * at[b];
      at[b] = c * at[b] + s * of_a;
    }
  }
}

/// Queries or keys as they are multiplied, rotated or not, and the sizes of their elements.
struct operand {
  std::vector<double> elements;
  std::vector<double> sizes;

  template <class S>
  operand(const tessera::view<const S, 4>& x, const tessera::attention::rotary& by, bool rotated, std::int64_t first) {
    const std::int64_t len = x.extent(2);
    const std::int64_t dim = x.extent(3);
    for (std::int64_t n = 0; n < x.size(); ++n) {
      const std::int64_t row = n / dim;
      elements.push_back(static_cast<double>(x(row / len / x.extent(1), row / len % x.extent(1), row % len, n % dim)));
      sizes.push_back(std::fabs(elements.back()));
    }
    if (!rotated || !by.rotates()) return;
    elements = tessera::reference::rotated<double>(x, by, first);
    rotate_sizes(sizes, len, dim, by, first);
  }
};

/// Both, and what rotating adds to the roundings of a product.
template <class Q, class K, class V, class Options>
struct operands {
  operand q;
  operand k;
  double roundings;
  operands(const inputs<Q, K, V>& in, const Options& options)
      : q(in.q.view(), options.rotary, options.rotary.queries,
          options.rotary.query_position(in.q.view().extent(2), in.k.view().extent(2))),
        k(in.k.view(), options.rotary, options.rotary.keys, options.rotary.first_key),
        roundings(options.rotary.rotates() ? 4 : 0) {}
};

/// What the options multiply the keys or values of a head by.
inline double factor_of(const tessera::view<const float, 1>& factors, std::int64_t kv_h) {
  return factors.data_handle() != nullptr ? static_cast<double>(factors(kv_h)) : 1.0;
}

/// What the docs allow a row to be wrong by, besides its rounding to the types of the results.
struct row_bound {
  double scores = 0;        ///< S, the largest sum |scale q||k| of the keys that the row sees, or a sink beyond it
  std::vector<double> out;  ///< one a column
  double lse = 0;
};

/// The bound of every row.
template <class Q, class K, class V, class Mask, class Score, class Accumulation>
std::vector<row_bound> bounds(const inputs<Q, K, V>& in, const tessera::attention::options<Mask, Score, Accumulation>& options) {
  using T = tessera::attention::detail::accumulated_t<Accumulation, tessera::compute_t<Q>, tessera::compute_t<K>,
                                                      tessera::compute_t<V>>;
  const double u = tessera::unit_roundoff<T>;
  const auto q = in.q.view();
  const auto k = in.k.view();
  const std::int64_t len_q = q.extent(2);
  const std::int64_t len_k = k.extent(2);
  const std::int64_t head_dim = q.extent(3);
  const auto keys = static_cast<double>(len_k);
  const double call_scale = options.scale ? *options.scale : 1 / std::sqrt(static_cast<double>(head_dim > 0 ? head_dim : 1));

  const operands multiplied(in, options);
  constexpr bool compensated = Accumulation::keeps_lost;

  // The same loops on absolute values: A from the true scores and |v|, which `out` holds until S is known.
  array<V, 4> v_size = in.v;
  const auto values = in.v.elements();
  v_size.fill([&](std::uint64_t n) { return std::fabs(static_cast<double>(values[n])); });
  double largest_value = 0;
  for (const V value : v_size.elements()) {
    if (std::isfinite(static_cast<double>(value))) largest_value = std::fmax(largest_value, static_cast<double>(value));
  }
  double largest_factor = 1;
  for (std::int64_t h = 0; h < k.extent(1); ++h) {
    largest_factor = std::fmax(largest_factor, std::fabs(factor_of(options.value_scales, h)));
  }
  const double faintest = sizeof(T) == 4 ? 0x1p-63 : 0x1p-511;
  const double dropped = keys * largest_factor * (faintest * largest_value + support::rounding<T>(0));
  std::vector<row_bound> rows;
  tessera::reference::attention(q, k, std::as_const(v_size).view(), options,
                                [&](auto, auto, auto, std::vector<double> a, double) {
                                  for (double& x : a) x = std::fabs(x);  // a factor of values may be negative
                                  rows.push_back({0, std::move(a), 0});
                                });
  std::size_t r = 0;
  for (std::int64_t b = 0; b < q.extent(0); ++b) {
    for (std::int64_t h = 0; h < q.extent(1); ++h) {
      const std::int64_t kv_h = h * k.extent(1) / q.extent(1);
      const double scale = call_scale * factor_of(options.key_scales, kv_h);
      for (std::int64_t i = 0; i < len_q; ++i, ++r) {
        row_bound& row = rows[r];
        for (std::int64_t j = 0; j < len_k; ++j) {
          if (!tessera::reference::visible(options.mask, b, h, i, j, len_q, len_k)) continue;
          double product = 0;
          double size = 0;
          const auto q_at = static_cast<std::size_t>(((b * q.extent(1) + h) * len_q + i) * head_dim);
          const auto k_at = static_cast<std::size_t>(((b * k.extent(1) + kv_h) * len_k + j) * head_dim);
          for (std::size_t d = 0; d < static_cast<std::size_t>(head_dim); ++d) {
            product += scale * multiplied.q.elements[q_at + d] * multiplied.k.elements[k_at + d];
            size += std::fabs(scale) * multiplied.q.sizes[q_at + d] * multiplied.k.sizes[k_at + d];
          }
          if constexpr (!std::is_same_v<Score, tessera::attention::plain_score>) {
            // A score moves no farther than its product does, and has its own roundings: those of its size.
            const double score = tessera::reference::scored(options.score, product, b, h, i, j, len_q, len_k);
            if (std::isfinite(score)) size += 2 * std::fabs(score - product);
          }
          row.scores = std::fmax(row.scores, size);
        }
        if (options.sinks.data_handle() != nullptr && std::isfinite(options.sinks(h))) {
          row.scores = std::fmax(row.scores, std::fabs(static_cast<double>(options.sinks(h))));
        }
        const double score_error =
            (static_cast<double>(head_dim) + (compensated ? 5 : 4) + multiplied.roundings) * u * row.scores;
        const double sums = compensated ? 214 + keys / 192 * (keys / 192) * u : 206 + keys / 192;
        for (double& x : row.out) x = 2 * (score_error + sums * u) * x + dropped;
        row.lse = score_error + (row.scores + sums + 6 * std::log(keys + 1)) * u;
      }
    }
  }
  return rows;
}

template <class Q, class K, class V, class Mask, class Score, class Accumulation>
void compare(support::worst& out_errors, support::worst& lse_errors, const inputs<Q, K, V>& in, const auto& out, const auto& lse,
             const tessera::attention::options<Mask, Score, Accumulation>& options) {
  using T = tessera::attention::detail::accumulated_t<Accumulation, tessera::compute_t<Q>, tessera::compute_t<K>,
                                                      tessera::compute_t<V>>;
  using O = tessera::value_type_of<std::remove_cvref_t<decltype(out.view())>>;
  using L = tessera::value_type_of<std::remove_cvref_t<decltype(lse.view())>>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  const std::vector<row_bound> rows = bounds(in, options);
  std::size_t r = 0;
  tessera::reference::attention<Real>(
      in.q.view(), in.k.view(), in.v.view(), options, [&](auto b, auto h, auto i, const std::vector<Real>& want, Real want_lse) {
        for (std::size_t c = 0; c < want.size(); ++c) {
          out_errors(static_cast<double>(out(b, h, i, static_cast<std::int64_t>(c))), want[c],
                     rows[r].out[c] + support::rounding<O>(want[c]), "row", b, h, i, "column", c);
        }
        lse_errors(static_cast<double>(lse(b, h, i)), want_lse, rows[r].lse + support::rounding<L>(want_lse), "row", b, h, i);
        ++r;
      });
}

/// Runs the call and compares out and lse.
template <class O, class Exec, class Q, class K, class V, class Mask = tessera::attention::band,
          class Score = tessera::attention::plain_score, class Accumulation = tessera::attention::plain_sums>
void check(support::worst& out_errors, support::worst& lse_errors, const Exec& exec, const inputs<Q, K, V>& in,
           const tessera::attention::options<Mask, Score, Accumulation>& options = {}, support::placement where = {}) {
  using T = tessera::attention::detail::accumulated_t<Accumulation, tessera::compute_t<Q>, tessera::compute_t<K>,
                                                      tessera::compute_t<V>>;
  array<O, 4> out(in.out_extents(), where);
  array<T, 3> lse(in.lse_extents());
  tessera::attention::forward(exec, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
  BOOST_TEST((in.untouched() && out.gaps_untouched() && lse.gaps_untouched()));
  compare(out_errors, lse_errors, in, out, lse, options);
}

}  // namespace oracle
