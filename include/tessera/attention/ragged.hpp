// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention of a ragged batch, forward: sequences of different lengths one after another, cut by offsets.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/forward_checks.hpp"
#include "tessera/attention/detail/sequence_checks.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/attention/index_view.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/ragged_sequences.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

namespace detail {

template <class Exec, class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
void forward_ragged(const Exec& exec, const view<const Q, 3>& q, const view<const K, 3>& k, const view<const V, 3>& v,
                    const view<O, 3>& out, const view<L, 2>* lse, const ragged& at,
                    const options<Mask, Score, Accumulation>& options) {
  using Arch = typename Exec::arch;
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  using tessera::detail::check_disjoint;
  const char* const function = "attention::forward";
  check_ragged_inputs<Arch>(function, q, k, v, at.query_offsets, at.key_offsets);
  check_ragged_outputs<Arch>(function, q, v.extent(2), out, lse, at);
  check_disjoint(out, k, function, "out", "k");
  check_disjoint(out, v, function, "out", "v");
  if (lse != nullptr) {
    check_disjoint(*lse, k, function, "lse", "k");
    check_disjoint(*lse, v, function, "lse", "v");
  }
  const sequences<Q, K, V> x(q, at.query_offsets, k, v, at.key_offsets);
  const double scale = check_sequence_options<T, Arch>(function, x, options);
  forward_sequences<T>(exec, x, sequence_rows<O>(out, at.query_offsets),
                       lse != nullptr ? sequence_rows<L>(*lse, at.query_offsets) : sequence_rows<L>(), scale, options);
}

}  // namespace detail

/// out = softmax(score(scale q k^T)) v for each sequence of a ragged batch, without padding: forward on each sequence alone.
///
/// Shapes          q [heads, total_q, head_dim], k [kv_heads, total_k, head_dim], v [kv_heads, total_k, value_dim], out [heads, total_q,
///                 value_dim], lse [heads, total_q] (optional); any stride but the innermost, so [total, heads, dim] arrays are views with
///                 exchanged strides. Sequences may have no queries, or no keys; rows of out and lse between and beyond them stay as they
///                 are.
/// Options         those of forward; masks and scores are built for each sequence with its own number, lengths and positions from 0 on, and
///                 a function gets (b, h, i, j) so; rotary's positions are those of a sequence, too. What holds numbers for given lengths
///                 (dense_mask, additive_bias, documents) fits only sequences of that length. With dropout a row is counted where it
///                 lies: h total_q + query_offsets(b) + i.
/// Special values, accuracy, types  those of forward
/// Cost            that of the sequences, whatever their lengths: blocks of queries of all sequences and heads are one range of work, the
///                 longest first. Scratch as in forward, and some numbers a sequence.
/// Determinism     the bits of forward on each sequence alone, for every number of threads and every batch
/// Errors          argument_error before out is touched: what forward refuses, offsets that fall or lead out of the rows
/// Source          Dao 2023, arXiv:2307.08691
template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 3 && K::rank() == 3 && V::rank() == 3 && Out::rank() == 3)
void forward(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out, const ragged& at,
             const options<Mask, Score, Accumulation>& options = {}) {
  detail::forward_ragged<Exec, value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, float>(
      exec, q, k, v, out, nullptr, at, options);
}

template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 3 && K::rank() == 3 && V::rank() == 3 && Out::rank() == 3 && Lse::rank() == 2)
void forward(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse, const ragged& at,
             const options<Mask, Score, Accumulation>& options = {}) {
  using L = value_type_of<Lse>;
  const view<L, 2> lse_view(lse);
  detail::forward_ragged<Exec, value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, L>(
      exec, q, k, v, out, &lse_view, at, options);
}

}  // namespace tessera::attention
