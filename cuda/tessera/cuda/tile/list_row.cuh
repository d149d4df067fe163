// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The k best scores of a row in shared memory, for a k that registers would not hold.
#pragma once

#include <cstdint>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/cuda/warp.cuh"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/traits.hpp"

namespace tessera::cuda::tile {

/// A row of a suspect_fold (tile/suspect_fold.cuh): an unordered list, of which a quad's lanes have every fourth place each, and the worst entry
/// in registers. What beats the worst takes its place; then each lane looks for the worst of its own.
template <class T, bool Smallest>
class list_row {
 public:
  using index = lane_index<T>;
  static constexpr bool takes_nan = false;
  static constexpr bool best_alone = false;

  list_row() = default;
  TESSERA_DEVICE list_row(const shared_array<T>& scores, const shared_array<index>& where)
      : scores_(scores.address(0)), where_(where.address(0)), size_(scores.size()) {
    for (int s = fragment_column(); s < size_; s += 4) put(s, none(), -1);
    find_worst();
  }

  [[nodiscard]] TESSERA_DEVICE T least() const { return worst_; }

  TESSERA_DEVICE void take(T score, index key, bool given) {
    const bool wins = given && beats(score, worst_);
    if (__any_sync(all_lanes, wins) == 0) return;
    if (wins && worst_place_ % 4 == fragment_column()) put(worst_place_, score, key);
    find_worst();
  }

  /// f(rank, score, key) for the entries of this lane, once all lanes are done.
  template <class F>
  TESSERA_DEVICE void for_each_ranked(const F& f) const {
    __syncwarp();
    for (int s = fragment_column(); s < size_; s += 4) {
      const entry mine = get(s);
      int rank = 0;
      for (int o = 0; o < size_; ++o) {
        const entry other = get(o);
        rank += worse(mine, other) || (!worse(other, mine) && o < s) ? 1 : 0;
      }
      f(rank, mine.score, mine.key);
    }
  }

 private:
  struct entry {
    T score;
    index key;
  };

  TESSERA_DEVICE static T none() { return Smallest ? infinity<T>() : -infinity<T>(); }
  TESSERA_DEVICE static bool beats(T a, T b) { return Smallest ? a < b : a > b; }
  /// Whether a comes after b: farther, or of a later key; without a key last of all.
  TESSERA_DEVICE static bool worse(const entry& a, const entry& b) {
    if (a.score != b.score) return beats(b.score, a.score);
    return static_cast<std::make_unsigned_t<index>>(a.key) > static_cast<std::make_unsigned_t<index>>(b.key);
  }

  [[nodiscard]] TESSERA_DEVICE entry get(int s) const {
    return {shared_array<T>(scores_, size_).load(s), shared_array<index>(where_, size_).load(s)};
  }
  TESSERA_DEVICE void put(int s, T score, index key) const {
    shared_array<T>(scores_, size_).store(s, score);
    shared_array<index>(where_, size_).store(s, key);
  }

  TESSERA_DEVICE void find_worst() {
    entry worst{-none(), 0};  // what nothing is better than: of a lane without places
    int place = fragment_column();
    TESSERA_DEVICE_ROLLED
    for (int s = fragment_column(); s < size_; s += 4) {
      const entry e = get(s);
      if (s == fragment_column() || worse(e, worst)) {
        worst = e;
        place = s;
      }
    }
    TESSERA_DEVICE_UNROLL
    for (int step = 1; step < 4; step *= 2) {
      const entry other{shuffle_xor(worst.score, step), shuffle_xor(worst.key, step)};
      const int other_place = shuffle_xor(place, step);
      const bool there = place < size_;
      const bool other_there = other_place < size_;
      const bool take = other_there && (!there || worse(other, worst) || (!worse(worst, other) && other_place < place));
      worst = take ? other : worst;
      place = take ? other_place : place;
    }
    worst_ = worst.score;
    worst_place_ = place;
  }

  T* scores_;
  index* where_;
  int size_;
  T worst_;
  int worst_place_;
};

}  // namespace tessera::cuda::tile
