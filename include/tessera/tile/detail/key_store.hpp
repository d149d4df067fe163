// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Keys and values as the register block wants them, chunk by chunk: all packed once, or one chunk at a time when they are many.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tessera/numeric/traits.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/shape.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::tile::detail {

/// One chunk of keys, packed.
template <class T>
struct key_chunk_view {
  const T* keys;       ///< [chunk / rows][depth][rows]
  const T* values;     ///< [value_blocks][chunk][rows]
  const T* norms;      ///< [chunk] squared norms of the (centred) keys, times what the score multiplies distances by
  std::int64_t first;  ///< index of the first key
  int count;           ///< keys of the chunk
  T largest_norm;      ///< of the squared norms; NaN or inf when a key is not finite
  bool finite_values;  ///< no NaN or inf among the values
};

/// Lengths of the arrays of a chunk, in elements.
template <class T, class Arch, bool HasValues>
struct key_layout {
  using shape = block_shape<T, Arch>;
  static constexpr int chunk = HasValues ? value_chunk : fold_chunk;
  static_assert(chunk % shape::rows == 0);

  std::int64_t depth = 0;
  std::int64_t value_dim = 0;

  [[nodiscard]] std::int64_t value_blocks() const { return (value_dim + shape::rows - 1) / shape::rows; }
  [[nodiscard]] std::int64_t keys() const { return chunk * depth; }
  [[nodiscard]] std::int64_t values() const { return value_blocks() * shape::rows * chunk; }
  [[nodiscard]] std::int64_t total() const { return keys() + values() + chunk; }
};

/// Packs keys [first, first + count) of [n, depth] and their values into `to`; norms only where they are wanted.
template <bool WantsNorms, class T, class Arch, bool HasValues, class K, class V>
key_chunk_view<T> pack_keys(T* to, const key_layout<T, Arch, HasValues>& layout, const view<const K, 2>& keys,
                            const view<const V, 2>& values, const T* center, T norm_factor, std::int64_t first) {
  using P = simd::pack<T, Arch>;
  constexpr int rows = block_shape<T, Arch>::rows;
  constexpr int chunk = key_layout<T, Arch, HasValues>::chunk;
  const std::int64_t left = keys.extent(0) - first;
  const int count = static_cast<int>(left < chunk ? left : chunk);
  T* const packed_values = to + layout.keys();
  T* const norms = packed_values + layout.values();
  const auto columns = [&](std::int64_t k) { return static_cast<int>(std::min<std::int64_t>(P::lanes, layout.depth - k)); };
  T largest = WantsNorms ? T(0) : infinity<T>();
  for (int j = 0; j < count; j += rows) {
    T* const block = to + j * layout.depth;
    const int n = count - j < rows ? count - j : rows;
    const K* const source = keys.data_handle() + (first + j) * keys.stride(0);
    if (center != nullptr) {
      pack_transposed<rows, P>(block, source, keys.stride(0), n, layout.depth,
                               [&](P x, std::int64_t k) { return x - detail::load_columns<P>(center + k, columns(k)); });
    } else {
      pack_transposed<rows, P>(block, source, keys.stride(0), n, layout.depth, as_stored{});
    }
    if constexpr (WantsNorms) {
      squared_norms<rows, P>(norms + j, block, layout.depth);
      for (int r = 0; r < n; ++r) largest = norms[j + r] > largest || norms[j + r] != norms[j + r] ? norms[j + r] : largest;
      for (int r = 0; r < rows; ++r) norms[j + r] *= norm_factor;
    }
  }
  const bool finite =
      pack_blocks<rows, P>(packed_values, std::int64_t{rows} * chunk, values.data_handle() + first * values.stride(0),
                           values.stride(0), count, layout.value_dim);
  return {to, packed_values, norms, first, count, largest, finite};
}

}  // namespace tessera::tile::detail
