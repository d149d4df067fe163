// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The K best scores of a row, sorted, and where they are.
#pragma once

#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"

namespace tessera {

/// The K smallest (or largest) scores of a row, best first, ties by rising key; entries past the number of keys keep score
/// +inf (-inf) and key -1.
///
/// Special values  NaN scores are never among the K; a row whose every score is NaN gives -1.
/// Cost            one comparison a score while the K-th best stands; an insertion is K selects.
template <int K, bool Smallest = true>
struct top_k {
  static_assert(K >= 1);

  template <class T>
  struct state {
    T score[K];
    lane_index<T> where[K];
  };

  static constexpr bool smallest_wins = Smallest;
  static constexpr bool only_suspects_matter = true;

  template <class V>
  TESSERA_HD static constexpr V excluded() {
    return Smallest ? infinity<V>() : -infinity<V>();
  }

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> identity() const {
    using V = lane_value<T>;
    state<T> s;
    for (int k = 0; k < K; ++k) {
      s.score[k] = T(excluded<V>());
      s.where[k] = lane_index<T>(lane_index<V>(-1));
    }
    return s;
  }

  template <class T, class Tile>
  TESSERA_HD void absorb(state<T>& s, const Tile& tile) const {
    TESSERA_DEVICE_UNROLL
    for (int j = 0; j < tile.size(); ++j) {
      const T score = tile[j];
      if (lane<T>::any(beats(score, s.score[K - 1]))) insert(s, score, tile.key(j));
    }
  }

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> merge(const state<T>& a, const state<T>& b) const {
    state<T> s = a;
    for (int k = 0; k < K; ++k) {
      // As in insert, but a newcomer goes before equals of a later key: the keys of a and b may alternate.
      T score = b.score[k];
      lane_index<T> where = b.where[k];
      for (int at = 0; at < K; ++at) {
        const auto wins = beats(score, s.score[at]) | ((score == s.score[at]) & (where < s.where[at]));
        const T score_out = select(wins, s.score[at], score);
        const lane_index<T> where_out = select(wins, s.where[at], where);
        s.score[at] = select(wins, score, s.score[at]);
        s.where[at] = select(wins, where, s.where[at]);
        score = score_out;
        where = where_out;
      }
    }
    return s;
  }

  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE state<T> finish(const state<T>& s) const {
    return s;
  }

  /// The K-th best can only improve, so a score beyond it by more than the error cannot enter.
  template <class T, class Tile>
  [[nodiscard]] TESSERA_HD suspects<T> exact_within(const state<T>& s, const Tile& tile, T error) const {
    const T best = tile_extremum<!Smallest>(tile, T(excluded<lane_value<T>>()));
    if constexpr (Smallest) {
      return {best, s.score[K - 1] + error};
    } else {
      return {best, s.score[K - 1] - error};
    }
  }

 private:
  template <class T>
  TESSERA_HD static auto beats(T a, T b) {
    if constexpr (Smallest) {
      return a < b;
    } else {
      return a > b;
    }
  }

  /// One pass of a sorting network: the newcomer sinks to its place, all from there on move down by one (equals, too). What it does not
  /// beat in any lane, it passes eight at a time.
  template <class T>
  TESSERA_HD static void insert(state<T>& s, T score, lane_index<T> where) {
    constexpr int stride = 8;
    int k = 0;
    while (k + stride < K && !lane<T>::any(beats(score, s.score[k + stride - 1]))) k += stride;
    auto wins = beats(score, s.score[k]);
    for (; k < K; ++k) {
      wins = wins | beats(score, s.score[k]);
      const T score_out = select(wins, s.score[k], score);
      const lane_index<T> where_out = select(wins, s.where[k], where);
      s.score[k] = select(wins, score, s.score[k]);
      s.where[k] = select(wins, where, s.where[k]);
      score = score_out;
      where = where_out;
    }
  }
};

}  // namespace tessera
