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
  const auto q_size = absolute(in.q);
  const auto k_size = absolute(in.k);
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
          for (std::int64_t d = 0; d < head_dim; ++d) {
            sum += static_cast<double>(q_size(b, h, i, d)) * static_cast<double>(k_size(b, kv_h, j, d));
          }
          double size = std::fabs(scale) * sum;
          if constexpr (!std::is_same_v<Score, tessera::attention::plain_score>) {
            // A score moves no farther than its product does, and has its own roundings: those of its size.
            double product = 0;
            for (std::int64_t d = 0; d < head_dim; ++d) {
              product += static_cast<double>(in.q(b, h, i, d)) * static_cast<double>(in.k(b, kv_h, j, d));
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
        const double score_error = (products + (compensated ? 5 : 4)) * u * sizes[r].scores;
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
