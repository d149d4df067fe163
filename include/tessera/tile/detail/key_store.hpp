// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Keys and values as the register block wants them, chunk by chunk: all packed once, or one chunk at a time when they are many.
#pragma once

#include <cstdint>

#include "tessera/numeric/traits.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/shape.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::tile::detail {

/// One chunk of keys, packed.
template <class T>
struct key_chunk_view {
  const T* keys;         ///< [key_chunk / rows][depth][rows]
  const T* values;       ///< [value_blocks][key_chunk][rows]
  const T* norms;        ///< [key_chunk] squared norms of the (centred) keys
  std::int64_t first;    ///< index of the first key
  int count;             ///< keys of the chunk
  T largest_norm;        ///< NaN or inf when a key is not finite
  bool finite_values;    ///< no NaN or inf among the values
};

/// Lengths of the arrays of a chunk, in elements.
template <class T, class Arch>
struct key_layout {
  using shape = block_shape<T, Arch>;
  static_assert(key_chunk % shape::rows == 0);

  std::int64_t depth = 0;
  std::int64_t value_dim = 0;

  [[nodiscard]] std::int64_t value_blocks() const { return (value_dim + shape::rows - 1) / shape::rows; }
  [[nodiscard]] std::int64_t keys() const { return key_chunk * depth; }
  [[nodiscard]] std::int64_t values() const { return value_blocks() * shape::rows * key_chunk; }
  [[nodiscard]] std::int64_t total() const { return keys() + values() + key_chunk; }
};

/// Packs keys [first, first + count) of [n, depth] and their values into `to`.
template <class T, class Arch, class K, class V>
key_chunk_view<T> pack_keys(T* to, const key_layout<T, Arch>& layout, const view<const K, 2>& keys, const view<const V, 2>& values,
                            const T* center, std::int64_t first) {
  constexpr int rows = block_shape<T, Arch>::rows;
  const std::int64_t left = keys.extent(0) - first;
  const int count = static_cast<int>(left < key_chunk ? left : key_chunk);
  T* const packed_values = to + layout.keys();
  T* const norms = packed_values + layout.values();
  T largest = 0;
  for (int j = 0; j < count; j += rows) {
    T* const block = to + j * layout.depth;
    const int n = count - j < rows ? count - j : rows;
    const K* const source = keys.data_handle() + (first + j) * keys.stride(0);
    if (center != nullptr) {
      pack_block<rows>(block, source, keys.stride(0), std::int64_t{1}, n, layout.depth,
                       [&](K x, std::int64_t k) { return static_cast<T>(x) - center[k]; });
    } else {
      pack_block<rows>(block, source, keys.stride(0), std::int64_t{1}, n, layout.depth,
                       [](K x, std::int64_t) { return static_cast<T>(x); });
    }
    squared_norms<rows>(norms + j, block, layout.depth);
    for (int r = 0; r < n; ++r) largest = norms[j + r] > largest || norms[j + r] != norms[j + r] ? norms[j + r] : largest;
  }
  T spread = 0;  // stays 0 while the values are finite: x * 0 is 0, or NaN
  for (std::int64_t b = 0; b < layout.value_blocks(); ++b) {
    const std::int64_t wide = layout.value_dim - b * rows;
    const std::int64_t n = wide < rows ? wide : rows;
    T* const block = packed_values + b * rows * key_chunk;
    pack_block<rows>(block, values.data_handle() + first * values.stride(0) + b * rows, std::int64_t{1}, values.stride(0), n,
                     std::int64_t{count}, [](V x, std::int64_t) { return static_cast<T>(x); });
    for (std::int64_t i = 0; i < count * rows; ++i) spread += block[i] * T(0);
  }
  return {to, packed_values, norms, first, count, largest, spread == T(0)};
}

}  // namespace tessera::tile::detail
