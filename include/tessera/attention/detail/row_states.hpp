// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Softmax states of a few rows with the sums of their values, and how they become those of more keys.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tessera/attention/detail/compensated_softmax.hpp"
#include "tessera/attention/detail/few_shape.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/simd/math.hpp"

namespace tessera::attention::detail {

/// States of rows with the sums of their values: of some keys, or of one chunk.
template <class T>
struct row_states {
  T* max;   ///< [rows]
  T* mass;  ///< [rows]
  T* sums;  ///< [rows, rounded up to whole blocks][row_size of the layout]
  // What mass and sums lost, where the layout keeps it.
  T* lost_mass;
  T* lost_sums;
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
  bool in_pages;      ///< whether rows of keys and values may lie apart
  bool rotates;       ///< whether queries or keys are rotated
  bool keeps_lost;    ///< sums over chunks are compensated: compensated_softmax.hpp

  static std::int64_t rounded(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }
  /// Blocks of rows that are multiplied together.
  [[nodiscard]] std::int64_t blocks() const { return rounded(rows, shape::rows) / shape::rows; }
  /// Chunks of keys that are scored, and then weighed, one after another: the fewer turns from keys to values and back, the better does
  /// a machine foresee what is read. It matters where memory is the limit.
  [[nodiscard]] int at_once() const { return blocks() == 1 ? 4 : 1; }
  [[nodiscard]] std::int64_t row_size() const { return rounded(value_dim, P::lanes); }
  [[nodiscard]] std::int64_t lane_rows() const { return rounded(rounded(rows, shape::rows), P::lanes); }

  row_states<T> take_states(tessera::detail::bump& memory) const {
    const std::int64_t sums = blocks() * shape::rows * row_size();
    return {memory.take<T>(lane_rows()), memory.take<T>(lane_rows()), memory.take<T>(sums),
            memory.take<T>(keeps_lost ? lane_rows() : 0), memory.take<T>(keeps_lost ? sums : 0)};
  }
};

/// The states `s` of rows [first, last) are those of no keys; first is a multiple of the lanes.
template <class T, class Arch>
void clear_states(const few_layout<T, Arch>& layout, std::int64_t first, std::int64_t last, const row_states<T>& s) {
  const std::int64_t lanes = few_layout<T, Arch>::rounded(last - first, few_layout<T, Arch>::P::lanes);
  std::fill_n(s.max + first, lanes, -infinity<T>());
  std::fill_n(s.mass + first, lanes, T(0));
  std::fill_n(s.sums + first * layout.row_size(), (last - first) * layout.row_size(), T(0));
  if (!layout.keeps_lost) return;
  std::fill_n(s.lost_mass + first, lanes, T(0));
  std::fill_n(s.lost_sums + first * layout.row_size(), (last - first) * layout.row_size(), T(0));
}

/// join_states where the layout keeps what is lost; t has lost nothing.
template <class T, class Arch>
TESSERA_NOINLINE void join_compensated(const few_layout<T, Arch>& layout, std::int64_t first, std::int64_t last,
                                       const row_states<T>& s, const row_states<T>& t) {
  using P = simd::pack<T, Arch>;
  for (std::int64_t r0 = first; r0 < last; r0 += P::lanes) {
    compensated_softmax::state<P> mine{P::load(s.max + r0), P::load(s.mass + r0), P::load(s.lost_mass + r0)};
    const join_factors<P> factors =
        compensated_softmax{}.join(mine, softmax::state<P>{P::load(t.max + r0), P::load(t.mass + r0)});
    mine.max.store(s.max + r0);
    mine.mass.store(s.mass + r0);
    mine.lost.store(s.lost_mass + r0);
    alignas(P::alignment) T kept[P::lanes];
    alignas(P::alignment) T joined[P::lanes];
    factors.kept.store(kept);
    factors.joined.store(joined);
    for (std::int64_t r = r0; r < std::min(last, r0 + P::lanes); ++r) {
      for (std::int64_t c = r * layout.row_size(); c < (r + 1) * layout.row_size(); c += P::lanes) {
        P sum = P::load(s.sums + c);
        P lost = P::load(s.lost_sums + c);
        compensated_softmax::add(sum, lost, P(kept[r - r0]), P::load(t.sums + c), P(joined[r - r0]));
        sum.store(s.sums + c);
        lost.store(s.lost_sums + c);
      }
    }
  }
}

/// Joins the sinks, and adds what was lost to mass and sums: states as those without it.
template <class T, class Arch, class Heads, class HeadOfRow>
void settle_lost(const few_layout<T, Arch>& layout, std::int64_t first, std::int64_t last, const row_states<T>& s,
                 const Heads& heads, const HeadOfRow& head_of_row) {
  using P = simd::pack<T, Arch>;
  for (std::int64_t r0 = first; r0 < last; r0 += P::lanes) {
    compensated_softmax::state<P> state{P::load(s.max + r0), P::load(s.mass + r0), P::load(s.lost_mass + r0)};
    alignas(P::alignment) T kept[P::lanes];
    P(T(1)).store(kept);
    if (heads.has_sinks()) {
      alignas(P::alignment) T sinks[P::lanes];
      for (int l = 0; l < P::lanes; ++l) sinks[l] = heads.sink(head_of_row(std::min(r0 + l, last - 1)));
      compensated_softmax{}.join(state, softmax::state<P>{P::load(sinks), P(T(1))}).kept.store(kept);
    }
    state.max.store(s.max + r0);
    compensated_softmax{}.normalizer(state).store(s.mass + r0);
    for (std::int64_t r = r0; r < std::min(last, r0 + P::lanes); ++r) {
      for (std::int64_t c = r * layout.row_size(); c < (r + 1) * layout.row_size(); c += P::lanes) {
        const P keep(kept[r - r0]);  // products rounded by themselves, as they are where they are stored
        compensated_softmax::total(fma(P::load(s.sums + c), keep, P(T(0))), fma(P::load(s.lost_sums + c), keep, P(T(0))))
            .store(s.sums + c);
      }
    }
  }
}

/// Joins to the states `s` of rows [first, last) those of the keys after theirs; first is a multiple of the lanes.
template <class T, class Arch>
TESSERA_NOINLINE void join_states(const few_layout<T, Arch>& layout, std::int64_t first, std::int64_t last,
                                  const row_states<T>& s, const row_states<T>& t) {
  using P = simd::pack<T, Arch>;
  if (layout.keeps_lost) {
    join_compensated(layout, first, last, s, t);
    return;
  }
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

/// store(row, values) and emit(row, lse) for the rows [first, last), whose states `s` are used up: sinks joined, values scaled.
template <class T, class Arch, class Heads, class HeadOfRow, class Store, class Emit>
void finish_states(const few_layout<T, Arch>& layout, std::int64_t first, std::int64_t last, const row_states<T>& s,
                   const Heads& heads, const HeadOfRow& head_of_row, const Store& store, const Emit& emit) {
  using P = simd::pack<T, Arch>;
  if (layout.keeps_lost) settle_lost(layout, first, last, s, heads, head_of_row);
  const bool has_sinks = heads.has_sinks() && !layout.keeps_lost;
  for (std::int64_t r0 = first; r0 < last; r0 += P::lanes) {
    const int n = static_cast<int>(std::min<std::int64_t>(P::lanes, last - r0));
    softmax::state<P> states{P::load(s.max + r0), P::load(s.mass + r0)};
    alignas(P::alignment) T kept[P::lanes];
    if (has_sinks) {
      alignas(P::alignment) T sinks[P::lanes];
      for (int l = 0; l < P::lanes; ++l) sinks[l] = heads.sink(head_of_row(std::min(r0 + l, last - 1)));
      softmax{}.join(states, softmax::state<P>{P::load(sinks), P(T(1))}).kept.store(kept);
      states.max.store(s.max + r0);
      states.mass.store(s.mass + r0);
    }
    alignas(P::alignment) T lse[P::lanes];
    if constexpr (lane<P>::fused) {
      softmax{}.finish(states).store(lse);
    } else {  // where lanes round otherwise than numbers do
      for (int l = 0; l < n; ++l) lse[l] = softmax{}.finish(softmax::state<T>{s.max[r0 + l], s.mass[r0 + l]});
    }
    for (int l = 0; l < n; ++l) {
      const std::int64_t r = r0 + l;
      T* const sums = s.sums + r * layout.row_size();
      const P mass(softmax{}.normalizer(softmax::state<T>{s.max[r], s.mass[r]}));
      const auto empty = mass == P(T(0));
      const P share(has_sinks ? kept[l] : T(1));
      const P scale(heads.has_value_scales() ? heads.value_scale(head_of_row(r) / layout.group) : T(1));
      for (std::int64_t c = 0; c < layout.row_size(); c += P::lanes) {
        (select(empty, P(T(0)), P::load(sums + c) * share / mass) * scale).store(sums + c);
      }
      store(r, static_cast<const T*>(sums));
      emit(r, lse[l]);
    }
  }
}

}  // namespace tessera::attention::detail
