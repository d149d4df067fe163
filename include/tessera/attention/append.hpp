// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// New keys and values, put into a cache behind those that it holds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "tessera/attention/detail/append_checks.hpp"
#include "tessera/attention/detail/rotate_rows.hpp"
#include "tessera/attention/detail/sequence_checks.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/index_view.hpp"
#include "tessera/attention/paged.hpp"
#include "tessera/attention/ragged.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {
namespace detail {

/// to[0 … width) = from[0 … width), rounded to nearest-even where the cache is narrower.
template <class Arch, class S, class In>
TESSERA_ALWAYS_INLINE void write_row(S* to, const In* from, std::int64_t width) {
  if constexpr (std::is_same_v<S, In>) {
    std::memcpy(static_cast<void*>(to), from, static_cast<std::size_t>(width) * sizeof(S));
  } else {
    using P = simd::pack<std::common_type_t<compute_t<In>, compute_t<S>>, Arch>;
    for (std::int64_t i = 0; i < width; i += P::lanes) {
      const int n = static_cast<int>(std::min<std::int64_t>(P::lanes, width - i));
      const P x = tile::detail::load_columns<P>(from + i, n);
      if (n == P::lanes) {
        simd::store_as(to + i, x);
      } else {
        simd::store_partial(to + i, n, x);
      }
    }
  }
}

/// Some neighbouring rows of one page.
struct page_piece {
  std::int64_t first;  ///< counted through all pages
  std::int64_t count;
};

/// Writes keys, and values unless `values` is null, of as many rows a sequence as `keys` has.
template <class Exec, class K, class V, class NK, class NV>
void append(const Exec& exec, const page_views<K, V>& pages, const view<K, 4>& to_keys, const view<V, 4>& to_values,
            std::int64_t batch, const new_rows<NK>& keys, const new_rows<NV>* values, const rotary& by) {
  using Arch = typename Exec::arch;
  using P = simd::pack<std::common_type_t<compute_t<NK>, compute_t<K>>, Arch>;
  constexpr std::int64_t turn = 64;  // rows of an item of work
  const char* const function = "attention::append";
  const std::int64_t page_size = to_keys.extent(2);
  const std::int64_t kv_heads = to_keys.extent(1);
  std::int64_t most = 0;
  std::int64_t rows = 0;
  for (std::int64_t b = 0; b < batch; ++b) {
    const std::int64_t n = keys.count(b);
    check_place_in_pages<Arch>(function, pages, b, pages.lengths(b), pages.lengths(b) + n);
    if (by.rotates()) check_positions(function, by, "rotary.first_key", held_position(by.first_key) + pages.lengths(b), n);
    if (n > 0) most += (n - 1) / page_size + 2;
    rows += n;
  }
  if (rows == 0) return;

  const auto page_of = [&](std::int64_t b, std::int64_t position) {
    return pages.table.null() ? b : pages.table(b, position / page_size);
  };
  tessera::detail::bump size;
  size.take<page_piece>(most);
  size.take<std::int64_t>(batch + 1);
  tessera::detail::scratch memory(exec.memory(), size.bytes());
  tessera::detail::bump cut(memory.data());
  page_piece* const pieces = cut.take<page_piece>(most);
  const running_count items{cut.take<std::int64_t>(batch + 1), batch};
  std::int64_t count = 0;
  for (std::int64_t b = 0; b < batch; ++b) {
    const std::int64_t end = pages.lengths(b) + keys.count(b);
    for (std::int64_t at = pages.lengths(b); at < end; at += pieces[count++].count) {
      const std::int64_t slot = at % page_size;
      pieces[count] = {page_of(b, at) * page_size + slot, std::min(end - at, page_size - slot)};
    }
  }
  std::sort(pieces, pieces + count, [](const page_piece& a, const page_piece& b) { return a.first < b.first; });
  for (std::int64_t n = 1; n < count; ++n) {
    tessera::detail::expects(
        pieces[n].first >= pieces[n - 1].first + pieces[n - 1].count, function, "cache.table",
        [&] { return "two new rows in one place of page " + std::to_string(pieces[n].first / page_size); },
        "needs pages of its own for what each sequence adds");
  }

  items.count([&](std::int64_t b) { return kv_heads * ((keys.count(b) + turn - 1) / turn); });
  const double operations = static_cast<double>(rows * kv_heads) * static_cast<double>(to_keys.extent(3) + to_values.extent(3));
  tessera::detail::for_each_worth(exec, operations, items.total(), [&](int, std::int64_t item) {
    const std::int64_t b = items.find(item);
    const std::int64_t turns = (keys.count(b) + turn - 1) / turn;
    const std::int64_t kv_h = (item - items.before[b]) / turns;
    const std::int64_t first = (item - items.before[b]) % turns * turn;
    const std::int64_t last = std::min(first + turn, keys.count(b));
    for (std::int64_t t = first; t < last; ++t) {
      const std::int64_t position = pages.lengths(b) + t;
      const std::int64_t page = page_of(b, position);
      const std::int64_t slot = position % page_size;
      // Every key that enters a cache is written here, every value in the line below.
      if (by.rotates()) {
        rotate_row<P>(&to_keys(page, kv_h, slot, 0), keys.rows.at(b, kv_h, t), by, by.first_key + position, to_keys.extent(3),
                      direction::forth);
      } else {
        write_row<Arch>(&to_keys(page, kv_h, slot, 0), keys.rows.at(b, kv_h, t), to_keys.extent(3));
      }
      if (values != nullptr) write_row<Arch>(&to_values(page, kv_h, slot, 0), values->rows.at(b, kv_h, t), to_values.extent(3));
    }
  });
}

/// Refuses what does not fit, then writes. new_values may be null: then those of the cache are left alone.
template <class Exec, class K, class V, class NK, class NV, std::size_t Rank>
void append(const Exec& exec, const paged<K, V>& cache, const view<const NK, Rank>& new_keys,
            const view<const NV, Rank>* new_values, const index_view<1>& offsets, const rotary& by) {
  using Arch = typename Exec::arch;
  const char* const function = "attention::append";
  tessera::detail::check_operand(new_keys, function, "new_keys");
  if constexpr (Rank == 3) check_offsets<Arch>(function, offsets, new_keys.extent(1), "ragged.key_offsets");
  const std::int64_t batch = Rank == 3 ? offsets.extent(0) - 1 : new_keys.extent(0);
  check_append<Arch>(function, cache, new_keys, new_values, batch, by);
  const page_views<K, V> pages = pages_of(cache);
  const new_rows<NK> keys = rows_that_come(new_keys, offsets);
  if (new_values == nullptr) {
    append(exec, pages, cache.keys, cache.values, batch, keys, static_cast<const new_rows<NV>*>(nullptr), by);
    return;
  }
  const new_rows<NV> values = rows_that_come(*new_values, offsets);
  append(exec, pages, cache.keys, cache.values, batch, keys, &values, by);
}

}  // namespace detail

/// Puts n new keys and values of each sequence behind the cache.lengths(b) that it holds, converted to the cache's types. The lengths stay as
/// they are: add n to them before `forward` is called.
///
/// Shapes          new_keys [batch, kv_heads, n, head_dim], new_values [batch, kv_heads, n, value_dim]; any stride but the innermost. Keys and
///                 values of a cache may lie between one another, as in [pages, 2, …].
/// Rotary          key t of those that come in stands at position by.first_key + cache.lengths(b) + t and is rotated so (attention/rotate.hpp)
///                 before it is rounded; no tables, no rotation. Attend to such a cache with options.rotary.keys = false
/// Types           any storage, into any storage: rounded once, to nearest-even; float8 beyond its range as `convert` does it
/// Special values  NaN and infinities go in as `convert` rounds them, in a rotated row as `rotate` leaves them; n = 0 writes nothing
/// Accuracy        one rounding to the cache's type, after those of `rotate` where there are tables
/// Cost            each new row read and written once; no pages are allocated. Scratch: 16 bytes for each page that is written to.
/// Determinism     the same bits for every number of threads
/// Errors          argument_error before anything is written: shapes, null data, strides, overlap, lengths + n beyond the pages of a sequence,
///                 entries of the table that are no page, two new rows in one place, positions that the tables do not have
template <executor Exec, class K, class V, mdspan_like NewKeys, mdspan_like NewValues>
  requires(NewKeys::rank() == 4 && NewValues::rank() == 4)
void append(const Exec& exec, const paged<K, V>& cache, const NewKeys& new_keys, const NewValues& new_values,
            const rotary& by = {}) {
  using NV = value_type_of<NewValues>;
  const view<const NV, 4> values(new_values);
  detail::append<Exec, K, V, value_type_of<NewKeys>, NV, 4>(exec, cache, new_keys, &values, {}, by);
}

/// The same without values, for caches whose values are columns of the keys (MLA).
template <executor Exec, class K, class V, mdspan_like NewKeys>
  requires(NewKeys::rank() == 4)
void append(const Exec& exec, const paged<K, V>& cache, const NewKeys& new_keys, const rotary& by = {}) {
  using NK = value_type_of<NewKeys>;
  detail::append<Exec, K, V, NK, NK, 4>(exec, cache, new_keys, nullptr, {}, by);
}

/// The same for sequences that bring different numbers of rows: new_keys [kv_heads, total, head_dim], new_values [kv_heads, total,
/// value_dim], those of sequence b at [key_offsets(b), key_offsets(b + 1)).
template <executor Exec, class K, class V, mdspan_like NewKeys, mdspan_like NewValues>
  requires(NewKeys::rank() == 3 && NewValues::rank() == 3)
void append(const Exec& exec, const paged<K, V>& cache, const NewKeys& new_keys, const NewValues& new_values, const ragged& at,
            const rotary& by = {}) {
  using NV = value_type_of<NewValues>;
  const view<const NV, 3> values(new_values);
  detail::append<Exec, K, V, value_type_of<NewKeys>, NV, 3>(exec, cache, new_keys, &values, at.key_offsets, by);
}

template <executor Exec, class K, class V, mdspan_like NewKeys>
  requires(NewKeys::rank() == 3)
void append(const Exec& exec, const paged<K, V>& cache, const NewKeys& new_keys, const ragged& at, const rotary& by = {}) {
  using NK = value_type_of<NewKeys>;
  detail::append<Exec, K, V, NK, NK, 3>(exec, cache, new_keys, nullptr, at.key_offsets, by);
}

}  // namespace tessera::attention
