// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows turned by rotary embedding, in registers. Every path of attention comes here, so that a row has the same bits wherever it is turned.
#pragma once

#include <cstdint>

#include "tessera/attention/rotary.hpp"
#include "tessera/core/config.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/pack.hpp"
#include "tessera/simd/transpose.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// A table and where its rows belong: row i of an array stands at position first + i.
struct rotation {
  view<const float, 2> cos{};  ///< null: nothing is turned
  view<const float, 2> sin{};
  rotary_layout layout = rotary_layout::halves;
  std::int64_t first = 0;

  [[nodiscard]] TESSERA_ALWAYS_INLINE bool turns() const { return cos.data_handle() != nullptr; }
};

/// That of the queries, and that of the keys, of a call.
TESSERA_ALWAYS_INLINE rotation query_rotation(const rotary& r, std::int64_t len_q, std::int64_t len_k) {
  if (!r.queries) return {};
  return {r.cos, r.sin, r.layout, r.query_position(len_q, len_k)};
}
TESSERA_ALWAYS_INLINE rotation key_rotation(const rotary& r) {
  if (!r.keys) return {};
  return {r.cos, r.sin, r.layout, r.first_key};
}

/// Which way.
enum class turn : std::uint8_t { forth, back };

/// a, b = a c - b s, b c + a s: the second product is added without a rounding of its own.
template <class P>
TESSERA_ALWAYS_INLINE void turn_pair(P& a, P& b, P c, P s) {
  const P turned = fma(-b, s, a * c);
  b = fma(a, s, b * c);
  a = turned;
}

/// to[0 … columns) = the row from[0 … columns) as it is at a position, of which c and s are the rows of the tables. In place, too.
template <class P, class S, class O>
TESSERA_NOINLINE void turn_row(O* to, const S* from, const float* c, const float* s, std::int64_t pairs, std::int64_t columns,
                               rotary_layout layout, turn way) {
  using tile::detail::load_columns;
  constexpr int lanes = P::lanes;
  const auto table = [](const float* row, int n) { return load_columns<P>(row, n); };
  const auto put = [](O* at, int n, P x) {
    if (n == lanes) {
      simd::store_as(at, x);
    } else {
      simd::store_partial(at, n, x);
    }
  };
  for (std::int64_t m = 0; m < pairs; m += lanes) {
    const int n = static_cast<int>(pairs - m < lanes ? pairs - m : lanes);
    const P cosine = table(c + m, n);
    const P sine = way == turn::back ? -table(s + m, n) : table(s + m, n);
    if (layout == rotary_layout::halves) {
      P a = load_columns<P>(from + m, n);
      P b = load_columns<P>(from + pairs + m, n);
      turn_pair(a, b, cosine, sine);
      put(to + m, n, a);
      put(to + pairs + m, n, b);
    } else {
      const int low = 2 * n < lanes ? 2 * n : lanes;
      const int high = 2 * n - low;
      P x[2] = {load_columns<P>(from + 2 * m, low), P(typename P::value_type(0))};
      if (high > 0) x[1] = load_columns<P>(from + 2 * m + lanes, high);
      simd::separate(x);
      turn_pair(x[0], x[1], cosine, sine);
      simd::transpose(x);
      put(to + 2 * m, low, x[0]);
      if (high > 0) put(to + 2 * m + lanes, high, x[1]);
    }
  }
  if (static_cast<const void*>(to) == static_cast<const void*>(from)) return;
  for (std::int64_t k = 2 * pairs; k < columns; k += lanes) {
    const int n = static_cast<int>(columns - k < lanes ? columns - k : lanes);
    put(to + k, n, load_columns<P>(from + k, n));
  }
}

/// Rows [row, row + count) of `from` turned as `by` says, into `to`, whose first row is that of `row`.
template <class P, class S, class O>
void turn_rows(O* to, std::int64_t to_stride, const view<const S, 2>& from, std::int64_t row, std::int64_t count,
               const rotation& by, turn way = turn::forth) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t position = by.first + row + i;
    turn_row<P>(to + i * to_stride, from.data_handle() + (row + i) * from.stride(0),
                by.cos.data_handle() + position * by.cos.stride(0), by.sin.data_handle() + position * by.sin.stride(0),
                by.cos.extent(1), from.extent(1), by.layout, way);
  }
}

}  // namespace tessera::attention::detail
