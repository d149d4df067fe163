// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention, forward: the contraction of queries with keys under an online softmax that carries values, over batch and heads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/checks.hpp"
#include "tessera/attention/detail/compensated_softmax.hpp"
#include "tessera/attention/detail/few_queries.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/contraction.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {
namespace detail {

/// Keys and values of as many heads as fit this are packed at a time (at least one head a worker).
inline constexpr std::int64_t packed_heads_limit = std::int64_t{32} << 20;

/// The score of one head with its factor, as the contraction takes it.
template <class S>
struct scaled_head {
  static constexpr bool linear = tessera::detail::is_linear<S>;
  S score;
  double scale;

  [[nodiscard]] double query_scale() const { return scale; }
  template <class T>
  [[nodiscard]] TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T> i, lane_index<T> j) const {
    return score(s, i, j);
  }
};

/// Walks every block of queries past all keys: begin(block, b, h) once its folds are empty, end(block, b, h, kv_h) after the last key.
template <class T, class Exec, class Q, class K, class V, class Mask, class Score, class Accumulation, class Begin, class End>
void walk_keys(const Exec& exec, const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v, double scale,
               const options<Mask, Score, Accumulation>& options, const Begin& begin, const End& end) {
  using Arch = typename Exec::arch;
  using head_type = scaled_head<decltype(score_of(options.score, 0, 0, 0, 0))>;
  using reducer_type = std::conditional_t<Accumulation::keeps_lost, compensated_softmax, softmax>;
  using block_type = tile::detail::query_block<T, Arch, head_type, reducer_type, true>;
  using chunk_type = tile::detail::key_chunk_view<T>;

  const std::int64_t len_q = q.extent(2);
  const std::int64_t len_k = k.extent(2);
  const std::int64_t kv_heads = k.extent(0) * k.extent(1);
  const std::int64_t group = k.extent(1) > 0 ? q.extent(1) / k.extent(1) : 0;  // query heads that share a key head

  const reducer_type reducer;
  const typename block_type::layout_type layout{q.extent(3), v.extent(3)};
  const int workers = exec.workers();
  const std::int64_t block =
      tile::detail::block_queries<T, Arch>(len_q * q.extent(0) * q.extent(1), layout.depth, layout.value_dim, workers);
  const std::int64_t blocks = (len_q + block - 1) / block;
  const std::int64_t chunks = (len_k + tile::value_chunk - 1) / tile::value_chunk;
  const std::int64_t head_size = chunks * layout.total();
  const std::int64_t fitting = packed_heads_limit / std::max<std::int64_t>(1, head_size * static_cast<std::int64_t>(sizeof(T)));
  const std::int64_t heads_at_once = std::min(kv_heads, std::max<std::int64_t>(fitting, workers));
  const std::int64_t panels = block / block_type::width;

  tessera::detail::bump worker_size;
  typename block_type::arrays(worker_size, layout, panels);
  struct shared_arrays {
    T* packed;
    chunk_type* chunks;
  };
  const auto lay_out = [&](tessera::detail::bump& memory) {
    return shared_arrays{memory.take<T>(heads_at_once * head_size), memory.take<chunk_type>(heads_at_once * chunks)};
  };
  tessera::detail::bump shared_size;
  lay_out(shared_size);
  tessera::detail::scratch memory(exec.memory(), shared_size.bytes() + static_cast<std::size_t>(workers) * worker_size.bytes());
  tessera::detail::bump cut(memory.data());
  const shared_arrays shared = lay_out(cut);

  for (std::int64_t head0 = 0; head0 < kv_heads; head0 += heads_at_once) {
    const std::int64_t heads = std::min(heads_at_once, kv_heads - head0);
    exec.for_each(heads * chunks, [&](int, std::int64_t i) {
      const std::int64_t head = head0 + i / chunks;
      const std::int64_t b = head / k.extent(1);
      const std::int64_t h = head % k.extent(1);
      shared.chunks[i] =
          tile::detail::pack_keys<block_type::wants_norms>(shared.packed + i * layout.total(), layout, k[b][h], v[b][h],
                                                           static_cast<const T*>(nullptr), T(1), i % chunks * tile::value_chunk);
    });
    exec.for_each(heads * group * blocks, [&](int worker, std::int64_t i) {
      const std::int64_t head = i / (group * blocks);
      const std::int64_t b = (head0 + head) / k.extent(1);
      const std::int64_t kv_h = (head0 + head) % k.extent(1);
      const std::int64_t h = kv_h * group + i / blocks % group;
      // Last block first: under a causal mask it is the longest, and short items at the end even out the threads.
      const std::int64_t first = (blocks - 1 - i % blocks) * block;
      const std::int64_t count = std::min(block, len_q - first);
      tessera::detail::bump mine(memory.data() + shared_size.bytes() + static_cast<std::size_t>(worker) * worker_size.bytes());
      const double key_scale = options.key_scales.data_handle() != nullptr ? static_cast<double>(options.key_scales(kv_h)) : 1.0;
      const head_type score{score_of(options.score, b, h, len_q, len_k), scale * key_scale};
      const typename block_type::rule_type rule(score, reducer);
      const auto mask = head_of(options.mask, b, h, len_q, len_k);
      const dropped_pairs dropped = pairs_dropped(options, b, h, q.extent(1), len_q);
      block_type work(rule, layout, typename block_type::arrays(mine, layout, panels));
      work.start(q[b][h], first, count, static_cast<const T*>(nullptr));
      begin(work, b, h);
      const key_range range = mask.keys(first, first + count, len_k);
      for (std::int64_t c = range.first / tile::value_chunk; c * tile::value_chunk < range.last; ++c) {
        work.absorb(shared.chunks[head * chunks + c], k[b][kv_h], mask, dropped);
      }
      end(work, b, h, kv_h);
    });
  }
}

template <class T, class Exec, class Q, class K, class V, class Mask, class Score, class Accumulation, class Store, class Emit>
void run_forward(const Exec& exec, const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v, double scale,
                 const options<Mask, Score, Accumulation>& options, const Store& store, const Emit& emit) {
  using P = simd::pack<T, typename Exec::arch>;
  const auto finish = [&](auto& work, std::int64_t b, std::int64_t h, std::int64_t kv_h) {
    if (options.sinks.data_handle() != nullptr) {
      work.join(softmax::state<P>{P(static_cast<T>(static_cast<double>(options.sinks(h)) * softmax::unit)), P(T(1))});
    }
    const T value_scale = value_factor<T>(options, kv_h);
    work.finish_values([&](std::int64_t row, T* values) {
      for (std::int64_t c = 0; value_scale != T(1) && c < v.extent(3); ++c) values[c] *= value_scale;
      store(b, h, row, values);
    });
    work.finish_states([&](std::int64_t row, T lse) { emit(b, h, row, lse); });
  };
  walk_keys<T>(exec, q, k, v, scale, options, [](auto&, std::int64_t, std::int64_t) {}, finish);
}

/// Refuses what forward cannot take, computed in T; the factor of q . k.
template <class T, class Q, class K, class V, class O, class Mask, class Score, class Accumulation>
TESSERA_ALWAYS_INLINE double check_forward(const char* function, const view<const Q, 4>& q, const view<const K, 4>& k,
                                           const view<const V, 4>& v, const view<O, 4>& out,
                                           const options<Mask, Score, Accumulation>& options, const char* out_name = "out") {
  using tessera::detail::check_disjoint;
  check_inputs(function, q, k, v);
  tessera::detail::check_output(out, function, out_name);
  check_rows(function, out, out_name, q, v);
  check_disjoint(out, q, function, out_name, "q");
  check_disjoint(out, k, function, out_name, "k");
  check_disjoint(out, v, function, out_name, "v");
  return check_options<T>(function, q, k, options);
}

/// Checks every argument, then runs; `lse` may be null.
template <class Exec, class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
void forward(const Exec& exec, const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v,
             const view<O, 4>& out, const view<L, 3>* lse, const options<Mask, Score, Accumulation>& options) {
  using T = accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  using P = simd::pack<T, typename Exec::arch>;
  using tessera::detail::check_disjoint;
  const char* const function = "attention::forward";
  const double scale = check_forward<T>(function, q, k, v, out, options);
  if (lse != nullptr) {
    tessera::detail::check_output(*lse, function, "lse");
    tessera::detail::expects(
        lse->extent(0) == q.extent(0) && lse->extent(1) == q.extent(1) && lse->extent(2) == q.extent(2), function, "lse",
        [&] { return "shape " + tessera::detail::shape(*lse); }, "needs [batch, heads, len_q]");
    check_disjoint(*lse, q, function, "lse", "q");
    check_disjoint(*lse, k, function, "lse", "k");
    check_disjoint(*lse, v, function, "lse", "v");
    check_disjoint(*lse, out, function, "lse", "out");
  }

  const auto store = [&](std::int64_t b, std::int64_t h, std::int64_t i, const T* row) {
    tile::store_row<P>(out.data_handle() + b * out.stride(0) + h * out.stride(1) + i * out.stride(2), row, out.extent(3));
  };
  const auto emit = [&](std::int64_t b, std::int64_t h, std::int64_t i, T value) {
    if (lse != nullptr) (*lse)(b, h, i) = static_cast<L>(value);
  };
  if (few(q.extent(2))) {
    run_few_queries<T>(exec, q, k, v, scale, options, store, emit);
  } else {
    run_forward<T>(exec, q, k, v, scale, options, store, emit);
  }
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
/// Options         mask.hpp, score.hpp, dropout.hpp, accumulation.hpp; sinks, a logit for each head that takes its share of every row and is
///                 part of its lse; what the keys and the values of a head are multiplied by
/// Special values  a row that sees no key: out 0, lse -inf. Logits of -inf add nothing, of +inf give NaN. A NaN that a row sees
///                 reaches it, a dropped one too; a NaN in a hidden key or value does not. v = 1 gives exactly 1; a one-hot row its
///                 value's bits.
/// Accuracy        |out - exact| <= 2 ((head_dim + 4) S + 206 + len_k / 192) u A + u_out |out|, S the largest sum |scale q||k| of the
///                 row and A = sum p|v|; besides, 2^-63 len_k max|v| (float64: 2^-511) for weights that are taken for 0, and half
///                 of the smallest subnormal for each key.
///                 Dropout: A is that of the weights that are kept, times its factor; lse is that of all weights.
///                 Compensated sums: 214 + (len_k / 192)^2 u in place of 206 + len_k / 192, and head_dim + 5 of head_dim + 4.
///                 lse: ((head_dim + 5) S + 206 + len_k / 192 + 6 log len_k) u. A score adds twice what it moves a product by to S.
///                 Tested in test/attention/forward.cpp, masks.cpp, scores.cpp, decode.cpp,
///                 dropout.cpp, accumulation.cpp.
/// Cost            4 batch heads len_q len_k head_dim flops of tiles that the mask shows (half of all if causal), one exp2 a score. Scratch:
///                 keys and values of some heads in the compute type (32 MiB or one head a worker), and up to 16 panels of queries a
///                 worker; with up to 128 queries tiles of keys alone, each key read once for all heads of its group.
/// Determinism     the same bits for every number of threads, every batch, and for a row alone or inside a block.
/// Errors          argument_error before out is touched: shapes, null data, strides, overlap, a scale that is not finite, views of masks
///                 and scores that are not of the call's shape.
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
