// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The query rows of one key head, folded with one chunk of keys after another.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "tessera/attention/detail/keys_in_lanes.hpp"
#include "tessera/attention/detail/rotate_rows.hpp"
#include "tessera/attention/detail/row_states.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/detail/unit_rows.hpp"
#include "tessera/attention/detail/values_in_lanes.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

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

  /// Arrays of `places` have a part for each block of rows, or, where all rows are one block, for each of the chunks at once. Values that
  /// several blocks of rows read are widened once, and put side by side.
  struct arrays {
    T* queries;           ///< [blocks][depth][rows of a block]
    T* keys;              ///< [depth][packs * lanes]
    T* scores;            ///< [places][rows of a block][chunk]
    T* weights;           ///< [chunks at once][chunk][rows of a block]
    T* values;            ///< [chunk][row_size], where they are copied
    K* key_rows;          ///< [lanes][depth], where rows lie apart
    V* value_rows;        ///< [value_tile][value_dim], likewise
    T* rotated;           ///< [lanes or rows of a block][depth], where rows are rotated
    key_range* seen;      ///< [places] keys of the chunk that a block sees
    tile_class* classes;  ///< [places][rows of a block]

    arrays(tessera::detail::bump& memory, const layout_type& layout)
        : queries(memory.take<T>(layout.blocks() * shape::rows * layout_type::rounded(layout.depth, lanes))),
          keys(memory.take<T>(layout.blocks() > 1 ? layout.depth * shape::packs * lanes : 0)),
          scores(memory.take<T>(places(layout) * shape::rows * chunk)),
          weights(memory.take<T>(layout.at_once() * chunk * shape::rows)),
          values(memory.take<T>(copies(layout) ? chunk * layout.row_size() : 0)),
          key_rows(memory.take<K>(layout.in_pages ? lanes * layout.depth : 0)),
          value_rows(memory.take<V>(layout.in_pages ? value_tile<1, V>(layout.value_dim) * layout.value_dim : 0)),
          rotated(memory.take<T>(layout.rotates ? std::max<int>(lanes, shape::rows) * layout.depth : 0)),
          seen(memory.take<key_range>(places(layout))),
          classes(memory.take<tile_class>(places(layout) * shape::rows)) {}
  };

  /// Rows [first, first + count) of key head kv_h of sequence b.
  few_rows(const layout_type& layout, const Heads& heads, const arrays& memory, const sequences<Q, K, V>& x, std::int64_t b,
           std::int64_t kv_h, std::int64_t first, std::int64_t count)
      : layout_(layout),
        memory_(memory),
        x_(x),
        rows_{heads, layout.group, b, kv_h * layout.group, first, count, x.len_q(b), x.len_k(b)},
        keys_(x.keys(b, kv_h)),
        values_(x.values(b, kv_h)) {}

  /// To be called before `fold`.
  void pack() {
    const T factor = rows_.heads.query_factor(rows_.head0 / layout_.group);
    for (std::int64_t block = 0; block * shape::rows < rows_.count; ++block) {
      with_block(block, [&](auto rows) { pack_queries<decltype(rows)::value>(block, factor); });
    }
  }

  /// The keys that some row sees.
  [[nodiscard]] key_range range() const { return rows_.range(); }

  /// t(a) = the states of all rows under chunk c + a alone, for a < n, which is at most `at_once` of the layout. Bit a of the result is 0,
  /// and nothing written to t(a), when no row sees any of that chunk.
  template <class States>
  unsigned fold(std::int64_t c, int n, const States& t) {
    unsigned folded = 0;
    for (int a = 0; a < n; ++a) {
      const key_range hull = rows_.look(c + a, memory_.seen + a, memory_.classes + a * shape::rows);
      if (hull.first >= hull.last) continue;
      folded |= 1U << a;
      if (layout_.blocks() == 1) {
        score_stored(a, c + a, a + 1 == n);
      } else {
        score_turned(c + a, hull);
        if (copies(layout_)) copy_values(c + a, hull);
      }
    }
    const bool one_block = layout_.blocks() == 1;
    for (int a = 0; one_block && a < n; ++a) {
      if ((folded >> a & 1U) != 0) with_block(0, [&](auto rows) { weigh<decltype(rows)::value>(a, 0, c + a, t(a)); });
    }
    for (int a = 0; a < n; ++a) {
      if ((folded >> a & 1U) == 0) continue;
      for (std::int64_t block = 0; block * shape::rows < rows_.count; ++block) {
        with_block(block, [&](auto rows) {
          constexpr int Rows = decltype(rows)::value;
          if (!one_block) weigh<Rows>(a, block, c + a, t(a));
          sum<Rows>(a, block, c + a, t(a));
        });
      }
    }
    return folded;
  }

  /// store(b, h, i, values) and emit(b, h, i, lse) for the rows [first, last), of which s are the states; s is used up.
  template <class Store, class Emit>
  void finish(const row_states<T>& s, std::int64_t first, std::int64_t last, const Store& store, const Emit& emit) const {
    finish_states(
        layout_, first, last, s, rows_.heads, [&](std::int64_t r) { return rows_.head(r); },
        [&](std::int64_t r, const T* values) { store(rows_.b, rows_.head(r), rows_.query(r), values); },
        [&](std::int64_t r, T lse) { emit(rows_.b, rows_.head(r), rows_.query(r), lse); });
  }

  [[nodiscard]] std::int64_t count() const { return rows_.count; }

 private:
  static std::int64_t places(const layout_type& layout) { return layout.at_once() * layout.blocks(); }
  static bool copies(const layout_type& layout) { return layout.blocks() > 1 && (!std::is_same_v<T, V> || layout.in_pages); }
  [[nodiscard]] T* block_queries(std::int64_t block) const {
    return memory_.queries + block * shape::rows * layout_type::rounded(layout_.depth, lanes);
  }
  /// f(keys) with a pack of keys of chunk c, or what is left of one, as they are stored, or rotated. The next one is asked for here where it
  /// lies apart.
  template <class F>
  TESSERA_ALWAYS_INLINE void with_keys(std::int64_t c, std::int64_t j, const F& f) const {
    const std::int64_t key = c * chunk + j;
    if (layout_.in_pages && key + lanes < keys_.size() && keys_.run(key + lanes) < lanes) {
      ask_for_rows(keys_, key + lanes, lanes, layout_.depth);
    }
    const strided_rows<K> keys =
        keys_.together(key, std::min<std::int64_t>(lanes, rows_.chunk_size(c) - j), layout_.depth, memory_.key_rows);
    with_rows<P>(memory_.rotated, view<const K, 2>(keys.first, {keys.count, layout_.depth}, {keys.stride, 1}), key,
                 key_rotation(rows_.heads.wanted.rotary), f);
  }

  /// f(std::integral_constant of the rows that the block is computed with)
  template <class F>
  TESSERA_ALWAYS_INLINE void with_block(std::int64_t block, const F& f) const {
    const int n = rows_.used(block);
    if (n > 4) {
      f(std::integral_constant<int, shape::rows>{});
    } else if (n > 2) {
      f(std::integral_constant<int, std::min(4, shape::rows)>{});
    } else if (n == 2) {
      f(std::integral_constant<int, std::min(2, shape::rows)>{});
    } else {
      f(std::integral_constant<int, 1>{});
    }
  }

  template <int Rows>
  void pack_queries(std::int64_t block, T factor) {
    const rotation by = query_rotation(rows_.heads.wanted.rotary, rows_.len_q, keys_.size());
    const Q* stored[Rows];
    const T* rotated[Rows] = {};
    for (int r = 0; r < Rows; ++r) {
      const std::int64_t row = block * shape::rows + std::min(r, rows_.used(block) - 1);
      stored[r] = x_.query(rows_.b, rows_.head(row), rows_.query(row));
      if (!by.rotates()) continue;
      const view<const Q, 2> one(stored[r], 1, layout_.depth);
      rotated[r] = rotated_rows<P>(memory_.rotated + r * layout_.depth, one, rows_.query(row), by).data_handle();
    }
    if (by.rotates()) {
      pack_rows(rotated, factor, block_queries(block));
    } else {
      pack_rows(stored, factor, block_queries(block));
    }
  }

  template <int Rows, class S>
  void pack_rows(const S* const (&rows)[Rows], T factor, T* to) const {
    for (std::int64_t k = 0; k < layout_.depth; k += lanes, to += Rows * lanes) {
      const int columns = static_cast<int>(std::min<std::int64_t>(lanes, layout_.depth - k));
      P x[Rows];
      if (columns == lanes) {
        TESSERA_UNROLL
        for (int r = 0; r < Rows; ++r) x[r] = simd::load_as<P>(rows[r] + k) * P(factor);
      } else {
        TESSERA_UNROLL
        for (int r = 0; r < Rows; ++r) x[r] = simd::load_partial<P>(rows[r] + k, columns) * P(factor);
      }
      simd::transpose(x);
      TESSERA_UNROLL
      for (int r = 0; r < Rows; ++r) x[r].store(to + r * lanes);
    }
  }

  /// The products of the rows of one block with the keys that they see of chunk c, whole packs.
  void score_stored(int a, std::int64_t c, bool last_chunk) {
    const key_range seen = memory_.seen[a];
    T* const scores = memory_.scores + a * shape::rows * chunk;
    const int packs_ahead = layout_.in_pages ? 2 : 1;  // a new page takes longer to find
    with_block(0, [&](auto rows) {
      for (std::int64_t j = seen.first / lanes * lanes; j < seen.last; j += lanes) {
        // What is read after the last keys: the values of the first chunk of these.
        const line_stream ahead =
            last_chunk && j + lanes >= seen.last
                ? line_stream(values_.row((c - a) * chunk), values_.stride(), layout_.value_dim)
                : line_stream(keys_.ahead(c * chunk + j + packs_ahead * lanes), keys_.stride(), layout_.depth);
        with_keys(c, j, [&](const auto& keys) {
          score_stored_keys<decltype(rows)::value, P>(layout_.depth, block_queries(0), keys.data_handle(), keys.stride(0),
                                                      static_cast<int>(keys.extent(0)), ahead, scores + j);
        });
      }
    });
  }

  /// The same for several blocks: a few packs of keys are turned for all of them.
  void score_turned(std::int64_t c, const key_range& hull) {
    const std::int64_t first = hull.first / lanes;
    const std::int64_t packs = (hull.last + lanes - 1) / lanes - first;
    const std::int64_t tiles = (packs + shape::packs - 1) / shape::packs;
    const std::int64_t wide = (packs + tiles - 1) / tiles;
    for (std::int64_t p = first; p < first + packs; p += wide) {
      const std::int64_t n = std::min(wide, first + packs - p);
      for (std::int64_t u = 0; u < n; ++u) {
        const std::int64_t j = (p + u) * lanes;
        const line_stream ahead(keys_.ahead(c * chunk + j + lanes), keys_.stride(), layout_.depth);
        with_keys(c, j, [&](const auto& keys) {
          store_turned_keys<P>(memory_.keys + u * lanes, n * lanes, keys.data_handle(), keys.stride(0),
                               static_cast<int>(keys.extent(0)), layout_.depth, ahead);
        });
      }
      for (std::int64_t block = 0; block * shape::rows < rows_.count; ++block) {
        if (memory_.seen[block].first >= (p + n) * lanes || memory_.seen[block].last <= p * lanes) continue;
        T* const to = memory_.scores + block * shape::rows * chunk + p * lanes;
        with_block(block, [&](auto rows) {
          constexpr int Rows = decltype(rows)::value;
          if (n == 3) {
            score_turned_keys<Rows, 3, P>(layout_.depth, block_queries(block), memory_.keys, to);
          } else if (n == 2) {
            score_turned_keys<Rows, 2, P>(layout_.depth, block_queries(block), memory_.keys, to);
          } else {
            score_turned_keys<Rows, 1, P>(layout_.depth, block_queries(block), memory_.keys, to);
          }
        });
      }
    }
  }

  /// The weights of a block, and of the states of its rows all but the sums.
  template <int Rows>
  void weigh(int a, std::int64_t block, std::int64_t c, const row_states<T>& t) {
    const key_range seen = memory_.seen[a + block];
    const std::int64_t row0 = block * shape::rows;
    std::fill_n(t.max + row0, Rows, -infinity<T>());
    std::fill_n(t.mass + row0, Rows, T(0));
    if (seen.first >= seen.last) return;
    T* const scores = memory_.scores + (a + block) * shape::rows * chunk;
    const int first = static_cast<int>(seen.first) / lanes * lanes;
    const int last = (static_cast<int>(seen.last) + lanes - 1) / lanes * lanes;
    P tops[Rows];
    for (int r = 0; r < Rows; ++r) {
      tops[r] = P(-infinity<T>());
      if (r >= rows_.used(block)) continue;
      const tile_class mine = memory_.classes[(a + block) * shape::rows + r];
      tops[r] = weigh_row(row0 + r, mine, c * chunk, first, static_cast<int>(seen.last), scores + r * chunk);
    }
    alignas(P::alignment) T largest[lanes];
    alignas(P::alignment) T base[lanes];
    const P top = fold_max_of_rows(tops);
    top.store(largest);
    softmax::anchor(top).store(base);
    std::copy_n(largest, Rows, t.max + row0);
    for (int r = rows_.used(block); r < Rows; ++r) base[r] = infinity<T>();  // idle rows weigh nothing
    T* const weights = memory_.weights + a * chunk * shape::rows;
    weigh_keys<Rows, P>(scores, first, last, base, weights, t.mass + row0);
    if (rows_.heads.has_dropout()) drop(row0, Rows, rows_.used(block), c * chunk + first, last - first, weights + first * Rows);
  }

  /// Strikes the weights of dropped pairs out of [count][rows]; the mass has them.
  void drop(std::int64_t row0, int rows, int used_rows, std::int64_t key, int count, T* weights) const {
    std::uint64_t addresses[shape::rows];
    for (int r = 0; r < rows; ++r) {
      const std::int64_t row = row0 + std::min(r, used_rows - 1);
      addresses[r] = rows_.heads.dropped(x_, rows_.b, rows_.head(row)).row + static_cast<std::uint64_t>(rows_.query(row));
    }
    rows_.heads.dropped(x_, rows_.b, rows_.head0).template strike_rows<P>(weights, rows, addresses, key, count);
  }

  /// Makes of the products with the keys [first, last) of a row its scores, hidden ones and lanes past the last included; the largest, in
  /// some lane.
  P weigh_row(std::int64_t row, tile_class seen, std::int64_t key0, int first, int last, T* scores) const {
    using index = typename I::value_type;
    const P hidden(-infinity<T>());
    P top = hidden;
    if (seen == tile_class::none) {
      for (int j = first; j < last; j += lanes) hidden.store(scores + j);
      return top;
    }
    using score_type = decltype(rows_.score(0));
    constexpr bool linear = tessera::detail::is_linear<score_type>;
    const int whole = first + (last - first) / lanes * lanes;
    int j = first;
    if (linear && seen == tile_class::all) {
      for (; j < whole; j += lanes) top = max(top, P::load(scores + j));
    }
    const score_type score = rows_.score(row);
    const auto mask = rows_.mask(row);
    const I rows(static_cast<index>(rows_.query(row)));
    const I end(static_cast<index>(key0 + last));
    for (; j < last; j += lanes) {
      P s = P::load(scores + j);
      const I column = I::iota(static_cast<index>(key0 + j));
      const I columns = min(column, end - I(index(1)));  // no key is asked for that is not there
      if constexpr (!linear) s = score(s, rows, columns) * P(static_cast<T>(softmax::unit));
      if (seen == tile_class::some) s = select(mask.visible(rows, columns), s, hidden);
      if (j >= whole) s = select(column < end, s, hidden);
      s.store(scores + j);
      top = max(top, s);
    }
    return top;
  }

  /// The sums of values of a block.
  template <int Rows>
  void sum(int a, std::int64_t block, std::int64_t c, const row_states<T>& t) {
    const key_range seen = memory_.seen[a + block];
    const std::int64_t row_size = layout_.row_size();
    T* const sums = t.sums + block * shape::rows * row_size;
    if (seen.first >= seen.last) {
      std::fill_n(sums, Rows * row_size, T(0));
      return;
    }
    const int n = static_cast<int>(seen.last - seen.first);
    const T* const weights = memory_.weights + a * chunk * shape::rows + seen.first * Rows;
    const std::int64_t first = c * chunk + seen.first;
    if (copies(layout_)) {
      sum_cached_values<Rows, P>(n, weights, memory_.values + seen.first * row_size, row_size, row_size, sums, row_size);
    } else if (std::is_same_v<T, V> && block > 0) {
      if constexpr (std::is_same_v<T, V>) {
        sum_cached_values<Rows, P>(n, weights, values_.row(first), values_.stride(), layout_.value_dim, sums, row_size);
      }
    } else {
      sum_streamed_values<Rows, P>(
          n, weights, [&](int j, int tile) { return value_rows(first + j, tile, n - j); }, layout_.value_dim, sums, row_size);
    }
    for (int r = 0; r < rows_.used(block); ++r) {
      // A row that sees nothing of the chunk is summed with those that do, too: 0 times what they see, or what nobody sees.
      const bool hides = memory_.classes[(a + block) * shape::rows + r] != tile_class::all;
      if (hides && !is_finite(sums + r * row_size)) {
        sum_visible(block * shape::rows + r, first, n, weights + r, Rows, sums + r * row_size);
      }
    }
  }

  /// Some of the values [j, j + n): those of a page, unless they are too few to be worth a turn. n is a tile; where a page ends a few rows
  /// after it, all of them. The first of the next page are asked for here.
  [[nodiscard]] TESSERA_ALWAYS_INLINE strided_rows<V> value_rows(std::int64_t j, std::int64_t n, std::int64_t left) const {
    if (!layout_.in_pages) return values_.from(j, n);
    constexpr std::int64_t worth = 4;
    const std::int64_t run = std::min(values_.run(j), left);
    const strided_rows<V> part = run < std::min(n, worth) ? values_.together(j, n, layout_.value_dim, memory_.value_rows)
                                                          : values_.from(j, run < n + worth ? run : n);
    // Only so much that what is read now need not wait for it.
    const std::int64_t row_bytes = layout_.value_dim * static_cast<std::int64_t>(sizeof(V)) + 1;
    if (values_.run(j) < 2 * n) ask_for_rows(values_, j + part.count, 1 + 1024 / row_bytes, layout_.value_dim);
    return part;
  }

  [[nodiscard]] bool is_finite(const T* sums) const {
    P spread(T(0));  // stays 0 while all are finite: x * 0 is 0, or NaN
    for (std::int64_t c = 0; c < layout_.row_size(); c += lanes) spread += P::load(sums + c) * P(T(0));
    return simd::all(spread == P(T(0)));
  }

  /// The sums of one row over n keys among which hidden ones hold NaN or inf: 0 * NaN must not reach a row that does not see the key.
  TESSERA_NOINLINE void sum_visible(std::int64_t row, std::int64_t key, int n, const T* weights, int step, T* sums) const {
    using index = typename I::value_type;
    const auto mask = rows_.mask(row);
    const I rows(static_cast<index>(rows_.query(row)));
    for (std::int64_t c = 0; c < layout_.value_dim; c += lanes) {
      const int columns = static_cast<int>(std::min<std::int64_t>(lanes, layout_.value_dim - c));
      P sum(T(0));
      for (int j = 0; j < n; ++j) {
        const P value = tile::detail::load_columns<P>(values_.row(key + j) + c, columns);
        sum = select(mask.visible(rows, I(static_cast<index>(key + j))), fma(value, P(weights[j * step]), sum), sum);
      }
      sum.store(sums + c);
    }
  }

  void copy_values(std::int64_t c, const key_range& hull) {
    for (std::int64_t j = hull.first; j < hull.last; ++j) {
      const V* const row = values_.row(c * chunk + j);
      for (std::int64_t column = 0; column < layout_.value_dim; column += lanes) {
        const int columns = static_cast<int>(std::min<std::int64_t>(lanes, layout_.value_dim - column));
        tile::detail::load_columns<P>(row + column, columns).store(memory_.values + j * layout_.row_size() + column);
      }
    }
  }

  layout_type layout_;
  arrays memory_;
  const sequences<Q, K, V>& x_;
  unit_rows<T, Arch, Heads> rows_;
  stored_rows<K> keys_;
  stored_rows<V> values_;
};

}  // namespace tessera::attention::detail
