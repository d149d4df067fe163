// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What calls on ragged batches and on pages ask of their arguments. With the architecture in their names: too long to be inlined.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "tessera/attention/detail/checks.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/index_view.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Refuses offsets of no batch.
template <class Arch>
void check_number_of_offsets(const char* function, const index_view<1>& offsets, const char* argument) {
  tessera::detail::expects(
      !offsets.null() && offsets.extent(0) >= 1, function, argument,
      [&] { return offsets.null() ? std::string("null data") : "[" + std::to_string(offsets.extent(0)) + "]"; },
      "needs [batch + 1] numbers");
}

/// Refuses offsets that do not rise, or lead out of `total` rows.
template <class Arch>
void check_offsets(const char* function, const index_view<1>& offsets, std::int64_t total, const char* argument) {
  using tessera::detail::expects;
  check_number_of_offsets<Arch>(function, offsets, argument);
  std::int64_t before = 0;
  for (std::int64_t n = 0; n < offsets.extent(0); ++n) {
    const std::int64_t at = offsets(n);
    expects(
        at >= before && at <= total, function, argument,
        [&] { return std::to_string(at) + " after " + std::to_string(before) + " of " + std::to_string(total) + " rows"; },
        "needs offsets from 0 on that do not fall and do not pass the last row");
    before = at;
  }
}

/// Refuses heads that do not share key heads evenly.
template <class Arch>
void check_groups(const char* function, std::int64_t heads, std::int64_t kv_heads, const char* argument) {
  tessera::detail::expects(
      kv_heads > 0 ? heads % kv_heads == 0 : heads == 0, function, argument,
      [&] { return std::to_string(kv_heads) + " kv_heads beside " + std::to_string(heads) + " heads"; },
      "needs kv_heads that divide heads");
}

/// Refuses queries, keys and values one after another, and numbers of offsets, that do not belong together; offsets may be out of reach.
template <class Arch, class Q, class K, class V>
void check_ragged_shapes(const char* function, const view<const Q, 3>& q, const view<const K, 3>& k, const view<const V, 3>& v,
                         const index_view<1>& query_offsets, const index_view<1>& key_offsets) {
  using tessera::detail::check_operand;
  check_operand(q, function, "q");
  check_operand(k, function, "k");
  check_operand(v, function, "v");
  check_extents(k, {k.extent(0), k.extent(1), q.extent(2)}, function, "k",
                "needs [kv_heads, total_k, head_dim] with q's head_dim");
  check_extents(v, {k.extent(0), k.extent(1), v.extent(2)}, function, "v",
                "needs [kv_heads, total_k, value_dim] with k's kv_heads and total_k");
  check_groups<Arch>(function, q.extent(0), k.extent(0), "k");
  check_number_of_offsets<Arch>(function, query_offsets, "ragged.query_offsets");
  check_number_of_offsets<Arch>(function, key_offsets, "ragged.key_offsets");
  tessera::detail::expects(
      query_offsets.extent(0) == key_offsets.extent(0), function, "ragged.key_offsets",
      [&] { return "[" + std::to_string(key_offsets.extent(0)) + "] beside [" + std::to_string(query_offsets.extent(0)) + "]"; },
      "needs as many as ragged.query_offsets");
}

/// The same, and offsets that do not rise, or lead out of the rows.
template <class Arch, class Q, class K, class V>
void check_ragged_inputs(const char* function, const view<const Q, 3>& q, const view<const K, 3>& k, const view<const V, 3>& v,
                         const index_view<1>& query_offsets, const index_view<1>& key_offsets) {
  check_ragged_shapes<Arch>(function, q, k, v, query_offsets, key_offsets);
  check_offsets<Arch>(function, query_offsets, q.extent(1), "ragged.query_offsets");
  check_offsets<Arch>(function, key_offsets, k.extent(1), "ragged.key_offsets");
}

/// Refuses pages that do not hold what `lengths` says, for `batch` sequences and all that the call adds to each.
template <class Arch, class K, class V>
void check_pages(const char* function, const page_views<K, V>& pages, std::int64_t batch) {
  using tessera::detail::check_operand;
  using tessera::detail::expects;
  const view<const K, 4>& keys = pages.keys;
  check_operand(keys, function, "cache.keys");
  check_operand(pages.values, function, "cache.values");
  check_extents(pages.values, {keys.extent(0), keys.extent(1), keys.extent(2), pages.values.extent(3)}, function, "cache.values",
                "needs [pages, kv_heads, page_size, value_dim] like cache.keys");
  if (pages.table.null()) {
    expects(
        keys.extent(0) >= batch, function, "cache.keys",
        [&] { return "shape " + tessera::detail::shape(keys) + " for " + std::to_string(batch) + " sequences"; },
        "needs a page a sequence where there is no table");
  } else {
    expects(
        pages.table.extent(0) == batch, function, "cache.table",
        [&] { return "[" + std::to_string(pages.table.extent(0)) + ", " + std::to_string(pages.table.extent(1)) + "]"; },
        "needs [batch, pages of a sequence]");
  }
  expects(
      pages.lengths.extent(0) == batch && (batch == 0 || !pages.lengths.null()), function, "cache.lengths",
      [&] { return pages.lengths.null() ? std::string("null data") : "[" + std::to_string(pages.lengths.extent(0)) + "]"; },
      "needs [batch]");
}

/// Refuses keys [0, length) of sequence b where there is no place for them.
template <class Arch, class K, class V>
void check_place_in_pages(const char* function, const page_views<K, V>& pages, std::int64_t b, std::int64_t first,
                          std::int64_t length) {
  using tessera::detail::expects;
  const std::int64_t page_size = pages.keys.extent(2);
  const std::int64_t held = pages.table.null() ? 1 : pages.table.extent(1);
  const std::int64_t wanted = length <= 0 ? 0 : (page_size > 0 ? (length - 1) / page_size + 1 : held + 1);
  expects(
      first >= 0 && length >= first && wanted <= held, function, "cache.lengths",
      [&] {
        return std::to_string(length) + " keys of sequence " + std::to_string(b) + " in " + std::to_string(held) + " pages of " +
               std::to_string(page_size);
      },
      "needs lengths of at least 0 for which there are pages");
  if (pages.table.null()) return;
  for (std::int64_t n = length > first ? first / page_size : wanted; n < wanted; ++n) {
    const std::int64_t page = pages.table(b, n);
    expects(
        page >= 0 && page < pages.keys.extent(0), function, "cache.table",
        [&] { return "page " + std::to_string(page) + " as number " + std::to_string(n) + " of sequence " + std::to_string(b); },
        "needs pages that are there, as far as the lengths reach");
  }
}

/// Refuses an output that lies on the cache.
template <class Out, std::size_t Rank, class K, class V>
TESSERA_ALWAYS_INLINE void check_disjoint_pages(const view<Out, Rank>& out, const page_views<K, V>& pages, const char* function,
                                                const char* argument) {
  using tessera::detail::check_disjoint;
  check_disjoint(out, pages.keys, function, argument, "cache.keys");
  check_disjoint(out, pages.values, function, argument, "cache.values");
  check_disjoint(out, pages.table.bytes(), function, argument, "cache.table");
  check_disjoint(out, pages.lengths.bytes(), function, argument, "cache.lengths");
}

/// Refuses options that do not belong to every sequence that has queries, computed in T; the factor of q . k.
template <class T, class Arch, class Q, class K, class V, class Mask, class Score, class Accumulation>
double check_sequence_options(const char* function, const sequences<Q, K, V>& x,
                              const options<Mask, Score, Accumulation>& options) {
  const double scale = check_head_options<T>(function, x.heads(), x.kv_heads(), x.head_dim(), options);
  std::int64_t most_keys = 0;
  std::int64_t most_queries = 0;
  for (std::int64_t b = 0; b < x.batch(); ++b) {
    if (x.len_q(b) == 0) continue;
    const sizes call{x.batch(), x.heads(), x.len_q(b), x.len_k(b)};
    check_part(options.mask, function, call);
    check_part(options.score, function, call);
    check_rotary_positions(function, options.rotary, call.len_q, call.len_k);
    most_keys = std::max(most_keys, call.len_k);
    most_queries = std::max(most_queries, call.len_q);
  }
  check_dropout(function, options, x.ragged() ? x.heads() : x.batch() * x.heads(), x.ragged() ? x.total_q() : most_queries,
                most_keys);
  return scale;
}

}  // namespace tessera::attention::detail
