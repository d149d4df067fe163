// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A block of attention's backward on Hopper: what gradient_block.cuh does, with one warpgroup that lets the other side's rows come in, and two that
/// multiply 64 rows of the block each and take turns, so that one multiplies while the other makes weights and slopes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/attention/detail/weigh_tile.cuh"
#include "tessera/cuda/barrier.cuh"
#include "tessera/cuda/hopper/copied_tile.cuh"
#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/hopper/mbarrier.cuh"
#include "tessera/cuda/hopper/tensor_copy.cuh"
#include "tessera/cuda/hopper/warpgroup_mma.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/tile/special.cuh"
#include "tessera/tile/mask.hpp"

namespace tessera::cuda::attention::detail {

/// How a block cuts its work. M is float16 or bfloat16, Depth 64 or 128: what rows of both matrices are filled up to with zeros.
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

template <class Shape, class Problem>
class gradient_block_on_hopper {
 public:
  using M = typename Shape::multiplied;
  static constexpr bool owns_keys = Shape::owns_keys;
  static constexpr int tile_blocks = Shape::streamed / 8;
  static constexpr int blocks = Shape::depth / 8;
  using pairs_type = gradient_pairs<Problem>;
  using scores_type = tile::warp_sums<M, 1, tile_blocks>;

  TESSERA_DEVICE gradient_block_on_hopper(const Problem& p, const gradient_rows_of_block& at, std::byte* shared)
      : p_(p), at_(at), shared_(shared), multiplier_(hopper::warpgroup_id() - 1) {}

  /// Called by all threads of the block; `done(first, second)` with the sums of their rows by those that multiply. Nothing may follow: registers
  /// that change hands are the compiler's only if each role is one branch to the end.
  template <class Done>
  TESSERA_DEVICE void run(const gradient_maps& maps, const Done& done) const {
    if (threadIdx.x == 0) {
      own_ready().init(1);
      for (int s = 0; s < Shape::stages; ++s) {
        ready(s).init(1);
        vacant(s).init(4 * Shape::multipliers + lookers);
        looked_at(s).init(lookers);
      }
      hopper::mbarrier::fence_init();
    }
    __syncthreads();
    if (multiplier_ >= 0) {
      hopper::claim_registers<Shape::multiplier_registers>();
      sums_type sums;
      tile::detail::set_zero<M, 1, blocks>(sums.first);
      if constexpr (owns_keys) tile::detail::set_zero<M, 1, blocks>(sums.second);
      add_tiles(sums);
      done(sums.first[0], sums.second[0]);
    } else {
      hopper::release_registers<Shape::producer_registers>();
      if (threadIdx.x == 0) {
        let_in(maps);
      } else if (threadIdx.x >= warp_threads) {
        look_at_tiles();
      }
    }
  }

  /// The row of the block that this lane has in a half of its sums.
  [[nodiscard]] TESSERA_DEVICE int row(int half) const {
    return 64 * multiplier_ + static_cast<int>(threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4) + 8 * half;
  }

 private:
  using position = hopper::pipeline_position<Shape::stages>;
  using mbarrier = hopper::mbarrier;
  static constexpr int lookers = 3;  ///< warps of the producer that have nothing to copy

  using factors_type = tile::left_fragment<M>[Shape::streamed / 16];
  struct sums_type {
    row_numbers<float> mine[2];
    factors_type weights;  ///< of the newest tile, as they multiply
    factors_type slopes;
    tile::warp_sums<M, 1, blocks> first;
    tile::warp_sums<M, 1, owns_keys ? blocks : 2> second;
  };

  /// A tile that was let in, as whoever waits for it gets to know: only one thread asks the mask.
  struct arrived {
    int first;  ///< row; below 0: there are no more tiles
    int whole;  ///< no pair is hidden
    int head;   ///< of queries
    int unused;
    [[nodiscard]] TESSERA_DEVICE bool left() const { return first >= 0; }
  };

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
  [[nodiscard]] TESSERA_DEVICE std::byte* after_tiles() const {
    return shared_ + 2 * Shape::own_tile::bytes + Shape::stages * Shape::stage_bytes;
  }
  [[nodiscard]] TESSERA_DEVICE shared_array<float> numbers(int stage) const {
    return {reinterpret_cast<float*>(after_tiles() + stage * Shape::number_bytes), Shape::number_bytes / 4};
  }
  [[nodiscard]] TESSERA_DEVICE mbarrier barrier(int number) const {
    return mbarrier(reinterpret_cast<std::uint64_t*>(after_tiles() + Shape::stages * Shape::number_bytes) + number);
  }
  [[nodiscard]] TESSERA_DEVICE mbarrier own_ready() const { return barrier(0); }
  [[nodiscard]] TESSERA_DEVICE mbarrier ready(int stage) const { return barrier(1 + stage); }
  [[nodiscard]] TESSERA_DEVICE mbarrier vacant(int stage) const { return barrier(1 + Shape::stages + stage); }
  [[nodiscard]] TESSERA_DEVICE mbarrier looked_at(int stage) const { return barrier(1 + 2 * Shape::stages + stage); }
  [[nodiscard]] TESSERA_DEVICE shared_array<int> news(int stage) const {
    return {reinterpret_cast<int*>(after_tiles() + Shape::stages * Shape::number_bytes + 128) + 4 * stage, 4};
  }
  /// Whether a warp of the producer has found a NaN or inf in a tile of a stage.
  [[nodiscard]] TESSERA_DEVICE shared_array<int> flags(int stage) const { return news(Shape::stages + stage); }

  TESSERA_DEVICE void tell(int stage, const arrived& tile) const { news(stage).template store_as<arrived>(0, tile); }
  [[nodiscard]] TESSERA_DEVICE arrived hear(int stage) const { return news(stage).template load_as<arrived>(0); }
  [[nodiscard]] TESSERA_DEVICE static int anew(int x) { return static_cast<int>(made_anew(static_cast<unsigned>(x))); }
  /// The pairs of a head: made where they are needed, as their numbers would take a dozen registers.
  [[nodiscard]] TESSERA_DEVICE pairs_type pairs_again(int head) const {
    return {p_, anew(at_.batch), anew(head), anew(at_.kv_head)};
  }

  /// Heads of queries that stream by, or that of the block.
  [[nodiscard]] TESSERA_DEVICE int heads() const { return owns_keys ? static_cast<int>(p_.group) : 1; }
  [[nodiscard]] TESSERA_DEVICE int first_head() const { return owns_keys ? anew(at_.kv_head) * heads() : at_.head; }

  /// One thread asks the copy engine for all tiles that the block's rows see, as buffers become free.
  TESSERA_DEVICE void let_in(const gradient_maps& maps) const {
    hopper::prefetch_map(maps.x);
    hopper::prefetch_map(maps.y);
    own_ready().arrive_and_expect(2 * Shape::own_tile::bytes);
    const int own_head = owns_keys ? at_.kv_head : at_.head;
    a().copy(maps.a, own_ready(), at_.row, own_head, at_.batch);
    b().copy(maps.b, own_ready(), at_.row, own_head, at_.batch);
    position to;
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
        const pairs_type pairs = pairs_again(head);
        const tile_class seen =
            owns_keys ? pairs.classify(first, last, own_first, own_last) : pairs.classify(own_first, own_last, first, last);
        if (seen == tile_class::none) continue;
        bool whole = seen == tile_class::all && first + Shape::streamed <= end && own_first + Shape::rows == own_last;
        const mbarrier come = ready(to.stage);
        vacant(to.stage).wait(to.parity ^ 1);
        if constexpr (owns_keys) {
          const std::int64_t tile = p_.first_number_tile(anew(at_.batch), anew(head)) + first / number_rows;
          whole = whole && p_.some_empty[tile] == 0;
          tell(to.stage, {first, whole ? 1 : 0, head, 0});
          come.arrive_and_expect(Shape::stage_bytes + Shape::number_bytes);
          hopper::copy_bytes(numbers(to.stage).address(0), p_.numbers + tile * number_rows, Shape::number_bytes, come);
        } else {
          tell(to.stage, {first, whole ? 1 : 0, head, 0});
          come.arrive_and_expect(Shape::stage_bytes);
        }
        x(to.stage).copy(maps.x, come, first, stream_head, at_.batch);
        y(to.stage).copy(maps.y, come, first, stream_head, at_.batch);
        to.advance();
      }
    }
    vacant(to.stage).wait(to.parity ^ 1);
    tell(to.stage, {-1, 0, 0, 0});
    ready(to.stage).arrive();
  }

  /// The producer's other warps look for NaN and inf in tiles in which pairs are hidden (tile/special.cuh).
  TESSERA_DEVICE void look_at_tiles() const {
    const int warp = warp_id() - 1;
    for (position at;; at.advance()) {
      ready(at.stage).wait(at.parity);
      const arrived now = hear(at.stage);
      if (!now.left()) return;
      int found = 0;
      if (now.whole == 0) {
        found = tile::holds_special<lookers * warp_threads>(x(at.stage));
        if constexpr (owns_keys) found |= tile::holds_special<lookers * warp_threads>(y(at.stage));
      }
      found = __any_sync(all_lanes, found);
      __syncwarp();
      if (lane_id() == 0) {
        flags(at.stage).store(warp, found);
        looked_at(at.stage).arrive();
        vacant(at.stage).arrive();
      }
    }
  }

  [[nodiscard]] TESSERA_DEVICE bool holds_special(const position& at) const {
    looked_at(at.stage).wait(at.parity);
    int found = 0;
    for (int w = 0; w < lookers; ++w) found |= flags(at.stage).load(w);
    return found != 0;
  }

  /// products = own rows . rows of a tile, asked for.
  TESSERA_DEVICE void ask_for_products(scores_type& products, const typename Shape::own_tile& own,
                                       const typename Shape::stream_tile& stream) const {
    using hopper::operand_descriptor;
    hopper::settle(products[0]);
    hopper::fence_operands();
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < Shape::own_tile::boxes; ++n) {
      const auto left = operand_descriptor::of(own.box(n) + anew(multiplier_) * (64 * 128), Shape::own_tile::box_bytes);
      const auto right = operand_descriptor::of(stream.box(n), Shape::stream_tile::box_bytes);
      TESSERA_DEVICE_UNROLL
      for (int k = 0; k < hopper::box_columns / 16; ++k) {
        hopper::multiply<M, hopper::operand::rows>(products[0], left.after(32 * k), right.after(32 * k), n + k > 0);
      }
    }
    hopper::commit_products();
  }

  /// sums += factors . rows of a tile, asked for.
  TESSERA_DEVICE static void ask_for_sums(tile::warp_sums<M, 1, blocks>& sums, const factors_type& factors,
                                          const typename Shape::stream_tile& stream) {
    hopper::settle(sums[0]);
    hopper::fence_operands();
    const auto right = hopper::operand_descriptor::of(stream.box(0), Shape::stream_tile::box_bytes);
    TESSERA_DEVICE_UNROLL
    for (int k = 0; k < Shape::streamed / 16; ++k) {
      hopper::multiply<M, hopper::operand::columns>(sums[0], factors[k], right.after(2048 * k), true);
    }
    hopper::commit_products();
  }
  /// What a tile gives to the sums, asked for.
  TESSERA_DEVICE void ask_for_all_sums(sums_type& sums, int stage) const {
    if constexpr (owns_keys) ask_for_sums(sums.second, sums.weights, y(stage));
    ask_for_sums(sums.first, sums.slopes, x(stage));
  }
  TESSERA_DEVICE static void settle_sums(sums_type& sums) {
    hopper::settle(sums.first[0]);
    if constexpr (owns_keys) hopper::settle(sums.second[0]);
  }

  /// Where this lane's part of a tile stands: made where it is used, as registers are short between.
  [[nodiscard]] TESSERA_DEVICE tile_place lane_place(int first) const {
    const unsigned thread = made_anew(threadIdx.x);
    return {at_.row + 64 * multiplier_ + static_cast<int>(thread / 32 % 4 * 16 + thread % 32 / 4), first,
            static_cast<int>(2 * (thread % 4))};
  }
  /// Products become weights and slopes, rounded.
  TESSERA_DEVICE void weigh(sums_type& sums, scores_type& weights, scores_type& slopes, int stage) const {
    const arrived now = hear(stage);
    if (now.whole != 0) {
      weigh<false>(sums, weights[0], slopes[0], now, stage);
    } else {
      weigh<true>(sums, weights[0], slopes[0], now, stage);
    }
  }
  template <bool Masked>
  TESSERA_DEVICE void weigh(sums_type& sums, float (&weights)[tile_blocks][4], float (&slopes)[tile_blocks][4],
                            const arrived& now, int stage) const {
    const pairs_type pairs = pairs_again(now.head);
    const tile_place place = lane_place(now.first);
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < tile_blocks; n += 2) {
      weigh_block<Shape::who, Masked>(weights[n], slopes[n], n, pairs, place, sums.mine, numbers(stage), 0);
      weigh_block<Shape::who, Masked>(weights[n + 1], slopes[n + 1], n + 1, pairs, place, sums.mine, numbers(stage), 0);
      if constexpr (owns_keys) sums.weights[n / 2] = tile::weights_as_left<M>(&weights[n]);
      sums.slopes[n / 2] = tile::weights_as_left<M>(&slopes[n]);
    }
  }

  /// Rounded factors one by one.
  TESSERA_DEVICE static void read(scores_type& factors, const factors_type& rounded) {
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < tile_blocks; ++n) {
      TESSERA_DEVICE_UNROLL
      for (int e = 0; e < 4; ++e) {
        const std::uint32_t two = rounded[n / 2].r[2 * (n % 2) + e / 2];
        factors[0][n][e] = static_cast<float>(from_bits<M>(static_cast<std::uint16_t>(two >> (16 * (e % 2)))));
      }
    }
  }
  /// What a tile gives to the sums where NaN and inf of hidden pairs must not come in.
  TESSERA_DEVICE void add_special(sums_type& sums, int stage) const {
    const arrived now = hear(stage);
    const pairs_type pairs = pairs_again(now.head);
    const tile_place place = lane_place(now.first);
    const auto seen = [&](int half, int at) { return sees<Shape::who>(pairs, place, half, at, sums.mine, numbers(stage)); };
    scores_type factors;
    if constexpr (owns_keys) {
      read(factors, sums.weights);
      tile::add_seen_values<M, tile_blocks, blocks>(sums.second, factors, y(stage), seen);
    }
    read(factors, sums.slopes);
    tile::add_seen_values<M, tile_blocks, blocks>(sums.first, factors, x(stage), seen);
  }

  /// Sums of all tiles. A turn: what a tile gives to the sums and, beside it, products of the next tile; the latter become weights and slopes while
  /// the other warpgroup has its turn.
  TESSERA_DEVICE void add_tiles(sums_type& sums) const {
    if constexpr (!owns_keys) {
      const row_numbers<float>* const of_rows = p_.numbers + p_.first_number_tile(at_.batch, at_.head) * number_rows + at_.row;
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        sums.mine[half] = at_.row + row(half) < at_.last ? of_rows[row(half)] : row_numbers<float>{{infinity<float>(), 0.0f}};
      }
    }
    scores_type weights;
    scores_type slopes;
    position next;
    own_ready().wait(0);
    ready(next.stage).wait(next.parity);
    if (!hear(next.stage).left()) return;
    // Warpgroup 0 multiplies first; the turn then goes to and fro.
    if (multiplier_ == 1) pass_turn();
    ask_for_products(weights, a(), x(next.stage));
    ask_for_products(slopes, b(), y(next.stage));
    hopper::wait_products<0>();
    hopper::settle(weights[0]);
    hopper::settle(slopes[0]);
    weigh(sums, weights, slopes, next.stage);
    while (true) {
      const position at = next;
      const bool special = hear(at.stage).whole == 0 && holds_special(at);
      next.advance();
      ready(next.stage).wait(next.parity);
      if (!hear(next.stage).left()) {
        finish(sums, special, at.stage);
        return;
      }
      if (special) {
        my_turn();
        add_special(sums, at.stage);
        ask_for_products(weights, a(), x(next.stage));
        ask_for_products(slopes, b(), y(next.stage));
        pass_turn();
        hopper::wait_products<0>();
      } else {
        my_turn();
        ask_for_all_sums(sums, at.stage);
        ask_for_products(weights, a(), x(next.stage));
        hopper::wait_products<1>();
        settle_sums(sums);
        // The registers of what was multiplied are free only now.
        ask_for_products(slopes, b(), y(next.stage));
        pass_turn();
        hopper::wait_products<0>();
      }
      hopper::settle(weights[0]);
      hopper::settle(slopes[0]);
      give_back(at.stage);
      weigh(sums, weights, slopes, next.stage);
    }
  }

  /// What the last tile gives.
  TESSERA_DEVICE void finish(sums_type& sums, bool special, int stage) const {
    my_turn();
    if (special) {
      add_special(sums, stage);
    } else {
      ask_for_all_sums(sums, stage);
      hopper::wait_products<0>();
      settle_sums(sums);
    }
    if (multiplier_ == 0) pass_turn();
  }

  /// A warp says that it is done with a buffer.
  TESSERA_DEVICE void give_back(int stage) const {
    __syncwarp();
    if (lane_id() == 0) vacant(stage).arrive();
  }
  TESSERA_DEVICE void my_turn() const { named_barrier(1 + multiplier_, Shape::multipliers * hopper::warpgroup_threads); }
  TESSERA_DEVICE void pass_turn() const { named_barrier_arrive(2 - multiplier_, Shape::multipliers * hopper::warpgroup_threads); }

  const Problem& p_;
  gradient_rows_of_block at_;
  std::byte* shared_;
  int multiplier_;
};

}  // namespace tessera::cuda::attention::detail
