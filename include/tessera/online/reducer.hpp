// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a reducer is: an associative fold over a row of scores that never sees the whole row.
#pragma once

#include <concepts>
#include <cstdint>

#include "tessera/numeric/lane.hpp"

namespace tessera {

/// The scores of a run of consecutive keys against one row (T a number) or against one row in each lane (T a pack).
template <class T>
class score_tile {
 public:
  using value_type = lane_value<T>;

  /// Row j of the tile stands at data + j * stride.
  TESSERA_HD score_tile(value_type* data, std::int64_t stride, int size, std::int64_t first_key, bool ordinary = false)
      : data_(data), stride_(stride), size_(size), first_key_(first_key), ordinary_(ordinary) {}

  [[nodiscard]] TESSERA_HD int size() const { return size_; }
  /// The score of key j of the tile.
  [[nodiscard]] TESSERA_HD T operator[](int j) const {
    if constexpr (lane<T>::width == 1) {
      return data_[j * stride_];
    } else {
      return T::load(data_ + j * stride_);
    }
  }
  /// Puts a weight where the score was.
  TESSERA_HD void set(int j, T weight) const {
    if constexpr (lane<T>::width == 1) {
      data_[j * stride_] = weight;
    } else {
      weight.store(data_ + j * stride_);
    }
  }
  /// The index of key j of the tile among all keys.
  [[nodiscard]] TESSERA_HD lane_index<T> key(int j) const {
    return lane_index<T>(static_cast<lane_index<value_type>>(first_key_ + j));
  }
  /// Keys [first, last) of the tile.
  [[nodiscard]] TESSERA_HD score_tile part(std::int64_t first, std::int64_t last) const {
    return {data_ + first * stride_, stride_, static_cast<int>(last - first), first_key_ + first, ordinary_};
  }
  /// True when no score of the tile can be NaN (finite inputs without overflow); false says nothing.
  [[nodiscard]] TESSERA_HD bool ordinary() const { return ordinary_; }

 private:
  value_type* data_;
  std::int64_t stride_;
  int size_;
  std::int64_t first_key_;
  bool ordinary_;
};

/// The largest (smallest) score of a tile, or `none` when that beats it. Four chains: one alone would wait on its own latency.
template <bool Largest, class T, class Tile>
TESSERA_HD T tile_extremum(const Tile& tile, T none) {
  const auto better = [](T a, T b) {
    if constexpr (Largest) {
      return max(a, b);
    } else {
      return min(a, b);
    }
  };
  T best[4] = {none, none, none, none};
  int j = 0;
  TESSERA_DEVICE_UNROLL
  for (; j + 4 <= tile.size(); j += 4) {
    for (int c = 0; c < 4; ++c) best[c] = better(best[c], tile[j + c]);
  }
  TESSERA_DEVICE_UNROLL
  for (; j < tile.size(); ++j) best[0] = better(best[0], tile[j]);
  return better(better(best[0], best[1]), better(best[2], best[3]));
}

/// Scores that must be exact: those from `limit` on to `best`, the best of the tile. See squared_distance.
template <class T>
struct suspects {
  T best;
  T limit;
};

/// A fold over the scores of a row.
///
/// `state<T>` holds T and lane_index<T> members only (arrays of them too), so that a state of packs is as many states of numbers.
/// - `identity<T>()` the state of no scores;
/// - `absorb(state, tile)` adds a tile;
/// - `merge(a, b)` joins the states of two disjoint sets of keys: associative, up to rounding;
/// - `finish(state)` what the caller gets, of a state of numbers.
/// On the device tiles are of other types than score_tile, and have its members: there `tile` is a template parameter, and the members are
/// marked TESSERA_HD.
/// Optional: `unit`, a factor wanted on every score (log2 e where exponentials are taken in base 2); `excluded<V>()`, the score of a
/// pair that a mask hides (needed only with masks); `exact_within(state, tile, error)`, which of the tile's scores could change
/// the result if each is wrong by up to `error`, with `smallest_wins` saying which side of the limit they are on;
/// `tolerance`, an error that it accepts in every score; `only_suspects_matter`, when a tile without such a score changes nothing.
template <class R, class T>
concept reducer = requires(const R& r, typename R::template state<T>& s, const score_tile<T>& tile) {
  { r.template identity<T>() } -> std::same_as<typename R::template state<T>>;
  r.absorb(s, tile);
  { r.merge(s, s) } -> std::same_as<typename R::template state<T>>;
};

/// What the values summed under two states are multiplied by where the states become one.
template <class T>
struct join_factors {
  T kept;    ///< for the state that absorbed the other
  T joined;  ///< for the other
};

/// A reducer that turns scores into weights for values: out_i = sum_j w_ij v_j / normalizer.
///
/// `weigh(tile)` is the state of a tile alone; it leaves weights in place of the tile's scores. `join(s, t)` makes s the merged state and
/// returns the factors that bring the values summed under each to its scale. `normalizer(state)` is what the sum is divided by.
/// A tile's weights do not depend on the tiles before it, so tiles may be weighed anywhere and joined in order.
/// Where tiles come in order and several lanes share a row (on the device), a reducer that can does it in one step, without a state of the tile:
/// `top<T>(tile)` is the tile's largest score; `advance(s, top, tile, factor)`, given the largest of all lanes, and a factor above 0 that makes
/// scores of what the tile holds, weighs the tile beside the maximum of state and tile, lets it round the weights (`tile.round_weights()`), adds it
/// to the state, and returns the factor of the values summed before. Without them, each lane weighs its piece, and the
/// weights are multiplied by the factors of the joins.
template <class R, class T>
concept weighing_reducer = reducer<R, T> && requires(const R& r, typename R::template state<T>& s, const score_tile<T>& tile) {
  { r.weigh(tile) } -> std::same_as<typename R::template state<T>>;
  { r.join(s, s) } -> std::same_as<join_factors<T>>;
  { r.normalizer(s) } -> std::same_as<T>;
};

namespace detail {

template <class R>
inline constexpr double unit_of = 1;
template <class R>
  requires requires { R::unit; }
inline constexpr double unit_of<R> = R::unit;

}  // namespace detail
}  // namespace tessera
