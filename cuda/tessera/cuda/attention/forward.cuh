// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention, forward, on a CUDA device: softmax(score(scale q k^T)) v, tile by tile.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/attention/accumulation.hpp"
#include "tessera/attention/detail/checks.hpp"
#include "tessera/attention/detail/forward_checks.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/paged_cache.hpp"
#include "tessera/attention/ragged_sequences.hpp"
#include "tessera/cuda/attention/detail/forward_call.cuh"
#include "tessera/cuda/attention/detail/forward_problem.cuh"
#include "tessera/cuda/attention/detail/option_checks.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

/// What every call asks of a device's memory and of options, and the call itself.
template <class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
TESSERA_HIDDEN void forward_sequences(const executor& exec, const tessera::attention::detail::sequences<Q, K, V>& x,
                                      const tessera::attention::detail::sequence_rows<O>& out,
                                      const tessera::attention::detail::sequence_rows<L>& lse, double scale,
                                      const tessera::attention::options<Mask, Score, Accumulation>& options,
                                      const char* function) {
  static_assert(!Accumulation::keeps_lost, "attention::forward: compensated sums are made on the CPU alone; take in_float64");
  using T = tessera::attention::detail::accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  check_option_memory(exec, options, function);
  check_rotated_types<Q, K>(options, function);
  const forward_problem<Q, K, V, O, L, Mask, Score> problem{
      x, out, lse, scale, options.mask, options.score, options.sinks, options.key_scales, options.value_scales, options.dropout};
  forward_call<T>(exec, problem, options.rotary, function);
}

template <class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
TESSERA_HIDDEN void forward(const executor& exec, const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v,
                            const view<O, 4>& out, const view<L, 3>* lse,
                            const tessera::attention::options<Mask, Score, Accumulation>& options) {
  using namespace tessera::attention::detail;
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  const char* const function = "attention::forward";
  const double scale = check_forward<T>(function, q, k, v, out, options);
  if (lse != nullptr) check_lse(function, *lse, q, k, v, out);
  cuda::detail::check_memory(exec, q, function, "q");
  cuda::detail::check_memory(exec, k, function, "k");
  cuda::detail::check_memory(exec, v, function, "v");
  cuda::detail::check_memory(exec, out, function, "out");
  if (lse != nullptr) cuda::detail::check_memory(exec, *lse, function, "lse");
  forward_sequences(exec, sequences<Q, K, V>(q, k, v), sequence_rows<O>(out),
                    lse != nullptr ? sequence_rows<L>(*lse) : sequence_rows<L>(), scale, options, function);
}

template <class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
TESSERA_HIDDEN void forward_ragged(const executor& exec, const view<const Q, 3>& q, const view<const K, 3>& k,
                                   const view<const V, 3>& v, const view<O, 3>& out, const view<L, 2>* lse,
                                   const tessera::attention::ragged& at,
                                   const tessera::attention::options<Mask, Score, Accumulation>& options) {
  using namespace tessera::attention::detail;
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  const char* const function = "attention::forward";
  check_ragged_shapes<executor>(function, q, k, v, at.query_offsets, at.key_offsets);
  check_ragged_outputs<executor>(function, q, v.extent(2), out, lse, at);
  tessera::detail::check_disjoint(out, k, function, "out", "k");
  tessera::detail::check_disjoint(out, v, function, "out", "v");
  if (lse != nullptr) {
    tessera::detail::check_disjoint(*lse, k, function, "lse", "k");
    tessera::detail::check_disjoint(*lse, v, function, "lse", "v");
    cuda::detail::check_memory(exec, *lse, function, "lse");
  }
  const double scale =
      check_ragged_options<T>(function, q.extent(0), k.extent(0), q.extent(2), q.extent(1), k.extent(1), options);
  cuda::detail::check_memory(exec, q, function, "q");
  cuda::detail::check_memory(exec, k, function, "k");
  cuda::detail::check_memory(exec, v, function, "v");
  cuda::detail::check_memory(exec, out, function, "out");
  cuda::detail::check_memory(exec, at.query_offsets.bytes(), function, "ragged.query_offsets");
  cuda::detail::check_memory(exec, at.key_offsets.bytes(), function, "ragged.key_offsets");
  forward_sequences(exec, sequences<Q, K, V>(q, at.query_offsets, k, v, at.key_offsets), sequence_rows<O>(out, at.query_offsets),
                    lse != nullptr ? sequence_rows<L>(*lse, at.query_offsets) : sequence_rows<L>(), scale, options, function);
}

template <class K, class V>
void check_cache_memory(const executor& exec, const tessera::attention::detail::page_views<K, V>& pages, const char* function) {
  cuda::detail::check_memory(exec, pages.keys, function, "cache.keys");
  cuda::detail::check_memory(exec, pages.values, function, "cache.values");
  if (!pages.table.null()) cuda::detail::check_memory(exec, pages.table.bytes(), function, "cache.table");
  if (!pages.lengths.null()) cuda::detail::check_memory(exec, pages.lengths.bytes(), function, "cache.lengths");
}

template <class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
TESSERA_HIDDEN void forward_paged(const executor& exec, const view<const Q, 4>& q,
                                  const tessera::attention::detail::page_views<K, V>& pages, const view<O, 4>& out,
                                  const view<L, 3>* lse, const tessera::attention::options<Mask, Score, Accumulation>& options) {
  using namespace tessera::attention::detail;
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  const char* const function = "attention::forward";
  tessera::detail::check_operand(q, function, "q");
  check_cache_shapes<executor>(function, pages, q.extent(0), q.extent(1), q.extent(3));
  check_paged_outputs<executor>(function, q, pages, out, lse);
  const sequences<Q, K, V> x(q, pages);
  const double scale = check_ragged_options<T>(function, x.heads(), x.kv_heads(), x.head_dim(), x.batch() * x.most_queries(),
                                               x.most_keys(), options);
  cuda::detail::check_memory(exec, q, function, "q");
  cuda::detail::check_memory(exec, out, function, "out");
  if (lse != nullptr) cuda::detail::check_memory(exec, *lse, function, "lse");
  check_cache_memory(exec, pages, function);
  forward_sequences(exec, x, sequence_rows<O>(out), lse != nullptr ? sequence_rows<L>(*lse) : sequence_rows<L>(), scale, options,
                    function);
}

template <class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
TESSERA_HIDDEN void forward_ragged_paged(const executor& exec, const view<const Q, 3>& q,
                                         const tessera::attention::detail::page_views<K, V>& pages, const view<O, 3>& out,
                                         const view<L, 2>* lse, const tessera::attention::ragged& at,
                                         const tessera::attention::options<Mask, Score, Accumulation>& options) {
  using namespace tessera::attention::detail;
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  const char* const function = "attention::forward";
  tessera::detail::check_operand(q, function, "q");
  check_number_of_offsets<executor>(function, at.query_offsets, "ragged.query_offsets");
  tessera::detail::expects(
      at.key_offsets.null(), function, "ragged.key_offsets", [] { return "given"; }, "needs none: the keys are in a cache");
  check_cache_shapes<executor>(function, pages, at.query_offsets.extent(0) - 1, q.extent(0), q.extent(2));
  check_ragged_outputs<executor>(function, q, pages.values.extent(3), out, lse, at);
  check_disjoint_pages(out, pages, function, "out");
  if (lse != nullptr) check_disjoint_pages(*lse, pages, function, "lse");
  const sequences<Q, K, V> x(q, at.query_offsets, pages);
  const double scale =
      check_ragged_options<T>(function, x.heads(), x.kv_heads(), x.head_dim(), q.extent(1), x.most_keys(), options);
  cuda::detail::check_memory(exec, q, function, "q");
  cuda::detail::check_memory(exec, out, function, "out");
  if (lse != nullptr) cuda::detail::check_memory(exec, *lse, function, "lse");
  cuda::detail::check_memory(exec, at.query_offsets.bytes(), function, "ragged.query_offsets");
  check_cache_memory(exec, pages, function);
  forward_sequences(exec, x, sequence_rows<O>(out, at.query_offsets),
                    lse != nullptr ? sequence_rows<L>(*lse, at.query_offsets) : sequence_rows<L>(), scale, options, function);
}

}  // namespace tessera::cuda::attention::detail

namespace tessera::attention {

/// forward (tessera/attention/forward.hpp) on a CUDA device: same arguments, same meaning. Views are of device memory, those of options, too; masks
/// and scores are copied into kernels and called there: functions are marked __host__ __device__.
///
/// Types           16-bit queries, with keys and values of their type or of 8 bits, are multiplied on the tensor cores, weights rounded to that
///                 type; float64 there, too; else float32 one by one, or, of exec.tf32(), on the tensor cores. Sums in float32 or float64.
/// Options         all but compensated sums. rotary: queries and keys are rotated before, into copies of their types, with the bits of a call on
///                 what `rotate` wrote; of 8 bits they are refused. A row whose position is beyond the tables, where lengths are known to the
///                 device alone, is NaN
/// Special values  as on the CPU, but v = 1 gives 1, and a one-hot row its value, within two roundings of float32 and float64
/// Accuracy        of float32 and float64: |out - exact| <= 2 ((head_dim + 4) S + 8 + len_k) u A + u_out |out|, with S and A as on the CPU; of lse
///                 ((head_dim + 5) S + 8 + len_k + 6 log len_k) u + u_out |lse|. 16-bit inputs: 4 head_dim for head_dim, 4 len_k for len_k of out, as
///                 tensor cores add with a truncation, and 2 u_s A (lse: u_s) besides, u_s that of their type: weights are rounded to it, and the mass
///                 is that of the rounded ones. float16 has weights below 2^-14 beside the largest that are rounded to multiples of 2^-24: 2^-25
///                 len_k / mass of the largest |v| (lse: of 1) besides. tf32: as of 16 bits, u_s = 2^-11, and (2^-9 S + 2^-11) A (lse: 2^-10 S)
///                 besides, as queries, keys and values are rounded, too. rotary: 4 u S more beside head_dim S u, sizes as on the CPU, and of
///                 copies in fewer bits than the sums' their roundoff S for q and for k. test/cuda/attention_forward*.cpp
/// Cost            flops as on the CPU; head_dim or value_dim above 128 (float32 one by one, too; float64: 64): queries and keys slice by slice, and
///                 products again for each slice of values. Up to 64 queries of the heads that share a key head: keys in parts of 512, each
///                 by a block of its own; scratch then (value_dim + 2) numbers for each part and query. rotary: copies of what is rotated, of a
///                 cache of all keys that its table has room for, each read and written once. Else no scratch.
/// Determinism     the same bits in every run, for every batch, ragged or not, and on every device of a generation; those of a query depend on
///                 whether its sequence has more than these 64, and on Hopper, where tiles have 128 keys for 64, on whether the arrays are
///                 such as its own path takes: dense, of 16 bits, at most 128 columns, strides of multiples of 16 bytes, no dropout
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses, rotated rows of 8 bits, memory that is
///                 not the device's; cuda::error
/// Source          Dao et al. 2022, arXiv:2205.14135; Shah et al. 2024, arXiv:2407.08608 (two warpgroups in turns); Milakov and Gimelshein 2018,
///                 arXiv:1805.02867
template <mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && Out::rank() == 4)
TESSERA_HIDDEN void forward(const cuda::executor& exec, const Q& q, const K& k, const V& v, const Out& out,
                            const options<Mask, Score, Accumulation>& options = {}) {
  cuda::attention::detail::forward<value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, float>(
      exec, q, k, v, out, nullptr, options);
}

template <mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && Out::rank() == 4 && Lse::rank() == 3)
TESSERA_HIDDEN void forward(const cuda::executor& exec, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
                            const options<Mask, Score, Accumulation>& options = {}) {
  using L = value_type_of<Lse>;
  const view<L, 3> lse_view(lse);
  cuda::attention::detail::forward<value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, L>(
      exec, q, k, v, out, &lse_view, options);
}

/// The same for each sequence of a ragged batch (tessera/attention/ragged.hpp). Offsets are of device memory, too, where only kernels read them: that
/// they rise and stay within the rows, and that masks and scores which hold numbers for given lengths fit them, is for the caller to see to.
///
/// Cost            that of the sequences, and blocks that end at once: for up to one tile of queries a sequence and head, and for parts of keys of
///                 sequences whose queries are many. Which have few only the device can read: there is scratch for as many parts as may be, of up
///                 to 64 queries each of the heads that share a key head
/// Determinism     the bits of each sequence alone, Hopper's own path apart
template <mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 3 && K::rank() == 3 && V::rank() == 3 && Out::rank() == 3)
TESSERA_HIDDEN void forward(const cuda::executor& exec, const Q& q, const K& k, const V& v, const Out& out, const ragged& at,
                            const options<Mask, Score, Accumulation>& options = {}) {
  cuda::attention::detail::forward_ragged<value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, float>(
      exec, q, k, v, out, nullptr, at, options);
}

template <mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 3 && K::rank() == 3 && V::rank() == 3 && Out::rank() == 3 && Lse::rank() == 2)
TESSERA_HIDDEN void forward(const cuda::executor& exec, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
                            const ragged& at, const options<Mask, Score, Accumulation>& options = {}) {
  using L = value_type_of<Lse>;
  const view<L, 2> lse_view(lse);
  cuda::attention::detail::forward_ragged<value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, L>(
      exec, q, k, v, out, &lse_view, at, options);
}

/// The same over the keys that a cache holds of each sequence (tessera/attention/paged.hpp). Lengths and table are of device memory, where only
/// kernels read them: that they name pages which are there is for the caller to see to.
template <mdspan_like Q, class K, class V, mdspan_like Out, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 4 && Out::rank() == 4)
TESSERA_HIDDEN void forward(const cuda::executor& exec, const Q& q, const paged<K, V>& cache, const Out& out,
                            const options<Mask, Score, Accumulation>& options = {}) {
  cuda::attention::detail::forward_paged<value_type_of<Q>, std::remove_const_t<K>, std::remove_const_t<V>, value_type_of<Out>,
                                         float>(exec, q, detail::pages_of(cache), out, nullptr, options);
}

template <mdspan_like Q, class K, class V, mdspan_like Out, mdspan_like Lse, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 4 && Out::rank() == 4 && Lse::rank() == 3)
TESSERA_HIDDEN void forward(const cuda::executor& exec, const Q& q, const paged<K, V>& cache, const Out& out, const Lse& lse,
                            const options<Mask, Score, Accumulation>& options = {}) {
  using L = value_type_of<Lse>;
  const view<L, 3> lse_view(lse);
  cuda::attention::detail::forward_paged<value_type_of<Q>, std::remove_const_t<K>, std::remove_const_t<V>, value_type_of<Out>, L>(
      exec, q, detail::pages_of(cache), out, &lse_view, options);
}

template <mdspan_like Q, class K, class V, mdspan_like Out, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 3 && Out::rank() == 3)
TESSERA_HIDDEN void forward(const cuda::executor& exec, const Q& q, const paged<K, V>& cache, const Out& out, const ragged& at,
                            const options<Mask, Score, Accumulation>& options = {}) {
  cuda::attention::detail::forward_ragged_paged<value_type_of<Q>, std::remove_const_t<K>, std::remove_const_t<V>,
                                                value_type_of<Out>, float>(exec, q, detail::pages_of(cache), out, nullptr, at,
                                                                           options);
}

template <mdspan_like Q, class K, class V, mdspan_like Out, mdspan_like Lse, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 3 && Out::rank() == 3 && Lse::rank() == 2)
TESSERA_HIDDEN void forward(const cuda::executor& exec, const Q& q, const paged<K, V>& cache, const Out& out, const Lse& lse,
                            const ragged& at, const options<Mask, Score, Accumulation>& options = {}) {
  using L = value_type_of<Lse>;
  const view<L, 2> lse_view(lse);
  cuda::attention::detail::forward_ragged_paged<value_type_of<Q>, std::remove_const_t<K>, std::remove_const_t<V>,
                                                value_type_of<Out>, L>(exec, q, detail::pages_of(cache), out, &lse_view, at,
                                                                       options);
}

}  // namespace tessera::attention
