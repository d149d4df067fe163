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
#include "tessera/attention/detail/gradient_checks.hpp"
#include "tessera/attention/detail/gradient_heads.hpp"
#include "tessera/attention/detail/gradient_scores.hpp"
#include "tessera/attention/more_gradients.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

namespace detail {

template <class Exec, class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV, class Mask, class Score,
          class Accumulation, class B>
void backward(const Exec& exec, const gradient_operands<Q, K, V, O, L, G, DQ, DK, DV>& operands,
              const options<Mask, Score, Accumulation>& options, const more_gradients<B>& more) {
  static_assert(!Accumulation::keeps_lost,
                "attention::backward: compensated sums are made by attention::forward alone; take in_float64");
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>, compute_t<G>>;
  using Arch = typename Exec::arch;
  const char* const function = "attention::backward";
  check_backward<Arch>(operands, function);
  const double scale = check_options<T>(function, operands.q, operands.k, options);
  using score_head = decltype(score_of(options.score, 0, 0, 0, 0));
  check_more_gradients<Arch>(operands, options, more, function);
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
