// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// attention::backward of 16-bit arrays on Hopper: both passes of gradient_kernels.cuh.
#pragma once

#include <cstdint>

#include "tessera/cuda/attention/detail/gradient_block_hopper.cuh"
#include "tessera/cuda/attention/detail/gradient_kernels.cuh"
#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/attention/detail/sequence_arrays.cuh"
#include "tessera/cuda/attention/detail/sequence_tiles.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/hopper/tensor_copy.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"

namespace tessera::cuda::attention::detail {

/// A call whose sequences have one length: no kernel looks for offsets then.
template <class Problem>
struct of_one_length : Problem {
  [[nodiscard]] TESSERA_HD std::int64_t queries_of(std::int64_t) const { return Problem::len_q; }
  [[nodiscard]] TESSERA_HD std::int64_t keys_of(std::int64_t) const { return Problem::len_k; }
  [[nodiscard]] TESSERA_DEVICE std::int64_t first_number_tile(std::int64_t b, std::int64_t h) const {
    return (h * Problem::batch + b) * static_cast<int>(Problem::number_tiles().alike);
  }
  template <class S>
  [[nodiscard]] TESSERA_DEVICE static S* row_of(const typename Problem::template rows<S>& x, std::int64_t b, std::int64_t h,
                                                std::int64_t i) {
    return x.data + b * x.sequence + h * x.head + i * x.row;
  }
};

/// Gradients of a tile of rows of one head: dk and dv of keys (a, b: k, v; x, y: q, dout), or dq of queries (a, b: q, dout; x, y: k, v), the last
/// queries first.
template <class Shape, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, 1)
    gradient_kernel_on_hopper([[maybe_unused]] const __grid_constant__ CUtensorMap a,
                              [[maybe_unused]] const __grid_constant__ CUtensorMap b,
                              [[maybe_unused]] const __grid_constant__ CUtensorMap x,
                              [[maybe_unused]] const __grid_constant__ CUtensorMap y,
                              [[maybe_unused]] const __grid_constant__ Problem p) {
#if TESSERA_HOPPER_PASS || TESSERA_CUDA_EMULATOR
  constexpr bool owns_keys = Shape::owns_keys;
  const sequence_tiles tiles(Shape::rows, p.batch, owns_keys ? p.len_k : p.len_q);
  const auto place = tiles.find(owns_keys ? blockIdx.x : gridDim.x - 1 - blockIdx.x, {});
  const int group = static_cast<int>(p.group);
  const int own_head = static_cast<int>(blockIdx.y);
  const int kv_head = owns_keys ? own_head : own_head / group;
  const gradient_rows_of_block at{static_cast<int>(place.b), kv_head, own_head, static_cast<int>(place.row),
                                  static_cast<int>(place.last)};
  const gradient_block_on_hopper<Shape, Problem> block(p, at, dynamic_shared_memory());
  block.run({a, b, x, y}, [&](const auto& first, [[maybe_unused]] const auto& second) {
    const float factor = static_cast<float>(p.score_factor(kv_head));
    [[maybe_unused]] const float value_factor = p.value_factor(kv_head);
    TESSERA_DEVICE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = at.row + block.row(half);
      if (row >= at.last) continue;
      const int column = 2 * tile::fragment_column();
      const auto store = [&](auto* to, std::int64_t columns, const auto& sums, float f, bool empty) {
        TESSERA_DEVICE_UNROLL
        for (int n = 0; n < Shape::depth / 8; ++n) {
          store_pair(to, 8 * n + column, columns,
                     empty ? packed<float, 2>{} : packed<float, 2>{{sums[n][2 * half], sums[n][2 * half + 1]}}, f);
        }
      };
      if constexpr (owns_keys) {
        store(p.row_of(p.dk, at.batch, own_head, row), p.head_dim, first, factor, false);
        store(p.row_of(p.dv, at.batch, own_head, row), p.value_dim, second, value_factor, false);
      } else {
        // An empty row's own NaN, and that of keys, has come into its sums.
        const std::int64_t number = p.first_number_tile(at.batch, own_head) * number_rows + row;
        const bool empty = p.numbers[number][0] == infinity<float>();
        store(p.row_of(p.dq, at.batch, own_head, row), p.head_dim, first, factor, empty);
      }
    }
  });
#endif
}

/// Puts both passes in the stream where there are kernels for this device and these arrays: sequences of one length, rows of at most 128 elements at
/// multiples of 16 bytes, no dropout, whose random numbers would take the registers of products under way.
template <class M, class Any>
TESSERA_HIDDEN bool launch_gradients_on_hopper(const executor& exec, const Any& any, const char* function) {
  using Problem = of_one_length<Any>;
  const Problem p{any};
  const std::int64_t width = p.head_dim > p.value_dim ? p.head_dim : p.value_dim;
  if (exec.capability() / 10 != 9 || !p.q.offsets.null() || width > 128 || p.dropout.active() || p.heads > 65535) {
    return false;  // too many heads: in one axis of the other path's grid
  }
  const auto q = as_array(p.q, p.batch, p.heads, p.len_q, p.head_dim);
  const auto k = as_array(p.k, p.batch, p.kv_heads, p.len_k, p.head_dim);
  const auto v = as_array(p.v, p.batch, p.kv_heads, p.len_k, p.value_dim);
  const auto dout = as_array(p.dout, p.batch, p.heads, p.len_q, p.value_dim);
  if (!hopper::can_map(q) || !hopper::can_map(k) || !hopper::can_map(v) || !hopper::can_map(dout)) return false;
  const auto launch_pass = [&]<class Shape>(Shape, std::int64_t heads, std::int64_t length, const auto& a, const auto& b,
                                            const auto& x, const auto& y) {
    launch(exec,
           {.grid = dim3(static_cast<unsigned>(p.batch * sequence_tiles(Shape::rows, p.batch, length).alike),
                         static_cast<unsigned>(heads)),
            .block = dim3(Shape::threads),
            .shared_bytes = Shape::shared_bytes,
            .function = function},
           gradient_kernel_on_hopper<Shape, Problem>, hopper::map_rows(a, Shape::rows), hopper::map_rows(b, Shape::rows),
           hopper::map_rows(x, Shape::streamed), hopper::map_rows(y, Shape::streamed), p);
  };
  const auto launch_both = [&]<class Keys, class Queries>(Keys keys, Queries queries) {
    if (!hopper::holds_hopper_code(reinterpret_cast<const void*>(gradient_kernel_on_hopper<Keys, Problem>))) return false;
    launch_pass(keys, p.kv_heads, p.len_k, k, v, q, dout);
    launch_pass(queries, p.heads, p.len_q, q, dout, k, v);
    return true;
  };
  if (width <= 64) {
    return launch_both(gradient_shape_on_hopper<M, owner::keys, 64>{}, gradient_shape_on_hopper<M, owner::queries, 64>{});
  }
  return launch_both(gradient_shape_on_hopper<M, owner::keys, 128>{}, gradient_shape_on_hopper<M, owner::queries, 128>{});
}

}  // namespace tessera::cuda::attention::detail
