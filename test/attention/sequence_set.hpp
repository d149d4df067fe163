// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Sequences of different lengths: each alone, one after another, and their keys in pages.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "../support/random.hpp"
#include "oracle.hpp"
#include "tessera/attention/paged.hpp"
#include "tessera/attention/ragged.hpp"

namespace sequence_set {

using support::array;
namespace attention = tessera::attention;

/// Numbers of queries and of keys.
using lengths = std::vector<std::pair<std::int64_t, std::int64_t>>;

template <class Q, class K = Q, class V = K>
struct set {
  std::int64_t heads;
  std::int64_t kv_heads;
  std::int64_t head_dim;
  std::int64_t value_dim;
  std::vector<oracle::inputs<Q, K, V>> alone;
  std::vector<std::int64_t> query_offsets;
  std::vector<std::int64_t> key_offsets;

  /// Offsets begin at `first`, and as many rows that belong to nobody end the arrays.
  set(const lengths& of, std::int64_t n_heads, std::int64_t n_kv_heads, std::int64_t dim_qk, std::int64_t dim_v,
      std::uint64_t seed, std::int64_t first = 0)
      : heads(n_heads), kv_heads(n_kv_heads), head_dim(dim_qk), value_dim(dim_v), query_offsets{first}, key_offsets{first} {
    for (const auto& [len_q, len_k] : of) {
      alone.emplace_back(1, heads, kv_heads, len_q, len_k, head_dim, value_dim);
      alone.back().q.fill([&](std::uint64_t n) { return 3 * support::normal(seed, n); });
      alone.back().k.fill([&](std::uint64_t n) { return support::normal(seed + 1, n); });
      alone.back().v.fill([&](std::uint64_t n) { return support::normal(seed + 2, n); });
      seed += 3;
      query_offsets.push_back(query_offsets.back() + len_q);
      key_offsets.push_back(key_offsets.back() + len_k);
    }
  }

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(alone.size()); }
  [[nodiscard]] std::int64_t total_q() const { return query_offsets.back() + query_offsets.front(); }
  [[nodiscard]] std::int64_t total_k() const { return key_offsets.back() + key_offsets.front(); }
  [[nodiscard]] static const auto& at(const auto& x, std::int64_t b) { return x[static_cast<std::size_t>(b)]; }
  [[nodiscard]] std::int64_t len_q(std::int64_t b) const { return at(query_offsets, b + 1) - at(query_offsets, b); }
  [[nodiscard]] std::int64_t len_k(std::int64_t b) const { return at(key_offsets, b + 1) - at(key_offsets, b); }

  /// Rows of all sequences one after another; `of(b)` is [1, heads, len, dim]. In memory [total, heads, dim] if `exchanged`.
  template <class S>
  array<S, 3> joined(const std::vector<std::int64_t>& offsets, std::int64_t n_heads, std::int64_t dim, bool exchanged,
                     const auto& of) const {
    const std::int64_t total = offsets.back() + offsets.front();
    array<S, 3> result(
        exchanged ? std::array<std::int64_t, 3>{total, n_heads, dim} : std::array<std::int64_t, 3>{n_heads, total, dim},
        {3, false});
    for (std::int64_t b = 0; b < size(); ++b) {
      const auto rows = of(b);
      for (std::int64_t h = 0; h < n_heads; ++h) {
        for (std::int64_t i = 0; i < rows.extent(2); ++i) {
          const std::int64_t row = at(offsets, b) + i;
          for (std::int64_t c = 0; c < dim; ++c) (exchanged ? result(row, h, c) : result(h, row, c)) = rows(0, h, i, c);
        }
      }
    }
    return result;
  }
};

/// The view [heads, total, dim] of an array that `joined` made.
template <class S>
tessera::view<S, 3> heads_first(const tessera::view<S, 3>& v, bool exchanged) {
  if (!exchanged) return v;
  return {v.data_handle(), {v.extent(1), v.extent(0), v.extent(2)}, {v.stride(1), v.stride(0), 1}};
}

/// Results of queries one after another, poisoned before a call.
template <class O>
struct results {
  bool exchanged;
  array<O, 3> out;
  array<float, 2> lse;

  template <class Q, class K, class V>
  results(const set<Q, K, V>& x, bool exchange)
      : exchanged(exchange),
        out(exchange ? std::array<std::int64_t, 3>{x.total_q(), x.heads, x.value_dim}
                     : std::array<std::int64_t, 3>{x.heads, x.total_q(), x.value_dim},
            {2, false}),
        lse({x.heads, x.total_q()}) {}

  auto out_view() { return heads_first(out.view(), exchanged); }

  /// Elements that differ from forward on each sequence alone; rows of nobody must be as they were.
  template <class Q, class K, class V, class Exec, class Mask, class Score>
  int differences(const Exec& exec, const set<Q, K, V>& x, const attention::options<Mask, Score>& options) {
    int wrong = 0;
    const auto o = out_view();
    const auto poisoned = [](const auto& element) {
      unsigned char bytes[sizeof(element)];
      std::memcpy(bytes, &element, sizeof bytes);
      return std::all_of(bytes, bytes + sizeof bytes, [](unsigned char byte) { return byte == support::poison; });
    };
    const auto differ = [](auto a, auto b) {
      return !(std::isnan(static_cast<double>(a)) && std::isnan(static_cast<double>(b))) && std::memcmp(&a, &b, sizeof a) != 0;
    };
    for (std::int64_t b = 0; b < x.size(); ++b) {
      const auto& in = x.alone[static_cast<std::size_t>(b)];
      array<O, 4> want(in.out_extents());
      array<float, 3> want_lse(in.lse_extents());
      attention::forward(exec, in.q.view(), in.k.view(), in.v.view(), want.view(), want_lse.view(), options);
      for (std::int64_t h = 0; h < x.heads; ++h) {
        for (std::int64_t i = 0; i < x.len_q(b); ++i) {
          const std::int64_t row = x.query_offsets[static_cast<std::size_t>(b)] + i;
          wrong += differ(lse(h, row), want_lse(0, h, i));
          for (std::int64_t c = 0; c < x.value_dim; ++c) wrong += differ(o(h, row, c), want(0, h, i, c));
        }
      }
    }
    for (std::int64_t row = 0; row < x.total_q(); ++row) {
      if (row >= x.query_offsets.front() && row < x.query_offsets.back()) continue;
      for (std::int64_t h = 0; h < x.heads; ++h) {
        wrong += !poisoned(lse(h, row));
        for (std::int64_t c = 0; c < x.value_dim; ++c) wrong += !poisoned(o(h, row, c));
      }
    }
    return wrong + !out.gaps_untouched() + !lse.gaps_untouched();
  }
};

/// The keys and values of a set in pages that are scattered and, where no key is, poisoned; entries of the table past a length are no pages.
template <class K, class V, class I>
struct pages {
  std::int64_t page_size;
  std::int64_t most = 0;  ///< pages of a sequence
  array<K, 4> keys;
  array<V, 4> values;
  std::vector<I> table;
  std::vector<I> lengths;

  template <class Q>
  pages(const set<Q, K, V>& x, std::int64_t size, std::uint64_t seed)
      : page_size(size),
        keys({count(x, size), x.kv_heads, size, x.head_dim}, {1, true}),
        values({count(x, size), x.kv_heads, size, x.value_dim}, {0, false}) {
    for (std::int64_t b = 0; b < x.size(); ++b) most = std::max(most, 1 + (x.len_k(b) + size - 1) / size);
    std::vector<I> free;
    for (std::int64_t n = 0; n < count(x, size); ++n) free.push_back(static_cast<I>(n));
    for (std::size_t n = free.size(); n > 1; --n) {
      std::swap(free[n - 1], free[static_cast<std::size_t>(support::below(seed, n, static_cast<std::int64_t>(n)))]);
    }
    table.assign(static_cast<std::size_t>(most * x.size()), static_cast<I>(0x7FFFFFF0));
    for (std::int64_t b = 0; b < x.size(); ++b) {
      lengths.push_back(static_cast<I>(x.len_k(b)));
      const auto& in = x.alone[static_cast<std::size_t>(b)];
      for (std::int64_t j = 0; j < x.len_k(b); ++j) {
        I& page = table[static_cast<std::size_t>(b * most + j / size)];
        if (j % size == 0) {
          page = free.back();
          free.pop_back();
        }
        for (std::int64_t h = 0; h < x.kv_heads; ++h) {
          for (std::int64_t c = 0; c < x.head_dim; ++c) keys(page, h, j % size, c) = in.k(0, h, j, c);
          for (std::int64_t c = 0; c < x.value_dim; ++c) values(page, h, j % size, c) = in.v(0, h, j, c);
        }
      }
    }
  }

  auto cache() const {
    const auto batch = static_cast<std::int64_t>(lengths.size());
    return attention::paged{keys.view(), values.view(), tessera::view<const I, 2>(table.data(), batch, most),
                            tessera::view<const I, 1>(lengths.data(), batch)};
  }

 private:
  template <class Q>
  static std::int64_t count(const set<Q, K, V>& x, std::int64_t size) {
    std::int64_t n = 2;
    for (std::int64_t b = 0; b < x.size(); ++b) n += (x.len_k(b) + size - 1) / size;
    return n;
  }
};

}  // namespace sequence_set
