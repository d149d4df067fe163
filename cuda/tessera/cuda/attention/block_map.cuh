// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Maps of masks (tessera/attention/block_map.hpp) made on a CUDA device, where the mask's arrays are.
#pragma once

#include <cstdint>

#include "tessera/attention/mapped.hpp"
#include "tessera/attention/mask.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/attention/detail/option_checks.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

inline constexpr int map_threads = 128;

/// A block of threads for each block of pairs; a thread has keys of one column, so that neighbours read neighbours.
template <class Mask>
TESSERA_KERNEL void __launch_bounds__(map_threads) map_kernel(const __grid_constant__ Mask mask, const std::int64_t len_q,
                                                              const std::int64_t len_k, const view<tile_class, 4> to) {
  constexpr int rows = static_cast<int>(tessera::attention::map_rows);
  constexpr int columns = static_cast<int>(tessera::attention::map_columns);
  const std::int64_t c = blockIdx.x % to.extent(3);
  const std::int64_t above = blockIdx.x / to.extent(3);
  const std::int64_t r = above % to.extent(2);
  const std::int64_t h = above / to.extent(2) % to.extent(1);
  const std::int64_t b = above / to.extent(2) / to.extent(1);
  const auto head = tessera::attention::detail::head_of(mask, b, h, len_q, len_k);
  const std::int64_t j = c * columns + static_cast<int>(threadIdx.x % columns);
  bool some = false;
  bool all = true;
  for (int i = static_cast<int>(threadIdx.x / columns); i < rows && r * rows + i < len_q && j < len_k;
       i += map_threads / columns) {
    const bool seen = static_cast<bool>(head.visible(r * rows + i, j));
    some = some || seen;
    all = all && seen;
  }
  const bool any = __syncthreads_or(some ? 1 : 0) != 0;
  const bool whole = __syncthreads_or(all ? 0 : 1) == 0;
  if (threadIdx.x == 0) to(b, h, r, c) = !any ? tile_class::none : whole ? tile_class::all : tile_class::some;
}

}  // namespace tessera::cuda::attention::detail

namespace tessera::attention {

/// map_blocks (tessera/attention/block_map.hpp) on a CUDA device: same arguments, same meaning; `blocks` and what the mask reads are of device
/// memory.
///
/// Cost            every pair is asked once, 128 threads a block
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses, 2^31 blocks or more, memory that is not the
///                 device's; cuda::error
template <class Mask, mdspan_like Blocks>
  requires(Blocks::rank() == 4)
TESSERA_HIDDEN void map_blocks(const cuda::executor& exec, const Mask& mask, std::int64_t len_q, std::int64_t len_k,
                               const Blocks& blocks) {
  const char* const function = "attention::map_blocks";
  const view<tile_class, 4> to(blocks);
  detail::check_map(function, to, len_q, len_k);
  detail::check_part(mask, function, {to.extent(0), to.extent(1), len_q, len_k});
  tessera::detail::expects(
      to.size() < std::int64_t{1} << 31, function, "blocks", [&] { return "shape " + tessera::detail::shape(to); },
      "needs fewer than 2^31 of them");
  cuda::attention::detail::check_part_memory(exec, mask, function);
  cuda::detail::check_memory(exec, to, function, "blocks");
  if (to.size() == 0) return;
  cuda::launch(
      exec,
      {.grid = dim3(static_cast<unsigned>(to.size())), .block = dim3(cuda::attention::detail::map_threads), .function = function},
      cuda::attention::detail::map_kernel<Mask>, mask, len_q, len_k, to);
}

}  // namespace tessera::attention
