// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The sum of a function of the scores of a row: kernel means, energy distances, counts.
#pragma once

#include "tessera/online/reducer.hpp"

namespace tessera {

/// sum_j f(s_j). With squared_distance as score and f = exp(-x / 2 l^2) it is a row of a kernel mean (MMD), with f = sqrt of an
/// energy distance, with f = (x <= r^2) a neighbour count. f takes and returns a number or a pack of numbers.
///
/// Accuracy        summed over a chunk of 96 keys, then over chunks: relative error below (96 + chunks) u of sum |f|.
/// Special values  no key: 0. NaN goes through.
template <class F>
struct kernel_sum {
  F f;

  template <class T>
  struct state {
    T sum;
  };

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> identity() const {
    return {T(lane_value<T>(0))};
  }

  template <class T, class Tile>
  TESSERA_HD void absorb(state<T>& s, const Tile& tile) const {
    T sum(lane_value<T>(0));
    TESSERA_DEVICE_UNROLL
    for (int j = 0; j < tile.size(); ++j) sum += f(tile[j]);
    s.sum += sum;
  }

  template <class T>
  [[nodiscard]] TESSERA_HD state<T> merge(const state<T>& a, const state<T>& b) const {
    return {a.sum + b.sum};
  }

  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T finish(const state<T>& s) const {
    return s.sum;
  }
};

template <class F>
kernel_sum(F) -> kernel_sum<F>;

}  // namespace tessera
