// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rotary position embedding as an option: queries and keys are rotated, pair of elements by pair, by angles that grow with their positions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// Which elements of a row are a pair.
enum class rotary_layout : std::uint8_t {
  halves,       ///< m and m + dims / 2 (GPT-NeoX, Llama in most programs)
  interleaved,  ///< 2 m and 2 m + 1 (the paper, GPT-J)
};

namespace detail {

/// A position to which lengths may be added: no sum leaves int64, and what is far from any table stays far.
TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t held_position(std::int64_t x) {
  constexpr std::int64_t most = std::int64_t{1} << 60;
  return x < -most ? -most : (x > most ? most : x);
}

}  // namespace detail

/// Row x at position p becomes, for each pair m of its elements a and b, of `dims` elements of a row; the rest stays as it is:
///
///   a' = a cos[p, m] - b sin[p, m],   b' = b cos[p, m] + a sin[p, m]
///
/// forward, backward, jvp and accumulate rotate rows while they pack them, with the bits of a call on arrays that `rotate` wrote in the
/// compute type; gradients are those of the rows as they are stored.
///
/// Shapes  cos, sin [positions, dims / 2], first_dim + dims at most head_dim: attention/rotary_tables.hpp fills them, or whoever wants other
///         frequencies
/// Source  Su et al. 2021, arXiv:2104.09864
struct rotary {
  view<const float, 2> cos{};  ///< null: nothing is rotated
  view<const float, 2> sin{};
  rotary_layout layout = rotary_layout::halves;
  std::int64_t first_dim = 0;  ///< first element of a row that is rotated
  bool queries = true;         ///< whether queries are rotated
  bool keys = true;            ///< whether keys are: those of a cache often are already
  std::int64_t first_key = 0;  ///< position of key 0; key j stands at first_key + j
  std::optional<std::int64_t>
      first_query{};  ///< position of query 0; first_key + len_k - len_q if not given, as of a causal mask

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE bool rotates() const { return cos.data_handle() != nullptr; }
  /// Elements of a row that are rotated.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t dims() const { return 2 * cos.extent(1); }
  /// Where query 0 of a call stands.
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t query_position(std::int64_t len_q, std::int64_t len_k) const {
    return detail::held_position(first_query ? *first_query : detail::held_position(first_key) + len_k - len_q);
  }
};

namespace detail {

/// What the errors call the parts of an option.
struct rotary_names {
  const char* cos;
  const char* sin;
  const char* first_dim;
};

/// Refuses tables that do not belong together, or rotate more than there is.
TESSERA_ALWAYS_INLINE void check_tables(const char* function, const rotary& r, const rotary_names& names, std::int64_t head_dim) {
  using tessera::detail::expects;
  using tessera::detail::shape;
  tessera::detail::check_operand(r.cos, function, names.cos);
  tessera::detail::check_operand(r.sin, function, names.sin);
  expects(
      r.dims() <= head_dim, function, names.cos, [&] { return "shape " + shape(r.cos); },
      "needs [positions, dims / 2] with dims of at most head_dim");
  expects(
      r.first_dim >= 0 && r.first_dim <= head_dim - r.dims(), function, names.first_dim,
      [&] { return std::to_string(r.dims()) + " from " + std::to_string(r.first_dim) + " of " + std::to_string(head_dim); },
      "needs dims that lie within a row");
  expects(
      r.sin.extent(0) == r.cos.extent(0) && r.sin.extent(1) == r.cos.extent(1), function, names.sin,
      [&] { return "shape " + shape(r.sin); }, "needs the shape of cos");
}

/// Refuses rows at positions that the tables do not have.
TESSERA_ALWAYS_INLINE void check_positions(const char* function, const rotary& r, const char* argument, std::int64_t first,
                                           std::int64_t count) {
  tessera::detail::expects(
      count == 0 || (first >= 0 && count <= r.cos.extent(0) && first <= r.cos.extent(0) - count), function, argument,
      [&] {
        return std::to_string(count) + " rows from position " + std::to_string(first) + " beside tables of " +
               std::to_string(r.cos.extent(0));
      },
      "needs positions of the tables");
}

/// Refuses an option whose tables do not fit; null tables are none.
TESSERA_ALWAYS_INLINE void check_rotary_tables(const char* function, const rotary& r, std::int64_t head_dim) {
  if (r.rotates()) check_tables(function, r, {"options.rotary.cos", "options.rotary.sin", "options.rotary.first_dim"}, head_dim);
}

/// Refuses a sequence with positions that the tables do not have.
TESSERA_ALWAYS_INLINE void check_rotary_positions(const char* function, const rotary& r, std::int64_t len_q, std::int64_t len_k) {
  if (!r.rotates()) return;
  if (r.keys) check_positions(function, r, "options.rotary.first_key", r.first_key, len_k);
  if (r.queries) {
    check_positions(function, r, "options.rotary.first_query", r.query_position(len_q, len_k), len_q);
  }
}

}  // namespace detail
}  // namespace tessera::attention
