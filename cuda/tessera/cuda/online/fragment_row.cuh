// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The scores of one row that a lane holds, as reducers see them.
#pragma once

#include <cstdint>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/numeric/lane.hpp"

namespace tessera::cuda {

/// Row g + 8 Half of a row block of Blocks 16 x 8 blocks of sums: what online/reducer.hpp calls a tile of scores, of which this lane holds
/// every fourth pair of keys. M says what weights are rounded to when they are put back: they are what is multiplied with values.
template <class M, int Blocks, int Half>
class fragment_row {
 public:
  using value_type = typename tile::multiplication<M>::sum;

  TESSERA_DEVICE fragment_row(value_type (&blocks)[Blocks][4], std::int64_t first_key)
      : blocks_(blocks), first_key_(static_cast<lane_index<value_type>>(first_key + 2 * tile::fragment_column())) {}

  [[nodiscard]] TESSERA_DEVICE static constexpr int size() { return 2 * Blocks; }
  [[nodiscard]] TESSERA_DEVICE value_type operator[](int j) const { return blocks_[j / 2][2 * Half + j % 2]; }
  TESSERA_DEVICE void set(int j, value_type weight) const { blocks_[j / 2][2 * Half + j % 2] = weight; }
  /// Rounds the weights that were set to what is multiplied with values.
  TESSERA_DEVICE void round_weights() const {
    if constexpr (std::is_same_v<M, float16> || std::is_same_v<M, bfloat16>) {
      TESSERA_DEVICE_UNROLL
      for (int n = 0; n < Blocks; ++n) {
        const std::uint32_t pair = tile::detail::rounded_pair<M>(blocks_[n][2 * Half], blocks_[n][2 * Half + 1]);
        blocks_[n][2 * Half] = static_cast<float>(from_bits<M>(static_cast<std::uint16_t>(pair)));
        blocks_[n][2 * Half + 1] = static_cast<float>(from_bits<M>(static_cast<std::uint16_t>(pair >> 16)));
      }
    }
  }
  [[nodiscard]] TESSERA_DEVICE lane_index<value_type> key(int j) const {
    return first_key_ + static_cast<lane_index<value_type>>(8 * (j / 2) + j % 2);
  }
  [[nodiscard]] TESSERA_DEVICE static constexpr bool ordinary() { return false; }

 private:
  value_type (&blocks_)[Blocks][4];
  lane_index<value_type> first_key_;
};

/// A tile of one score.
template <class T>
class one_score {
 public:
  using value_type = T;

  TESSERA_HD one_score(T score, lane_index<T> key) : score_(score), key_(key) {}

  [[nodiscard]] TESSERA_HD static constexpr int size() { return 1; }
  [[nodiscard]] TESSERA_HD T operator[](int) const { return score_; }
  [[nodiscard]] TESSERA_HD lane_index<T> key(int) const { return key_; }
  [[nodiscard]] TESSERA_HD static constexpr bool ordinary() { return false; }

 private:
  T score_;
  lane_index<T> key_;
};

}  // namespace tessera::cuda
