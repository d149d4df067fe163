// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention, forward: the contraction of queries with keys under an online softmax that carries values, over batch and heads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/checks.hpp"
#include "tessera/attention/detail/few_queries.hpp"
#include "tessera/attention/detail/forward_checks.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/detail/walk_keys.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {
namespace detail {

/// store(b, h, i, values) and emit(b, h, i, lse) for every query of the listed sequences.
template <class T, class Exec, class Q, class K, class V, class Mask, class Score, class Accumulation, class Store, class Emit>
void run_forward(const Exec& exec, const sequences<Q, K, V>& x, const sequence_list& list, double scale,
                 const options<Mask, Score, Accumulation>& options, const Store& store, const Emit& emit) {
  using P = simd::pack<T, typename Exec::arch>;
  const auto finish = [&](auto& work, std::int64_t b, std::int64_t h, std::int64_t kv_h) {
    if (options.sinks.data_handle() != nullptr) {
      work.join(softmax::state<P>{P(static_cast<T>(static_cast<double>(options.sinks(h)) * softmax::unit)), P(T(1))});
    }
    const T value_scale = value_factor<T>(options, kv_h);
    work.finish_values([&](std::int64_t row, T* values) {
      for (std::int64_t c = 0; value_scale != T(1) && c < x.value_dim(); ++c) values[c] *= value_scale;
      store(b, h, row, values);
    });
    work.finish_states([&](std::int64_t row, T lse) { emit(b, h, row, lse); });
  };
  walk_keys<T>(exec, x, list, scale, options, [](auto&, std::int64_t, std::int64_t) {}, finish);
}

/// Which path a sequence takes: its bits are the same on each.
enum class query_path : std::uint8_t { one_block, few, many };

/// Writes out, and lse where it has data, of all sequences.
template <class T, class Exec, class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
void forward_sequences(const Exec& exec, const sequences<Q, K, V>& x, const sequence_rows<O>& out, const sequence_rows<L>& lse,
                       double scale, const options<Mask, Score, Accumulation>& options) {
  using P = simd::pack<T, typename Exec::arch>;
  const auto store = [&](std::int64_t b, std::int64_t h, std::int64_t i, const T* row) {
    tile::store_row<P>(out.at(b, h, i), row, x.value_dim());
  };
  const auto emit = [&](std::int64_t b, std::int64_t h, std::int64_t i, T value) {
    if (lse.data != nullptr) *lse.at(b, h, i) = static_cast<L>(value);
  };
  const auto run = [&](query_path path, const sequence_list& list) {
    if (path == query_path::many) {
      run_forward<T>(exec, x, list, scale, options, store, emit);
    } else {
      run_few_queries<T>(exec, x, list, scale, options, store, emit);
    }
  };
  const auto path_of = [&](std::int64_t b) {
    if (!few<P>(x.len_q(b), x.group(), x.batch() * x.heads(), x.head_dim(), x.value_dim(), exec.workers())) {
      return query_path::many;
    }
    return x.group() * x.len_q(b) <= few_shape<T, typename Exec::arch>::rows ? query_path::one_block : query_path::few;
  };
  if (x.batch() == 0) return;
  if (x.alike()) {
    run(path_of(0), {nullptr, x.batch()});
    return;
  }
  // Those of one path together, the longest first, so that short ones even out the threads.
  tessera::detail::bump size;
  size.take<std::int64_t>(x.batch());
  tessera::detail::scratch memory(exec.memory(), size.bytes());
  std::int64_t* const ids = tessera::detail::bump(memory.data()).take<std::int64_t>(x.batch());
  for (const query_path path : {query_path::many, query_path::few, query_path::one_block}) {
    std::int64_t count = 0;
    for (std::int64_t b = 0; b < x.batch(); ++b) {
      if (x.len_q(b) > 0 && path_of(b) == path) ids[count++] = b;
    }
    std::sort(ids, ids + count, [&](std::int64_t a, std::int64_t b) {
      const auto pairs = [&](std::int64_t n) { return static_cast<double>(x.len_q(n)) * static_cast<double>(x.len_k(n)); };
      return pairs(a) != pairs(b) ? pairs(a) > pairs(b) : a < b;
    });
    if (count > 0) run(path, {ids, count});
  }
}

/// Checks every argument, then runs; `lse` may be null.
template <class Exec, class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
void forward(const Exec& exec, const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v,
             const view<O, 4>& out, const view<L, 3>* lse, const options<Mask, Score, Accumulation>& options) {
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  const char* const function = "attention::forward";
  const double scale = check_forward<T>(function, q, k, v, out, options);
  if (lse != nullptr) check_lse(function, *lse, q, k, v, out);

  forward_sequences<T>(exec, sequences<Q, K, V>(q, k, v), sequence_rows<O>(out),
                       lse != nullptr ? sequence_rows<L>(*lse) : sequence_rows<L>(), scale, options);
}

}  // namespace detail

/// out = softmax(score(scale q k^T)) v over the keys that the mask shows, for every batch and head; no matrix of len_q x len_k is stored.
///
/// Shapes          q [batch, heads, len_q, head_dim], k [batch, kv_heads, len_k, head_dim], v [batch, kv_heads, len_k, value_dim],
///                 out [batch, heads, len_q, value_dim], lse [batch, heads, len_q] in natural log (optional). kv_heads divides
///                 heads; consecutive query heads share a key head (GQA, MQA). Any stride but the innermost, so [B, S, H, D]
///                 arrays are views with exchanged strides. Any head_dim and value_dim, any lengths.
/// Types           float64, float32, float16, bfloat16, float8 in any mixture; computed and accumulated in float32, in float64 if one
///                 input is float64 or options.accumulation is in_float64. Weights stay in the compute type.
/// Options         mask.hpp, score.hpp, rotary.hpp, dropout.hpp, accumulation.hpp; sinks, a logit for each head that takes its share of every
///                 row and is part of its lse; what the keys and the values of a head are multiplied by
/// Special values  a row that sees no key: out 0, lse -inf. Logits of -inf add nothing, of +inf give NaN. A NaN that a row sees
///                 reaches it, a dropped one too; a NaN in a hidden key or value does not. v = 1 gives exactly 1; a one-hot row its
///                 value's bits.
/// Accuracy        |out - exact| <= 2 ((head_dim + 4) S + 206 + len_k / 192) u A + u_out |out|, S the largest sum |scale q||k| of the
///                 row and A = sum p|v|; besides, 2^-63 len_k max|v| (float64: 2^-511) for weights that are taken for 0, and half
///                 of the smallest subnormal for each key.
///                 Dropout: A is that of the weights that are kept, times its factor; lse is that of all weights.
///                 Compensated sums: 214 + (len_k / 192)^2 u in place of 206 + len_k / 192, and head_dim + 5 of head_dim + 4.
///                 lse: ((head_dim + 5) S + 206 + len_k / 192 + 6 log len_k) u. A score adds twice what it moves a product by to S,
///                 a sink counts as a key of its size. scale q must be finite.
///                 With rotary |q| and |k| are |a cos| + |b sin| of a pair, and 4 S more are added.
///                 docs/reference/attention.md has all this in numbers, and the tests.
/// Cost            4 batch heads len_q len_k head_dim flops of tiles that the mask shows (half of all if causal), one exp2 a score. With
///                 rotary 3 flops for each element of q and, once a block of few queries or once for many, of k. Scratch:
///                 packed keys and values of some heads in the compute type, 32 MiB at most; a head beyond that, or beyond a worker's
///                 share of it, is packed 192 keys at a time by each block of queries. Besides, up to 16 panels of queries a worker; with
///                 up to 128 queries tiles of keys alone, each key read once for all heads of its group.
/// Determinism     the same bits for every number of threads, every batch, and for a row alone or inside a block.
/// Errors          argument_error before out is touched: shapes, null data, strides, overlap, a scale that is not finite, views of masks
///                 and scores that are not of the call's shape, positions that tables do not have.
/// Source          Dao et al. 2022, arXiv:2205.14135; Milakov and Gimelshein 2018, arXiv:1805.02867
template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && Out::rank() == 4)
void forward(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
             const options<Mask, Score, Accumulation>& options = {}) {
  detail::forward<Exec, value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, float>(exec, q, k, v, out,
                                                                                                         nullptr, options);
}

template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && Out::rank() == 4 && Lse::rank() == 3)
void forward(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
             const options<Mask, Score, Accumulation>& options = {}) {
  using L = value_type_of<Lse>;
  const view<L, 3> lse_view(lse);
  detail::forward<Exec, value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, L>(exec, q, k, v, out,
                                                                                                     &lse_view, options);
}

}  // namespace tessera::attention
