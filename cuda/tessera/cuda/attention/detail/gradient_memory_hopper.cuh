// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Shared memory of a block of attention's backward on Hopper: its own rows, stages of the other side's, and the barriers by which they come and go.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/attention/detail/weigh_tile.cuh"
#include "tessera/cuda/hopper/copied_tile.cuh"
#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/hopper/mbarrier.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"

namespace tessera::cuda::attention::detail {

/// How a block cuts its work. M is float16 or bfloat16, Depth 64 or 128: what rows of both matrices are filled up to with zeros.
///
/// Registers of a thread that multiplies, at Depth 128, of keys (queries): 128 (64) of sums, 64 of products of a tile, 32 (16) of them as rounded
/// factors. Products of the next tile cannot all stand beside the factors of this one: those with the first matrix are asked for with the sums, those
/// with the second when the sums are there. 504 registers for three threads: 2 x 240 + 24 of keys at Depth 128, whose producer has to do
/// with few; 2 x 232 + 40 else. Reached with a causal mask (nvcc 13.0, no spills): 236 of keys and 184 of queries at Depth 128, 186 and 150 at
/// 64; 21 of a producer of keys at 128, 27 else. Shared memory: 194 KiB of keys and 192 KiB of queries at 128, 98 and 96 KiB at 64; a block to a multiprocessor.
template <class M, owner Owner, int Depth>
struct gradient_shape_on_hopper {
  using multiplied = M;
  using sum = float;
  static constexpr owner who = Owner;
  static constexpr bool owns_keys = Owner == owner::keys;
  static constexpr int multipliers = 2;  ///< warpgroups that multiply
  static constexpr int threads = hopper::warpgroup_threads * (1 + multipliers);
  static constexpr int rows = 64 * multipliers;
  static constexpr int streamed = 64;
  static constexpr int depth = Depth;
  static constexpr int stages = 4;
  static constexpr int multiplier_registers = owns_keys && Depth > 64 ? 240 : 232;
  static constexpr int producer_registers = owns_keys && Depth > 64 ? 24 : 40;

  using own_tile = hopper::copied_tile<M, rows, Depth>;
  using stream_tile = hopper::copied_tile<M, streamed, Depth>;
  static constexpr int number_bytes = owns_keys ? streamed * static_cast<int>(sizeof(row_numbers<float>)) : 0;
  static constexpr int stage_bytes = 2 * stream_tile::bytes;
  static constexpr int barriers = 1 + 3 * stages;
  static constexpr std::size_t shared_bytes = 2 * own_tile::bytes + stages * (stage_bytes + number_bytes) + 128 + 2 * 16 * stages;
  static_assert(streamed == number_rows && barriers * 8 <= 128 && shared_bytes <= 227 * 1024);
};

/// A tile that was let in, as whoever waits for it gets to know: only one thread asks the mask.
struct arrived_tile {
  int first;  ///< row; below 0: there are no more tiles
  int whole;  ///< no pair is hidden
  int head;   ///< of queries
  int unused;
  [[nodiscard]] TESSERA_DEVICE bool left() const { return first >= 0; }
};

/// Tiles a and b of the block's own rows, x and y of a stage, and what belongs to a stage.
template <class Shape>
class gradient_memory_on_hopper {
 public:
  using mbarrier = hopper::mbarrier;
  using position = hopper::pipeline_position<Shape::stages>;
  static constexpr int lookers = 3;  ///< warps of the producer that have nothing to copy

  TESSERA_DEVICE explicit gradient_memory_on_hopper(std::byte* shared) : shared_(shared) {}

  /// By one thread, before a barrier of the block.
  TESSERA_DEVICE void init() const {
    own_ready().init(1);
    for (int s = 0; s < Shape::stages; ++s) {
      ready(s).init(1);
      vacant(s).init(4 * Shape::multipliers + lookers);
      looked_at(s).init(lookers);
    }
    mbarrier::fence_init();
  }

  [[nodiscard]] TESSERA_DEVICE typename Shape::own_tile a() const { return typename Shape::own_tile(shared_); }
  [[nodiscard]] TESSERA_DEVICE typename Shape::own_tile b() const {
    return typename Shape::own_tile(shared_ + Shape::own_tile::bytes);
  }
  [[nodiscard]] TESSERA_DEVICE typename Shape::stream_tile x(int stage) const {
    return typename Shape::stream_tile(shared_ + 2 * Shape::own_tile::bytes + stage * Shape::stage_bytes);
  }
  [[nodiscard]] TESSERA_DEVICE typename Shape::stream_tile y(int stage) const {
    return typename Shape::stream_tile(x(stage).box(0) + Shape::stream_tile::bytes);
  }
  [[nodiscard]] TESSERA_DEVICE shared_array<float> numbers(int stage) const {
    return {reinterpret_cast<float*>(after_tiles() + stage * Shape::number_bytes), Shape::number_bytes / 4};
  }
  [[nodiscard]] TESSERA_DEVICE mbarrier own_ready() const { return barrier(0); }
  [[nodiscard]] TESSERA_DEVICE mbarrier ready(int stage) const { return barrier(1 + stage); }
  [[nodiscard]] TESSERA_DEVICE mbarrier vacant(int stage) const { return barrier(1 + Shape::stages + stage); }
  [[nodiscard]] TESSERA_DEVICE mbarrier looked_at(int stage) const { return barrier(1 + 2 * Shape::stages + stage); }
  /// Whether a warp of the producer has found a NaN or inf in a tile of a stage.
  [[nodiscard]] TESSERA_DEVICE shared_array<int> flags(int stage) const { return news(Shape::stages + stage); }

  TESSERA_DEVICE void tell(int stage, const arrived_tile& tile) const { news(stage).template store_as<arrived_tile>(0, tile); }
  [[nodiscard]] TESSERA_DEVICE arrived_tile hear(int stage) const { return news(stage).template load_as<arrived_tile>(0); }
  [[nodiscard]] TESSERA_DEVICE bool holds_special(const position& at) const {
    looked_at(at.stage).wait(at.parity);
    int found = 0;
    for (int w = 0; w < lookers; ++w) found |= flags(at.stage).load(w);
    return found != 0;
  }

  /// A warp says that it is done with a buffer.
  TESSERA_DEVICE void give_back(int stage) const {
    __syncwarp();
    if (lane_id() == 0) vacant(stage).arrive();
  }

 private:
  [[nodiscard]] TESSERA_DEVICE std::byte* after_tiles() const {
    return shared_ + 2 * Shape::own_tile::bytes + Shape::stages * Shape::stage_bytes;
  }
  [[nodiscard]] TESSERA_DEVICE mbarrier barrier(int number) const {
    return mbarrier(reinterpret_cast<std::uint64_t*>(after_tiles() + Shape::stages * Shape::number_bytes) + number);
  }
  [[nodiscard]] TESSERA_DEVICE shared_array<int> news(int stage) const {
    return {reinterpret_cast<int*>(after_tiles() + Shape::stages * Shape::number_bytes + 128) + 4 * stage, 4};
  }

  std::byte* shared_;
};

}  // namespace tessera::cuda::attention::detail
