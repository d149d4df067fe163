// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Parts of a matrix, and its transpose, as views.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::training::detail {

/// Rows [first, first + n) of a matrix, and the matrix with its axes exchanged.
template <class T>
[[nodiscard]] TESSERA_ALWAYS_INLINE view<T, 2> some_rows(const view<T, 2>& v, std::int64_t first, std::int64_t n) {
  return {v.data_handle() + first * v.stride(0), {n, v.extent(1)}, {v.stride(0), v.stride(1)}};
}
template <class T>
[[nodiscard]] TESSERA_ALWAYS_INLINE view<T, 2> exchanged(const view<T, 2>& v) {
  // A row of one element may have any stride; as a column it counts.
  return {v.data_handle(), {v.extent(1), v.extent(0)}, {1, v.stride(0)}};
}

}  // namespace tessera::training::detail
