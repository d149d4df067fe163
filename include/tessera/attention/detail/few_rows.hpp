// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The query rows of one key head, folded with one chunk of keys after another.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "tessera/attention/detail/keys_in_lanes.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// States of rows with the sums of their values: of some keys, or of one chunk.
template <class T>
struct row_states {
  T* max;   ///< [rows]
  T* mass;  ///< [rows]
  T* sums;  ///< [rows][row_size of the layout]
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
  [[nodiscard]] std::int64_t blocks() const { return rounded(rows, shape::rows) / shape::rows; }
  [[nodiscard]] std::int64_t row_size() const { return rounded(value_dim, P::lanes); }
  [[nodiscard]] std::int64_t lane_rows() const { return rounded(rounded(rows, shape::rows), P::lanes); }

  row_states<T> take_states(tessera::detail::bump& memory) const {
    return {memory.take<T>(lane_rows()), memory.take<T>(lane_rows()), memory.take<T>(rows * row_size())};
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

/// One worker's place for the rows of one unit of work.
template <class T, class Arch, class Q, class K, class V, class Heads>
class few_rows {
 public:
  using P = simd::pack<T, Arch>;
  using I = simd::index_pack<T, Arch>;
  using shape = few_shape<T, Arch>;
  using layout_type = few_layout<T, Arch>;
  static constexpr int lanes = P::lanes;
  static constexpr int chunk = tile::value_chunk;

  /// Values that several blocks of rows read are widened once.
  struct arrays {
    T* queries;           ///< [blocks][depth][rows of the block]
    T* keys;              ///< [depth][packs * lanes]
    T* scores;            ///< [rows][chunk]
    T* weights;           ///< [chunk][rows of a block]
    T* values;            ///< [chunk][row_size], where they are widened
    key_range* seen;      ///< [blocks] keys of the chunk that a block sees
    tile_class* classes;  ///< [rows]

    arrays(tessera::detail::bump& memory, const layout_type& layout)
        : queries(memory.take<T>(layout.blocks() * shape::rows * layout_type::rounded(layout.depth, lanes))),
          keys(memory.take<T>(layout.depth * shape::packs * lanes)),
          scores(memory.take<T>(layout.blocks() * shape::rows * chunk)),
          weights(memory.take<T>(chunk * shape::rows)),
          values(memory.take<T>(widens(layout) ? chunk * layout.row_size() : 0)),
          seen(memory.take<key_range>(layout.blocks())),
          classes(memory.take<tile_class>(layout.rows)) {}
  };

  /// Rows [first, first + count) of key head kv_h.
  few_rows(const layout_type& layout, const Heads& heads, const arrays& memory, const view<const Q, 4>& q,
           const view<const K, 4>& k, const view<const V, 4>& v, std::int64_t b, std::int64_t kv_h, std::int64_t first,
           std::int64_t count)
      : layout_(layout),
        heads_(heads),
        memory_(memory),
        b_(b),
        head0_(kv_h * layout.group),
        first_(first),
        count_(count),
        queries_(q[b]),
        keys_(k[b][kv_h]),
        values_(v[b][kv_h]) {}

  /// To be called before `fold`.
  void pack() {
    const T factor = heads_.query_factor(head0_ / layout_.group);
    for (std::int64_t block = 0; block * shape::rows < count_; ++block) {
      with_rows<shape::rows>(used(block), [&](auto rows) { pack_queries<decltype(rows)::value>(block, factor); });
    }
  }

  /// The keys that some row sees.
  [[nodiscard]] key_range range() const {
    key_range all{keys_.extent(0), 0};
    for (std::int64_t r = 0; r < count_; ++r) {
      const std::int64_t i = query(r);
      const key_range mine = heads_.mask(b_, head(r)).keys(i, i + 1, keys_.extent(0));
      if (mine.first >= mine.last) continue;
      all = {std::min(all.first, mine.first), std::max(all.last, mine.last)};
    }
    return all;
  }

  /// t = the states of all rows under chunk c alone; false, and nothing written, when no row sees any of it.
  bool fold(std::int64_t c, const row_states<T>& t) {
    const std::int64_t key0 = c * chunk;
    const int count = static_cast<int>(std::min<std::int64_t>(chunk, keys_.extent(0) - key0));
    const key_range hull = look(key0, count);
    if (hull.first >= hull.last) return false;
    score(key0, count, hull);
    const V* const values = values_.data_handle() + key0 * values_.stride(0);
    const bool widen = widens(layout_) && count_ > shape::rows;
    if (widen) widen_values(values, hull);
    for (std::int64_t block = 0; block * shape::rows < count_; ++block) {
      with_rows<shape::rows>(used(block), [&](auto rows) {
        constexpr int Rows = decltype(rows)::value;
        if (!weigh<Rows>(block, key0, t)) return;
        const int begin = static_cast<int>(memory_.seen[block].first);
        const int n = static_cast<int>(memory_.seen[block].last) - begin;
        const T* const weights = memory_.weights + begin * Rows;
        T* const sums = t.sums + block * shape::rows * layout_.row_size();
        if (widen) {
          sum_values<Rows, P>(n, weights, static_cast<const T*>(memory_.values) + begin * layout_.row_size(), layout_.row_size(),
                              layout_.row_size(), sums, layout_.row_size(), used(block));
        } else {
          sum_values<Rows, P>(n, weights, values + begin * values_.stride(0), values_.stride(0), layout_.value_dim, sums,
                              layout_.row_size(), used(block));
        }
        for (int r = 0; r < used(block); ++r) {
          const std::int64_t row = block * shape::rows + r;
          if (memory_.classes[row] == tile_class::some && !is_finite(sums + r * layout_.row_size())) {
            sum_visible(row, key0, begin, n, weights + r, Rows, sums + r * layout_.row_size());
          }
        }
      });
    }
    return true;
  }

  /// store(b, h, i, values) and emit(b, h, i, lse) for the rows [first, last), of which s are the states; s is used up.
  template <class Store, class Emit>
  void finish(const row_states<T>& s, std::int64_t first, std::int64_t last, const Store& store, const Emit& emit) const {
    const softmax reducer;
    for (std::int64_t r = first; r < last; ++r) {
      const std::int64_t h = head(r);
      softmax::state<P> state{P(s.max[r]), P(s.mass[r])};
      T* const sums = s.sums + r * layout_.row_size();
      T kept = T(1);
      if (heads_.has_sinks()) kept = reducer.join(state, softmax::state<P>{P(heads_.sink(h)), P(T(1))}).kept.first();
      const P mass = reducer.normalizer(state);
      const auto empty = mass == P(T(0));
      const P scale(heads_.value_factor(h / layout_.group));
      for (std::int64_t c = 0; c < layout_.row_size(); c += P::lanes) {
        P sum = P::load(sums + c);
        if (heads_.has_sinks()) sum = sum * P(kept);
        P value = select(empty, P(T(0)), sum / mass);
        if (heads_.has_value_factors()) value = value * scale;
        value.store(sums + c);
      }
      store(b_, h, query(r), static_cast<const T*>(sums));
      emit(b_, h, query(r), reducer.finish(softmax::state<T>{state.max.first(), state.mass.first()}));
    }
  }

  [[nodiscard]] std::int64_t count() const { return count_; }

 private:
  static bool widens(const layout_type& layout) { return !std::is_same_v<T, V> && layout.rows > shape::rows; }
  [[nodiscard]] std::int64_t head(std::int64_t r) const { return head0_ + (first_ + r) % layout_.group; }
  [[nodiscard]] std::int64_t query(std::int64_t r) const { return (first_ + r) / layout_.group; }
  /// Rows of a block.
  [[nodiscard]] int used(std::int64_t block) const {
    return static_cast<int>(std::min<std::int64_t>(shape::rows, count_ - block * shape::rows));
  }
  [[nodiscard]] T* block_queries(std::int64_t block) const {
    return memory_.queries + block * shape::rows * layout_type::rounded(layout_.depth, lanes);
  }

  template <int Rows>
  void pack_queries(std::int64_t block, T factor) {
    T* to = block_queries(block);
    const Q* rows[Rows];
    for (int r = 0; r < Rows; ++r) {
      const std::int64_t row = block * shape::rows + std::min(r, used(block) - 1);
      rows[r] = queries_.data_handle() + head(row) * queries_.stride(0) + query(row) * queries_.stride(1);
    }
    for (std::int64_t k = 0; k < layout_.depth; k += lanes, to += Rows * lanes) {
      const int columns = static_cast<int>(std::min<std::int64_t>(lanes, layout_.depth - k));
      P x[Rows];
      for (int r = 0; r < Rows; ++r) x[r] = tile::detail::load_columns<P>(rows[r] + k, columns) * P(factor);
      simd::turn(x);
      for (int r = 0; r < Rows; ++r) x[r].store(to + r * lanes);
    }
  }

  /// What every row and block sees of the chunk; the hull of all.
  key_range look(std::int64_t key0, int count) {
    key_range all{count, 0};
    for (std::int64_t block = 0; block * shape::rows < count_; ++block) {
      key_range& seen = memory_.seen[block] = {count, 0};
      for (int r = 0; r < used(block); ++r) {
        const std::int64_t row = block * shape::rows + r;
        const std::int64_t i = query(row);
        const auto mask = heads_.mask(b_, head(row));
        tile_class& mine = memory_.classes[row] = mask.classify(i, i + 1, key0, key0 + count);
        if (mine == tile_class::none) continue;
        key_range keys{0, count};
        if (mine == tile_class::some) {
          keys = mask.keys(i, i + 1, key0 + count);
          keys = {std::max<std::int64_t>(0, keys.first - key0), keys.last - key0};
          if (keys.first >= keys.last) {
            mine = tile_class::none;
            continue;
          }
        }
        seen = {std::min(seen.first, keys.first), std::max(seen.last, keys.last)};
      }
      if (seen.first < seen.last) all = {std::min(all.first, seen.first), std::max(all.last, seen.last)};
    }
    return all;
  }

  /// The products of all rows with the keys of `hull`, whole packs.
  void score(std::int64_t key0, int count, const key_range& hull) {
    const int first = static_cast<int>(hull.first) / lanes;
    const int packs = static_cast<int>((hull.last + lanes - 1) / lanes) - first;
    const int tiles = (packs + shape::packs - 1) / shape::packs;
    const int wide = (packs + tiles - 1) / tiles;
    for (int p = first; p < first + packs; p += wide) {
      const int n = std::min(wide, first + packs - p);
      for (int u = 0; u < n; ++u) {
        const int j = (p + u) * lanes;
        turn_keys<P>(memory_.keys + u * lanes, n * lanes, keys_.data_handle() + (key0 + j) * keys_.stride(0), keys_.stride(0),
                     std::min(lanes, count - j), layout_.depth);
      }
      for (std::int64_t block = 0; block * shape::rows < count_; ++block) {
        if (memory_.seen[block].first >= (p + n) * lanes || memory_.seen[block].last <= p * lanes) continue;
        T* const to = memory_.scores + block * shape::rows * chunk + p * lanes;
        with_rows<shape::rows>(used(block), [&](auto rows) {
          constexpr int Rows = decltype(rows)::value;
          if (n == 3) {
            score_keys<Rows, 3, P>(layout_.depth, block_queries(block), memory_.keys, to);
          } else if (n == 2) {
            score_keys<Rows, 2, P>(layout_.depth, block_queries(block), memory_.keys, to);
          } else {
            score_keys<Rows, 1, P>(layout_.depth, block_queries(block), memory_.keys, to);
          }
        });
      }
    }
  }

  /// The weights of a block and the states of its rows; false when it sees nothing.
  template <int Rows>
  bool weigh(std::int64_t block, std::int64_t key0, const row_states<T>& t) {
    const key_range seen = memory_.seen[block];
    const std::int64_t row0 = block * shape::rows;
    if (seen.first >= seen.last) {
      std::fill_n(t.max + row0, Rows, -infinity<T>());
      std::fill_n(t.mass + row0, Rows, T(0));
      std::fill_n(t.sums + row0 * layout_.row_size(), used(block) * layout_.row_size(), T(0));
      return false;
    }
    T* const scores = memory_.scores + row0 * chunk;
    const int first = static_cast<int>(seen.first) / lanes * lanes;
    const int last = (static_cast<int>(seen.last) + lanes - 1) / lanes * lanes;
    alignas(P::alignment) T base[Rows];
    std::fill_n(base, Rows, infinity<T>());  // idle rows weigh nothing
    for (int r = 0; r < used(block); ++r) {
      const T top = weigh_row(row0 + r, key0, first, static_cast<int>(seen.last), scores + r * chunk);
      t.max[row0 + r] = top;
      base[r] = softmax::anchor(top);
    }
    alignas(P::alignment) T mass[Rows];
    weigh_keys<Rows, P>(scores, first, last, base, memory_.weights, mass);
    for (int r = 0; r < used(block); ++r) t.mass[row0 + r] = mass[r];
    return true;
  }

  /// Scores and hides the keys [first, last) of a row; the largest. Lanes past the last become hidden, too.
  T weigh_row(std::int64_t row, std::int64_t key0, int first, int last, T* scores) const {
    using index = typename I::value_type;
    const std::int64_t i = query(row);
    const tile_class seen = memory_.classes[row];
    const P hidden(-infinity<T>());
    P top = hidden;
    if (seen == tile_class::none) {
      for (int j = first; j < last; j += lanes) hidden.store(scores + j);
      return -infinity<T>();
    }
    const auto score = heads_.score(b_, head(row));
    const auto mask = heads_.mask(b_, head(row));
    const I rows(static_cast<index>(i));
    const I end(static_cast<index>(key0 + last));
    for (int j = first; j < last; j += lanes) {
      P s = P::load(scores + j);
      const I column = I::iota(static_cast<index>(key0 + j));
      const auto inside = column < end;
      const I columns = min(column, end - I(index(1)));  // no key is asked for that is not there
      if constexpr (!tessera::detail::is_linear<decltype(score)>) {
        s = score(s, rows, columns) * P(static_cast<T>(softmax::unit));
      }
      if (seen == tile_class::some) s = select(mask.visible(rows, columns), s, hidden);
      s = select(inside, s, hidden);
      s.store(scores + j);
      top = max(top, s);
    }
    return simd::fold_max(top);
  }

  [[nodiscard]] bool is_finite(const T* sums) const {
    P spread(T(0));  // stays 0 while all are finite: x * 0 is 0, or NaN
    for (std::int64_t c = 0; c < layout_.row_size(); c += lanes) spread += P::load(sums + c) * P(T(0));
    return simd::all(spread == P(T(0)));
  }

  /// The sums of one row where hidden values hold NaN or inf: 0 * NaN must not reach a row that does not see the key.
  TESSERA_NOINLINE void sum_visible(std::int64_t row, std::int64_t key0, int begin, int n, const T* weights, int step,
                                    T* sums) const {
    using index = typename I::value_type;
    const auto mask = heads_.mask(b_, head(row));
    const I rows(static_cast<index>(query(row)));
    for (std::int64_t c = 0; c < layout_.value_dim; c += lanes) {
      const int columns = static_cast<int>(std::min<std::int64_t>(lanes, layout_.value_dim - c));
      P sum(T(0));
      for (int j = 0; j < n; ++j) {
        const std::int64_t key = key0 + begin + j;
        const P value = tile::detail::load_columns<P>(values_.data_handle() + key * values_.stride(0) + c, columns);
        sum = select(mask.visible(rows, I(static_cast<index>(key))), fma(value, P(weights[j * step]), sum), sum);
      }
      sum.store(sums + c);
    }
  }

  void widen_values(const V* values, const key_range& hull) {
    for (std::int64_t j = hull.first; j < hull.last; ++j) {
      for (std::int64_t c = 0; c < layout_.value_dim; c += lanes) {
        const int columns = static_cast<int>(std::min<std::int64_t>(lanes, layout_.value_dim - c));
        tile::detail::load_columns<P>(values + j * values_.stride(0) + c, columns)
            .store(memory_.values + j * layout_.row_size() + c);
      }
    }
  }

  layout_type layout_;
  const Heads& heads_;
  arrays memory_;
  std::int64_t b_;
  std::int64_t head0_;
  std::int64_t first_;
  std::int64_t count_;
  view<const Q, 3> queries_;
  view<const K, 2> keys_;
  view<const V, 2> values_;
};

}  // namespace tessera::attention::detail
