// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention of a ragged batch, backward: the gradients of sequences one after another.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/attention/backward.hpp"
#include "tessera/attention/detail/gradient_heads.hpp"
#include "tessera/attention/detail/gradient_scores.hpp"
#include "tessera/attention/detail/sequence_checks.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/ragged.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {
namespace detail {

/// Everything that is read, and what is written: [heads, total, …].
template <class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV>
struct ragged_gradient_operands {
  view<const Q, 3> q;
  view<const K, 3> k;
  view<const V, 3> v;
  view<const O, 3> out;
  view<const L, 2> lse;
  view<const G, 3> dout;
  view<DQ, 3> dq;
  view<DK, 3> dk;
  view<DV, 3> dv;
};

/// Refuses an output that shares memory with an input or with offsets.
template <class Arch, class X, class Operands>
void check_apart_from_ragged(const X& x, const Operands& of, const ragged& at, const char* function, const char* argument) {
  check_apart_from_inputs<Arch>(x, of, function, argument);
  tessera::detail::check_disjoint(x, at.query_offsets.bytes(), function, argument, "ragged.query_offsets");
  tessera::detail::check_disjoint(x, at.key_offsets.bytes(), function, argument, "ragged.key_offsets");
}

/// Refuses what does not fit together.
template <class Arch, class Operands>
void check_ragged_backward(const Operands& x, const ragged& at, const char* function) {
  using tessera::detail::check_disjoint;
  check_ragged_inputs<Arch>(function, x.q, x.k, x.v, at.query_offsets, at.key_offsets);
  tessera::detail::check_operand(x.out, function, "out");
  tessera::detail::check_operand(x.dout, function, "dout");
  const auto alike = [&](const auto& a, std::int64_t heads, std::int64_t total, std::int64_t dim, const char* argument,
                         const char* needs) { check_extents(a, {heads, total, dim}, function, argument, needs); };
  const std::int64_t heads = x.q.extent(0);
  const std::int64_t total_q = x.q.extent(1);
  alike(x.out, heads, total_q, x.v.extent(2), "out", "needs [heads, total_q, value_dim]");
  alike(x.dout, heads, total_q, x.v.extent(2), "dout", "needs [heads, total_q, value_dim]");
  check_extents(x.lse, {heads, total_q}, function, "lse", "needs [heads, total_q]");
  alike(x.dq, heads, total_q, x.q.extent(2), "dq", "needs q's shape");
  alike(x.dk, x.k.extent(0), x.k.extent(1), x.k.extent(2), "dk", "needs k's shape");
  alike(x.dv, x.v.extent(0), x.v.extent(1), x.v.extent(2), "dv", "needs v's shape");
  tessera::detail::check_output(x.dq, function, "dq");
  tessera::detail::check_output(x.dk, function, "dk");
  tessera::detail::check_output(x.dv, function, "dv");
  check_apart_from_ragged<Arch>(x.dq, x, at, function, "dq");
  check_apart_from_ragged<Arch>(x.dk, x, at, function, "dk");
  check_apart_from_ragged<Arch>(x.dv, x, at, function, "dv");
  check_disjoint(x.dk, x.dq, function, "dk", "dq");
  check_disjoint(x.dv, x.dq, function, "dv", "dq");
  check_disjoint(x.dv, x.dk, function, "dv", "dk");
}

template <class Exec, class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV, class Mask, class Score,
          class Accumulation>
void backward_ragged(const Exec& exec, const ragged_gradient_operands<Q, K, V, O, L, G, DQ, DK, DV>& operands, const ragged& at,
                     const options<Mask, Score, Accumulation>& options, const view<float, 1>& dsinks) {
  static_assert(!Accumulation::keeps_lost,
                "attention::backward: compensated sums are made by attention::forward alone; take in_float64");
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>, compute_t<G>>;
  using Arch = typename Exec::arch;
  using tessera::detail::check_disjoint;
  const char* const function = "attention::backward";
  const auto& [q, k, v, out, lse, dout, dq, dk, dv] = operands;
  check_ragged_backward<Arch>(operands, at, function);
  const gradient_sequences<Q, K, V, O, L, G, DQ, DK, DV> x(q, k, v, out, lse, dout, dq, dk, dv, at.query_offsets, at.key_offsets);
  const double scale = check_sequence_options<T, Arch>(function, x.inputs(), options);
  if (dsinks.data_handle() != nullptr) {
    tessera::detail::expects(
        options.sinks.data_handle() != nullptr, function, "dsinks", [] { return "given"; }, "needs options.sinks, too");
    check_extents(dsinks, {q.extent(0)}, function, "dsinks", "needs [heads]");
    tessera::detail::check_distinct(dsinks, function, "dsinks");
    check_apart_from_ragged<Arch>(dsinks, operands, at, function, "dsinks");
    check_disjoint(dsinks, dq, function, "dsinks", "dq");
    check_disjoint(dsinks, dk, function, "dsinks", "dk");
    check_disjoint(dsinks, dv, function, "dsinks", "dv");
  }
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
