// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The smallest or largest score of a row, and where it is.
#pragma once

#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"

namespace tessera {

/// What argmin and argmax give for a row.
template <class T>
struct extremum {
  T score;              ///< the smallest (largest) score
  lane_index<T> where;  ///< its key, the lowest on ties; -1 when there is no key or every score is +inf (-inf)
};

namespace detail {

template <bool Smallest>
struct extremum_reducer {
  template <class T>
  using state = extremum<T>;

  static constexpr bool smallest_wins = Smallest;
  /// A tile without a suspect holds nothing that could win.
  static constexpr bool only_suspects_matter = true;

  template <class V>
  TESSERA_HD static constexpr V excluded() {
    return Smallest ? infinity<V>() : -infinity<V>();
  }

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> identity() const {
    using V = lane_value<T>;
    return {T(excluded<V>()), lane_index<T>(lane_index<V>(-1))};
  }

  template <class T, class Tile>
  TESSERA_HD void absorb(state<T>& s, const Tile& tile) const {
    if (tile.ordinary()) {
      const T best = best_of<T>(tile);
      const auto wins = beats(best, s.score);
      if (!lane<T>::any(wins)) return;  // the usual case once a good key is known
      // From the last key to the first, so that the first of equals stays; only `where` is carried from key to key.
      lane_index<T> where = s.where;
      TESSERA_DEVICE_UNROLL
      for (int j = tile.size() - 1; j >= 0; --j) where = select(tile[j] == best, tile.key(j), where);
      s.where = select(wins, where, s.where);
      s.score = select(wins, best, s.score);
      return;
    }
    TESSERA_DEVICE_UNROLL
    for (int j = 0; j < tile.size(); ++j) {
      const T score = tile[j];
      const auto better = beats(score, s.score);
      const auto is_first_nan = score != score;
      const auto has_number = s.score == s.score;
      const auto wins = better | (is_first_nan & has_number);
      s.score = select(wins, score, s.score);
      s.where = select(wins, tile.key(j), s.where);
    }
  }

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> merge(const state<T>& a, const state<T>& b) const {
    // Lanes differ in which side wins, ties go to the lower index; written for one number, where merging happens.
    const bool b_seen = b.where >= 0;
    const bool b_wins = b_seen && (a.where < 0 || (is_nan(b.score) && !is_nan(a.score)) || beats(b.score, a.score) ||
                                   ((b.score == a.score || (is_nan(a.score) && is_nan(b.score))) && b.where < a.where));
    return b_wins ? b : a;
  }

  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE extremum<T> finish(const state<T>& s) const {
    return s;
  }

  template <class T, class Tile>
  [[nodiscard]] TESSERA_HD suspects<T> exact_within(const state<T>& s, const Tile& tile, T error) const {
    const T best = best_of<T>(tile);
    if constexpr (Smallest) {
      return {best, min(s.score, best + error) + error};
    } else {
      return {best, max(s.score, best - error) - error};
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
  template <class T>
  TESSERA_HD static auto is_nan(T a) {
    return a != a;
  }
  template <class T, class Tile>
  TESSERA_HD static T best_of(const Tile& tile) {
    return tile_extremum<!Smallest>(tile, T(excluded<lane_value<T>>()));
  }
};

}  // namespace detail

/// The smallest score of a row and its key.
///
/// Special values  NaN counts as smaller than every number (as in NumPy), so a NaN reaches the result; ties go to the lowest key.
/// Cost            one comparison a score while the row's best stands.
using argmin = detail::extremum_reducer<true>;

/// The largest score of a row and its key. NaN counts as larger than every number; ties go to the lowest key.
using argmax = detail::extremum_reducer<false>;

}  // namespace tessera
