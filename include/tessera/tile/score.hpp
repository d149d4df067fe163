// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Scores: what a query and a key have to do with each other, S[i,j] = f(q_i, k_j).
///
/// A score is any callable `score(dot, i, j)`: dot = q_i . k_j as a number or a pack of numbers T, i and j as lane_index<T>.
/// It is called once for each pair, in registers, right after the product. A generic lambda is a score.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {

/// q . k
struct dot {
  static constexpr bool linear = true;
  template <class T>
  TESSERA_HD T operator()(T product, lane_index<T>, lane_index<T>) const {
    return product;
  }
};

/// scale * (q . k); the factor is folded into the queries while they are packed and costs nothing.
struct scaled_dot {
  static constexpr bool linear = true;  ///< nothing is added to the product: a further factor may be folded into the queries, too
  double scale = 1;
  [[nodiscard]] TESSERA_HD double query_scale() const { return scale; }
  template <class T>
  TESSERA_HD T operator()(T product, lane_index<T>, lane_index<T>) const {
    return product;
  }
};

namespace detail {

/// s + bias(i, j), of numbers or packs. Rows of a panel past the last query, and the padding of a block of keys, are computed and not used: they
/// read what is there.
template <class T, class B>
TESSERA_HD TESSERA_ALWAYS_INLINE T plus_bias(T s, const view<const B, 2>& bias, lane_index<T> i, lane_index<T> j) {
  using V = lane_value<T>;
  const std::int64_t last_row = bias.extent(0) - 1;
  const std::int64_t last_column = bias.extent(1) - 1;
  const auto at = [&](std::int64_t row, std::int64_t column) {
    return static_cast<V>(bias(row < last_row ? row : last_row, column < last_column ? column : last_column));
  };
  if constexpr (lane<T>::width == 1) {
    return s + at(i, j);
  } else {
    alignas(64) lane_index<V> rows[lane<T>::width];
    alignas(64) lane_index<V> columns[lane<T>::width];
    alignas(64) V added[lane<T>::width];
    i.store(rows);
    j.store(columns);
    for (int l = 0; l < lane<T>::width; ++l) added[l] = at(rows[l], columns[l]);
    return s + T::load(added);
  }
}

}  // namespace detail

/// scale * (q . k) + bias[i, j]; bias is [queries, keys] with any strides (0 broadcasts), read once per pair.
template <class B>
struct scaled_dot_bias {
  double scale;
  view<const B, 2> bias;

  [[nodiscard]] TESSERA_HD double query_scale() const { return scale; }

  template <class T>
  TESSERA_HD T operator()(T product, lane_index<T> i, lane_index<T> j) const {
    return detail::plus_bias(product, bias, i, j);
  }
};

/// |q - k|^2, never negative, and with a relative error of about (depth + 2) roundings even where |q|^2 and |k|^2 cancel.
///
/// The fast form |q'|^2 + |k'|^2 - 2 q'.k' (rows centred on the keys' mean) has an absolute error below
/// (2 depth + 16) u (|q'|^2 + |k'|^2). A reducer says which scores could change its result by that much
/// (`suspects`); these are computed again from the differences. A reducer that does not say gets every score from the differences.
struct squared_distance {
  [[nodiscard]] TESSERA_HD double distance_factor() const { return 1; }
};

/// -|q - k|^2 / (2 sigma^2): the exponent of a Gaussian of width sigma around the key. Computed like squared_distance.
struct gaussian {
  double sigma;
  [[nodiscard]] TESSERA_HD double distance_factor() const { return -0.5 / (sigma * sigma); }
};

/// A score that is a multiple of the squared distance.
template <class S>
concept distance_score = requires(const S& s) { s.distance_factor(); };

namespace detail {

template <class Score>
inline constexpr bool is_linear = false;
template <class Score>
  requires requires { Score::linear; }
inline constexpr bool is_linear<Score> = Score::linear;

/// What a score multiplies into the queries: its own scale where it has one.
template <class Score>
double query_scale(const Score& score) {
  if constexpr (requires { score.query_scale(); }) {
    return score.query_scale();
  } else {
    return 1;
  }
}

}  // namespace detail
}  // namespace tessera
