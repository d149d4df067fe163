// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// An executor for tests of attention's forward: calls with arrays of the host, made on the device; and the bound of such a call, as
/// cuda/attention/forward.cuh states it.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "attention_gradients.hpp"
#include "mirror.hpp"
#include "orders.hpp"
#include "tessera/attention/paged.hpp"
#include "tessera/attention/ragged.hpp"
#include "tessera/cuda/attention/forward.cuh"
#include "tessera/cuda/exec.cuh"

namespace support {

struct forward_on_device {
  bool tf32 = false;
  int generation = 8;  ///< whose kernels run
  std::uint64_t seed = 1;

  /// Another order of the threads on the emulator, in place of another number of them.
  [[nodiscard]] forward_on_device threads(int n) const { return {tf32, generation, static_cast<std::uint64_t>(n)}; }
  [[nodiscard]] tessera::cuda::executor executor() const {
#if TESSERA_CUDA_EMULATOR
    tessera::emulator::seed(seed);
#endif
    return on_generation(generation).tf32(tf32);
  }
};

}  // namespace support

namespace tessera::attention {

template <class Q, class K, class V, class Out, class Lse, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 4)
void forward(const support::forward_on_device& on, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
             const options<Mask, Score, Accumulation>& options = {}) {
  using support::read_only;
  support::mirror memory;
  forward(on.executor(), memory(read_only(q)), memory(read_only(k)), memory(read_only(v)), memory(out), memory(lse),
          support::options_on_device(memory, options));
  memory.bring_back();
}

template <class Q, class K, class V, class Out, class Lse, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 3)
void forward(const support::forward_on_device& on, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
             const ragged& at, const options<Mask, Score, Accumulation>& options = {}) {
  using support::read_only;
  support::mirror memory;
  const ragged there{support::offsets_on_device(memory, at.query_offsets), support::offsets_on_device(memory, at.key_offsets)};
  forward(on.executor(), memory(read_only(q)), memory(read_only(k)), memory(read_only(v)), memory(out), memory(lse), there,
          support::options_on_device(memory, options));
  memory.bring_back();
}

}  // namespace tessera::attention

// Calls by qualified names find only what is declared before them.
#include "../attention/oracle.hpp"

namespace on_device {

using oracle::inputs;
using support::array;

/// The bounds of every row of a call on the device.
template <class Q, class K, class V, class Mask, class Score, class Accumulation>
std::vector<oracle::row_bound> bounds(const inputs<Q, K, V>& in,
                                      const tessera::attention::options<Mask, Score, Accumulation>& options, bool tf32) {
  using T = tessera::attention::detail::accumulated_t<Accumulation, tessera::compute_t<Q>, tessera::compute_t<K>,
                                                      tessera::compute_t<V>>;
  using M = tessera::cuda::attention::detail::forward_multiplication<T, Q, K, V>;
  constexpr bool narrow = sizeof(M) == 2;
  const bool coarse = tf32 && std::is_same_v<M, float>;
  const double u = tessera::unit_roundoff<T>;
  const auto q = in.q.view();
  const auto k = in.k.view();
  const std::int64_t len_q = q.extent(2);
  const std::int64_t len_k = k.extent(2);
  const std::int64_t head_dim = q.extent(3);
  const double depth = static_cast<double>(head_dim);
  const double keys = static_cast<double>(len_k);
  const double of_sums = narrow || coarse ? 4 : 1;  // tensor cores of float32 sums add with a truncation
  const double rounded_weights = narrow ? tessera::unit_roundoff<M> : coarse ? 0x1p-11 : 0;
  const double rounded_values = coarse ? 0x1p-11 : 0;
  const double rounded_scores = coarse ? 0x1p-10 : 0;
  const oracle::operands multiplied(in, options);
  // Rotated copies are rounded to the types of the arrays.
  const auto copied = [&](bool rotated, double of_type) {
    return options.rotary.rotates() && rotated && of_type > u ? of_type : 0;
  };
  const double rounded_copies =
      copied(options.rotary.queries, tessera::unit_roundoff<Q>) + copied(options.rotary.keys, tessera::unit_roundoff<K>);
  const double call_scale = options.scale ? *options.scale : 1 / std::sqrt(head_dim > 0 ? depth : 1);

  array<V, 4> v_size = in.v;
  const auto values = in.v.elements();
  v_size.fill([&](std::uint64_t n) { return std::fabs(static_cast<double>(values[n])); });
  double largest_value = 0;
  for (const V value : v_size.elements()) {
    if (std::isfinite(static_cast<double>(value))) largest_value = std::fmax(largest_value, static_cast<double>(value));
  }
  std::vector<oracle::row_bound> rows;
  std::vector<double> lse;
  tessera::reference::attention(q, k, std::as_const(v_size).view(), options,
                                [&](auto, auto, auto, std::vector<double> a, double row_lse) {
                                  for (double& x : a) x = std::fabs(x);  // a factor of values may be negative
                                  rows.push_back({0, std::move(a), 0});
                                  lse.push_back(row_lse);
                                });
  std::size_t r = 0;
  for (std::int64_t b = 0; b < q.extent(0); ++b) {
    for (std::int64_t h = 0; h < q.extent(1); ++h) {
      const std::int64_t kv_h = h * k.extent(1) / q.extent(1);
      const double scale = call_scale * oracle::factor_of(options.key_scales, kv_h);
      const double value_factor = std::fabs(oracle::factor_of(options.value_scales, kv_h)) * options.dropout.factor();
      for (std::int64_t i = 0; i < len_q; ++i, ++r) {
        oracle::row_bound& row = rows[r];
        double largest = -std::numeric_limits<double>::infinity();
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
          double score = product;
          if constexpr (!std::is_same_v<Score, tessera::attention::plain_score>) {
            score = tessera::reference::scored(options.score, product, b, h, i, j, len_q, len_k);
            if (std::isfinite(score)) size += 2 * std::fabs(score - product);
          }
          largest = std::fmax(largest, score);
          if (std::isfinite(size)) row.scores = std::fmax(row.scores, size);  // a logit of -inf has no weight
        }
        if (options.sinks.data_handle() != nullptr && std::isfinite(options.sinks(h))) {
          const double sink = static_cast<double>(options.sinks(h));
          row.scores = std::fmax(row.scores, std::fabs(sink));
          largest = std::fmax(largest, sink);
        }
        const double mass = std::isfinite(lse[r]) ? std::exp(lse[r] - largest) : 1;
        const double faint = std::is_same_v<M, tessera::float16> ? 0x1p-25 * keys / mass : 0;
        const double score_error =
            ((of_sums * depth + 4 + multiplied.roundings) * u + rounded_scores + rounded_copies) * row.scores;
        const double sums = (8 + of_sums * keys) * u;
        const double dropped =
            keys * value_factor * ((sizeof(T) == 4 ? 0x1p-63 : 0x1p-511) * largest_value + support::rounding<T>(0));
        for (double& x : row.out) {
          x = (2 * (score_error + sums) + 2 * rounded_weights + rounded_values) * x + faint * largest_value * value_factor +
              dropped;
        }
        row.lse = score_error + rounded_weights + faint + (row.scores + 8 + keys + 6 * std::log(keys + 1)) * u;
      }
    }
  }
  return rows;
}

/// Results against the plain loops, with the bound of the device.
template <class Q, class K, class V, class Mask, class Score, class Accumulation>
void compare(support::worst& out_errors, support::worst& lse_errors, const inputs<Q, K, V>& in, const auto& out, const auto& lse,
             const tessera::attention::options<Mask, Score, Accumulation>& options, bool tf32 = false) {
  using T = tessera::attention::detail::accumulated_t<Accumulation, tessera::compute_t<Q>, tessera::compute_t<K>,
                                                      tessera::compute_t<V>>;
  using O = tessera::value_type_of<std::remove_cvref_t<decltype(out.view())>>;
  using L = tessera::value_type_of<std::remove_cvref_t<decltype(lse.view())>>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  const std::vector<oracle::row_bound> rows = bounds(in, options, tf32);
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
template <class O, class Q, class K, class V, class Mask = tessera::attention::band,
          class Score = tessera::attention::plain_score, class Accumulation = tessera::attention::plain_sums>
void check(support::worst& out_errors, support::worst& lse_errors, const support::forward_on_device& on,
           const inputs<Q, K, V>& in, const tessera::attention::options<Mask, Score, Accumulation>& options = {},
           support::placement where = {}) {
  using T = tessera::attention::detail::accumulated_t<Accumulation, tessera::compute_t<Q>, tessera::compute_t<K>,
                                                      tessera::compute_t<V>>;
  array<O, 4> out(in.out_extents(), where);
  array<T, 3> lse(in.lse_extents());
  tessera::attention::forward(on, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
  BOOST_TEST((in.untouched() && out.gaps_untouched() && lse.gaps_untouched()));
  compare(out_errors, lse_errors, in, out, lse, options, on.tf32);
}

}  // namespace on_device
