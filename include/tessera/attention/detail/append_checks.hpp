// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What putting new keys and values into a cache asks of its arguments, but for what offsets, lengths and tables hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/sequence_checks.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/index_view.hpp"
#include "tessera/attention/paged_cache.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Rows that come in: those of sequence b stand at positions lengths(b) … lengths(b) + count(b) - 1.
template <class In>
struct new_rows {
  sequence_rows<const In> rows;
  std::int64_t each = 0;  ///< of a sequence, where no offsets tell

  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t count(std::int64_t b) const {
    return rows.offsets.null() ? each : rows.offsets(b + 1) - rows.offsets(b);
  }
};

/// [batch, kv_heads, n, dim], or [kv_heads, total, dim] cut by offsets.
template <class In, std::size_t Rank>
new_rows<In> rows_that_come(const view<const In, Rank>& rows, [[maybe_unused]] const index_view<1>& offsets) {
  if constexpr (Rank == 3) {
    return {sequence_rows<const In>(rows, offsets)};
  } else {
    return {sequence_rows<const In>(rows), rows.extent(2)};
  }
}

/// Refuses keys and values of a cache that lie on one another. They may lie between one another, as [pages, 2, …] does.
template <class Arch, class K, class V>
void check_beside(const char* function, const view<K, 4>& keys, const view<V, 4>& values) {
  if (!tessera::detail::overlap(keys, values)) return;
  bool beside = std::is_same_v<K, V>;
  for (std::size_t r = 0; r < 4; ++r) beside = beside && keys.stride(r) == values.stride(r);
  const auto text = [] { return "on cache.keys"; };
  const char* const needs = "needs values beside the keys; where they are columns of the keys, append keys alone";
  tessera::detail::expects(beside, function, "cache.values", text, needs);
  const auto step =
      (reinterpret_cast<std::intptr_t>(values.data_handle()) - reinterpret_cast<std::intptr_t>(keys.data_handle())) /
      static_cast<std::intptr_t>(sizeof(K));
  const view<K, 5> both(keys.data_handle(),
                        {2, keys.extent(0), keys.extent(1), keys.extent(2), std::max(keys.extent(3), values.extent(3))},
                        {step, keys.stride(0), keys.stride(1), keys.stride(2), 1});
  tessera::detail::check_distinct(both, function, "cache.values");
}

/// Refuses a cache, and what comes into it, that do not fit together. new_keys and offsets are checked before.
template <class Arch, class K, class V, class NK, class NV, std::size_t Rank>
void check_append(const char* function, const paged<K, V>& cache, const view<const NK, Rank>& new_keys,
                  const view<const NV, Rank>* new_values, std::int64_t batch, const rotary& by) {
  using tessera::detail::check_disjoint;
  static_assert(!std::is_const_v<K> && !std::is_const_v<V>, "a cache that is appended to is not of const numbers");
  check_pages<Arch>(function, pages_of(cache), batch);
  tessera::detail::check_output(cache.keys, function, "cache.keys");
  const auto check = [&](const auto& rows, const auto& to, const char* argument) {
    std::int64_t wanted[Rank];
    for (std::size_t r = 0; r < Rank; ++r) wanted[r] = new_keys.extent(r);
    wanted[Rank - 3] = cache.keys.extent(1);
    wanted[Rank - 1] = to.extent(3);
    check_extents(rows, wanted, function, argument,
                  Rank == 3 ? "needs [kv_heads, total, dim] with the cache's kv_heads and dim"
                            : "needs [batch, kv_heads, n, dim] with the cache's kv_heads and dim");
    check_disjoint(cache.keys, rows, function, "cache.keys", argument);
    if (new_values != nullptr) check_disjoint(cache.values, rows, function, "cache.values", argument);
  };
  check(new_keys, cache.keys, "new_keys");
  check_disjoint(cache.keys, cache.table.bytes(), function, "cache.keys", "cache.table");
  check_disjoint(cache.keys, cache.lengths.bytes(), function, "cache.keys", "cache.lengths");
  if (by.rotates()) {
    check_tables(function, by, {"rotary.cos", "rotary.sin", "rotary.first_dim"}, cache.keys.extent(3));
    check_disjoint(cache.keys, by.cos, function, "cache.keys", "rotary.cos");
    check_disjoint(cache.keys, by.sin, function, "cache.keys", "rotary.sin");
  }
  if (new_values == nullptr) return;
  tessera::detail::check_operand(*new_values, function, "new_values");
  check(*new_values, cache.values, "new_values");
  tessera::detail::check_output(cache.values, function, "cache.values");
  check_beside<Arch>(function, cache.keys, cache.values);
  check_disjoint(cache.values, cache.table.bytes(), function, "cache.values", "cache.table");
  check_disjoint(cache.values, cache.lengths.bytes(), function, "cache.values", "cache.lengths");
}

}  // namespace tessera::attention::detail
