// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The warpgroup of a block of attention's backward on Hopper that lets tiles come in, and looks at them.
#pragma once

#include <cstdint>

#include "tessera/cuda/attention/detail/gradient_memory_hopper.cuh"
#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/hopper/tensor_copy.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/tile/special.cuh"
#include "tessera/cuda/warp.cuh"
#include "tessera/tile/mask.hpp"

namespace tessera::cuda::attention::detail {

/// Maps of the block's own matrices, in boxes of Shape::rows rows, and of those that stream by, of Shape::streamed.
struct gradient_maps {
  const CUtensorMap& a;
  const CUtensorMap& b;
  const CUtensorMap& x;
  const CUtensorMap& y;
};

/// The rows of a block: [row, last) of sequence `batch`, of key head `kv_head` and, where they are queries, of head `head`.
struct gradient_rows_of_block {
  int batch;
  int kv_head;
  int head;
  int row;
  int last;
};

/// Where registers are shorter than time: what is computed from x is computed again.
TESSERA_DEVICE int anew(int x) { return static_cast<int>(made_anew(static_cast<unsigned>(x))); }
/// The pairs of a head: made where they are needed, as their numbers would take a dozen registers.
template <class Problem>
TESSERA_DEVICE gradient_pairs<Problem> pairs_anew(const Problem& p, const gradient_rows_of_block& at, int head) {
  return {p, anew(at.batch), anew(head), anew(at.kv_head)};
}

/// What the producer's threads do: one asks for tiles, 96 look at them.
template <class Shape, class Problem>
class gradient_producer_on_hopper {
 public:
  static constexpr bool owns_keys = Shape::owns_keys;
  using memory = gradient_memory_on_hopper<Shape>;

  TESSERA_DEVICE gradient_producer_on_hopper(const Problem& p, const gradient_rows_of_block& at, const memory& shared)
      : p_(p), at_(at), m_(shared) {}

  /// One thread asks the copy engine for all tiles that the block's rows see, as buffers become free.
  TESSERA_DEVICE void let_in(const gradient_maps& maps) const {
    hopper::prefetch_map(maps.x);
    hopper::prefetch_map(maps.y);
    m_.own_ready().arrive_and_expect(2 * Shape::own_tile::bytes);
    const int own_head = owns_keys ? at_.kv_head : at_.head;
    m_.a().copy(maps.a, m_.own_ready(), at_.row, own_head, at_.batch);
    m_.b().copy(maps.b, m_.own_ready(), at_.row, own_head, at_.batch);
    typename memory::position to;
    TESSERA_DEVICE_ROLLED
    for (int head = first_head(); head < first_head() + heads(); ++head) {
      const int stream_head = owns_keys ? head : at_.kv_head;
      const int end = static_cast<int>(owns_keys ? p_.len_q : p_.len_k);
      TESSERA_DEVICE_ROLLED
      for (int first = 0; first < end; first += Shape::streamed) {
        // Registers are short here, and time is not: nothing is kept for the next tile.
        const int own_first = anew(at_.row);
        const int own_last = anew(at_.last);
        const int last = first + Shape::streamed < end ? first + Shape::streamed : end;
        const gradient_pairs<Problem> pairs = pairs_anew(p_, at_, head);
        const tile_class seen =
            owns_keys ? pairs.classify(first, last, own_first, own_last) : pairs.classify(own_first, own_last, first, last);
        if (seen == tile_class::none) continue;
        bool whole = seen == tile_class::all && first + Shape::streamed <= end && own_first + Shape::rows == own_last;
        const hopper::mbarrier come = m_.ready(to.stage);
        m_.vacant(to.stage).wait(to.parity ^ 1);
        if constexpr (owns_keys) {
          const std::int64_t tile = p_.first_number_tile(anew(at_.batch), anew(head)) + first / number_rows;
          whole = whole && p_.some_empty[tile] == 0;
          m_.tell(to.stage, {first, whole ? 1 : 0, head, 0});
          come.arrive_and_expect(Shape::stage_bytes + Shape::number_bytes);
          hopper::copy_bytes(m_.numbers(to.stage).address(0), p_.numbers + tile * number_rows, Shape::number_bytes, come);
        } else {
          m_.tell(to.stage, {first, whole ? 1 : 0, head, 0});
          come.arrive_and_expect(Shape::stage_bytes);
        }
        m_.x(to.stage).copy(maps.x, come, first, stream_head, at_.batch);
        m_.y(to.stage).copy(maps.y, come, first, stream_head, at_.batch);
        to.advance();
      }
    }
    m_.vacant(to.stage).wait(to.parity ^ 1);
    m_.tell(to.stage, {-1, 0, 0, 0});
    m_.ready(to.stage).arrive();
  }

  /// The producer's other warps look for NaN and inf in tiles in which pairs are hidden (tile/special.cuh).
  TESSERA_DEVICE void look_at_tiles() const {
    const int warp = warp_id() - 1;
    for (typename memory::position at;; at.advance()) {
      m_.ready(at.stage).wait(at.parity);
      const arrived_tile now = m_.hear(at.stage);
      if (!now.left()) return;
      int found = 0;
      if (now.whole == 0) {
        found = tile::holds_special<memory::lookers * warp_threads>(m_.x(at.stage));
        if constexpr (owns_keys) found |= tile::holds_special<memory::lookers * warp_threads>(m_.y(at.stage));
      }
      found = __any_sync(all_lanes, found);
      __syncwarp();
      if (lane_id() == 0) {
        m_.flags(at.stage).store(warp, found);
        m_.looked_at(at.stage).arrive();
        m_.vacant(at.stage).arrive();
      }
    }
  }

 private:
  /// Heads of queries that stream by, or that of the block.
  [[nodiscard]] TESSERA_DEVICE int heads() const { return owns_keys ? static_cast<int>(p_.group) : 1; }
  [[nodiscard]] TESSERA_DEVICE int first_head() const { return owns_keys ? anew(at_.kv_head) * heads() : at_.head; }

  const Problem& p_;
  gradient_rows_of_block at_;
  memory m_;
};

}  // namespace tessera::cuda::attention::detail
