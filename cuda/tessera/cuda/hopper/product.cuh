// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Matrix products of 16-bit operands on Hopper: one thread lets slices of both in, two warpgroups multiply, and blocks go from tile to tile, so that
/// the slices of the next come in while the sums of one are finished.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/hopper/mbarrier.cuh"
#include "tessera/cuda/hopper/tensor_copy.cuh"
#include "tessera/cuda/hopper/warpgroup_mma.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/cuda/tile/product_kernel.cuh"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::hopper {

/// 256 x 128 sums: 128 x 128 for each warpgroup that multiplies, which are 128 registers of a thread. A slice of 64 steps is 48 KiB.
template <class M, operand Left, operand Right>
struct product_shape {
  using multiplied = M;
  static constexpr operand left = Left;    ///< rows: lines are stored rows; columns: steps of depth are
  static constexpr operand right = Right;  ///< the same
  static constexpr int multipliers = 2;
  static constexpr int threads = warpgroup_threads * (1 + multipliers);
  static constexpr int rows = 256;
  static constexpr int columns = 128;
  static constexpr int depth = box_columns;
  static constexpr int stages = 4;
  static constexpr int multiplier_registers = 240;
  static constexpr int producer_registers = 24;
  static constexpr int box_bytes = 64 * depth * 2;  ///< of 64 lines
  static constexpr int left_boxes = rows / 64;
  static constexpr int right_boxes = columns / 64;
  static constexpr int left_bytes = left_boxes * box_bytes;
  static constexpr int right_bytes = right_boxes * box_bytes;
  static constexpr std::size_t shared_bytes = stages * (left_bytes + right_bytes) + 128;
};

/// One block's share of a product: tiles blockIdx.x, blockIdx.x + gridDim.x, …
template <class Shape>
class block_product {
 public:
  TESSERA_DEVICE block_product(std::byte* shared, const tile::product_size& size, const tile::product_tiles& tiles)
      : shared_(shared), size_(size), tiles_(tiles) {}

  /// Called by all threads; nothing may follow, as registers change hands.
  template <class Finish>
  TESSERA_DEVICE void run(const CUtensorMap& left, const CUtensorMap& right, const Finish& finish) const {
    if (threadIdx.x == 0) {
      for (int s = 0; s < Shape::stages; ++s) {
        ready(s).init(1);
        free(s).init(4 * Shape::multipliers);
      }
      mbarrier::fence_init();
    }
    __syncthreads();
    if (warpgroup_id() > 0) {
      claim_registers<Shape::multiplier_registers>();
      multiply_tiles(finish);
    } else {
      release_registers<Shape::producer_registers>();
      if (threadIdx.x == 0) let_in(left, right);
    }
  }

 private:
  using position = pipeline_position<Shape::stages>;
  using sums_type = float[2][16][4];

  [[nodiscard]] TESSERA_DEVICE std::byte* left_at(int stage) const {
    return shared_ + stage * (Shape::left_bytes + Shape::right_bytes);
  }
  [[nodiscard]] TESSERA_DEVICE std::byte* right_at(int stage) const { return left_at(stage) + Shape::left_bytes; }
  [[nodiscard]] TESSERA_DEVICE mbarrier barrier(int number) const {
    return mbarrier(reinterpret_cast<std::uint64_t*>(left_at(Shape::stages)) + number);
  }
  [[nodiscard]] TESSERA_DEVICE mbarrier ready(int stage) const { return barrier(stage); }
  [[nodiscard]] TESSERA_DEVICE mbarrier free(int stage) const { return barrier(Shape::stages + stage); }
  [[nodiscard]] TESSERA_DEVICE unsigned tiles() const { return tiles_.down * tiles_.across; }
  [[nodiscard]] TESSERA_DEVICE int slices() const { return static_cast<int>((size_.depth + Shape::depth - 1) / Shape::depth); }

  /// Boxes of lines [line, line + 64 Boxes), of a slice.
  template <operand How, int Boxes>
  TESSERA_DEVICE static void copy_slice(std::byte* to, const CUtensorMap& map, const mbarrier& done, int line, int step) {
    if constexpr (How == operand::rows) {
      copy_box(to, map, done, step, line, 0, 0);
    } else {
      for (int b = 0; b < Boxes; ++b) copy_box(to + b * Shape::box_bytes, map, done, line + 64 * b, step, 0, 0);
    }
  }

  TESSERA_DEVICE void let_in(const CUtensorMap& left, const CUtensorMap& right) const {
    prefetch_map(left);
    prefetch_map(right);
    position p;
    for (unsigned tile = blockIdx.x; tile < tiles(); tile += gridDim.x) {
      const auto at = tiles_.of(tile);
      const int row = static_cast<int>(at.row) * Shape::rows;
      const int column = static_cast<int>(at.column) * Shape::columns;
      for (int s = 0; s < slices(); ++s, p.advance()) {
        free(p.stage).wait(p.parity ^ 1);
        ready(p.stage).arrive_and_expect(Shape::left_bytes + Shape::right_bytes);
        copy_slice<Shape::left, Shape::left_boxes>(left_at(p.stage), left, ready(p.stage), row, s * Shape::depth);
        copy_slice<Shape::right, Shape::right_boxes>(right_at(p.stage), right, ready(p.stage), column, s * Shape::depth);
      }
    }
  }

  /// Where the next 16 steps of an operand are.
  template <operand How>
  [[nodiscard]] TESSERA_DEVICE static constexpr int step_bytes() {
    return How == operand::rows ? 32 : 2048;
  }

  /// Products of a slice, asked for.
  TESSERA_DEVICE void ask(sums_type& sums, int stage, int multiplier, bool add) const {
    settle(sums[0]);
    settle(sums[1]);
    fence_operands();
    const operand_descriptor right = operand_descriptor::of(right_at(stage), Shape::box_bytes);
    const operand_descriptor left = operand_descriptor::of(left_at(stage) + 2 * multiplier * Shape::box_bytes, Shape::box_bytes);
    TESSERA_DEVICE_UNROLL
    for (int k = 0; k < Shape::depth / 16; ++k) {
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < 2; ++m) {
        multiply<typename Shape::multiplied, Shape::right, Shape::left>(
            sums[m], left.after(m * Shape::box_bytes + k * step_bytes<Shape::left>()),
            right.after(k * step_bytes<Shape::right>()), add || k > 0);
      }
    }
    commit_products();
  }

  TESSERA_DEVICE void give_back(int stage) const {
    __syncwarp();
    if (lane_id() == 0) free(stage).arrive();
  }

  template <class Finish>
  TESSERA_DEVICE void multiply_tiles(const Finish& finish) const {
    const int multiplier = warpgroup_id() - 1;
    position p;
    for (unsigned tile = blockIdx.x; tile < tiles(); tile += gridDim.x) {
      sums_type sums;
      int before = 0;
      for (int s = 0; s < slices(); ++s, p.advance()) {
        ready(p.stage).wait(p.parity);
        ask(sums, p.stage, multiplier, s > 0);
        if (s > 0) {
          wait_products<1>();
          give_back(before);
        }
        before = p.stage;
      }
      wait_products<0>();
      settle(sums[0]);
      settle(sums[1]);
      give_back(before);
      const auto at = tiles_.of(tile);
      const int warp = static_cast<int>(threadIdx.x / 32 % 4);
      TESSERA_DEVICE_UNROLL
      for (int m = 0; m < 2; ++m) {
        const std::int64_t row = static_cast<std::int64_t>(at.row) * Shape::rows + 128 * multiplier + 64 * m + 16 * warp;
        const std::int64_t column = static_cast<std::int64_t>(at.column) * Shape::columns;
        tile::detail::finish_rows_of_block(finish, size_, row + tile::fragment_row(), column + 2 * tile::fragment_column(),
                                           sums[m]);
      }
    }
  }

  std::byte* shared_;
  const tile::product_size& size_;
  const tile::product_tiles& tiles_;
};

namespace detail {

template <class Shape, class Finish>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, 1)
    product_kernel([[maybe_unused]] const __grid_constant__ CUtensorMap left,
                   [[maybe_unused]] const __grid_constant__ CUtensorMap right,
                   [[maybe_unused]] const __grid_constant__ tile::product_size size,
                   [[maybe_unused]] const __grid_constant__ Finish finish,
                   [[maybe_unused]] const __grid_constant__ tile::product_tiles tiles) {
#if TESSERA_HOPPER_PASS || TESSERA_CUDA_EMULATOR
  block_product<Shape>(dynamic_shared_memory(), size, tiles).run(left, right, finish);
#endif
}

template <class T>
view<const T, 4> as_one_head(const view<const T, 2>& m) {
  return {m.data_handle(), {1, 1, m.extent(0), m.extent(1)}, {0, 0, m.stride(0), m.stride(1)}};
}

}  // namespace detail

/// Whether a product can go this way: on this device, in what was compiled, with these arrays. They are the operands' stored rows: lines, or, by
/// columns, steps of depth.
template <operand Left, operand Right, class Finish, class M>
TESSERA_HIDDEN bool has_product(const executor& exec, const view<const M, 2>& left, const view<const M, 2>& right) {
  return exec.capability() / 10 == 9 && can_map(detail::as_one_head(left)) && can_map(detail::as_one_head(right)) &&
         holds_hopper_code(reinterpret_cast<const void*>(detail::product_kernel<product_shape<M, Left, Right>, Finish>));
}

/// tile::launch_product of such operands.
template <operand Left, operand Right, class M, class Finish>
TESSERA_HIDDEN void launch_product(const executor& exec, const view<const M, 2>& left, const view<const M, 2>& right,
                                   const tile::product_size& size, const Finish& finish, const char* function) {
  using shape = product_shape<M, Left, Right>;
  const tile::product_tiles tiles{static_cast<unsigned>((size.rows + shape::rows - 1) / shape::rows),
                                  static_cast<unsigned>((size.columns + shape::columns - 1) / shape::columns)};
  const unsigned count = tiles.down * tiles.across;
  const auto resident = static_cast<unsigned>(exec.device().multiprocessors);
  launch(exec,
         {.grid = dim3(count < resident ? count : resident),
          .block = dim3(shape::threads),
          .shared_bytes = shape::shared_bytes,
          .function = function},
         detail::product_kernel<shape, Finish>, map_rows(detail::as_one_head(left), Left == operand::rows ? shape::rows : 64),
         map_rows(detail::as_one_head(right), Right == operand::rows ? shape::columns : 64), size, finish, tiles);
}

}  // namespace tessera::cuda::hopper
