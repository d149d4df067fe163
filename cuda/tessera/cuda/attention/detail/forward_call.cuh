// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One call of attention::forward on a device: the choice of kernels and of their shapes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/attention/detail/forward_hopper.cuh"
#include "tessera/cuda/attention/detail/forward_kernels.cuh"
#include "tessera/cuda/attention/detail/forward_problem.cuh"
#include "tessera/cuda/attention/detail/rotated_copies.cuh"
#include "tessera/cuda/attention/detail/sequence_tiles.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/cuda/tile/query_block.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"

namespace tessera::cuda::attention::detail {

/// What products are made in: 16-bit queries with keys and values of their type, or of 8 bits, which it holds exactly, on the tensor cores.
template <class T, class Q, class K, class V>
using forward_multiplication =
    std::conditional_t<std::is_same_v<T, float> && sizeof(Q) == 2 && (std::is_same_v<Q, K> || sizeof(K) == 1) &&
                           (std::is_same_v<Q, V> || sizeof(V) == 1),
                       Q, T>;

/// Positions are int in kernels.
inline constexpr std::int64_t longest = (std::int64_t{1} << 31) - 1024;

/// Whether every row begins at a multiple of 16 bytes.
template <class S>
bool begin_at_chunks(const tessera::attention::detail::sequence_rows<const S>& rows) {
  constexpr std::int64_t chunk = 16 / static_cast<std::int64_t>(sizeof(S));
  return reinterpret_cast<std::uintptr_t>(rows.data) % 16 == 0 && rows.sequence % chunk == 0 && rows.head % chunk == 0 &&
         rows.row % chunk == 0;
}

template <class Shape, bool Aligned, class Problem>
TESSERA_HIDDEN void launch_many(const executor& exec, const Problem& p, const char* function) {
  const sequence_tiles tiles(Shape::rows, p.at.batch(), p.at.most_queries());
  const std::int64_t blocks = tiles.count(p.at.query_rows().offsets);
  const std::int64_t slices = (p.at.value_dim() + Shape::value_depth - 1) / Shape::value_depth;
  if (blocks == 0 || p.at.heads() == 0) return;
  launch(exec,
         {.grid = dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(p.at.heads()),
                       static_cast<unsigned>(slices > 0 ? slices : 1)),
          .block = dim3(Shape::threads),
          .shared_bytes = Shape::shared_bytes,
          .function = function},
         forward_kernel<Shape, Aligned, Problem>, p);
}

template <class Shape, bool Aligned, class Problem>
TESSERA_HIDDEN void launch_few(const executor& exec, const Problem& p, const part_store<typename Shape::sum>& store,
                               const char* function) {
  if (store.rows == 0) return;
  const std::int64_t slices = (p.at.value_dim() + Shape::value_depth - 1) / Shape::value_depth;
  launch(exec,
         {.grid = dim3(static_cast<unsigned>(store.numbers * store.kv_heads),
                       static_cast<unsigned>((store.rows + Shape::rows - 1) / Shape::rows),
                       static_cast<unsigned>(slices > 0 ? slices : 1)),
          .block = dim3(Shape::threads),
          .shared_bytes = Shape::shared_bytes,
          .function = function},
         few_queries_kernel<Shape, Aligned, Problem>, p, store);
  if (store.whole) return;
  launch(exec,
         {.grid = dim3(static_cast<unsigned>(p.at.batch() * store.kv_heads), static_cast<unsigned>(store.rows)),
          .block = dim3(128),
          .function = function},
         join_parts_kernel<typename Shape::sum, Problem>, p, store);
}

/// Parts of the keys of few queries, as they are before there is memory for them. In a ragged batch only the device can read which queries are few:
/// there is room for as many as may be.
template <class T, class Problem>
part_store<T> parts_of(const Problem& p) {
  part_store<T> store;
  const std::int64_t all_rows = p.at.group() * p.at.most_queries();
  if (p.at.ragged() ? p.at.group() > few_rows : all_rows > few_rows) return store;
  if (p.at.batch() == 0 || p.at.kv_heads() == 0) return store;
  const auto& key_offsets = p.at.key_rows().offsets;
  store.value_dim = p.at.value_dim();
  store.kv_heads = p.at.kv_heads();
  store.parts = sequence_tiles(part_keys, p.at.batch(), p.at.most_keys() > 0 ? p.at.most_keys() : 1);
  store.numbers = store.parts.count(key_offsets);
  store.rows = all_rows < few_rows ? all_rows : few_rows;
  store.whole = p.at.most_keys() <= part_keys;
  if (!key_offsets.null()) {
    store.rows_of_head = store.numbers * store.rows;
  } else {
    if (p.at.ragged() && all_rows < p.at.batch() * store.rows) store.packed_rows = all_rows;
    store.rows_of_head = store.parts.alike * (store.packed_rows > 0 ? store.packed_rows : p.at.batch() * store.rows);
  }
  return store;
}

/// Whether there may be queries that are not few.
template <class Problem>
bool may_be_many(const Problem& p) {
  return p.at.group() * p.at.most_queries() > few_rows;
}

/// Refuses what no grid has blocks for.
template <class Problem, class T>
void check_grid(const Problem& p, const part_store<T>& store, const char* function) {
  const std::int64_t of_few = store.numbers * store.kv_heads;
  const std::int64_t of_many =
      may_be_many(p) ? sequence_tiles(64, p.at.batch(), p.at.most_queries()).count(p.at.query_rows().offsets) : 0;
  const std::int64_t blocks = of_few > of_many ? of_few : of_many;
  tessera::detail::expects(
      blocks < (std::int64_t{1} << 31) && (of_many == 0 || p.at.heads() < 65536), function, "q",
      [&] { return std::to_string(blocks) + " blocks of queries of " + std::to_string(p.at.heads()) + " heads"; },
      "needs fewer than 2^31 blocks of 64 queries, and 65536 heads");
}

/// Chooses the kernel. Registers bound the shapes: sums of values, scores and fragments are a thread's. At width 64 a warp has 32 queries, so that
/// a row of keys is read from shared memory once for so many.
template <class M, class Problem>
TESSERA_HIDDEN void run_forward(const executor& exec, const Problem& p,
                                const part_store<typename tile::multiplication<M>::sum>& store, const char* function) {
  using element = typename tile::multiplication<M>::element;
  constexpr bool on_tensor_cores = !tile::multiplication<M>::one_by_one;
  constexpr int keys = sizeof(element) == 8 ? 32 : 64;
  constexpr int row_blocks = sizeof(element) < 8 && on_tensor_cores ? 2 : 1;
  const std::int64_t width = p.at.head_dim() > p.at.value_dim() ? p.at.head_dim() : p.at.value_dim();
  bool few = store.numbers > 0;
  const bool many = may_be_many(p);
  constexpr bool one_type = std::is_same_v<typename Problem::query_type, element> &&
                            std::is_same_v<typename Problem::key_type, element> &&
                            std::is_same_v<typename Problem::value_type, element>;
  if constexpr (one_type) {
    if (begin_at_chunks(p.at.query_rows()) && begin_at_chunks(p.at.key_rows()) && begin_at_chunks(p.at.value_rows())) {
      if constexpr (sizeof(element) == 2) {
        if (few && width <= 128) {
          // A warp a block: keys and values come in as fast as memory gives them, and there are blocks enough to hide each other's waits. So are
          // the sequences of a ragged batch, most of which have few rows wherever batches are decoded.
          if (store.rows <= 16 || p.at.ragged()) {
            launch_few<tile::block_shape<M, 1, 1, 64, 128, 128>, true>(exec, p, store, function);
          } else {
            launch_few<tile::block_shape<M, 4, 1, 64, 128, 128>, true>(exec, p, store, function);
          }
          few = false;
        }
        if (!few && !many) return;
        if (!few && launch_on_hopper(exec, p, function)) return;
      }
      if (few) launch_few<tile::block_shape<M, 4, 1, keys, 64, 64>, true>(exec, p, store, function);
      if (!many) return;
      if (width <= 64 || sizeof(element) == 8) {
        return launch_many<tile::block_shape<M, 4, row_blocks, keys, 64, 64>, true>(exec, p, function);
      }
      if constexpr (sizeof(element) < 8) {
        return launch_many<tile::block_shape<M, 4, 1, keys, 128, 128>, true>(exec, p, function);
      }
    }
  }
  if (few) launch_few<tile::block_shape<M, 4, 1, keys, 64, 64>, false>(exec, p, store, function);
  if (many) launch_many<tile::block_shape<M, 4, 1, keys, 64, 64>, false>(exec, p, function);
}

/// Puts a call in the stream, computed in T.
template <class T, class Problem>
TESSERA_HIDDEN void forward_call(const executor& exec, Problem p, const tessera::attention::rotary& by, const char* function) {
  using Q = typename Problem::query_type;
  using K = typename Problem::key_type;
  using M = forward_multiplication<T, Q, K, typename Problem::value_type>;
  const auto check = [&](std::int64_t length, const char* argument) {
    tessera::detail::expects(
        length <= longest, function, argument, [&] { return std::to_string(length) + " rows"; }, "needs fewer than 2^31 - 2^10");
  };
  check(p.at.most_queries(), "q");
  check(p.at.most_keys(), "k");
  part_store<T> store = parts_of<T>(p);
  check_grid(p, store, function);
  const rotated_call call{.batch = p.at.batch(),
                          .head_dim = p.at.head_dim(),
                          .queries = {p.at.query_rows().offsets, {}, p.at.most_queries()},
                          .keys = {p.at.key_rows().offsets, p.at.lengths(), p.at.most_keys()},
                          .by = by};
  rotated_copy<Q> queries(call, true, {.rows = p.at.query_rows()}, p.at.heads());
  rotated_copy<K> keys(call, false, {p.at.key_rows(), p.at.page_table(), p.at.page_size(), p.at.pages()}, p.at.kv_heads());
  const auto lay_out = [&](bump memory) {
    queries.lay_out(memory);
    keys.lay_out(memory);
    store.lay_out(memory);
    return memory.bytes();
  };
  const workspace memory(exec, lay_out(bump()), function);
  lay_out(bump(memory.data()));
  queries.template make<T>(exec, function, "q");
  keys.template make<T>(exec, function, "k");
  p.at = p.at.with(queries.rows(), keys.rows());
  if constexpr (std::is_same_v<M, float>) {
    if (exec.allows_tf32()) return run_forward<tile::tf32>(exec, p, store, function);
  }
  run_forward<M>(exec, p, store, function);
}

}  // namespace tessera::cuda::attention::detail
