// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention of a ragged batch, backward: the gradients of sequences one after another.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/attention/backward.hpp"
#include "tessera/attention/detail/gradient_heads.hpp"
#include "tessera/attention/detail/gradient_scores.hpp"
#include "tessera/attention/detail/ragged_gradient_checks.hpp"
#include "tessera/attention/detail/sequence_checks.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/ragged.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {
namespace detail {

template <class Exec, class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV, class Mask, class Score,
          class Accumulation>
void backward_ragged(const Exec& exec, const ragged_gradient_operands<Q, K, V, O, L, G, DQ, DK, DV>& operands, const ragged& at,
                     const options<Mask, Score, Accumulation>& options, const view<float, 1>& dsinks) {
  static_assert(!Accumulation::keeps_lost,
                "attention::backward: compensated sums are made by attention::forward alone; take in_float64");
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>, compute_t<G>>;
  using Arch = typename Exec::arch;
  const char* const function = "attention::backward";
  const auto& [q, k, v, out, lse, dout, dq, dk, dv] = operands;
  check_ragged_backward<Arch>(operands, at, function);
  const gradient_sequences<Q, K, V, O, L, G, DQ, DK, DV> x(q, k, v, out, lse, dout, dq, dk, dv, at.query_offsets, at.key_offsets);
  const double scale = check_sequence_options<T, Arch>(function, x.inputs(), options);
  check_sinks_of_ragged<Arch>(operands, at, options, dsinks, function);
  run_backward<T>(exec, x, scale, options);
  if (dsinks.data_handle() != nullptr) sink_gradient(exec, x, options.sinks, dsinks);
}

}  // namespace detail

/// dq, dk, dv = the gradients of sum(dout * out), where forward(exec, q, k, v, out, lse, at, options) gave out and lse: backward of each
/// sequence alone.
///
/// Shapes          q, dq [heads, total_q, head_dim], k, dk [kv_heads, total_k, head_dim], v, dv [kv_heads, total_k, value_dim], out, dout
///                 [heads, total_q, value_dim], lse [heads, total_q]; dsinks [heads], where wanted, is the gradient of options.sinks. Rows of
///                 dq, dk and dv between and beyond the sequences stay as they are; those of keys that have no query are 0.
/// Options         those of forward, and the same. There are no gradients of slopes and biases.
/// Special values, accuracy, types  those of backward
/// Cost            that of the sequences. Heads go to workers whole, the longest first; those that would take one longer than its part of
///                 all are shared. Scratch as in backward, for the longest sequence.
/// Determinism     the bits of backward on each sequence alone, for every number of threads and every batch
/// Errors          argument_error before dq, dk or dv is touched: what backward refuses, offsets that fall or lead out of the rows
/// Source          Dao 2023, arXiv:2307.08691
template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse, mdspan_like DOut,
          mdspan_like DQ, mdspan_like DK, mdspan_like DV, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 3 && K::rank() == 3 && V::rank() == 3 && Out::rank() == 3 && Lse::rank() == 2 && DOut::rank() == 3 &&
           DQ::rank() == 3 && DK::rank() == 3 && DV::rank() == 3)
void backward(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse, const DOut& dout,
              const DQ& dq, const DK& dk, const DV& dv, const ragged& at, const options<Mask, Score, Accumulation>& options = {},
              const view<float, 1>& dsinks = {}) {
  const detail::ragged_gradient_operands<value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>,
                                         value_type_of<Lse>, value_type_of<DOut>, value_type_of<DQ>, value_type_of<DK>,
                                         value_type_of<DV>>
      operands{q, k, v, out, lse, dout, dq, dk, dv};
  detail::backward_ragged(exec, operands, at, options, dsinks);
}

}  // namespace tessera::attention
