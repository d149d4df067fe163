// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Where the sequences of a call lie: each with queries, keys and values of its own number, in arrays [batch, heads, len, dim], one after
/// another, or in pages. Every path of attention asks here, so that none knows more than one layout. No bit depends on it.
///
/// The names carry no architecture: all is inlined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tessera/attention/index_view.hpp"
#include "tessera/core/config.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Where row i of head h of sequence b is, for what has one row (or one number) a query or a key.
template <class S>
struct sequence_rows {
  S* data = nullptr;
  std::int64_t sequence = 0;  ///< from one sequence to the next; with offsets, from one row to the next
  std::int64_t head = 0;
  std::int64_t row = 0;
  index_view<1> offsets{};  ///< [batch + 1] first row of each sequence; null: sequences lie at equal distances

  sequence_rows() = default;
  /// [batch, heads, len, …]
  template <std::size_t Rank>
  TESSERA_HD TESSERA_ALWAYS_INLINE explicit sequence_rows(const view<S, Rank>& v)
      : data(v.data_handle()), sequence(v.stride(0)), head(v.stride(1)), row(v.stride(2)) {
    static_assert(Rank >= 3);
  }
  /// [heads, total, …]
  template <std::size_t Rank>
  TESSERA_HD TESSERA_ALWAYS_INLINE sequence_rows(const view<S, Rank>& v, const index_view<1>& first_rows)
      : data(v.data_handle()), sequence(v.stride(1)), head(v.stride(0)), row(v.stride(1)), offsets(first_rows) {}

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE S* at(std::int64_t b, std::int64_t h, std::int64_t i) const {
    return data + (offsets.null() ? b : offsets(b)) * sequence + h * head + i * row;
  }
};

/// Rows at one stride.
template <class S>
struct strided_rows {
  const S* first;
  std::int64_t stride;
  std::int64_t count;
};

/// Keys or values of one head of one sequence: at one stride, or page by page.
template <class S>
class stored_rows {
 public:
  /// `size` rows at one stride.
  TESSERA_HD TESSERA_ALWAYS_INLINE stored_rows(const S* data, std::int64_t stride, std::int64_t size)
      : data_(data), stride_(stride), size_(size) {}
  /// Row j is row j % page_size of page pages(j / page_size), `page_stride` apart.
  TESSERA_HD TESSERA_ALWAYS_INLINE stored_rows(const S* data, std::int64_t stride, std::int64_t size, const index_view<1>& pages,
                                               std::int64_t page_stride, std::int64_t page_size)
      : data_(data), stride_(stride), size_(size), pages_(pages), page_stride_(page_stride), page_size_(page_size) {}

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t size() const { return size_; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t stride() const { return stride_; }

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE const S* row(std::int64_t j) const {
    if (pages_.null()) return data_ + j * stride_;
    const std::int64_t page = j / page_size_;
    return data_ + pages_(page) * page_stride_ + (j - page * page_size_) * stride_;
  }
  /// Where reading goes on at row j, which need not be there: only to be asked for ahead of time.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE const S* ahead(std::int64_t j) const {
    return row(pages_.null() || j < size_ ? j : 0);
  }
  /// Rows that lie at one stride from j on.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t run(std::int64_t j) const {
    return pages_.null() ? size_ - j : page_size_ - j % page_size_;
  }
  /// Rows [j, j + n), or as many of them as lie at one stride.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE strided_rows<S> from(std::int64_t j, std::int64_t n) const {
    if (pages_.null()) return {data_ + j * stride_, stride_, n};
    const std::int64_t page = j / page_size_;
    const std::int64_t slot = j - page * page_size_;
    const std::int64_t left = page_size_ - slot;
    return {data_ + pages_(page) * page_stride_ + slot * stride_, stride_, n < left ? n : left};
  }
  /// Rows [j, j + n): where they lie, or, where they lie apart, a copy of their `width` elements at `to` [n][width].
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE strided_rows<S> together(std::int64_t j, std::int64_t n, std::int64_t width,
                                                                          S* to) const {
    const strided_rows<S> part = from(j, n);
    if (part.count == n) return part;
    for (std::int64_t done = 0; done < n;) {
      const strided_rows<S> piece = from(j + done, n - done);
      for (std::int64_t i = 0; i < piece.count; ++i) {
        std::memcpy(static_cast<void*>(to + (done + i) * width), piece.first + i * piece.stride,
                    static_cast<std::size_t>(width) * sizeof(S));
      }
      done += piece.count;
    }
    return {to, width, n};
  }

 private:
  const S* data_;
  std::int64_t stride_;
  std::int64_t size_;
  index_view<1> pages_{};  ///< null: one stride for all
  std::int64_t page_stride_ = 0;
  std::int64_t page_size_ = 0;
};

/// Keys and values in pages, of as many keys a sequence as `lengths` says.
template <class K, class V>
struct page_views {
  view<const K, 4> keys;    ///< [pages, kv_heads, page_size, head_dim]
  view<const V, 4> values;  ///< [pages, kv_heads, page_size, value_dim]
  index_view<2> table;      ///< [batch, pages of a sequence]; null: sequence b is page b
  index_view<1> lengths;    ///< [batch]
};

/// The sequences of a call.
template <class Q, class K, class V>
class sequences {
 public:
  /// Sequences of one length: q [batch, heads, len_q, head_dim], k [batch, kv_heads, len_k, head_dim], v likewise.
  TESSERA_HD TESSERA_ALWAYS_INLINE sequences(const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v)
      : batch_(q.extent(0)),
        heads_(q.extent(1)),
        kv_heads_(k.extent(1)),
        head_dim_(q.extent(3)),
        value_dim_(v.extent(3)),
        len_q_(q.extent(2)),
        len_k_(k.extent(2)),
        most_keys_(k.extent(2)),
        q_(q),
        k_(k),
        v_(v) {}
  /// One after another: q [heads, total_q, head_dim], k [kv_heads, total_k, head_dim], v likewise, cut by offsets.
  TESSERA_HD TESSERA_ALWAYS_INLINE sequences(const view<const Q, 3>& q, const index_view<1>& query_offsets,
                                             const view<const K, 3>& k, const view<const V, 3>& v,
                                             const index_view<1>& key_offsets)
      : batch_(query_offsets.extent(0) - 1),
        heads_(q.extent(0)),
        kv_heads_(k.extent(0)),
        head_dim_(q.extent(2)),
        value_dim_(v.extent(2)),
        total_q_(q.extent(1)),
        most_keys_(k.extent(1)),
        q_(q, query_offsets),
        k_(k, key_offsets),
        v_(v, key_offsets) {}
  /// Queries of one number, keys and values in pages.
  TESSERA_HD TESSERA_ALWAYS_INLINE sequences(const view<const Q, 4>& q, const page_views<K, V>& pages) : sequences(pages) {
    batch_ = q.extent(0);
    heads_ = q.extent(1);
    head_dim_ = q.extent(3);
    len_q_ = q.extent(2);
    q_ = sequence_rows<const Q>(q);
  }
  /// Queries one after another, keys and values in pages.
  TESSERA_HD TESSERA_ALWAYS_INLINE sequences(const view<const Q, 3>& q, const index_view<1>& query_offsets,
                                             const page_views<K, V>& pages)
      : sequences(pages) {
    batch_ = query_offsets.extent(0) - 1;
    heads_ = q.extent(0);
    head_dim_ = q.extent(2);
    total_q_ = q.extent(1);
    q_ = sequence_rows<const Q>(q, query_offsets);
  }

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t batch() const { return batch_; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t heads() const { return heads_; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t kv_heads() const { return kv_heads_; }
  /// Query heads that share a key head.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t group() const { return kv_heads_ > 0 ? heads_ / kv_heads_ : 0; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t head_dim() const { return head_dim_; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t value_dim() const { return value_dim_; }
  /// The same sequences with queries and keys elsewhere: copies that keep the order of sequences, heads and rows. Those of keys lie at one stride.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE sequences with(const sequence_rows<const Q>& queries,
                                                                const sequence_rows<const K>& keys) const {
    sequences x = *this;
    x.q_ = queries;
    x.keys_in_pages_ = x.keys_in_pages_ && keys.data == k_.data;
    x.k_ = keys;
    return x;
  }

  /// Whether all sequences are of one length.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE bool alike() const {
    return q_.offsets.null() && k_.offsets.null() && lengths_.null();
  }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE const index_view<2>& page_table() const { return table_; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t page_size() const { return page_size_; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t pages() const { return pages_; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE const index_view<1>& lengths() const { return lengths_; }
  /// Whether rows of one sequence may lie at more than one stride.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE bool in_pages() const { return !table_.null(); }

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t len_q(std::int64_t b) const {
    return q_.offsets.null() ? len_q_ : q_.offsets(b + 1) - q_.offsets(b);
  }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t len_k(std::int64_t b) const {
    if (!lengths_.null()) return lengths_(b);
    return k_.offsets.null() ? len_k_ : k_.offsets(b + 1) - k_.offsets(b);
  }

  /// Whether queries of sequences lie one after another: [heads, total_q].
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE bool ragged() const { return !q_.offsets.null(); }
  /// The number of a ragged query 0 among the rows of all heads.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t ragged_row(std::int64_t b, std::int64_t h) const {
    return h * total_q_ + q_.offsets(b);
  }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t total_q() const { return total_q_; }

  /// Where rows lie, and in what steps.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE const sequence_rows<const Q>& query_rows() const { return q_; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE const sequence_rows<const K>& key_rows() const { return k_; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE const sequence_rows<const V>& value_rows() const { return v_; }
  /// Queries and keys of the longest sequence, where only the device can read lengths: what there is room for.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t most_queries() const { return ragged() ? total_q_ : len_q_; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t most_keys() const { return most_keys_; }

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE const Q* query(std::int64_t b, std::int64_t h, std::int64_t i) const {
    return q_.at(b, h, i);
  }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE view<const Q, 2> queries(std::int64_t b, std::int64_t h) const {
    return {q_.at(b, h, 0), {len_q(b), head_dim_}, {q_.row, 1}};
  }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE stored_rows<K> keys(std::int64_t b, std::int64_t kv_h) const {
    return rows_of(k_, b, kv_h, keys_in_pages_);
  }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE stored_rows<V> values(std::int64_t b, std::int64_t kv_h) const {
    return rows_of(v_, b, kv_h, in_pages());
  }

 private:
  TESSERA_HD TESSERA_ALWAYS_INLINE explicit sequences(const page_views<K, V>& pages)
      : kv_heads_(pages.keys.extent(1)),
        value_dim_(pages.values.extent(3)),
        page_size_(pages.keys.extent(2)),
        pages_(pages.keys.extent(0)),
        most_keys_(page_size_ * (pages.table.null() ? 1 : pages.table.extent(1))),
        k_(pages.keys),
        v_(pages.values),
        table_(pages.table),
        lengths_(pages.lengths),
        keys_in_pages_(!pages.table.null()) {}

  template <class S>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE stored_rows<S> rows_of(const sequence_rows<const S>& rows, std::int64_t b,
                                                                        std::int64_t kv_h, bool pages) const {
    if (!pages) return {rows.at(b, kv_h, 0), rows.row, len_k(b)};
    return {rows.data + kv_h * rows.head, rows.row, len_k(b), table_[b], rows.sequence, page_size_};
  }

  std::int64_t batch_ = 0;
  std::int64_t heads_ = 0;
  std::int64_t kv_heads_ = 0;
  std::int64_t head_dim_ = 0;
  std::int64_t value_dim_ = 0;
  std::int64_t len_q_ = 0;
  std::int64_t total_q_ = 0;  ///< rows of a head of queries one after another
  std::int64_t len_k_ = 0;
  std::int64_t page_size_ = 0;
  std::int64_t pages_ = 0;
  std::int64_t most_keys_ = 0;
  sequence_rows<const Q> q_;
  sequence_rows<const K> k_;
  sequence_rows<const V> v_;
  index_view<2> table_{};    ///< null: sequences are no pages, or one each
  index_view<1> lengths_{};  ///< null: all of len_k_, or told by offsets
  bool keys_in_pages_ = false;
};

/// Some of the sequences of a call, in the order in which they are worked on.
struct sequence_list {
  const std::int64_t* ids;  ///< null: all of them, as they come
  std::int64_t count;

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t operator[](std::int64_t s) const {
    return ids != nullptr ? ids[s] : s;
  }
};

/// Items of work, counted through the sequences of a list, of which each brings its own number.
struct running_count {
  std::int64_t* before;  ///< [sequences + 1] items of those before
  std::int64_t sequences;

  template <class Count>
  TESSERA_HD TESSERA_ALWAYS_INLINE void count(const Count& of) const {
    before[0] = 0;
    for (std::int64_t s = 0; s < sequences; ++s) before[s + 1] = before[s] + of(s);
  }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t total() const { return before[sequences]; }
  /// Whose item it is.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t find(std::int64_t item) const {
    std::int64_t low = 0;
    std::int64_t high = sequences;
    while (high - low > 1) {
      const std::int64_t middle = low + (high - low) / 2;
      (before[middle] <= item ? low : high) = middle;
    }
    return low;
  }
};

}  // namespace tessera::attention::detail
