// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Where the rows of matrices lie, as query_block.cuh asks for them.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::tile {

/// Whether rows are copied in chunks of 16 bytes.
template <bool Aligned>
using aligned_rows = std::bool_constant<Aligned>;

/// Queries [first, last) of a matrix, all keys and values of two others; of values the columns from `column` on.
template <class Q, class K, class V, bool Aligned>
class operand_rows {
 public:
  static constexpr bool aligned = Aligned;

  TESSERA_DEVICE operand_rows(const view<const Q, 2>& queries, std::int64_t first, std::int64_t last,
                              const view<const K, 2>& keys, const view<const V, 2>& values, std::int64_t column,
                              aligned_rows<Aligned>)
      : queries_(queries), keys_(keys), values_(values), first_(first), last_(last), column_(column) {}

  [[nodiscard]] TESSERA_DEVICE const Q* query(int r) const {
    return first_ + r < last_ ? queries_.data_handle() + (first_ + r) * queries_.stride(0) : nullptr;
  }
  [[nodiscard]] TESSERA_DEVICE const K* key(std::int64_t j) const { return keys_.data_handle() + j * keys_.stride(0); }
  [[nodiscard]] TESSERA_DEVICE const V* value(std::int64_t j) const {
    return values_.data_handle() + j * values_.stride(0) + column_;
  }
  [[nodiscard]] TESSERA_DEVICE int depth() const { return static_cast<int>(queries_.extent(1)); }
  [[nodiscard]] TESSERA_DEVICE int value_dim() const { return static_cast<int>(values_.extent(1) - column_); }

 private:
  const view<const Q, 2>& queries_;
  const view<const K, 2>& keys_;
  const view<const V, 2>& values_;
  std::int64_t first_;
  std::int64_t last_;
  std::int64_t column_;
};

namespace detail {

/// Whether every row of a matrix begins at a multiple of 16 bytes.
template <class T>
bool rows_begin_at_chunks(const view<const T, 2>& m) {
  constexpr std::int64_t chunk = 16 / static_cast<std::int64_t>(sizeof(T));
  return reinterpret_cast<std::uintptr_t>(m.data_handle()) % 16 == 0 && (m.extent(0) <= 1 || m.stride(0) % chunk == 0);
}

/// Whether the rows of a contraction are of the type that products take.
template <class Element, class Problem>
inline constexpr bool rows_may_be_copied = std::is_same_v<value_type_of<decltype(Problem::queries)>, Element> &&
                                           std::is_same_v<value_type_of<decltype(Problem::keys)>, Element> &&
                                           std::is_same_v<value_type_of<decltype(Problem::values)>, Element>;

}  // namespace detail
}  // namespace tessera::cuda::tile
