// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The two passes of attention's backward: gradients of keys and values, then those of queries.
///
/// Products are made again for the second pass, seven in all instead of five. What five would take: the slopes of a tile go through shared
/// memory once more, and every block of keys adds to every gradient of a query, in float32 in memory; in one order for the same bits in every
/// run, so that blocks wait for each other. Two passes need no scratch memory that grows with head_dim, no order among blocks, and leave
/// registers for larger tiles.
///
/// Here: the passes of blocks whose threads copy and multiply for themselves, for any arrays. What Hopper does instead with dense ones of 16 bits is in
/// gradient_hopper.cuh: the same two passes and sums in the same order, in other blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/cuda/attention/detail/gradient_block.cuh"
#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/attention/detail/gradient_rows.cuh"
#include "tessera/cuda/attention/detail/sequence_tiles.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"

namespace tessera::cuda::attention::detail {

/// Two neighbouring gradients, as far as they are there.
template <class S, class T>
TESSERA_DEVICE void store_pair(S* row, std::int64_t column, std::int64_t columns, const packed<T, 2>& sums, T factor) {
  TESSERA_DEVICE_UNROLL
  for (int c = 0; c < 2; ++c) {
    if (column + c < columns) row[column + c] = static_cast<S>(sums[c] * factor);
  }
}

/// A tile of keys that a block has: rows [row, last) of key head kv_h of sequence b.
struct key_place {
  int b;
  int kv_h;
  int row;
  int last;

  template <class Problem>
  TESSERA_DEVICE key_place(const Problem& p, int rows, unsigned item) {
    const sequence_tiles tiles(rows, p.batch, p.len_k);
    const std::int64_t numbers = tiles.count(p.k.offsets);
    kv_h = static_cast<int>(item / numbers);
    const sequence_tiles::place at = tiles.find(item - kv_h * numbers, p.k.offsets);
    b = static_cast<int>(at.b);
    row = static_cast<int>(at.row);
    last = static_cast<int>(at.last);
  }
};

/// dk and dv of a tile of keys: queries of all heads that share them stream by, head after head.
template <class Shape, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident) key_gradient_kernel(const __grid_constant__ Problem p) {
  using sum = typename Shape::sum;
  const int slice = static_cast<int>(blockIdx.y);
  gradient_block<Shape> block(dynamic_shared_memory());
  {
    const key_place at(p, Shape::rows, blockIdx.x);
    if (at.row >= at.last) return;
    const int depth = static_cast<int>(p.head_dim);
    const int value_dim = static_cast<int>(p.value_dim);
    const auto keys = p.key_rows(p.k, at.b, at.kv_h);
    const auto values = p.key_rows(p.v, at.b, at.kv_h);
    block.own(keys, values, at.row, depth, value_dim, static_cast<const row_numbers<sum>*>(nullptr));
    const int group = static_cast<int>(p.group);
    for (int n = 0; n < group; ++n) {
      const int h = at.kv_h * group + n;
      const gradient_pairs<Problem> pairs(p, at.b, h, at.kv_h);
      const std::int64_t tile = p.first_number_tile(at.b, h);
      block.run(keys, values, p.query_rows(p.q, at.b, h), p.query_rows(p.dout, at.b, h), depth, value_dim, slice, pairs,
                p.numbers + tile * number_rows, p.some_empty + tile);
    }
    wait_copies<0>();
  }
  const key_place at(p, Shape::rows, made_anew(blockIdx.x));
  const sum key_factor = static_cast<sum>(p.score_factor(at.kv_h));
  const sum value_factor = p.value_factor(at.kv_h);
  block.for_each_first([&](int r, int c, const packed<sum, 2>& sums) {
    if (at.row + r < at.last) {
      store_pair(p.dk.at(at.b, at.kv_h, at.row + r), slice * Shape::depth + c, p.head_dim, sums, key_factor);
    }
  });
  block.for_each_second([&](int r, int c, const packed<sum, 2>& sums) {
    if (at.row + r < at.last) {
      store_pair(p.dv.at(at.b, at.kv_h, at.row + r), slice * Shape::value_depth + c, p.value_dim, sums, value_factor);
    }
  });
}

/// dq of a tile of queries: keys stream by. The last queries first, as of a causal mask they see most.
template <class Shape, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident) query_gradient_kernel(const __grid_constant__ Problem p) {
  using sum = typename Shape::sum;
  const sequence_tiles tiles(Shape::rows, p.batch, p.len_q);
  const std::int64_t numbers = tiles.count(p.q.offsets);
  const std::int64_t item = blockIdx.x;
  const std::int64_t h = item / numbers;
  const sequence_tiles::place at = tiles.find((h + 1) * numbers - 1 - item, p.q.offsets);
  if (at.row >= at.last) return;
  const std::int64_t kv_h = h / p.group;
  const int depth = static_cast<int>(p.head_dim);
  const int value_dim = static_cast<int>(p.value_dim);
  const int slice = static_cast<int>(blockIdx.y);
  const auto queries = p.query_rows(p.q, at.b, h);
  const auto gradients = p.query_rows(p.dout, at.b, h);
  const std::int64_t tile = p.first_number_tile(at.b, h);
  const row_numbers<sum>* const of_rows = p.numbers + tile * number_rows + at.row;
  const gradient_pairs<Problem> pairs(p, at.b, h, kv_h);
  gradient_block<Shape> block(dynamic_shared_memory());
  block.own(queries, gradients, static_cast<int>(at.row), depth, value_dim, of_rows);
  // Keys' NaN in empty rows: their gradients are set to 0 below, so no tile is looked through for them.
  const int none_empty = 0;
  block.run(queries, gradients, p.key_rows(p.k, at.b, kv_h), p.key_rows(p.v, at.b, kv_h), depth, value_dim, slice, pairs, of_rows,
            &none_empty);
  wait_copies<0>();
  const sum factor = static_cast<sum>(p.score_factor(kv_h));
  block.for_each_first([&](int r, int c, const packed<sum, 2>& sums) {
    if (at.row + r < at.last) {
      const bool empty = of_rows[r][0] == infinity<sum>();
      store_pair(p.dq.at(at.b, h, at.row + r), slice * Shape::depth + c, p.head_dim, empty ? packed<sum, 2>{} : sums, factor);
    }
  });
}

/// Puts both passes in the stream. KeyShape and QueryShape: how blocks of keys and blocks of queries cut their work.
template <class KeyShape, class QueryShape, class Problem>
TESSERA_HIDDEN void launch_gradients(const executor& exec, const Problem& p, const char* function) {
  const auto slices = [](std::int64_t columns, int of) { return (columns + of - 1) / of; };
  const std::int64_t depth_slices = slices(p.head_dim, KeyShape::depth);
  const std::int64_t value_slices = slices(p.value_dim, KeyShape::value_depth);
  const auto where = [&](auto shape_of, std::int64_t items, std::int64_t parts) {
    using S = decltype(shape_of);
    return shape{.grid = dim3(static_cast<unsigned>(items), static_cast<unsigned>(parts)),
                 .block = dim3(S::threads),
                 .shared_bytes = S::shared_bytes,
                 .function = function};
  };
  const std::int64_t key_items = p.kv_heads * sequence_tiles(KeyShape::rows, p.batch, p.len_k).count(p.k.offsets);
  const std::int64_t key_parts = depth_slices > value_slices ? depth_slices : value_slices;
  if (key_items > 0 && key_parts > 0) {
    launch(exec, where(KeyShape{}, key_items, key_parts), key_gradient_kernel<KeyShape, Problem>, p);
  }
  const std::int64_t query_items = p.heads * sequence_tiles(QueryShape::rows, p.batch, p.len_q).count(p.q.offsets);
  if (query_items > 0 && depth_slices > 0) {
    launch(exec, where(QueryShape{}, query_items, depth_slices), query_gradient_kernel<QueryShape, Problem>, p);
  }
}

/// Whether rows are copied in chunks: stored in the type that products take, beginning at multiples of 16 bytes.
template <class Element, class Problem>
bool copies_rows(const Problem& p) {
  if constexpr (std::is_same_v<typename Problem::query_type, Element> && std::is_same_v<typename Problem::key_type, Element> &&
                std::is_same_v<typename Problem::value_type, Element> &&
                std::is_same_v<typename Problem::gradient_type, Element>) {
    return rows_begin_at_chunks(p.q) && rows_begin_at_chunks(p.k) && rows_begin_at_chunks(p.v) && rows_begin_at_chunks(p.dout);
  } else {
    return false;
  }
}

}  // namespace tessera::cuda::attention::detail
