// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The kernels of attention::forward: blocks of many queries, and parts of the keys for few.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/cuda/attention/detail/forward_problem.cuh"
#include "tessera/cuda/attention/detail/sequence_tiles.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/query_block.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"

namespace tessera::cuda::attention::detail {

/// Writes the results of a block whose rows have seen all their keys.
template <class Rows, class Problem, bool Packed>
TESSERA_DEVICE void finish_block(Rows& rows, const block_place<Problem, Packed>& place, std::int64_t column) {
  using sum = typename Rows::sum;
  const Problem& p = place.p;
  rows.join_lanes();
  const sum factor = value_factor<sum>(p, place.kv_head);
  const std::int64_t columns = p.at.value_dim() - column;
  rows.for_each_value([&](int r, int c, const packed<sum, 2>& sums, const softmax::state<sum>& state) {
    if (!place.holds(r)) return;
    auto* const to = p.out.at(place.b, place.head_of(r), place.query(r)) + column + c;
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < 2; ++i) {
      const sum mean = state.mass == sum(0) ? sum(0) : sums[i] / state.mass * factor;
      if (c + i < columns) to[i] = static_cast<typename Problem::result_type>(mean);
    }
  });
  if (p.lse.data == nullptr || column > 0) return;
  rows.for_each_state([&](int r, const softmax::state<sum>& state) {
    if (!place.holds(r)) return;
    auto* const to = p.lse.at(place.b, place.head_of(r), place.query(r));
    *to = static_cast<std::remove_reference_t<decltype(*to)>>(softmax{}.finish(state));
  });
}

/// Rows of queries that a key head's heads have together, up to which the keys are shared out.
inline constexpr std::int64_t few_rows = 64;

template <class Problem>
TESSERA_HD bool are_few(const Problem& p, std::int64_t b) {
  return p.at.group() * p.at.len_q(b) <= few_rows;
}

/// A block of queries of one head and all its keys. Grid: tiles of queries from the last one on, as causal masks leave the most work to them; heads;
/// slices of the values' columns.
template <class Shape, bool Aligned, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident) forward_kernel(const __grid_constant__ Problem p) {
  using sum = typename Shape::sum;
  const sequence_tiles tiles(Shape::rows, p.at.batch(), p.at.most_queries());
  const auto at = tiles.find(static_cast<std::int64_t>(gridDim.x - 1 - blockIdx.x), p.at.query_rows().offsets);
  if (at.last <= at.row) return;
  if (p.at.ragged() && are_few(p, at.b)) return;  // few_queries_kernel's
  const std::int64_t head = blockIdx.y;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.z) * Shape::value_depth;
  const block_place<Problem, false> place{p, at.b, head, head / p.at.group(), at.row, at.last};
  const forward_rows<Problem, false, Aligned> operands(place, column);
  const forward_pairs<sum, Problem, false> pairs(place, 0, p.at.len_k(at.b));
  tile::query_block<Shape, softmax> block(softmax{}, dynamic_shared_memory());
  block.rows().start([&](int r) { return sink_state<sum>(place, r, tile::fragment_column() == 0); });
  block.run(operands, pairs);
  finish_block(block.rows(), place, column);
}

/// Keys of a part. Few queries leave a device idle unless their keys are shared out; the size is a constant, so that no bit depends on how many
/// multiprocessors there are, or on what else is in the batch.
inline constexpr std::int64_t part_keys = 512;

/// What the parts leave: a state, and [value_dim] sums, for each row of a key head of a sequence, and each part of its keys.
template <class T>
struct part_store {
  softmax::state<T>* states = nullptr;
  T* sums = nullptr;
  std::int64_t value_dim = 0;
  std::int64_t kv_heads = 0;
  sequence_tiles parts{part_keys, 0, 1};  ///< parts of the keys of all sequences, numbered; at least one of each
  std::int64_t numbers = 0;               ///< of parts; 0: no queries are few
  std::int64_t rows = 0;                  ///< of a key head of a sequence, at most
  /// Rows of a part of all sequences that are packed: those of sequence b begin at group offsets(b). 0: at rows b. Not where keys have offsets.
  std::int64_t packed_rows = 0;
  std::int64_t rows_of_head = 0;  ///< in the store
  bool whole = true;              ///< no sequence has more than one part: nothing is stored

  /// Takes the memory, or counts it.
  void lay_out(bump& memory) {
    if (numbers == 0 || whole) return;
    states = memory.take<softmax::state<T>>(kv_heads * rows_of_head);
    sums = memory.take<T>(kv_heads * rows_of_head * value_dim);
  }

  /// The number of row 0 of a part in the store.
  template <class Problem>
  [[nodiscard]] TESSERA_DEVICE std::int64_t first_row(const Problem& p, std::int64_t b, std::int64_t kv_head,
                                                      std::int64_t part) const {
    const auto& offsets = p.at.key_rows().offsets;
    std::int64_t row = kv_head * rows_of_head;
    if (!offsets.null()) return row + (parts.first(b, offsets) + part) * rows;
    if (packed_rows == 0) return row + (part * p.at.batch() + b) * rows;
    return row + part * packed_rows + p.at.group() * p.at.query_rows().offsets(b);
  }
};

/// All queries of the heads that share a key head, and a part of the keys. Grid: key heads of parts; blocks of rows; slices of the values' columns.
template <class Shape, bool Aligned, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident)
    few_queries_kernel(const __grid_constant__ Problem p, const part_store<typename Shape::sum> store) {
  using sum = typename Shape::sum;
  const auto number = static_cast<std::int64_t>(blockIdx.x / static_cast<unsigned>(store.kv_heads));
  const auto kv_head = static_cast<std::int64_t>(blockIdx.x) - number * store.kv_heads;
  const auto [b, part] = store.parts.owner_of(number, p.at.key_rows().offsets);
  if (part > 0 && part * part_keys >= p.at.len_k(b)) return;
  const std::int64_t rows = p.at.group() * p.at.len_q(b);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.y) * Shape::rows;
  if (first >= rows || rows > few_rows) return;
  const std::int64_t last = first + Shape::rows < rows ? first + Shape::rows : rows;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.z) * Shape::value_depth;
  const block_place<Problem, true> place{p, b, kv_head * p.at.group(), kv_head, first, last};
  const forward_rows<Problem, true, Aligned> operands(place, column);
  const forward_pairs<sum, Problem, true> pairs(place, part * part_keys, (part + 1) * part_keys);
  tile::query_block<Shape, softmax> block(softmax{}, dynamic_shared_memory());
  if (part == 0) block.rows().start([&](int r) { return sink_state<sum>(place, r, tile::fragment_column() == 0); });
  block.run(operands, pairs);
  if (p.at.len_k(b) <= part_keys) {
    finish_block(block.rows(), place, column);
    return;
  }
  const std::int64_t stored = store.first_row(p, b, kv_head, part) + first;
  block.rows().join_lanes();
  block.rows().for_each_value([&](int r, int c, const packed<sum, 2>& sums, const softmax::state<sum>&) {
    if (!place.holds(r)) return;
    sum* const to = store.sums + (stored + r) * store.value_dim + column + c;
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < 2; ++i) {
      if (column + c + i < store.value_dim) to[i] = sums[i];
    }
  });
  if (column > 0) return;
  block.rows().for_each_state([&](int r, const softmax::state<sum>& state) {
    if (place.holds(r)) store.states[stored + r] = state;
  });
}

/// Joins the parts of a row in the order of their keys. Grid: rows of a key head; key heads of sequences. Threads: columns.
template <class T, class Problem>
TESSERA_KERNEL void __launch_bounds__(128, 8) join_parts_kernel(const __grid_constant__ Problem p, const part_store<T> store) {
  const std::int64_t b = blockIdx.x / static_cast<unsigned>(store.kv_heads);
  const std::int64_t kv_head = static_cast<std::int64_t>(blockIdx.x) - b * store.kv_heads;
  const std::int64_t r = blockIdx.y;
  const std::int64_t len_k = p.at.len_k(b);
  if (r >= p.at.group() * p.at.len_q(b) || !are_few(p, b) || len_k <= part_keys) return;
  const block_place<Problem, true> place{p, b, kv_head * p.at.group(), kv_head, r, r + 1};
  const std::int64_t parts = (len_k + part_keys - 1) / part_keys;
  const T factor = value_factor<T>(p, kv_head);
  const std::int64_t row = store.first_row(p, b, kv_head, 0) + r;
  const std::int64_t step = store.first_row(p, b, kv_head, 1) + r - row;  // from a part to the next
  softmax::state<T> state = store.states[row];
  for (std::int64_t c = threadIdx.x; c < store.value_dim; c += blockDim.x) {
    state = store.states[row];
    T sum = store.sums[row * store.value_dim + c];
    for (std::int64_t part = 1; part < parts; ++part) {
      const auto of = softmax{}.join(state, store.states[row + part * step]);
      sum = fma(sum, of.kept, store.sums[(row + part * step) * store.value_dim + c] * of.joined);
    }
    const T mean = state.mass == T(0) ? T(0) : sum / state.mass * factor;
    p.out.at(b, place.head_of(0), place.query(0))[c] = static_cast<typename Problem::result_type>(mean);
  }
  if (threadIdx.x == 0 && p.lse.data != nullptr) {
    state = store.states[row];
    for (std::int64_t part = 1; part < parts; ++part) softmax{}.join(state, store.states[row + part * step]);
    auto* const to = p.lse.at(b, place.head_of(0), place.query(0));
    *to = static_cast<std::remove_reference_t<decltype(*to)>>(softmax{}.finish(state));
  }
}

}  // namespace tessera::cuda::attention::detail
