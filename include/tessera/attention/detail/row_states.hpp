// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Softmax states of a few rows with the sums of their values, and how they become those of more keys.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tessera/attention/detail/keys_in_lanes.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"

namespace tessera::attention::detail {

/// States of rows with the sums of their values: of some keys, or of one chunk.
template <class T>
struct row_states {
  T* max;   ///< [rows]
  T* mass;  ///< [rows]
  T* sums;  ///< [rows, rounded up to whole blocks][row_size of the layout]
};

/// Rows of queries that share a key head: row r is query r / group of the group's head r % group.
template <class T, class Arch>
struct few_layout {
  using P = simd::pack<T, Arch>;
  using shape = few_shape<T, Arch>;

  std::int64_t depth;
  std::int64_t value_dim;
  std::int64_t group;
  std::int64_t rows;  ///< at most, of one unit of work

  static std::int64_t rounded(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }
  /// Blocks of rows that are multiplied together.
  [[nodiscard]] std::int64_t blocks() const { return rounded(rows, shape::rows) / shape::rows; }
  /// Chunks of keys that are scored, and then weighed, one after another: the fewer turns from keys to values and back, the better does
  /// a machine foresee what is read. It matters where memory is the limit.
  [[nodiscard]] int at_once() const { return blocks() == 1 ? 4 : 1; }
  [[nodiscard]] std::int64_t row_size() const { return rounded(value_dim, P::lanes); }
  [[nodiscard]] std::int64_t lane_rows() const { return rounded(rounded(rows, shape::rows), P::lanes); }

  row_states<T> take_states(tessera::detail::bump& memory) const {
    return {memory.take<T>(lane_rows()), memory.take<T>(lane_rows()), memory.take<T>(blocks() * shape::rows * row_size())};
  }
};

/// The states `s` of rows [first, last) are those of no keys; first is a multiple of the lanes.
template <class T, class Arch>
void clear_states(const few_layout<T, Arch>& layout, std::int64_t first, std::int64_t last, const row_states<T>& s) {
  const std::int64_t lanes = few_layout<T, Arch>::rounded(last - first, few_layout<T, Arch>::P::lanes);
  std::fill_n(s.max + first, lanes, -infinity<T>());
  std::fill_n(s.mass + first, lanes, T(0));
  std::fill_n(s.sums + first * layout.row_size(), (last - first) * layout.row_size(), T(0));
}

/// Joins to the states `s` of rows [first, last) those of the keys after theirs; first is a multiple of the lanes.
template <class T, class Arch>
TESSERA_NOINLINE void join_states(const few_layout<T, Arch>& layout, std::int64_t first, std::int64_t last,
                                  const row_states<T>& s, const row_states<T>& t) {
  using P = simd::pack<T, Arch>;
  for (std::int64_t r0 = first; r0 < last; r0 += P::lanes) {
    softmax::state<P> mine{P::load(s.max + r0), P::load(s.mass + r0)};
    const join_factors<P> factors = softmax{}.join(mine, softmax::state<P>{P::load(t.max + r0), P::load(t.mass + r0)});
    mine.max.store(s.max + r0);
    mine.mass.store(s.mass + r0);
    alignas(P::alignment) T kept[P::lanes];
    alignas(P::alignment) T joined[P::lanes];
    factors.kept.store(kept);
    factors.joined.store(joined);
    for (std::int64_t r = r0; r < std::min(last, r0 + P::lanes); ++r) {
      const P keep(kept[r - r0]);
      const P join(joined[r - r0]);
      T* const to = s.sums + r * layout.row_size();
      const T* const from = t.sums + r * layout.row_size();
      for (std::int64_t c = 0; c < layout.row_size(); c += P::lanes)
        fma(P::load(to + c), keep, P::load(from + c) * join).store(to + c);
    }
  }
}

}  // namespace tessera::attention::detail
