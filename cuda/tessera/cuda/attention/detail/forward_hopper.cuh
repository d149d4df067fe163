// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// attention::forward of 16-bit arrays on Hopper.
#pragma once

#include <cstdint>

#include "tessera/cuda/attention/detail/forward_kernels.cuh"
#include "tessera/cuda/attention/detail/forward_problem.cuh"
#include "tessera/cuda/attention/detail/sequence_arrays.cuh"
#include "tessera/cuda/attention/detail/sequence_tiles.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/hopper/query_block.cuh"
#include "tessera/cuda/hopper/tensor_copy.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/online/softmax.hpp"

namespace tessera::cuda::attention::detail {

template <class Shape, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, 1)
    forward_kernel_on_hopper([[maybe_unused]] const __grid_constant__ CUtensorMap queries,
                             [[maybe_unused]] const __grid_constant__ CUtensorMap keys,
                             [[maybe_unused]] const __grid_constant__ CUtensorMap values,
                             [[maybe_unused]] const __grid_constant__ Problem p) {
#if TESSERA_HOPPER_PASS || TESSERA_CUDA_EMULATOR
  const sequence_tiles tiles(Shape::rows, p.at.batch(), p.at.most_queries());
  const auto at = tiles.find(static_cast<std::int64_t>(gridDim.x - 1 - blockIdx.x), p.at.query_rows().offsets);
  const std::int64_t head = blockIdx.y;
  const block_place<Problem, false> place{p, at.b, head, head / p.at.group(), at.row, at.last};
  const forward_pairs<float, Problem, false, false> pairs(place, 0, p.at.len_k(at.b));
  const hopper::query_block<Shape, softmax> block(softmax{}, dynamic_shared_memory());
  block.run(
      {queries, keys, values, static_cast<int>(at.row), static_cast<int>(head), static_cast<int>(place.kv_head),
       static_cast<int>(at.b)},
      pairs, [&](auto& rows) { rows.start([&](int r) { return sink_state<float>(place, r, tile::fragment_column() == 0); }); },
      [&](auto& rows) { finish_block(rows, place, 0); });
#endif
}

/// Puts the kernel in the stream where there is one for this device and these arrays: sequences of one length, at one stride, of at most 128
/// columns, without dropout, whose random numbers would take the registers of products under way.
template <class Problem>
TESSERA_HIDDEN bool launch_on_hopper(const executor& exec, const Problem& p, const char* function) {
  const auto& x = p.at;
  const std::int64_t width = x.head_dim() > x.value_dim() ? x.head_dim() : x.value_dim();
  if (exec.capability() / 10 != 9 || !x.alike() || x.in_pages() || width > 128 || x.value_dim() == 0 || p.dropout.active() ||
      x.heads() > 65535) {
    return false;  // too many heads: refused by the other path
  }
  const auto queries = as_array(x.query_rows(), x.batch(), x.heads(), x.most_queries(), x.head_dim());
  const auto keys = as_array(x.key_rows(), x.batch(), x.kv_heads(), x.most_keys(), x.head_dim());
  const auto values = as_array(x.value_rows(), x.batch(), x.kv_heads(), x.most_keys(), x.value_dim());
  if (!hopper::can_map(queries) || !hopper::can_map(keys) || !hopper::can_map(values)) return false;
  const auto launch_shape = [&]<class Shape>(Shape) {
    const auto kernel = forward_kernel_on_hopper<Shape, Problem>;
    if (!hopper::holds_hopper_code(reinterpret_cast<const void*>(kernel))) return false;
    const std::int64_t blocks = sequence_tiles(Shape::rows, x.batch(), x.most_queries()).count(x.query_rows().offsets);
    launch(exec,
           {.grid = dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(x.heads())),
            .block = dim3(Shape::threads),
            .shared_bytes = Shape::shared_bytes,
            .function = function},
           kernel, hopper::map_rows(queries, Shape::rows), hopper::map_rows(keys, Shape::keys),
           hopper::map_rows(values, Shape::keys), p);
    return true;
  };
  using M = typename Problem::query_type;
  if (width <= 64) return launch_shape(hopper::block_shape<M, 64, 64>{});
  return launch_shape(hopper::block_shape<M, 128, 128>{});
}

}  // namespace tessera::cuda::attention::detail
