// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the backward pass keeps of a head: queries and keys as its five products want them, beside the gradients that they gather.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tessera/attention/detail/rotate_rows.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/shape.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Queries whose gradients with respect to keys and values are summed in one chain. Like tile::value_chunk, over which a query's
/// gradient is one chain, it is part of the bits: it depends on nothing. A multiple of the width of every panel.
inline constexpr int query_chunk = 96;
inline constexpr int key_chunk = tile::value_chunk;

/// One chunk of queries.
template <class T>
struct query_chunk_view {
  T* panels;           ///< [panels][depth][width] queries times scale (and log2 e)
  T* gradient_panels;  ///< [panels][value_dim][width] gradients of out
  T* rows;             ///< [query_chunk][columns] queries, rotated if they are to be
  T* gradient_rows;    ///< [query_chunk][value_columns]
  T* lse;              ///< [query_chunk] in base 2; +inf where a query saw nothing
  T* delta;            ///< [query_chunk] sum of gradient * out
  T* dq;               ///< [query_chunk][columns]
  std::int64_t first;
  int count;
  bool finite;      ///< no NaN or inf among rows and gradient_rows
  bool some_empty;  ///< a query saw nothing
};

/// One chunk of keys.
template <class T>
struct key_gradient_chunk {
  T* keys;    ///< [key_chunk / rows][depth][rows]
  T* values;  ///< [key_chunk / rows][value_dim][rows]
  T* rows;    ///< [key_chunk][columns] keys, rotated if they are to be
  T* dk;      ///< [key_chunk][columns]
  T* dv;      ///< [key_chunk][value_columns]
  std::int64_t first;
  int count;
  bool finite_keys;
  bool finite_values;
};

/// Where they stand in memory, and how they get there.
template <class T, class Arch>
struct gradient_layout {
  using P = simd::pack<T, Arch>;
  using shape = tile::block_shape<T, Arch>;
  static constexpr int width = shape::width;
  static constexpr int rows = shape::rows;
  static constexpr int panels = query_chunk / width;
  static_assert(query_chunk % width == 0 && key_chunk % rows == 0 && query_chunk * sizeof(T) % 64 == 0);

  std::int64_t depth = 0;
  std::int64_t value_dim = 0;

  [[nodiscard]] static std::int64_t whole(std::int64_t n) { return (n + P::lanes - 1) / P::lanes * P::lanes; }
  [[nodiscard]] std::int64_t columns() const { return whole(depth); }
  [[nodiscard]] std::int64_t value_columns() const { return whole(value_dim); }
  [[nodiscard]] std::int64_t query_size() const {
    return query_chunk * (depth + value_dim + 2 * columns() + value_columns() + 2);
  }
  [[nodiscard]] std::int64_t key_size() const { return key_chunk * (depth + value_dim + 2 * columns() + value_columns()); }

  [[nodiscard]] query_chunk_view<T> queries(T* at) const {
    query_chunk_view<T> chunk{};
    chunk.panels = at;
    chunk.gradient_panels = chunk.panels + query_chunk * depth;
    chunk.rows = chunk.gradient_panels + query_chunk * value_dim;
    chunk.gradient_rows = chunk.rows + query_chunk * columns();
    chunk.lse = chunk.gradient_rows + query_chunk * value_columns();
    chunk.delta = chunk.lse + query_chunk;
    chunk.dq = chunk.delta + query_chunk;
    return chunk;
  }
  [[nodiscard]] key_gradient_chunk<T> keys(T* at) const {
    key_gradient_chunk<T> chunk{};
    chunk.keys = at;
    chunk.values = chunk.keys + key_chunk * depth;
    chunk.rows = chunk.values + key_chunk * value_dim;
    chunk.dk = chunk.rows + key_chunk * columns();
    chunk.dv = chunk.dk + key_chunk * columns();
    return chunk;
  }

  /// Packs queries [first, first + query_chunk) and what belongs to them; dq is emptied. `turned` is [value_dim][width].
  ///
  /// A query that saw nothing gets no gradient and gives none: its rows are zeroed, so that nothing that stands in them matters.
  template <class Q, class O, class L, class G>
  [[nodiscard]] query_chunk_view<T> pack_queries(T* at, const view<const Q, 2>& q, const view<const O, 2>& out,
                                                 const view<const L, 1>& lse, const view<const G, 2>& dout, T factor,
                                                 const rotation& by, std::int64_t first, T* turned) const {
    query_chunk_view<T> chunk = queries(at);
    chunk.first = first;
    chunk.count = static_cast<int>(std::min<std::int64_t>(query_chunk, q.extent(0) - first));
    const bool finite_queries = copy_rows(chunk.rows, columns(), q, first, chunk.count, by);
    const bool finite_gradients = copy_rows(chunk.gradient_rows, value_columns(), dout, first, chunk.count, {});
    chunk.finite = finite_queries && finite_gradients;
    for (int i = 0; i < query_chunk; ++i) {
      const T natural = i < chunk.count ? static_cast<T>(lse(first + i)) : infinity<T>();
      const bool empty = natural == -infinity<T>();
      chunk.some_empty |= empty;
      chunk.lse[i] = empty ? infinity<T>() : static_cast<T>(static_cast<double>(natural) * softmax::unit);
    }
    for (int p = 0; p * width < chunk.count; ++p) {
      const std::int64_t n = std::min<std::int64_t>(width, chunk.count - p * width);
      T* const panel = chunk.panels + p * width * depth;
      T* const gradients = chunk.gradient_panels + p * width * value_dim;
      const std::int64_t i = first + p * width;
      tile::pack_transposed<width, P>(panel, chunk.rows + p * width * columns(), columns(), n, depth,
                                      [&](P x, std::int64_t) { return x * P(factor); });
      tile::pack_transposed<width, P>(gradients, dout.data_handle() + i * dout.stride(0), dout.stride(0), n, value_dim,
                                      tile::as_stored{});
      tile::pack_transposed<width, P>(turned, out.data_handle() + i * out.stride(0), out.stride(0), n, value_dim,
                                      tile::as_stored{});
      for (int l = 0; l < width; l += P::lanes) {
        // The same chain as the products of gradients and values: where out is one key's value, their difference is exactly 0.
        P sum(T(0));
        for (std::int64_t c = 0; c < value_dim; ++c) {
          sum = fma(P::load(turned + c * width + l), P::load(gradients + c * width + l), sum);
        }
        sum.store(chunk.delta + p * width + l);
      }
    }
    if (chunk.some_empty) {
      for (int i = 0; i < chunk.count; ++i) {
        if (chunk.lse[i] == infinity<T>() && static_cast<T>(lse(first + i)) == -infinity<T>()) clear_query(chunk, i);
      }
    }
    std::memset(chunk.dq, 0, sizeof(T) * static_cast<std::size_t>(query_chunk * columns()));
    return chunk;
  }

  /// Packs keys [first, first + key_chunk) and their values times value_factor; dk and dv are emptied.
  template <class K, class V>
  [[nodiscard]] key_gradient_chunk<T> pack_keys(T* at, const view<const K, 2>& k, const view<const V, 2>& v, T value_factor,
                                                const rotation& by, std::int64_t first) const {
    key_gradient_chunk<T> chunk = keys(at);
    chunk.first = first;
    chunk.count = static_cast<int>(std::min<std::int64_t>(key_chunk, k.extent(0) - first));
    chunk.finite_keys = copy_rows(chunk.rows, columns(), k, first, chunk.count, by);
    P spread(T(0));
    for (int j = 0; j < chunk.count; j += rows) {
      const std::int64_t n = std::min(rows, chunk.count - j);
      tile::pack_transposed<rows, P>(chunk.keys + j * depth, chunk.rows + j * columns(), columns(), n, depth, tile::as_stored{});
      T* const values = chunk.values + j * value_dim;
      tile::pack_transposed<rows, P>(values, v.data_handle() + (first + j) * v.stride(0), v.stride(0), n, value_dim,
                                     [&](P x, std::int64_t) { return x * P(value_factor); });
      const std::int64_t size = rows * value_dim;
      for (std::int64_t i = 0; i < size; i += P::lanes) {
        spread +=
            tile::detail::load_columns<P>(values + i, static_cast<int>(std::min<std::int64_t>(P::lanes, size - i))) * P(T(0));
      }
    }
    chunk.finite_values = simd::all(spread == P(T(0)));
    std::memset(chunk.dk, 0, sizeof(T) * static_cast<std::size_t>(key_chunk * columns()));
    std::memset(chunk.dv, 0, sizeof(T) * static_cast<std::size_t>(key_chunk * value_columns()));
    return chunk;
  }

  /// Rows first, first + 1 … at `from` [count][stride], rotated in place.
  static void rotate_stored(T* from, std::int64_t stride, int count, std::int64_t size, std::int64_t first, const rotation& by,
                            direction way) {
    rotate_rows<P>(from, stride, view<const T, 2>(from, {count, size}, {stride, 1}), first, by, way);
  }

 private:
  /// Rows [first, first + count), rotated, filled up with zeros to whole packs; whether all of them are finite.
  template <class S>
  static bool copy_rows(T* to, std::int64_t to_columns, const view<const S, 2>& from, std::int64_t first, int count,
                        const rotation& by) {
    P spread(T(0));  // stays 0 while the numbers are finite: x * 0 is 0, or NaN
    for (int i = 0; i < count; ++i) {
      const S* const row = from.data_handle() + (first + i) * from.stride(0);
      for (std::int64_t c = 0; c < to_columns; c += P::lanes) {
        const P x =
            tile::detail::load_columns<P>(row + c, static_cast<int>(std::min<std::int64_t>(P::lanes, from.extent(1) - c)));
        x.store(to + i * to_columns + c);
        spread += x * P(T(0));
      }
    }
    if (by.rotates()) {
      rotate_stored(to, to_columns, count, from.extent(1), first, by, direction::forth);
      spread = P(T(0));
      for (std::int64_t n = 0; n < count * to_columns; n += P::lanes) spread += P::load(to + n) * P(T(0));
    }
    return simd::all(spread == P(T(0)));
  }

  void clear_query(const query_chunk_view<T>& chunk, int i) const {
    std::fill_n(chunk.rows + i * columns(), columns(), T(0));
    std::fill_n(chunk.gradient_rows + i * value_columns(), value_columns(), T(0));
    const int p = i / width;
    for (std::int64_t d = 0; d < depth; ++d) chunk.panels[p * width * depth + d * width + i % width] = T(0);
    for (std::int64_t c = 0; c < value_dim; ++c) chunk.gradient_panels[p * width * value_dim + c * width + i % width] = T(0);
    chunk.delta[i] = T(0);
  }
};

}  // namespace tessera::attention::detail
