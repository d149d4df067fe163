// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Which keys a query sees, as values: bands (causal, sliding window, prefix), documents, trees, dense masks, any function, and their
/// combinations.
///
/// A mask is anything with `head(b, h, len_q, len_k)`, which gives the mask of one head as tile/mask.hpp has it: it answers for ranges of
/// keys, for tiles and for pairs, so that hidden tiles cost nothing and visible ones pay nothing. A callable `(b, h, i, j)` is a mask, too.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// Where the diagonal of a mask runs when queries and keys differ in number.
enum class alignment : std::uint8_t {
  bottom_right,  ///< the last query is at the last key (FlashAttention 2.1 and later): query i stands at key i + len_k - len_q
  top_left,      ///< the first query is at the first key (PyTorch): query i stands at key i
};

/// The sizes of a call, for masks and scores to check themselves against: `check(function, sizes)` throws argument_error.
struct sizes {
  std::int64_t batch;
  std::int64_t heads;
  std::int64_t len_q;
  std::int64_t len_k;
};

/// What a mask of attention is.
template <class M>
concept head_mask = requires(const M& m, std::int64_t n) { m.head(n, n, n, n).classify(n, n, n, n); };

/// Query i, which stands at key c, sees the keys c - left … c + right, and the first `prefix` keys besides. Everything, if not told.
struct band {
  static constexpr std::int64_t unbounded = band_mask::unbounded;

  std::int64_t left = unbounded;
  std::int64_t right = unbounded;
  std::int64_t prefix = 0;
  attention::alignment alignment = attention::alignment::bottom_right;

  [[nodiscard]] TESSERA_HD band_mask head(std::int64_t, std::int64_t, std::int64_t len_q, std::int64_t len_k) const {
    const std::int64_t offset = alignment == attention::alignment::bottom_right ? len_k - len_q : 0;
    return {left >= unbounded ? -unbounded : offset - left, right >= unbounded ? unbounded : offset + right, prefix};
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes&) const {
    tessera::detail::expects(
        left > -unbounded && right > -unbounded && left + right >= -1, function, "options.mask",
        [&] { return "left " + std::to_string(left) + ", right " + std::to_string(right); }, "needs left + right of at least -1");
    tessera::detail::expects(
        prefix >= 0, function, "options.mask", [&] { return "prefix " + std::to_string(prefix); },
        "needs a prefix of at least 0");
  }
};

/// Every query sees every key.
inline constexpr band everything{};
/// A query sees the keys not after it.
inline constexpr band causal{.right = 0};
/// A query sees `left` keys before itself, itself, and `right` after it (FlashAttention's window_size).
TESSERA_HD constexpr band sliding_window(std::int64_t left, std::int64_t right) { return {.left = left, .right = right}; }
/// Causal, but the first `length` keys are seen by all (PrefixLM).
TESSERA_HD constexpr band causal_with_prefix(std::int64_t length) { return {.right = 0, .prefix = length}; }

namespace detail {

/// Calls a mask's or a score's own check, if it has one.
template <class X>
TESSERA_ALWAYS_INLINE void check_part(const X& part, const char* function, const sizes& s) {
  if constexpr (requires { part.check(function, s); }) part.check(function, s);
}

/// Refuses a view of other extents, or without data.
template <class T, std::size_t Rank>
TESSERA_ALWAYS_INLINE void check_extents(const view<T, Rank>& v, const std::int64_t (&wanted)[Rank], const char* function,
                                         const char* argument, const char* needs) {
  tessera::detail::check_readable(v, function, argument);
  bool equal = true;
  for (std::size_t r = 0; r < Rank; ++r) equal = equal && v.extent(r) == wanted[r];
  tessera::detail::expects(equal, function, argument, [&] { return "shape " + tessera::detail::shape(v); }, needs);
}

/// f(i, j) of numbers, lane by lane, as a mask of packs; of numbers, f(i, j) itself.
TESSERA_CALLS_USER
template <class I, class F>
TESSERA_HD TESSERA_ALWAYS_INLINE auto each_pair(I i, I j, const F& f) {
  if constexpr (requires { typename I::value_type; }) {
    using V = typename I::value_type;
    alignas(I::alignment) V rows[I::lanes];
    alignas(I::alignment) V columns[I::lanes];
    i.store(rows);
    j.store(columns);
    for (int l = 0; l < I::lanes; ++l) {
      rows[l] = f(static_cast<std::int64_t>(rows[l]), static_cast<std::int64_t>(columns[l])) ? V(1) : V(0);
    }
    return I::load(rows) != I(V(0));
  } else {
    return static_cast<bool>(f(static_cast<std::int64_t>(i), static_cast<std::int64_t>(j)));
  }
}

/// What a function said, as what comparing its arguments gives: one answer may stand for all lanes.
template <class I, class B>
TESSERA_HD TESSERA_ALWAYS_INLINE auto as_mask(I i, B seen) {
  if constexpr (!std::is_convertible_v<B, bool>) {
    return seen;
  } else if constexpr (requires { typename I::value_type; }) {
    return static_cast<bool>(seen) ? i == i : i != i;
  } else {
    return static_cast<bool>(seen);
  }
}

/// A mask of one head that knows nothing but its pairs.
struct opaque_tiles {
  [[nodiscard]] TESSERA_HD key_range keys(std::int64_t, std::int64_t, std::int64_t n_keys) const { return {0, n_keys}; }
  [[nodiscard]] TESSERA_HD tile_class classify(std::int64_t, std::int64_t, std::int64_t, std::int64_t) const {
    return tile_class::some;
  }
};

/// A head and its lengths. Rows of a panel past the last query and the padding of a block of keys are asked for, too, and not used: a function gets
/// pairs that are there instead.
struct head_pairs {
  std::int64_t b;
  std::int64_t h;
  std::int64_t len_q;
  std::int64_t len_k;

  template <class I>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE I query(I i) const {
    return at_most(i, len_q - 1);
  }
  template <class I>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE I key(I j) const {
    return at_most(j, len_k - 1);
  }

 private:
  template <class I>
  TESSERA_HD TESSERA_ALWAYS_INLINE static I at_most(I x, std::int64_t end) {
    const I last = tessera::detail::saturated_index<I>(end);
    if constexpr (requires { typename I::value_type; }) {
      return min(x, last);
    } else {
      return x < last ? x : last;
    }
  }
};

template <class F>
struct function_mask : opaque_tiles {
  const F& f;
  head_pairs at;

  TESSERA_HD function_mask(const F& function, const head_pairs& pairs) : f(function), at(pairs) {}

  TESSERA_CALLS_USER
  template <class I>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE auto visible(I i, I j) const {
    if constexpr (std::is_invocable_v<const F&, std::int64_t, std::int64_t, I, I>) {
      return as_mask(i, f(at.b, at.h, at.query(i), at.key(j)));
    } else {
      return each_pair(at.query(i), at.key(j), [&](std::int64_t row, std::int64_t column) { return f(at.b, at.h, row, column); });
    }
  }
};

/// The mask of a head: that of a mask, or a function's.
template <class M>
TESSERA_HD TESSERA_ALWAYS_INLINE auto head_of(const M& mask, std::int64_t b, std::int64_t h, std::int64_t len_q,
                                              std::int64_t len_k) {
  if constexpr (head_mask<M>) {
    return mask.head(b, h, len_q, len_k);
  } else {
    return function_mask<M>(mask, {b, h, len_q, len_k});
  }
}

/// The queries and keys of one document.
template <class Id>
struct document_mask {
  view<const Id, 1> of_query;
  view<const Id, 1> of_key;

  [[nodiscard]] TESSERA_HD key_range keys(std::int64_t, std::int64_t, std::int64_t n_keys) const { return {0, n_keys}; }
  [[nodiscard]] TESSERA_HD tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    const auto [query_low, query_high] = span(of_query, i0, i1);
    const auto [key_low, key_high] = span(of_key, j0, j1);
    if (query_high < key_low || key_high < query_low) return tile_class::none;
    return query_low == query_high && key_low == key_high ? tile_class::all : tile_class::some;
  }
  template <class I>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE auto visible(I i, I j) const {
    // Rows of a panel past the last query, and the padding of a block of keys, are asked for, too, and not used.
    const std::int64_t last_query = of_query.extent(0) - 1;
    const std::int64_t last_key = of_key.extent(0) - 1;
    return each_pair(i, j, [&](std::int64_t row, std::int64_t column) {
      return of_query(row < last_query ? row : last_query) == of_key(column < last_key ? column : last_key);
    });
  }

 private:
  struct range {
    Id low;
    Id high;
  };
  TESSERA_HD static range span(const view<const Id, 1>& ids, std::int64_t first, std::int64_t last) {
    range found{ids(first), ids(first)};
    for (std::int64_t i = first + 1; i < last; ++i) {
      const Id id = ids(i);
      found.low = id < found.low ? id : found.low;
      found.high = id > found.high ? id : found.high;
    }
    return found;
  }
};

struct tree_mask {
  view<const std::uint64_t, 2> rows;
  std::int64_t past;  ///< keys before the tree, seen by all

  [[nodiscard]] TESSERA_HD key_range keys(std::int64_t, std::int64_t, std::int64_t n_keys) const { return {0, n_keys}; }
  [[nodiscard]] TESSERA_HD tile_class classify(std::int64_t, std::int64_t, std::int64_t, std::int64_t j1) const {
    return j1 <= past ? tile_class::all : tile_class::some;
  }
  template <class I>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE auto visible(I i, I j) const {
    const std::int64_t last_row = rows.extent(0) - 1;
    const std::int64_t nodes = 64 * rows.extent(1);
    return each_pair(i, j, [&](std::int64_t row, std::int64_t column) {
      const std::int64_t node = column - past;
      return node < 0 || (node < nodes && (rows(row < last_row ? row : last_row, node / 64) >> (node % 64) & 1u) != 0);
    });
  }
};

template <class B>
struct dense_pairs : opaque_tiles {
  view<const B, 2> seen;

  TESSERA_HD explicit dense_pairs(const view<const B, 2>& pairs) : seen(pairs) {}

  template <class I>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE auto visible(I i, I j) const {
    const std::int64_t last_row = seen.extent(0) - 1;
    const std::int64_t last_column = seen.extent(1) - 1;
    return each_pair(i, j, [&](std::int64_t row, std::int64_t column) {
      return static_cast<bool>(seen(row < last_row ? row : last_row, column < last_column ? column : last_column));
    });
  }
};

enum class join : std::uint8_t { both, either };

/// Two masks of one head as one.
template <join How, class A, class B>
struct joined_mask {
  A a;
  B b;

  [[nodiscard]] TESSERA_HD key_range keys(std::int64_t i0, std::int64_t i1, std::int64_t n_keys) const {
    const key_range x = a.keys(i0, i1, n_keys);
    const key_range y = b.keys(i0, i1, n_keys);
    const auto least = [](std::int64_t p, std::int64_t q) { return p < q ? p : q; };
    const auto most = [](std::int64_t p, std::int64_t q) { return p > q ? p : q; };
    if constexpr (How == join::both) {
      const std::int64_t last = least(x.last, y.last);
      return {least(most(x.first, y.first), last), last};
    } else {
      if (x.first >= x.last) return y;
      if (y.first >= y.last) return x;
      return {least(x.first, y.first), most(x.last, y.last)};
    }
  }
  [[nodiscard]] TESSERA_HD tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    // Of both, none wins; of either, all does.
    constexpr tile_class wins = How == join::both ? tile_class::none : tile_class::all;
    const tile_class x = a.classify(i0, i1, j0, j1);
    if (x == wins) return x;
    const tile_class y = b.classify(i0, i1, j0, j1);
    if (y == wins) return y;
    return x == y ? x : tile_class::some;
  }
  template <class I>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE auto visible(I i, I j) const {
    if constexpr (How == join::both) {
      return tessera::detail::both(a.visible(i, j), b.visible(i, j));
    } else {
      return tessera::detail::either(a.visible(i, j), b.visible(i, j));
    }
  }
};

template <class A>
struct inverted_mask {
  A a;

  [[nodiscard]] TESSERA_HD key_range keys(std::int64_t, std::int64_t, std::int64_t n_keys) const { return {0, n_keys}; }
  [[nodiscard]] TESSERA_HD tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    const tile_class x = a.classify(i0, i1, j0, j1);
    return x == tile_class::all ? tile_class::none : x == tile_class::none ? tile_class::all : x;
  }
  template <class I>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE auto visible(I i, I j) const {
    return !a.visible(i, j);
  }
};

}  // namespace detail

/// Query i sees key j if both are of one document: packed sequences. Combine it with `causal`.
///
/// Shapes  of_query [batch, len_q], of_key [batch, len_k]; a stride of 0 serves all of the batch.
/// Cost    documents in order (each one run of tokens) cost what their tiles do: tiles between documents are skipped
/// Beside  `ragged` cuts sequences by offsets, each with its own positions: take it where nothing reaches across them
template <class Id>
struct documents {
  view<const Id, 2> of_query;
  view<const Id, 2> of_key;

  [[nodiscard]] TESSERA_HD detail::document_mask<Id> head(std::int64_t b, std::int64_t, std::int64_t, std::int64_t) const {
    return {of_query[b], of_key[b]};
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const {
    detail::check_extents(of_query, {s.batch, s.len_q}, function, "options.mask.of_query", "needs [batch, len_q]");
    detail::check_extents(of_key, {s.batch, s.len_k}, function, "options.mask.of_key", "needs [batch, len_k]");
  }
};
template <class Q, class K>
documents(const Q&, const K&) -> documents<std::remove_const_t<value_type_of<Q>>>;

/// Tree attention: the queries are the last len_q keys, nodes of a tree of candidates; bit j of row i says whether node i sees node j (its
/// ancestors and itself). All keys before the tree are seen.
///
/// Shapes  rows [len_q, words], words >= len_q / 64: bit j % 64 of word j / 64
struct tree {
  view<const std::uint64_t, 2> rows;

  [[nodiscard]] TESSERA_HD detail::tree_mask head(std::int64_t, std::int64_t, std::int64_t len_q, std::int64_t len_k) const {
    return {rows, len_k - len_q};
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const {
    tessera::detail::expects(
        s.len_q <= s.len_k, function, "options.mask",
        [&] { return std::to_string(s.len_q) + " nodes beside " + std::to_string(s.len_k) + " keys"; },
        "needs the tree's nodes among the keys");
    tessera::detail::check_readable(rows, function, "options.mask.rows");
    tessera::detail::expects(
        rows.extent(0) == s.len_q && rows.extent(1) >= (s.len_q + 63) / 64, function, "options.mask.rows",
        [&] { return "shape " + tessera::detail::shape(rows); }, "needs [len_q, words of 64 nodes]");
  }
};

/// Query i sees key j where the element is true (not 0).
///
/// Shapes  seen [batch, heads, len_q, len_k], any strides: 0 broadcasts
template <class B>
struct dense_mask {
  view<const B, 4> seen;

  [[nodiscard]] TESSERA_HD detail::dense_pairs<B> head(std::int64_t b, std::int64_t h, std::int64_t, std::int64_t) const {
    return detail::dense_pairs<B>(seen[b][h]);
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const {
    detail::check_extents(seen, {s.batch, s.heads, s.len_q, s.len_k}, function, "options.mask.seen",
                          "needs [batch, heads, len_q, len_k]");
  }
};
template <class S>
dense_mask(const S&) -> dense_mask<std::remove_const_t<value_type_of<S>>>;

/// Any function visible(b, h, i, j) by name, for the operators below.
///
/// A function of `auto` arguments is called with packs of i and j, and gives what comparing them gives; one that takes integers is called
/// pair by pair.
template <class F>
struct visible_if {
  F f;
  [[nodiscard]] TESSERA_HD detail::function_mask<F> head(std::int64_t b, std::int64_t h, std::int64_t len_q,
                                                         std::int64_t len_k) const {
    return {f, {b, h, len_q, len_k}};
  }
};
template <class F>
visible_if(F) -> visible_if<F>;

/// Two masks as one. See the operators.
template <detail::join How, head_mask A, head_mask B>
struct joined {
  A a;
  B b;
  [[nodiscard]] TESSERA_HD auto head(std::int64_t n, std::int64_t h, std::int64_t len_q, std::int64_t len_k) const {
    return detail::joined_mask<How, decltype(a.head(n, h, len_q, len_k)), decltype(b.head(n, h, len_q, len_k))>{
        a.head(n, h, len_q, len_k), b.head(n, h, len_q, len_k)};
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const {
    detail::check_part(a, function, s);
    detail::check_part(b, function, s);
  }
};
template <head_mask A>
struct inverted {
  A a;
  [[nodiscard]] TESSERA_HD auto head(std::int64_t b, std::int64_t h, std::int64_t len_q, std::int64_t len_k) const {
    return detail::inverted_mask<decltype(a.head(b, h, len_q, len_k))>{a.head(b, h, len_q, len_k)};
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const { detail::check_part(a, function, s); }
};

/// What both see; what either sees; what it does not see. Tiles that one of them decides are not looked at by pairs.
template <head_mask A, head_mask B>
TESSERA_HD constexpr joined<detail::join::both, A, B> operator&(const A& a, const B& b) {
  return {a, b};
}
template <head_mask A, head_mask B>
TESSERA_HD constexpr joined<detail::join::either, A, B> operator|(const A& a, const B& b) {
  return {a, b};
}
template <head_mask A>
TESSERA_HD constexpr inverted<A> operator!(const A& a) {
  return {a};
}

}  // namespace tessera::attention
