// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention, backward: the gradients of queries, keys and values from those of the result.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/attention/detail/checks.hpp"
#include "tessera/attention/detail/gradient_heads.hpp"
#include "tessera/attention/detail/gradient_scores.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// Gradients of what else the options hold, where a view has data. float32; bias in its own type.
template <class B = float>
struct more_gradients {
  view<float, 1> sinks{};   ///< [heads] of options.sinks
  view<float, 1> slopes{};  ///< [heads] of the slopes of alibi, the score or one of a chain
  view<B, 4>
      bias{};  ///< [batch, heads, len_q, len_k] of additive_bias, the score or one of a chain; summed over axes of stride 0
};

namespace detail {

/// Refuses an output that shares memory with an input. With the architecture in its name: it is too long to be inlined everywhere.
template <class Arch, class X, class Operands>
void check_apart_from_inputs(const X& x, const Operands& of, const char* function, const char* argument) {
  using tessera::detail::check_disjoint;
  check_disjoint(x, of.q, function, argument, "q");
  check_disjoint(x, of.k, function, argument, "k");
  check_disjoint(x, of.v, function, argument, "v");
  check_disjoint(x, of.out, function, argument, "out");
  check_disjoint(x, of.lse, function, argument, "lse");
  check_disjoint(x, of.dout, function, argument, "dout");
}

/// Refuses what does not fit together.
template <class Arch, class Operands>
void check_backward(const Operands& x, const char* function) {
  using tessera::detail::check_disjoint;
  using tessera::detail::check_operand;
  using tessera::detail::check_output;
  check_inputs(function, x.q, x.k, x.v);
  check_operand(x.out, function, "out");
  tessera::detail::check_readable(x.lse, function, "lse");
  check_operand(x.dout, function, "dout");
  check_output(x.dq, function, "dq");
  check_output(x.dk, function, "dk");
  check_output(x.dv, function, "dv");
  check_rows(function, x.out, "out", x.q, x.v);
  check_rows(function, x.dout, "dout", x.q, x.v);
  check_extents(x.lse, {x.q.extent(0), x.q.extent(1), x.q.extent(2)}, function, "lse", "needs [batch, heads, len_q]");
  const auto alike = [&](const auto& a, const auto& b, const char* argument, const char* needs) {
    check_extents(a, {b.extent(0), b.extent(1), b.extent(2), b.extent(3)}, function, argument, needs);
  };
  alike(x.dq, x.q, "dq", "needs q's shape");
  alike(x.dk, x.k, "dk", "needs k's shape");
  alike(x.dv, x.v, "dv", "needs v's shape");
  check_apart_from_inputs<Arch>(x.dq, x, function, "dq");
  check_apart_from_inputs<Arch>(x.dk, x, function, "dk");
  check_apart_from_inputs<Arch>(x.dv, x, function, "dv");
  check_disjoint(x.dk, x.dq, function, "dk", "dq");
  check_disjoint(x.dv, x.dq, function, "dv", "dq");
  check_disjoint(x.dv, x.dk, function, "dv", "dk");
}

template <class Exec, class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV, class Mask, class Score,
          class Accumulation, class B>
void backward(const Exec& exec, const gradient_operands<Q, K, V, O, L, G, DQ, DK, DV>& operands,
              const options<Mask, Score, Accumulation>& options, const more_gradients<B>& more) {
  static_assert(!Accumulation::keeps_lost,
                "attention::backward: compensated sums are made by attention::forward alone; take in_float64");
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>, compute_t<G>>;
  using Arch = typename Exec::arch;
  using tessera::detail::check_disjoint;
  using tessera::detail::expects;
  const char* const function = "attention::backward";
  const auto& [q, k, v, out, lse, dout, dq, dk, dv] = operands;
  check_backward<Arch>(operands, function);
  const double scale = check_options<T>(function, q, k, options);
  const auto check_more = [&](const auto& x, const char* argument) {
    tessera::detail::check_distinct(x, function, argument);
    check_apart_from_inputs<Arch>(x, operands, function, argument);
    check_disjoint(x, dq, function, argument, "dq");
    check_disjoint(x, dk, function, argument, "dk");
    check_disjoint(x, dv, function, argument, "dv");
  };
  using score_head = decltype(score_of(options.score, 0, 0, 0, 0));
  if (more.sinks.data_handle() != nullptr) {
    expects(options.sinks.data_handle() != nullptr, function, "more.sinks", [] { return "given"; }, "needs options.sinks, too");
    check_extents(more.sinks, {q.extent(1)}, function, "more.sinks", "needs [heads]");
    check_more(more.sinks, "more.sinks");
  }
  if (more.slopes.data_handle() != nullptr) {
    expects(has_stage<of_slopes, score_head>::value, function, "more.slopes", [] { return "given"; }, "needs a score with alibi");
    check_extents(more.slopes, {q.extent(1)}, function, "more.slopes", "needs [heads]");
    check_more(more.slopes, "more.slopes");
  }
  if (more.bias.data_handle() != nullptr) {
    expects(
        has_stage<of_bias, score_head>::value, function, "more.bias", [] { return "given"; }, "needs a score with additive_bias");
    check_extents(more.bias, {q.extent(0), q.extent(1), q.extent(2), k.extent(2)}, function, "more.bias",
                  "needs [batch, heads, len_q, len_k]");
    std::int64_t extents[4];
    std::int64_t strides[4];
    for (std::size_t r = 0; r < 4; ++r) {
      strides[r] = more.bias.stride(r);
      extents[r] = strides[r] == 0 ? std::min<std::int64_t>(more.bias.extent(r), 1) : more.bias.extent(r);
    }
    const view<B, 4> written(more.bias.data_handle(), extents, strides);
    check_more(written, "more.bias");
    if (more.sinks.data_handle() != nullptr) check_disjoint(written, more.sinks, function, "more.bias", "more.sinks");
    if (more.slopes.data_handle() != nullptr) check_disjoint(written, more.slopes, function, "more.bias", "more.slopes");
  }
  if (more.sinks.data_handle() != nullptr && more.slopes.data_handle() != nullptr) {
    check_disjoint(more.slopes, more.sinks, function, "more.slopes", "more.sinks");
  }
  const gradient_sequences<Q, K, V, O, L, G, DQ, DK, DV> x(operands);
  run_backward<T>(exec, x, scale, options);
  if (more.sinks.data_handle() != nullptr) sink_gradient(exec, x, options.sinks, more.sinks);
  if constexpr (has_stage<of_slopes, score_head>::value) {
    if (more.slopes.data_handle() != nullptr) slope_gradient<T>(exec, x, scale, options, more.slopes);
  }
  if constexpr (has_stage<of_bias, score_head>::value) {
    if (more.bias.data_handle() != nullptr) bias_gradient<T>(exec, x, scale, options, more.bias);
  }
}

}  // namespace detail

/// dq, dk, dv = the gradients of sum(dout * out), where forward(exec, q, k, v, out, lse, options) gave out and lse; no matrix of
/// len_q x len_k is stored.
///
///   p_ij = exp(score(scale q_i . k_j) - lse_i),  ds_ij = p_ij (dout_i . v_j - dout_i . out_i) score'(scale q_i . k_j)
///   with dropout, m_ij = 1 / (1 - rate) where the pair is kept, else 0:
///   ds_ij = p_ij (m_ij dout_i . v_j - dout_i . out_i) score'(...),  dv_j = sum_i p_ij m_ij dout_i
///   dq_i = scale sum_j ds_ij k_j,  dk_j = scale sum_i ds_ij q_i,  dv_j = sum_i p_ij dout_i
///
/// Shapes          q, dq [batch, heads, len_q, head_dim], k, dk [batch, kv_heads, len_k, head_dim], v, dv [batch, kv_heads, len_k,
///                 value_dim], out, dout [batch, heads, len_q, value_dim], lse [batch, heads, len_q] in natural log. Consecutive query
///                 heads that share a key head are summed over (GQA, MQA). Any stride but the innermost, of inputs 0, too. Any head_dim
///                 and value_dim, any lengths.
/// Types           float64, float32, float16, bfloat16 in any mixture; computed in float32, in float64 if q, k, v or dout is float64.
///                 options.accumulation may say float64. Sums stay in the compute type, whatever the gradients are stored in, and are
///                 rounded once.
/// Options         those of forward, and the same: mask, scale, sinks, rotary, dropout, accumulation (compensated sums are refused while
///                 compiling), factors of keys and values (gradients are those of the stored numbers). A score needs a `derivative`:
///                 score_by{f, f'} where it is a function. more: gradients of sinks, biases and slopes, where wanted; the last two
///                 compute two of the five products again.
/// Special values  rows that see no key, and rows whose lse is -inf: they get no gradient and give none, whatever stands in their q, out
///                 and dout. NaN and inf reach the gradients of what sees them, of nothing else. A one-hot row has exactly dq 0.
/// Accuracy        in units of what is summed up, T = |dout_i||v_j| + |dout_i| sum_j p|v_j|, S as in forward, m = len_q heads / kv_heads:
///                 |dq - exact| <= sum_j |scale| p T |k_j| ((4 head_dim + 20) S + 819 + value_dim + len_k / 48 + 8 log len_k) u, dk the same
///                 with |q_i| and 723 + m / 96 + len_k / 64; |dv - exact| <= sum_i p|dout_i| ((2 head_dim + 12) S + 308 + len_k / 192
///                 + m / 96 + 8 log len_k) u; an out (lse) that was rounded to fewer bits adds u_out T (u_lse |lse|) beside them. Besides,
///                 2^-63 (float64: 2^-511) for weights that are taken for 0. With rotary |q| and |k| are |a cos| + |b sin| of a pair, 16 S
///                 (dv: 8 S) more are added, and 4; a gradient's bound is then that of its pair, rotated back likewise. With dropout
///                 |v_j| counts m_ij times, and so does |dout_i| for dv. Tested in test/attention/backward*.cpp, rotary_gradients.cpp,
///                 dropout.cpp.
/// Cost            10 batch heads len_q len_k head_dim flops where value_dim is head_dim (half of it causal) and one exp2 a pair. Scratch
///                 in the compute type: (3 head_dim + 2 value_dim) (len_q + len_k) numbers a worker at most, 150 KiB more, and up to
///                 32 MiB where several workers share a head; for the gradient of a bias 96 len_k numbers a worker.
/// Determinism     the same bits for every number of threads and every batch: dk and dv are chains of 96 queries, added in order, dq
///                 chains of 192 keys.
/// Errors          argument_error before dq, dk or dv is touched: shapes, null data, strides, overlap, a scale that is not finite.
/// Source          Dao et al. 2022, arXiv:2205.14135, algorithm 4; Dao 2023, arXiv:2307.08691
template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse, mdspan_like DOut,
          mdspan_like DQ, mdspan_like DK, mdspan_like DV, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums, class B = float>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && Out::rank() == 4 && Lse::rank() == 3 && DOut::rank() == 4 &&
           DQ::rank() == 4 && DK::rank() == 4 && DV::rank() == 4)
void backward(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse, const DOut& dout,
              const DQ& dq, const DK& dk, const DV& dv, const options<Mask, Score, Accumulation>& options = {},
              const more_gradients<B>& more = {}) {
  const detail::gradient_operands<value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, value_type_of<Lse>,
                                  value_type_of<DOut>, value_type_of<DQ>, value_type_of<DK>, value_type_of<DV>>
      operands{q, k, v, out, lse, dout, dq, dk, dv};
  detail::backward(exec, operands, options, more);
}

}  // namespace tessera::attention
