// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The contraction of 16-bit rows on Hopper.
#pragma once

#include <cstdint>

#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/hopper/query_block.cuh"
#include "tessera/cuda/hopper/tensor_copy.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/contraction_problem.cuh"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::hopper {
namespace detail {

template <class Shape, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, 1)
    contraction_kernel([[maybe_unused]] const __grid_constant__ CUtensorMap queries,
                       [[maybe_unused]] const __grid_constant__ CUtensorMap keys,
                       [[maybe_unused]] const __grid_constant__ CUtensorMap values,
                       [[maybe_unused]] const __grid_constant__ Problem p) {
#if TESSERA_HOPPER_PASS || TESSERA_CUDA_EMULATOR
  const std::int64_t n = p.queries.extent(0);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * Shape::rows;
  const std::int64_t last = first + Shape::rows < n ? first + Shape::rows : n;
  const tile::detail::contraction_pairs<float, decltype(p.score), decltype(p.reducer), decltype(p.mask)> pairs(
      p.score, p.mask, first, last, p.keys.extent(0));
  const query_block<Shape, decltype(p.reducer)> block(p.reducer, dynamic_shared_memory());
  block.run(
      {queries, keys, values, static_cast<int>(first), 0, 0, 0}, pairs, [](auto&) {},
      [&](auto& rows) { tile::detail::finish_rows<(Shape::value_depth > 0)>(rows, p, first, last, 0); });
#endif
}

/// A matrix as the one head of a batch of one.
template <class T>
view<const T, 4> as_heads(const view<const T, 2>& m) {
  return {m.data_handle(), {1, 1, m.extent(0), m.extent(1)}, {0, 0, m.stride(0), m.stride(1)}};
}

template <class Shape, class Problem>
TESSERA_HIDDEN bool launch_shape(const executor& exec, const Problem& p, const char* function) {
  const auto kernel = contraction_kernel<Shape, Problem>;
  if (!holds_hopper_code(reinterpret_cast<const void*>(kernel))) return false;
  const CUtensorMap queries = map_rows(as_heads(p.queries), Shape::rows);
  const CUtensorMap keys = map_rows(as_heads(p.keys), Shape::keys);
  const CUtensorMap values = Shape::value_depth > 0 ? map_rows(as_heads(p.values), Shape::keys) : keys;
  const auto blocks = static_cast<unsigned>((p.queries.extent(0) + Shape::rows - 1) / Shape::rows);
  launch(exec, {.grid = dim3(blocks), .block = dim3(Shape::threads), .shared_bytes = Shape::shared_bytes, .function = function},
         kernel, queries, keys, values, p);
  return true;
}

}  // namespace detail

/// Puts the kernel in the stream where there is one for this device and these arrays; false where there is none.
template <bool HasValues, class Problem>
TESSERA_HIDDEN bool launch_contraction(const executor& exec, const Problem& p, const char* function) {
  using M = value_type_of<decltype(p.queries)>;
  const std::int64_t depth = p.queries.extent(1);
  const std::int64_t width = HasValues ? (depth > p.values.extent(1) ? depth : p.values.extent(1)) : depth;
  if (exec.capability() / 10 != 9 || width > 128) return false;
  if (!can_map(detail::as_heads(p.queries)) || !can_map(detail::as_heads(p.keys))) return false;
  if (HasValues && !can_map(detail::as_heads(p.values))) return false;
  if (width <= 64) return detail::launch_shape<block_shape<M, 64, HasValues ? 64 : 0>>(exec, p, function);
  return detail::launch_shape<block_shape<M, 128, HasValues ? 128 : 0>>(exec, p, function);
}

}  // namespace tessera::cuda::hopper
