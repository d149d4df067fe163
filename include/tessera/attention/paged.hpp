// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention to keys and values in a cache: in pages of any size, or at one stride for each sequence.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/sequence_checks.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/attention/index_view.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/paged_cache.hpp"
#include "tessera/attention/ragged.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

namespace detail {

template <class Exec, class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
void forward_paged(const Exec& exec, const view<const Q, 4>& q, const page_views<K, V>& pages, const view<O, 4>& out,
                   const view<L, 3>* lse, const options<Mask, Score, Accumulation>& options) {
  using Arch = typename Exec::arch;
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  const char* const function = "attention::forward";
  tessera::detail::check_operand(q, function, "q");
  check_cache<Arch>(function, pages, q.extent(0), q.extent(1), q.extent(3));
  check_paged_outputs<Arch>(function, q, pages, out, lse);
  const sequences<Q, K, V> x(q, pages);
  const double scale = check_sequence_options<T, Arch>(function, x, options);
  forward_sequences<T>(exec, x, sequence_rows<O>(out), lse != nullptr ? sequence_rows<L>(*lse) : sequence_rows<L>(), scale,
                       options);
}

template <class Exec, class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
void forward_ragged_paged(const Exec& exec, const view<const Q, 3>& q, const page_views<K, V>& pages, const view<O, 3>& out,
                          const view<L, 2>* lse, const ragged& at, const options<Mask, Score, Accumulation>& options) {
  using Arch = typename Exec::arch;
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  const char* const function = "attention::forward";
  tessera::detail::check_operand(q, function, "q");
  check_offsets<Arch>(function, at.query_offsets, q.extent(1), "ragged.query_offsets");
  tessera::detail::expects(
      at.key_offsets.null(), function, "ragged.key_offsets", [] { return "given"; }, "needs none: the keys are in a cache");
  check_cache<Arch>(function, pages, at.query_offsets.extent(0) - 1, q.extent(0), q.extent(2));
  check_ragged_outputs<Arch>(function, q, pages.values.extent(3), out, lse, at);
  check_disjoint_pages(out, pages, function, "out");
  if (lse != nullptr) check_disjoint_pages(*lse, pages, function, "lse");
  const sequences<Q, K, V> x(q, at.query_offsets, pages);
  const double scale = check_sequence_options<T, Arch>(function, x, options);
  forward_sequences<T>(exec, x, sequence_rows<O>(out, at.query_offsets),
                       lse != nullptr ? sequence_rows<L>(*lse, at.query_offsets) : sequence_rows<L>(), scale, options);
}

}  // namespace detail

/// out = softmax(score(scale q k^T)) v for each sequence over the lengths(b) keys that a cache holds of it.
///
/// Shapes          q [batch, heads, len_q, head_dim], out [batch, heads, len_q, value_dim], lse [batch, heads, len_q] (optional); any stride
///                 but the innermost. kv_heads of the cache divide heads.
/// Options         those of forward, for each sequence with its own length: the last query stands at the last key (bottom_right), so
///                 `causal` is right for queries whose keys were appended before the call. What holds numbers for given lengths
///                 (dense_mask, additive_bias, documents) fits only sequences of that length.
/// Special values, accuracy, types  those of forward
/// Cost            that of forward. With few queries keys are read where they lie, if a register's worth of them (16 of float32 with AVX-512)
///                 lies in one page, and values if 4 do; others are copied first, some rows at a time. Scratch as in forward, and with
///                 more than 128 queries 192 keys and values a worker in their own type.
/// Determinism     the bits of forward on the same keys at one stride
/// Errors          argument_error before out is touched: what forward refuses, lengths beyond the pages of a sequence, entries of the table
///                 that are no page, as far as the lengths reach
/// Backward        there is none; gather the keys, or train on ragged batches
/// Source          Kwon et al. 2023, arXiv:2309.06180
template <executor Exec, mdspan_like Q, class K, class V, mdspan_like Out, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 4 && Out::rank() == 4)
void forward(const Exec& exec, const Q& q, const paged<K, V>& cache, const Out& out,
             const options<Mask, Score, Accumulation>& options = {}) {
  detail::forward_paged<Exec, value_type_of<Q>, std::remove_const_t<K>, std::remove_const_t<V>, value_type_of<Out>, float>(
      exec, q, detail::pages_of(cache), out, nullptr, options);
}

template <executor Exec, mdspan_like Q, class K, class V, mdspan_like Out, mdspan_like Lse, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 4 && Out::rank() == 4 && Lse::rank() == 3)
void forward(const Exec& exec, const Q& q, const paged<K, V>& cache, const Out& out, const Lse& lse,
             const options<Mask, Score, Accumulation>& options = {}) {
  using L = value_type_of<Lse>;
  const view<L, 3> lse_view(lse);
  detail::forward_paged<Exec, value_type_of<Q>, std::remove_const_t<K>, std::remove_const_t<V>, value_type_of<Out>, L>(
      exec, q, detail::pages_of(cache), out, &lse_view, options);
}

/// The same for queries of different numbers, one after another: q [heads, total_q, head_dim], out [heads, total_q, value_dim], lse
/// [heads, total_q] (optional), queries of sequence b at [query_offsets(b), query_offsets(b + 1)); key_offsets are null. Prompts and single
/// tokens in one batch; rows of out and lse between and beyond the sequences stay as they are.
template <executor Exec, mdspan_like Q, class K, class V, mdspan_like Out, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 3 && Out::rank() == 3)
void forward(const Exec& exec, const Q& q, const paged<K, V>& cache, const Out& out, const ragged& at,
             const options<Mask, Score, Accumulation>& options = {}) {
  detail::forward_ragged_paged<Exec, value_type_of<Q>, std::remove_const_t<K>, std::remove_const_t<V>, value_type_of<Out>, float>(
      exec, q, detail::pages_of(cache), out, nullptr, at, options);
}

template <executor Exec, mdspan_like Q, class K, class V, mdspan_like Out, mdspan_like Lse, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 3 && Out::rank() == 3 && Lse::rank() == 2)
void forward(const Exec& exec, const Q& q, const paged<K, V>& cache, const Out& out, const Lse& lse, const ragged& at,
             const options<Mask, Score, Accumulation>& options = {}) {
  using L = value_type_of<Lse>;
  const view<L, 2> lse_view(lse);
  detail::forward_ragged_paged<Exec, value_type_of<Q>, std::remove_const_t<K>, std::remove_const_t<V>, value_type_of<Out>, L>(
      exec, q, detail::pages_of(cache), out, &lse_view, at, options);
}

}  // namespace tessera::attention
