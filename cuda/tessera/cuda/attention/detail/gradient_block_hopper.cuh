// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A block of attention's backward on Hopper: what gradient_block.cuh does, with one warpgroup that lets the other side's rows come in, and two that
/// multiply 64 rows of the block each and take turns, so that one multiplies while the other makes weights and slopes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/cuda/attention/detail/gradient_memory_hopper.cuh"
#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/attention/detail/gradient_producer_hopper.cuh"
#include "tessera/cuda/attention/detail/weigh_tile.cuh"
#include "tessera/cuda/barrier.cuh"
#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/hopper/warpgroup_mma.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/tile/special.cuh"

namespace tessera::cuda::attention::detail {

/// The sums of a block's rows over all tiles that they see.
template <class Shape, class Problem>
class gradient_block_on_hopper {
 public:
  using M = typename Shape::multiplied;
  static constexpr bool owns_keys = Shape::owns_keys;
  static constexpr int tile_blocks = Shape::streamed / 8;
  static constexpr int blocks = Shape::depth / 8;
  using memory = gradient_memory_on_hopper<Shape>;
  using scores_type = tile::warp_sums<M, 1, tile_blocks>;

  TESSERA_DEVICE gradient_block_on_hopper(const Problem& p, const gradient_rows_of_block& at, std::byte* shared)
      : p_(p), at_(at), m_(shared), multiplier_(hopper::warpgroup_id() - 1) {}

  /// Called by all threads of the block; `done(first, second)` with the sums of their rows by those that multiply. Nothing may follow: registers
  /// that change hands are the compiler's only if each role is one branch to the end.
  template <class Done>
  TESSERA_DEVICE void run(const gradient_maps& maps, const Done& done) const {
    if (threadIdx.x == 0) m_.init();
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
      const gradient_producer_on_hopper<Shape, Problem> producer(p_, at_, m_);
      if (threadIdx.x == 0) {
        producer.let_in(maps);
      } else if (threadIdx.x >= warp_threads) {
        producer.look_at_tiles();
      }
    }
  }

  /// The row of the block that this lane has in a half of its sums.
  [[nodiscard]] TESSERA_DEVICE int row(int half) const {
    return 64 * multiplier_ + static_cast<int>(threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4) + 8 * half;
  }

 private:
  using position = typename memory::position;

  using factors_type = tile::left_fragment<M>[Shape::streamed / 16];
  struct sums_type {
    row_numbers<float> mine[2];
    factors_type weights;  ///< of the newest tile, as they multiply
    factors_type slopes;
    tile::warp_sums<M, 1, blocks> first;
    tile::warp_sums<M, 1, owns_keys ? blocks : 2> second;
  };

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
    if constexpr (owns_keys) ask_for_sums(sums.second, sums.weights, m_.y(stage));
    ask_for_sums(sums.first, sums.slopes, m_.x(stage));
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
    const arrived_tile now = m_.hear(stage);
    if (now.whole != 0) {
      weigh<false>(sums, weights[0], slopes[0], now, stage);
    } else {
      weigh<true>(sums, weights[0], slopes[0], now, stage);
    }
  }
  template <bool Masked>
  TESSERA_DEVICE void weigh(sums_type& sums, float (&weights)[tile_blocks][4], float (&slopes)[tile_blocks][4],
                            const arrived_tile& now, int stage) const {
    const gradient_pairs<Problem> pairs = pairs_anew(p_, at_, now.head);
    const tile_place place = lane_place(now.first);
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < tile_blocks; n += 2) {
      weigh_block<Shape::who, Masked>(weights[n], slopes[n], n, pairs, place, sums.mine, m_.numbers(stage), 0);
      weigh_block<Shape::who, Masked>(weights[n + 1], slopes[n + 1], n + 1, pairs, place, sums.mine, m_.numbers(stage), 0);
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
    const arrived_tile now = m_.hear(stage);
    const gradient_pairs<Problem> pairs = pairs_anew(p_, at_, now.head);
    const tile_place place = lane_place(now.first);
    const auto seen = [&](int half, int at) { return sees<Shape::who>(pairs, place, half, at, sums.mine, m_.numbers(stage)); };
    scores_type factors;
    if constexpr (owns_keys) {
      read(factors, sums.weights);
      tile::add_seen_values<M, tile_blocks, blocks>(sums.second, factors, m_.y(stage), seen);
    }
    read(factors, sums.slopes);
    tile::add_seen_values<M, tile_blocks, blocks>(sums.first, factors, m_.x(stage), seen);
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
    m_.own_ready().wait(0);
    m_.ready(next.stage).wait(next.parity);
    if (!m_.hear(next.stage).left()) return;
    // Warpgroup 0 multiplies first; the turn then goes to and fro.
    if (multiplier_ == 1) pass_turn();
    ask_for_products(weights, m_.a(), m_.x(next.stage));
    ask_for_products(slopes, m_.b(), m_.y(next.stage));
    hopper::wait_products<0>();
    hopper::settle(weights[0]);
    hopper::settle(slopes[0]);
    weigh(sums, weights, slopes, next.stage);
    while (true) {
      const position at = next;
      const bool special = m_.hear(at.stage).whole == 0 && m_.holds_special(at);
      next.advance();
      m_.ready(next.stage).wait(next.parity);
      if (!m_.hear(next.stage).left()) {
        finish(sums, special, at.stage);
        return;
      }
      if (special) {
        my_turn();
        add_special(sums, at.stage);
        ask_for_products(weights, m_.a(), m_.x(next.stage));
        ask_for_products(slopes, m_.b(), m_.y(next.stage));
        pass_turn();
        hopper::wait_products<0>();
      } else {
        my_turn();
        ask_for_all_sums(sums, at.stage);
        ask_for_products(weights, m_.a(), m_.x(next.stage));
        hopper::wait_products<1>();
        settle_sums(sums);
        // The registers of what was multiplied are free only now.
        ask_for_products(slopes, m_.b(), m_.y(next.stage));
        pass_turn();
        hopper::wait_products<0>();
      }
      hopper::settle(weights[0]);
      hopper::settle(slopes[0]);
      m_.give_back(at.stage);
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

  TESSERA_DEVICE void my_turn() const { named_barrier(1 + multiplier_, Shape::multipliers * hopper::warpgroup_threads); }
  TESSERA_DEVICE void pass_turn() const { named_barrier_arrive(2 - multiplier_, Shape::multipliers * hopper::warpgroup_threads); }

  const Problem& p_;
  gradient_rows_of_block at_;
  memory m_;
  int multiplier_;
};

}  // namespace tessera::cuda::attention::detail
