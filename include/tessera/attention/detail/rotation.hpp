// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// How rows are rotated, wherever that is done: by which tables, at which positions, forth or back, and the arithmetic of a pair.
#pragma once

#include <cstdint>

#include "tessera/attention/rotary.hpp"
#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/tile/detail/elementwise.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Tables, and where the rows of an array stand: row i at position first + i.
struct rotation {
  view<const float, 2> cos{};  ///< null: nothing is rotated
  view<const float, 2> sin{};
  rotary_layout layout = rotary_layout::halves;
  std::int64_t first_dim = 0;
  std::int64_t first = 0;

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE bool rotates() const { return cos.data_handle() != nullptr; }
};

/// That of the queries, and that of the keys, of a sequence.
TESSERA_ALWAYS_INLINE rotation query_rotation(const rotary& r, std::int64_t len_q, std::int64_t len_k) {
  if (!r.queries) return {};
  return {r.cos, r.sin, r.layout, r.first_dim, r.query_position(len_q, len_k)};
}
TESSERA_ALWAYS_INLINE rotation key_rotation(const rotary& r) {
  if (!r.keys) return {};
  return {r.cos, r.sin, r.layout, r.first_dim, r.first_key};
}

enum class direction : std::uint8_t { forth, back };

/// a, b = a c - b s, b c + a s: the second product is added without a rounding of its own. Of numbers or packs.
template <class P>
TESSERA_HD TESSERA_ALWAYS_INLINE void rotate_pair(P& a, P& b, P c, P s) {
  const P rotated = fma(-b, s, a * c);
  b = fma(a, s, b * c);
  a = rotated;
}

/// Refuses what the tables cannot rotate, or what cannot be written.
template <class In, class Out>
TESSERA_ALWAYS_INLINE void check_rotate(const char* function, const view<const In, 4>& in, const view<Out, 4>& out,
                                        const rotary& by, std::int64_t first_position) {
  tessera::detail::check_elementwise(in, out, function);
  tessera::detail::check_operand(in, function, "in");
  tessera::detail::check_operand(out, function, "out");
  tessera::detail::expects(by.rotates(), function, "by.cos", [] { return "null data"; }, "needs a table");
  check_tables(function, by, {"by.cos", "by.sin", "by.first_dim"}, in.extent(3));
  check_positions(function, by, "first_position", first_position, in.extent(2));
  tessera::detail::check_disjoint(out, by.cos, function, "out", "by.cos");
  tessera::detail::check_disjoint(out, by.sin, function, "out", "by.sin");
}

}  // namespace tessera::attention::detail
