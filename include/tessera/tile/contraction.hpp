// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The contraction: every query against every key, folded as it is made. The matrix of scores is never built.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/tile/detail/contraction_checks.hpp"
#include "tessera/tile/detail/key_store.hpp"
#include "tessera/tile/detail/query_block.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/no_emit.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {
namespace tile::detail {

/// Packed keys above this many bytes are not kept; each worker packs chunk by chunk, once for each of its blocks of queries.
inline constexpr std::int64_t packed_keys_limit = std::int64_t{256} << 20;

/// Queries and sums of a block should leave half of a second-level cache to the keys.
inline constexpr std::int64_t block_bytes = std::int64_t{640} << 10;

/// Queries of a block: whole panels, few enough for the cache and for every worker to get several blocks. No bit depends on it.
template <class T, class Arch>
std::int64_t block_queries(std::int64_t n, std::int64_t depth, std::int64_t value_dim, int workers) {
  constexpr std::int64_t width = block_shape<T, Arch>::width;
  const std::int64_t by_cache = block_bytes / (static_cast<std::int64_t>(sizeof(T)) * (depth + value_dim + 1)) / width;
  const std::int64_t by_share = (n / (4 * workers) + width - 1) / width;
  return std::clamp(std::min(by_cache, workers > 1 ? by_share : by_cache), std::int64_t{1}, std::int64_t{16}) * width;
}

/// Mean of (a sample of) the keys: what distances are centred on. Zero where it is not finite.
template <class T, class K>
TESSERA_ALWAYS_INLINE void key_center(T* center, double* sums, const view<const K, 2>& keys) {
  const std::int64_t depth = keys.extent(1);
  const std::int64_t step = std::max<std::int64_t>(1, keys.extent(0) / 4096);
  std::fill(sums, sums + depth, 0.0);
  std::int64_t seen = 0;
  for (std::int64_t j = 0; j < keys.extent(0); j += step, ++seen) {
    const K* const row = keys.data_handle() + j * keys.stride(0);
    for (std::int64_t k = 0; k < depth; ++k) sums[k] += static_cast<double>(static_cast<T>(row[k]));
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    const T mean = static_cast<T>(seen > 0 ? sums[k] / static_cast<double>(seen) : 0.0);
    center[k] = mean - mean == T(0) ? mean : T(0);
  }
}

/// One contraction: packs what can be packed once, then walks blocks of queries past the chunks of keys.
template <bool HasValues, class Exec, class Q, class K, class V, class Score, class Reducer, class Mask, class Store, class Emit>
void run_contraction(const Exec& exec, const view<const Q, 2>& queries, const view<const K, 2>& keys,
                     const view<const V, 2>& values, const Score& score, const Reducer& reducer, const Mask& mask,
                     const Store& store, const Emit& emit) {
  using Arch = typename Exec::arch;
  using T = std::common_type_t<compute_t<Q>, compute_t<K>, compute_t<V>>;
  using block_type = query_block<T, Arch, Score, Reducer, HasValues>;
  using rule_type = typename block_type::rule_type;
  constexpr int width = block_type::width;
  constexpr std::int64_t chunk_size = block_type::layout_type::chunk;

  const std::int64_t n = queries.extent(0);
  const std::int64_t m = keys.extent(0);
  const typename block_type::layout_type layout{queries.extent(1), HasValues ? values.extent(1) : 0};
  const rule_type rule(score, reducer);

  const int workers = exec.workers();
  const std::int64_t block = block_queries<T, Arch>(n, layout.depth, layout.value_dim, workers);
  const std::int64_t blocks = (n + block - 1) / block;
  const std::int64_t chunks = (m + chunk_size - 1) / chunk_size;
  const bool keep = chunks * layout.total() * static_cast<std::int64_t>(sizeof(T)) <= packed_keys_limit;
  const std::int64_t stored_chunks = keep ? chunks : workers;
  const std::int64_t panels = block / width;

  const auto lay_out = [&](tessera::detail::bump& memory) {
    struct {
      T* packed;
      key_chunk_view<T>* chunks;
      T* center;
      double* center_sums;
    } shared{memory.take<T>(stored_chunks * layout.total()), memory.take<key_chunk_view<T>>(stored_chunks),
             memory.take<T>(layout.depth), memory.take<double>(layout.depth)};
    return shared;
  };
  tessera::detail::bump shared_size;
  lay_out(shared_size);
  tessera::detail::bump worker_size;
  typename block_type::arrays(worker_size, layout, panels);
  tessera::detail::scratch memory(exec.memory(), shared_size.bytes() + static_cast<std::size_t>(workers) * worker_size.bytes());
  tessera::detail::bump shared_memory(memory.data());
  const auto shared = lay_out(shared_memory);

  const T* center = nullptr;
  if constexpr (rule_type::from_norms) {
    key_center(shared.center, shared.center_sums, keys);
    center = shared.center;
  }
  const auto pack = [&](std::int64_t slot, std::int64_t chunk) -> const key_chunk_view<T>& {
    return shared.chunks[slot] = pack_keys<block_type::wants_norms>(shared.packed + slot * layout.total(), layout, keys, values,
                                                                    center, rule.factor, chunk * chunk_size);
  };
  if (keep) exec.for_each(chunks, [&](int, std::int64_t c) { pack(c, c); });

  exec.for_each(blocks, [&](int worker, std::int64_t b) {
    tessera::detail::bump mine(memory.data() + shared_size.bytes() + static_cast<std::size_t>(worker) * worker_size.bytes());
    block_type work(rule, layout, typename block_type::arrays(mine, layout, panels));
    const std::int64_t first = b * block;
    const std::int64_t count = std::min(block, n - first);
    work.start(queries, first, count, center);
    const key_range range = mask.keys(first, first + count, m);
    for (std::int64_t c = range.first / chunk_size; c * chunk_size < range.last; ++c) {
      work.absorb(keep ? shared.chunks[c] : pack(worker, c), keys, mask);
    }
    if constexpr (HasValues) work.finish_values(store);
    work.finish_states(emit);
  });
}

/// The contraction with values, for every function that is one.
template <class Exec, class Queries, class Keys, class Values, class Score, class Reducer, class Out, class Emit, class Mask>
void contract_values(const argument_names& names, const Exec& exec, const Queries& queries, const Keys& keys,
                     const Values& values, const Score& score, const Reducer& reducer, const Out& out, const Emit& emit,
                     const Mask& mask) {
  using Q = value_type_of<Queries>;
  using K = value_type_of<Keys>;
  using V = value_type_of<Values>;
  using O = value_type_of<Out>;
  using T = std::common_type_t<compute_t<Q>, compute_t<K>, compute_t<V>>;
  const view<const Q, 2> q(queries);
  const view<const K, 2> k(keys);
  const view<const V, 2> v(values);
  const view<O, 2> o(out);
  check_weighted_contraction<T>(names, q, k, v, o, score, reducer);
  using P = simd::pack<T, typename Exec::arch>;
  run_contraction<true>(
      exec, q, k, v, score, reducer, mask,
      [&](std::int64_t i, const T* row) { tile::store_row<P>(o.data_handle() + i * o.stride(0), row, o.extent(1)); }, emit);
}

}  // namespace tile::detail

/// Folds the scores of every query against every key: emit(i, reducer.finish(state_i)), state_i = fold over j of score(q_i, k_j).
///
/// Shapes          queries [n, depth], keys [m, depth]; rows at any stride, elements of a row contiguous. Storage float64,
///                 float32, float16, bfloat16 in any mixture; computed in float64 if one of them is float64, else in float32.
/// Score           tile/score.hpp: dot, scaled_dot, squared_distance, gaussian …, or any lambda (dot, i, j).
/// Reducer         online/: argmin, argmax, top_k, softmax (log-sum-exp), moments, kernel_sum, or one's own.
/// Emit            called once a row, concurrently for different rows.
/// Mask            tile/mask.hpp; pairs that it hides have the score `Reducer::excluded`.
/// Special values  n = 0: nothing is emitted; m = 0: the state of no scores; depth = 0: every product is 0. NaN and inf go
///                 through the product as in IEEE arithmetic.
/// Accuracy        a product is one chain of depth fused multiply-adds: |error| <= depth u sum |q||k|. Distances: squared_distance.
/// Cost            2 n m depth flops. Scratch: the keys once in the compute type (while that is under 256 MiB), and per worker
///                 up to 16 panels of queries.
/// Determinism     the same bits for every number of threads, and for a row alone or among others.
/// Errors          argument_error before anything is emitted: shapes, null data, rows that are not contiguous, 2^31 rows or more where
///                 the compute type is float32, a scale or sigma that is not finite in the compute type, a bias of another shape.
template <executor Exec, mdspan_like Queries, mdspan_like Keys, class Score, class Reducer, class Emit, class Mask = no_mask>
  requires(Queries::rank() == 2 && Keys::rank() == 2 && !mdspan_like<Score>)
void contract(const Exec& exec, const Queries& queries, const Keys& keys, const Score& score, const Reducer& reducer,
              const Emit& emit, const Mask& mask = {}) {
  using Q = value_type_of<Queries>;
  using K = value_type_of<Keys>;
  using T = std::common_type_t<compute_t<Q>, compute_t<K>>;
  const view<const Q, 2> q(queries);
  const view<const K, 2> k(keys);
  tile::detail::check_contraction<T>(tile::detail::argument_names{}, q, k);
  tile::detail::check_score<T>("contract", score, reducer, q.extent(0), k.extent(0));
  tile::detail::run_contraction<false>(exec, q, k, k, score, reducer, mask, [](std::int64_t, const T*) {}, emit);
}

/// Weighted means of values: out_i = sum_j w_ij v_j / sum_j w_ij, the weights made by a weighing reducer (softmax).
///
/// Shapes          as above, values [m, value_dim], out [n, value_dim] of any storage type (rounded once, from the compute type).
/// Special values  a row with no visible key, or only -inf scores: zeros. Values of hidden keys are never read into a row, NaN
///                 included.
/// Cost            2 n m (depth + value_dim) flops and n m exponentials.
/// Errors          as above, for values and out too; elements of out that share memory, with each other or with an input.
/// The rest as above; `emit` also gets the finished state of every row.
template <executor Exec, mdspan_like Queries, mdspan_like Keys, mdspan_like Values, class Score, class Reducer, mdspan_like Out,
          class Emit = no_emit, class Mask = no_mask>
  requires(Queries::rank() == 2 && Keys::rank() == 2 && Values::rank() == 2 && Out::rank() == 2)
void contract(const Exec& exec, const Queries& queries, const Keys& keys, const Values& values, const Score& score,
              const Reducer& reducer, const Out& out, const Emit& emit = {}, const Mask& mask = {}) {
  tile::detail::contract_values(tile::detail::argument_names{}, exec, queries, keys, values, score, reducer, out, emit, mask);
}

}  // namespace tessera
