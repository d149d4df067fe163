// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows rotated as rotary embedding has it, in registers. Every path of attention comes here, so that a row has the same bits wherever it is
/// rotated.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/rotation.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/core/config.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/pack.hpp"
#include "tessera/simd/transpose.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// to[0 … columns) = the row from[0 … columns), of which the elements from first_dim on are rotated by the angles of which c and s are the
/// cosines and sines. In place, too.
template <class P, class S, class O>
TESSERA_NOINLINE void rotate_row(O* to, const S* from, const float* c, const float* s, std::int64_t pairs, std::int64_t columns,
                                 rotary_layout layout, std::int64_t first_dim, direction way) {
  using tile::detail::load_columns;
  constexpr int lanes = P::lanes;
  const auto put = [](O* at, int n, P x) {
    if (n == lanes) {
      simd::store_as(at, x);
    } else {
      simd::store_partial(at, n, x);
    }
  };
  const auto copy = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t k = first; k < last; k += lanes) {
      const int n = static_cast<int>(last - k < lanes ? last - k : lanes);
      put(to + k, n, load_columns<P>(from + k, n));
    }
  };
  if (!std::is_same_v<S, O> || static_cast<const void*>(to) != static_cast<const void*>(from)) {
    copy(0, first_dim);
    copy(first_dim + 2 * pairs, columns);
  }
  to += first_dim;
  from += first_dim;
  for (std::int64_t m = 0; m < pairs; m += lanes) {
    const int n = static_cast<int>(pairs - m < lanes ? pairs - m : lanes);
    const P cosine = load_columns<P>(c + m, n);
    P sine = load_columns<P>(s + m, n);
    if (way == direction::back) sine = -sine;
    if (layout == rotary_layout::halves) {
      P a = load_columns<P>(from + m, n);
      P b = load_columns<P>(from + pairs + m, n);
      rotate_pair(a, b, cosine, sine);
      put(to + m, n, a);
      put(to + pairs + m, n, b);
    } else {
      const int low = 2 * n < lanes ? 2 * n : lanes;
      const int high = 2 * n - low;
      P x[2] = {load_columns<P>(from + 2 * m, low), P(typename P::value_type(0))};
      if (high > 0) x[1] = load_columns<P>(from + 2 * m + lanes, high);
      simd::separate(x);
      rotate_pair(x[0], x[1], cosine, sine);
      simd::transpose(x);
      put(to + 2 * m, low, x[0]);
      if (high > 0) put(to + 2 * m + lanes, high, x[1]);
    }
  }
}

/// The same by the tables of a position.
template <class P, class S, class O, class Tables>
TESSERA_ALWAYS_INLINE void rotate_row(O* to, const S* from, const Tables& by, std::int64_t position, std::int64_t columns,
                                      direction way) {
  rotate_row<P>(to, from, by.cos.data_handle() + position * by.cos.stride(0), by.sin.data_handle() + position * by.sin.stride(0),
                by.cos.extent(1), columns, by.layout, by.first_dim, way);
}

/// Row i of `to` = row i of `from`, rotated as row first_row + i of an array is.
template <class P, class S, class O>
void rotate_rows(O* to, std::int64_t to_stride, const view<const S, 2>& from, std::int64_t first_row, const rotation& by,
                 direction way = direction::forth) {
  for (std::int64_t i = 0; i < from.extent(0); ++i) {
    rotate_row<P>(to + i * to_stride, from.data_handle() + i * from.stride(0), by, by.first + first_row + i, from.extent(1), way);
  }
}

/// Rows in the compute type, at `to` [rows][columns].
template <class P, class S>
view<const typename P::value_type, 2> rotated_rows(typename P::value_type* to, const view<const S, 2>& from,
                                                   std::int64_t first_row, const rotation& by) {
  rotate_rows<P>(to, from.extent(1), from, first_row, by);
  return view<const typename P::value_type, 2>(to, from.extent(0), from.extent(1));
}

/// f(rows): those of `from` as they are stored, or, where they are to be rotated, in the compute type at `to`.
template <class P, class S, class F>
TESSERA_ALWAYS_INLINE void with_rows(typename P::value_type* to, const view<const S, 2>& from, std::int64_t first_row,
                                     const rotation& by, const F& f) {
  if constexpr (std::is_same_v<S, typename P::value_type>) {
    f(by.rotates() ? rotated_rows<P>(to, from, first_row, by) : from);
  } else if (by.rotates()) {
    f(rotated_rows<P>(to, from, first_row, by));
  } else {
    f(from);
  }
}

}  // namespace tessera::attention::detail
