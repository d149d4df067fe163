// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// New keys and values, put into a cache behind those that it holds, on a CUDA device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/append_checks.hpp"
#include "tessera/attention/detail/sequence_checks.hpp"
#include "tessera/attention/index_view.hpp"
#include "tessera/attention/paged_cache.hpp"
#include "tessera/attention/ragged_sequences.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/cuda/attention/detail/rotate_kernel.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

/// Puts rows behind those of the cache. Null tables: they are converted, and not rotated.
template <class S, class In, std::size_t Rank>
TESSERA_HIDDEN void append_rows(const executor& exec, const view<S, 4>& to, const tessera::attention::index_view<2>& table,
                                const tessera::attention::index_view<1>& lengths, const view<const In, Rank>& rows,
                                const tessera::attention::index_view<1>& offsets, std::int64_t batch,
                                const tessera::attention::rotary& by, const char* function, const char* argument) {
  const rotation_problem<In, S> p{
      .in = {.rows = tessera::attention::detail::rows_that_come(rows, offsets).rows},
      .out = {tessera::attention::detail::sequence_rows<S>(to), table, to.extent(2), to.extent(0)},
      .batch = batch,
      .heads = to.extent(1),
      .columns = to.extent(3),
      .rows = {offsets, {}, rows.extent(Rank - 2)},
      .keys = {{}, lengths, 0},
      .by = {by.cos, by.sin, by.layout, by.first_dim, tessera::attention::detail::held_position(by.first_key)},
      .stand = rows_stand::behind_keys};
  launch_rotation<std::common_type_t<compute_t<In>, compute_t<S>>>(exec, p, function, argument);
}

template <class K, class V, class NK, class NV, std::size_t Rank>
TESSERA_HIDDEN void append(const executor& exec, const tessera::attention::paged<K, V>& cache,
                           const view<const NK, Rank>& new_keys, const view<const NV, Rank>* new_values,
                           const tessera::attention::index_view<1>& offsets, const tessera::attention::rotary& by) {
  using cuda::detail::check_memory;
  const char* const function = "attention::append";
  tessera::detail::check_operand(new_keys, function, "new_keys");
  if constexpr (Rank == 3) {
    tessera::attention::detail::check_number_of_offsets<executor>(function, offsets, "ragged.key_offsets");
    check_memory(exec, offsets.bytes(), function, "ragged.key_offsets");
  }
  const std::int64_t batch = Rank == 3 ? offsets.extent(0) - 1 : new_keys.extent(0);
  tessera::attention::detail::check_append<executor>(function, cache, new_keys, new_values, batch, by);
  check_memory(exec, new_keys, function, "new_keys");
  check_memory(exec, cache.keys, function, "cache.keys");
  if (!cache.table.null()) check_memory(exec, cache.table.bytes(), function, "cache.table");
  check_memory(exec, cache.lengths.bytes(), function, "cache.lengths");
  check_memory(exec, by.cos, function, "rotary.cos");
  check_memory(exec, by.sin, function, "rotary.sin");
  if (new_values != nullptr) {
    check_memory(exec, *new_values, function, "new_values");
    check_memory(exec, cache.values, function, "cache.values");
    append_rows(exec, cache.values, cache.table, cache.lengths, *new_values, offsets, batch, {}, function, "new_values");
  }
  append_rows(exec, cache.keys, cache.table, cache.lengths, new_keys, offsets, batch, by, function, "new_keys");
}

}  // namespace tessera::cuda::attention::detail

namespace tessera::attention {

/// append (tessera/attention/append.hpp) on a CUDA device: same arguments, same meaning, the same bits where the CPU has fused multiply-adds. All
/// arrays are of device memory.
///
/// What only the device can read is not refused: a row whose number or page leads out of the cache is not written, one whose position is beyond the
/// tables is NaN where it is rotated; that no two new rows have one place is for the caller to see to.
///
/// Cost            each new row read and written once, 16 bytes at a time where rows lie so; nothing is allocated
/// Errors          argument_error before anything is put in the stream: shapes, null data, strides, overlap, memory that is not the device's;
///                 cuda::error
template <class K, class V, mdspan_like NewKeys, mdspan_like NewValues>
  requires(NewKeys::rank() == 4 && NewValues::rank() == 4)
TESSERA_HIDDEN void append(const cuda::executor& exec, const paged<K, V>& cache, const NewKeys& new_keys,
                           const NewValues& new_values, const rotary& by = {}) {
  const view<const value_type_of<NewValues>, 4> values(new_values);
  cuda::attention::detail::append(exec, cache, view<const value_type_of<NewKeys>, 4>(new_keys), &values, {}, by);
}

/// The same without values, for caches whose values are columns of the keys (MLA).
template <class K, class V, mdspan_like NewKeys>
  requires(NewKeys::rank() == 4)
TESSERA_HIDDEN void append(const cuda::executor& exec, const paged<K, V>& cache, const NewKeys& new_keys, const rotary& by = {}) {
  const view<const value_type_of<NewKeys>, 4> keys(new_keys);
  cuda::attention::detail::append(exec, cache, keys, static_cast<decltype(&keys)>(nullptr), {}, by);
}

/// The same for sequences that bring different numbers of rows, [kv_heads, total, dim], cut by key_offsets.
template <class K, class V, mdspan_like NewKeys, mdspan_like NewValues>
  requires(NewKeys::rank() == 3 && NewValues::rank() == 3)
TESSERA_HIDDEN void append(const cuda::executor& exec, const paged<K, V>& cache, const NewKeys& new_keys,
                           const NewValues& new_values, const ragged& at, const rotary& by = {}) {
  const view<const value_type_of<NewValues>, 3> values(new_values);
  cuda::attention::detail::append(exec, cache, view<const value_type_of<NewKeys>, 3>(new_keys), &values, at.key_offsets, by);
}

template <class K, class V, mdspan_like NewKeys>
  requires(NewKeys::rank() == 3)
TESSERA_HIDDEN void append(const cuda::executor& exec, const paged<K, V>& cache, const NewKeys& new_keys, const ragged& at,
                           const rotary& by = {}) {
  const view<const value_type_of<NewKeys>, 3> keys(new_keys);
  cuda::attention::detail::append(exec, cache, keys, static_cast<decltype(&keys)>(nullptr), at.key_offsets, by);
}

}  // namespace tessera::attention
