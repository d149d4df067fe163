// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the kernels of a contraction have in common, whatever makes their products.
#pragma once

#include <cstdint>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/numeric/lane.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::tile::detail {

/// One contraction, as its kernel gets it.
template <class Q, class K, class V, class O, class Score, class Reducer, class Mask, class Emit>
struct contraction_problem {
  view<const Q, 2> queries;
  view<const K, 2> keys;
  view<const V, 2> values;
  view<O, 2> out;
  Score score;
  Reducer reducer;
  Mask mask;
  Emit emit;
};

/// The pairs of a block of queries [first, last) and all keys.
template <class T, class Score, class Reducer, class Mask>
struct contraction_pairs {
  const Score& of_score;
  const Mask& mask;
  std::int64_t first;
  std::int64_t last;
  std::int64_t keys;
  T scale;  ///< of the product
  T unit;   ///< of the score, where the scale does not hold it

  using index = lane_index<T>;
  static constexpr bool is_linear = tessera::detail::is_linear<Score> || distance_score<Score>;

  TESSERA_DEVICE contraction_pairs(const Score& s, const Mask& m, std::int64_t first_query, std::int64_t last_query,
                                   std::int64_t n_keys)
      : of_score(s), mask(m), first(first_query), last(last_query), keys(n_keys), scale(1), unit(1) {
    double factor = 1;
    if constexpr (distance_score<Score>) {
      factor = s.distance_factor();
    } else if constexpr (requires { s.query_scale(); }) {
      factor = s.query_scale();
    }
    if constexpr (is_linear) {
      scale = static_cast<T>(factor * tessera::detail::unit_of<Reducer>);
    } else {
      scale = static_cast<T>(factor);
      unit = static_cast<T>(tessera::detail::unit_of<Reducer>);
    }
  }

  [[nodiscard]] TESSERA_DEVICE key_range range() const { return mask.keys(first, last, keys); }
  [[nodiscard]] TESSERA_DEVICE tile_class classify(std::int64_t j0, std::int64_t j1) const {
    return mask.classify(first, last, j0, j1);
  }
  [[nodiscard]] TESSERA_DEVICE bool visible(int r, index j) const { return mask.visible(query(r), j); }
  [[nodiscard]] TESSERA_DEVICE T factor() const
    requires(is_linear)
  {
    return scale;
  }
  [[nodiscard]] TESSERA_DEVICE T score(T product, int r, index j) const {
    if constexpr (is_linear) {
      return product * scale;
    } else {
      return of_score(product * scale, query(r), j) * unit;
    }
  }

 private:
  /// The query of a row of the block; the last one for rows that are not there.
  [[nodiscard]] TESSERA_DEVICE index query(int r) const {
    const std::int64_t i = first + r;
    return static_cast<index>(i < last ? i : last - 1);
  }
};

/// Writes what rows of queries [first, last) have come to; of the values, columns from `column` on.
template <bool HasValues, class Rows, class Problem>
TESSERA_DEVICE void finish_rows(Rows& rows, const Problem& p, std::int64_t first, std::int64_t last, std::int64_t column) {
  using sum = typename Rows::sum;
  rows.join_lanes();
  if constexpr (HasValues) {
    const std::int64_t columns = p.values.extent(1) - column;
    rows.for_each_value([&](int r, int c, const packed<sum, 2>& sums, const auto& state) {
      if (first + r >= last) return;
      const sum mass = p.reducer.normalizer(state);
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < 2; ++i) {
        if (c + i < columns) {
          p.out(first + r, column + c + i) =
              static_cast<value_type_of<decltype(p.out)>>(mass == sum(0) ? sum(0) : sums[i] / mass);
        }
      }
    });
  }
  if (column == 0) {
    rows.for_each_state([&](int r, const auto& state) {
      if (first + r < last) p.emit(first + r, p.reducer.finish(state));
    });
  }
}

}  // namespace tessera::cuda::tile::detail
