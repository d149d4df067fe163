// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One call of attention::forward against the plain loops of reference/attention.hpp, with the bound of its docs.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/reference/attention.hpp"
#include "tessera/reference/rotary.hpp"

namespace oracle {

using support::array;

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

/// What the bound of a row is made of.
struct row_size {
  double scores = 0;           ///< S, the largest sum |scale q||k| of the keys that the row sees
  std::vector<double> values;  ///< A, the sums p|v|, one a column
};

template <class Q, class K, class V, class Mask, class Score, class Accumulation>
void compare(support::worst& out_errors, support::worst& lse_errors, const inputs<Q, K, V>& in, const auto& out, const auto& lse,
             const tessera::attention::options<Mask, Score, Accumulation>& options) {
  using T = tessera::attention::detail::accumulated_t<Accumulation, tessera::compute_t<Q>, tessera::compute_t<K>,
                                                      tessera::compute_t<V>>;
  using O = tessera::value_type_of<std::remove_cvref_t<decltype(out.view())>>;
  using L = tessera::value_type_of<std::remove_cvref_t<decltype(lse.view())>>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  const double u = tessera::unit_roundoff<T>;

  // The same loops on absolute values: S from |q||k|, A from the true scores and |v|.
  const auto absolute = [](auto array) {
    auto copy = array;
    const auto elements = array.elements();
    copy.fill([&](std::uint64_t n) { return std::fabs(static_cast<double>(elements[n])); });
    return copy;
  };
  const operands multiplied(in, options);
  const auto v_size = absolute(in.v);
  std::vector<row_size> sizes;
  tessera::reference::attention(in.q.view(), in.k.view(), v_size.view(), options,
                                [&](auto, auto, auto, const std::vector<double>& a, double) { sizes.push_back({0, a}); });
  const std::int64_t len_k = in.k.view().extent(2);
  const auto head_dim = in.q.view().extent(3);
  const double scale = options.scale ? *options.scale : 1 / std::sqrt(static_cast<double>(head_dim > 0 ? head_dim : 1));
  std::size_t r = 0;
  for (std::int64_t b = 0; b < in.q.view().extent(0); ++b) {
    for (std::int64_t h = 0; h < in.q.view().extent(1); ++h) {
      const std::int64_t kv_h = h * in.k.view().extent(1) / in.q.view().extent(1);
      for (std::int64_t i = 0; i < in.q.view().extent(2); ++i, ++r) {
        for (std::int64_t j = 0; j < len_k; ++j) {
          if (!tessera::reference::visible(options.mask, b, h, i, j, in.q.view().extent(2), len_k)) continue;
          double sum = 0;
          const auto q_at = static_cast<std::size_t>(((b * in.q.view().extent(1) + h) * in.q.view().extent(2) + i) * head_dim);
          const auto k_at = static_cast<std::size_t>(((b * in.k.view().extent(1) + kv_h) * len_k + j) * head_dim);
          for (std::size_t d = 0; d < static_cast<std::size_t>(head_dim); ++d) {
            sum += multiplied.q.sizes[q_at + d] * multiplied.k.sizes[k_at + d];
          }
          double size = std::fabs(scale) * sum;
          if constexpr (!std::is_same_v<Score, tessera::attention::plain_score>) {
            // A score moves no farther than its product does, and has its own roundings: those of its size.
            double product = 0;
            for (std::size_t d = 0; d < static_cast<std::size_t>(head_dim); ++d) {
              product += multiplied.q.elements[q_at + d] * multiplied.k.elements[k_at + d];
            }
            const double score =
                tessera::reference::scored(options.score, scale * product, b, h, i, j, in.q.view().extent(2), len_k);
            if (std::isfinite(score)) size += 2 * std::fabs(score - scale * product);
          }
          sizes[r].scores = std::fmax(sizes[r].scores, size);
        }
      }
    }
  }

  r = 0;
  const double products = static_cast<double>(head_dim);
  const double keys = static_cast<double>(len_k);
  double largest_value = 0;
  for (const V value : v_size.elements()) {
    if (std::isfinite(static_cast<double>(value))) largest_value = std::fmax(largest_value, static_cast<double>(value));
  }
  const double faintest = sizeof(T) == 4 ? 0x1p-63 : 0x1p-511;
  const double dropped = keys * (faintest * largest_value + support::rounding<T>(0));
  constexpr bool compensated = Accumulation::keeps_lost;
  const double sums = compensated ? 214 + keys / 192 * (keys / 192) * u : 206 + keys / 192;
  tessera::reference::attention<Real>(
      in.q.view(), in.k.view(), in.v.view(), options, [&](auto b, auto h, auto i, const std::vector<Real>& want, Real want_lse) {
        const double score_error = (products + (compensated ? 5 : 4) + multiplied.roundings) * u * sizes[r].scores;
        for (std::size_t c = 0; c < want.size(); ++c) {
          const double bound = 2 * (score_error + sums * u) * sizes[r].values[c] + support::rounding<O>(want[c]) + dropped;
          out_errors(static_cast<double>(out(b, h, i, static_cast<std::int64_t>(c))), want[c], bound, "row", b, h, i, "column",
                     c);
        }
        lse_errors(static_cast<double>(lse(b, h, i)), want_lse,
                   score_error + (sizes[r].scores + sums + 6 * std::log(keys + 1)) * u + support::rounding<L>(want_lse), "row", b,
                   h, i);
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
