// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One call of attention::backward, on what attention::forward gives, against reference/attention_backward.hpp, with the bound of its
/// docs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "oracle.hpp"
#include "tessera/attention/backward.hpp"
#include "tessera/reference/attention_backward.hpp"

namespace oracle {

/// Everything that a call reads and writes.
template <class Q, class K = Q, class V = K, class O = Q, class D = Q>
struct backward_call {
  using T = std::common_type_t<tessera::compute_t<Q>, tessera::compute_t<K>, tessera::compute_t<V>, tessera::compute_t<O>>;

  inputs<Q, K, V> in;
  array<O, 4> out;
  array<T, 3> lse;
  array<O, 4> dout;
  array<D, 4> dq;
  array<D, 4> dk;
  array<D, 4> dv;

  explicit backward_call(const inputs<Q, K, V>& x, support::placement where = {})
      : in(x),
        out(x.out_extents(), where),
        lse(x.lse_extents()),
        dout(x.out_extents(), where),
        dq(extents(x.q), where),
        dk(extents(x.k), where),
        dv(extents(x.v), where) {}

  /// dout, then the forward pass, then the backward pass.
  template <class Exec, class Mask = tessera::attention::band, class Score = tessera::attention::plain_score,
            class Accumulation = tessera::attention::plain_sums>
  void run(const Exec& exec, const tessera::attention::options<Mask, Score, Accumulation>& options = {}) {
    tessera::attention::forward(exec, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
    backward(exec, options);
  }
  template <class Exec, class Mask = tessera::attention::band, class Score = tessera::attention::plain_score,
            class Accumulation = tessera::attention::plain_sums>
  void backward(const Exec& exec, const tessera::attention::options<Mask, Score, Accumulation>& options = {}) {
    tessera::attention::backward(exec, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), dout.view(), dq.view(),
                                 dk.view(), dv.view(), options);
  }
  [[nodiscard]] bool gaps_untouched() const { return dq.gaps_untouched() && dk.gaps_untouched() && dv.gaps_untouched(); }
  [[nodiscard]] bool same_gradients(const backward_call& other) const {
    return dq.same_elements(other.dq) && dk.same_elements(other.dk) && dv.same_elements(other.dv);
  }

  template <class S>
  static std::array<std::int64_t, 4> extents(const array<S, 4>& x) {
    const auto v = x.view();
    return {v.extent(0), v.extent(1), v.extent(2), v.extent(3)};
  }
};

/// Errors of the three gradients.
struct gradient_errors {
  support::worst dq;
  support::worst dk;
  support::worst dv;
};

/// What multiplying in less than the compute type adds: relative errors of the first products, of the operands of the others, and the least
/// number that weights and slopes are rounded to; how many roundings a term adds to a sum that is not cut in chunks; and what gradients of rotated
/// rows are rounded by before they are rotated back.
struct coarseness {
  double products = 0;
  double operands = 0;
  double least = 0;
  double chain = 0;
  double stored = 0;
};

/// Compares with the reference, in units of what is summed up:
///   dq: |scale| sum_j p (|dout||v_j| + dout|A|) |k_j|, dk the same over i with |q_i|, dv: sum_i p |dout_i|.
/// bounds: to get those of all elements of dq, dk and dv.
template <class Q, class K, class V, class O, class D, class Mask, class Score, class Accumulation>
void compare(gradient_errors& errors, const backward_call<Q, K, V, O, D>& x,
             const tessera::attention::options<Mask, Score, Accumulation>& options, const coarseness& coarse = {},
             std::vector<double>* bounds = nullptr) {
  using T = typename backward_call<Q, K, V, O, D>::T;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  const auto q = x.in.q.view();
  const auto k = x.in.k.view();
  const auto v = x.in.v.view();
  const auto dout = x.dout.view();
  const double call_scale =
      options.scale ? *options.scale : 1 / std::sqrt(static_cast<double>(q.extent(3) > 0 ? q.extent(3) : 1));
  const auto want = tessera::reference::attention_backward<Real>(q, k, v, dout, options);
  const operands multiplied(x.in, options);
  const double rotating = multiplied.roundings;

  const double u = tessera::unit_roundoff<T>;
  const double u_out = std::is_same_v<O, T> ? 0 : tessera::unit_roundoff<O>;
  const auto head_dim = static_cast<double>(q.extent(3));
  const auto value_dim = static_cast<double>(v.extent(3));
  const auto keys = static_cast<double>(k.extent(2));
  const double rows_of_key =
      static_cast<double>(q.extent(2)) * static_cast<double>(k.extent(1) > 0 ? q.extent(1) / k.extent(1) : 0);
  const double faintest = sizeof(T) == 4 ? 0x1p-63 : 0x1p-511;
  std::vector<double> dq_size(want.dq.size()), dk_size(want.dk.size()), dv_size(want.dv.size());
  const auto at = [](const auto& y, std::int64_t b, std::int64_t h, std::int64_t i) {
    return static_cast<std::size_t>(((b * y.extent(1) + h) * y.extent(2) + i) * y.extent(3));
  };
  const auto size = [](auto number) { return std::fabs(static_cast<double>(number)); };
  for (std::int64_t b = 0; b < q.extent(0); ++b) {
    for (std::int64_t h = 0; h < q.extent(1); ++h) {
      const std::int64_t kv_h = h * k.extent(1) / q.extent(1);
      const double scale = call_scale * factor_of(options.key_scales, kv_h);
      const double value_scale = std::fabs(factor_of(options.value_scales, kv_h));
      for (std::int64_t i = 0; i < q.extent(2); ++i) {
        tessera::reference::scored_row<double> row;
        std::vector<double> touched;  // |dout||v_j|
        std::vector<double> kept;     // the factor of dropout
        double largest = 0;           // S
        for (std::int64_t j = 0; j < k.extent(2); ++j) {
          if (!tessera::reference::visible(options.mask, b, h, i, j, q.extent(2), k.extent(2))) continue;
          double sum = 0;
          double sum_size = 0;
          for (std::size_t d = 0; d < static_cast<std::size_t>(q.extent(3)); ++d) {
            sum += scale * multiplied.q.elements[at(q, b, h, i) + d] * multiplied.k.elements[at(k, b, kv_h, j) + d];
            sum_size += std::fabs(scale) * multiplied.q.sizes[at(q, b, h, i) + d] * multiplied.k.sizes[at(k, b, kv_h, j) + d];
          }
          if constexpr (!std::is_same_v<Score, tessera::attention::plain_score>) {
            // A score moves no farther than its product does, and has its own roundings: those of its size.
            const double score = tessera::reference::scored(options.score, sum, b, h, i, j, q.extent(2), k.extent(2));
            if (std::isfinite(score)) sum_size += 2 * std::fabs(score - sum);
            sum = score;
          }
          largest = std::fmax(largest, sum_size);
          row.push_back({j, sum});
          double gradient = 0;
          for (std::int64_t c = 0; c < v.extent(3); ++c)
            gradient += size(dout(b, h, i, c)) * size(v(b, kv_h, j, c)) * value_scale;
          const bool keeps = options.dropout.keeps(b, h, i, j, q.extent(1), q.extent(2));
          kept.push_back(keeps ? options.dropout.factor() : 0.0);
          touched.push_back(kept.back() * gradient);
        }
        if (options.sinks.data_handle() != nullptr) {
          row.push_back({-1, static_cast<double>(options.sinks(h))});
          touched.push_back(0);
          kept.push_back(0);
          if (std::isfinite(row.back().score)) largest = std::fmax(largest, std::fabs(row.back().score));
        }
        std::vector<double> weights = tessera::reference::softmax_weights(row);
        double mass = 0;
        for (const double weight : weights) mass += weight;
        if (mass == 0) continue;
        double mean = 0;  // |dout| sum_j p |v_j|
        for (std::size_t e = 0; e < row.size(); ++e) mean += (weights[e] /= mass) * touched[e];
        double faint_mean = 0;  // what weights that are taken for 0 leave out of it
        for (const double gradient : touched) faint_mean += faintest * gradient;
        const double of_weight = ((2 * head_dim + 12 + 2 * rotating) * largest + 210 + keys / 192 + 8 * std::log(keys + 1)) * u +
                                 coarse.products * largest + coarse.operands;
        const double of_slope =
            ((4 * head_dim + 20 + 4 * rotating) * largest + 624 + value_dim + 3 * keys / 192 + 8 * std::log(keys + 1)) * u +
            u_out + coarse.products * (largest + 1) + coarse.operands;
        for (std::size_t e = 0; e < row.size(); ++e) {
          const std::int64_t j = row[e].key;
          if (j < 0) continue;
          const double slope = std::fabs(scale) * (touched[e] + mean) * (weights[e] + faintest);
          const double faint = std::fabs(scale) * weights[e] * faint_mean;
          for (std::size_t d = 0; d < static_cast<std::size_t>(q.extent(3)); ++d) {
            dq_size[at(q, b, h, i) + d] += multiplied.k.sizes[at(k, b, kv_h, j) + d] *
                                           (std::fabs(scale) * coarse.least +
                                            slope * (of_slope + (192 + keys / 192 + 3 + rotating + coarse.chain * keys) * u +
                                                     faintest / (weights[e] + faintest)) +
                                            faint);
            dk_size[at(k, b, kv_h, j) + d] +=
                multiplied.q.sizes[at(q, b, h, i) + d] *
                (std::fabs(scale) * coarse.least +
                 slope * (of_slope + (96 + rows_of_key / 96 + 3 + rotating + coarse.chain * rows_of_key) * u +
                          faintest / (weights[e] + faintest)) +
                 faint);
          }
          for (std::int64_t c = 0; c < v.extent(3); ++c) {
            dv_size[at(v, b, kv_h, j) + static_cast<std::size_t>(c)] +=
                kept[e] *
                (weights[e] * (of_weight + (96 + rows_of_key / 96 + 2 + coarse.chain * rows_of_key) * u) + faintest +
                 coarse.least) *
                size(dout(b, h, i, c)) * value_scale;
          }
        }
      }
    }
  }
  if (options.rotary.rotates()) {  // and back
    const auto back = [&](std::vector<double>& sizes, const std::vector<Real>& of, const auto& rows, std::int64_t first) {
      std::vector<double> gradients;
      for (const Real gradient : of) gradients.push_back(size(gradient));
      rotate_sizes(gradients, rows.extent(2), rows.extent(3), options.rotary, first);
      for (std::size_t n = 0; n < sizes.size(); ++n) sizes[n] += coarse.stored * gradients[n];
      rotate_sizes(sizes, rows.extent(2), rows.extent(3), options.rotary, first);
    };
    if (options.rotary.queries) back(dq_size, want.dq, q, options.rotary.query_position(q.extent(2), k.extent(2)));
    if (options.rotary.keys) back(dk_size, want.dk, k, options.rotary.first_key);
  }
  const double tiny = support::rounding<T>(0);
  const auto check = [&](support::worst& worst, const auto& got, const std::vector<Real>& wanted,
                         const std::vector<double>& sizes, double terms, const char* what) {
    const auto elements = got.elements();
    BOOST_TEST_REQUIRE(elements.size() == wanted.size());
    for (std::size_t n = 0; n < wanted.size(); ++n) {
      const double bound = sizes[n] + support::rounding<D>(wanted[n]) + 2 * terms * tiny;
      worst(static_cast<double>(elements[n]), wanted[n], bound, what, n);
      if (bounds != nullptr) bounds->push_back(bound);
    }
  };
  check(errors.dq, x.dq, want.dq, dq_size, keys, "dq");
  check(errors.dk, x.dk, want.dk, dk_size, rows_of_key, "dk");
  check(errors.dv, x.dv, want.dv, dv_size, rows_of_key, "dv");
}

}  // namespace oracle

#define CHECK_GRADIENTS_WITHIN_BOUND(errors) \
  CHECK_WITHIN_BOUND((errors).dq);           \
  CHECK_WITHIN_BOUND((errors).dk);           \
  CHECK_WITHIN_BOUND((errors).dv)
