// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What forward asks of its arguments, on every device.
#pragma once

#include <cstdint>

#include "tessera/attention/detail/checks.hpp"
#include "tessera/attention/detail/sequence_checks.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/ragged_sequences.hpp"
#include "tessera/core/config.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Refuses what forward cannot take, computed in T; the factor of q . k.
template <class T, class Q, class K, class V, class O, class Mask, class Score, class Accumulation>
TESSERA_ALWAYS_INLINE double check_forward(const char* function, const view<const Q, 4>& q, const view<const K, 4>& k,
                                           const view<const V, 4>& v, const view<O, 4>& out,
                                           const options<Mask, Score, Accumulation>& options, const char* out_name = "out") {
  using tessera::detail::check_disjoint;
  check_inputs(function, q, k, v);
  tessera::detail::check_output(out, function, out_name);
  check_rows(function, out, out_name, q, v);
  check_disjoint(out, q, function, out_name, "q");
  check_disjoint(out, k, function, out_name, "k");
  check_disjoint(out, v, function, out_name, "v");
  return check_options<T>(function, q, k, options);
}

/// Refuses log-sum-exps of another shape, or in memory of others.
template <class L, class Q, class K, class V, class O>
TESSERA_ALWAYS_INLINE void check_lse(const char* function, const view<L, 3>& lse, const view<const Q, 4>& q,
                                     const view<const K, 4>& k, const view<const V, 4>& v, const view<O, 4>& out) {
  using tessera::detail::check_disjoint;
  tessera::detail::check_output(lse, function, "lse");
  check_extents(lse, {q.extent(0), q.extent(1), q.extent(2)}, function, "lse", "needs [batch, heads, len_q]");
  check_disjoint(lse, q, function, "lse", "q");
  check_disjoint(lse, k, function, "lse", "k");
  check_disjoint(lse, v, function, "lse", "v");
  check_disjoint(lse, out, function, "lse", "out");
}

/// Refuses results of queries one after another that do not fit. With the architecture in its name.
template <class Arch, class Q, class O, class L>
void check_ragged_outputs(const char* function, const view<const Q, 3>& q, std::int64_t value_dim, const view<O, 3>& out,
                          const view<L, 2>* lse, const ragged& at) {
  using tessera::detail::check_disjoint;
  const auto apart = [&](const auto& x, const char* argument) {
    check_disjoint(x, q, function, argument, "q");
    check_disjoint(x, at.query_offsets.bytes(), function, argument, "ragged.query_offsets");
    check_disjoint(x, at.key_offsets.bytes(), function, argument, "ragged.key_offsets");
  };
  tessera::detail::check_output(out, function, "out");
  check_extents(out, {q.extent(0), q.extent(1), value_dim}, function, "out", "needs [heads, total_q, value_dim]");
  apart(out, "out");
  if (lse == nullptr) return;
  tessera::detail::check_readable(*lse, function, "lse");
  tessera::detail::check_distinct(*lse, function, "lse");
  check_extents(*lse, {q.extent(0), q.extent(1)}, function, "lse", "needs [heads, total_q]");
  apart(*lse, "lse");
  check_disjoint(*lse, out, function, "lse", "out");
}

/// Refuses a cache that does not belong to such queries, whatever its lengths. With the architecture in its name.
template <class Arch, class K, class V>
void check_cache_shapes(const char* function, const page_views<K, V>& pages, std::int64_t batch, std::int64_t heads,
                        std::int64_t head_dim) {
  check_pages<Arch>(function, pages, batch);
  check_extents(pages.keys, {pages.keys.extent(0), pages.keys.extent(1), pages.keys.extent(2), head_dim}, function, "cache.keys",
                "needs [pages, kv_heads, page_size, head_dim] with q's head_dim");
  check_groups<Arch>(function, heads, pages.keys.extent(1), "cache.keys");
}

/// The same, and lengths that lead out of the pages.
template <class Arch, class K, class V>
void check_cache(const char* function, const page_views<K, V>& pages, std::int64_t batch, std::int64_t heads,
                 std::int64_t head_dim) {
  check_cache_shapes<Arch>(function, pages, batch, heads, head_dim);
  for (std::int64_t b = 0; b < batch; ++b) check_place_in_pages<Arch>(function, pages, b, 0, pages.lengths(b));
}

/// Refuses results of queries [batch, heads, len_q, head_dim] beside a cache that do not fit. With the architecture in its name.
template <class Arch, class Q, class K, class V, class O, class L>
void check_paged_outputs(const char* function, const view<const Q, 4>& q, const page_views<K, V>& pages, const view<O, 4>& out,
                         const view<L, 3>* lse) {
  tessera::detail::check_output(out, function, "out");
  check_rows(function, out, "out", q, pages.values);
  tessera::detail::check_disjoint(out, q, function, "out", "q");
  check_disjoint_pages(out, pages, function, "out");
  if (lse == nullptr) return;
  tessera::detail::check_output(*lse, function, "lse");
  check_extents(*lse, {q.extent(0), q.extent(1), q.extent(2)}, function, "lse", "needs [batch, heads, len_q]");
  tessera::detail::check_disjoint(*lse, q, function, "lse", "q");
  tessera::detail::check_disjoint(*lse, out, function, "lse", "out");
  check_disjoint_pages(*lse, pages, function, "lse");
}

}  // namespace tessera::attention::detail
