// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Keys and values of sequences in pages.
#pragma once

#include <type_traits>

#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/index_view.hpp"
#include "tessera/core/config.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// Keys and values of sequences, in pages that each sequence lists: key j of sequence b is row j % page_size of page
/// table(b, j / page_size). Sequences may share pages. Without a table, sequence b is page b: a cache [batch, kv_heads, capacity, dim].
///
/// Any page size. What pages hold past a length, and entries of the table there, are not read.
template <class K, class V = K>
struct paged {
  view<K, 4> keys;          ///< [pages, kv_heads, page_size, head_dim]
  view<V, 4> values;        ///< [pages, kv_heads, page_size, value_dim]; may be columns of the keys (MLA)
  index_view<2> table{};    ///< [batch, pages of a sequence] int32 or int64
  index_view<1> lengths{};  ///< [batch] int32 or int64: keys that each sequence holds
};
template <mdspan_like K, mdspan_like V, class Table, class Lengths>
paged(const K&, const V&, const Table&, const Lengths&) -> paged<typename K::element_type, typename V::element_type>;

namespace detail {

/// Its views, to be read.
template <class K, class V>
TESSERA_ALWAYS_INLINE page_views<std::remove_const_t<K>, std::remove_const_t<V>> pages_of(const paged<K, V>& cache) {
  return {cache.keys, cache.values, cache.table, cache.lengths};
}

}  // namespace detail
}  // namespace tessera::attention
