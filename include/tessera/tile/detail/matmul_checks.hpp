// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a matrix product asks of its arguments, on every device.
#pragma once

#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::tile::detail {

/// A matrix operand may be stored by rows or by columns.
template <class T>
TESSERA_ALWAYS_INLINE void check_matrix(const view<T, 2>& v, const char* argument) {
  tessera::detail::check_readable(v, "matmul", argument);
  tessera::detail::expects(
      v.stride(0) == 1 || v.stride(1) == 1 || v.size() <= 1, "matmul", argument,
      [&] { return "strides " + std::to_string(v.stride(0)) + ", " + std::to_string(v.stride(1)); },
      "needs rows or columns that are contiguous (a stride of 1)");
}

/// Refuses what is no product c = a b, or has no memory of its own to go to.
template <class TA, class TB, class TC>
TESSERA_ALWAYS_INLINE void check_matmul(const view<const TA, 2>& a, const view<const TB, 2>& b, const view<TC, 2>& c) {
  check_matrix(a, "a");
  check_matrix(b, "b");
  tessera::detail::check_output(c, "matmul", "c");
  tessera::detail::expects(
      a.extent(1) == b.extent(0), "matmul", "b", [&] { return "shape " + tessera::detail::shape(b); },
      "needs [k, n] with a of [m, k]");
  tessera::detail::expects(
      c.extent(0) == a.extent(0) && c.extent(1) == b.extent(1), "matmul", "c",
      [&] { return "shape " + tessera::detail::shape(c); }, "needs [m, n]");
  tessera::detail::check_disjoint(c, a, "matmul", "c", "a");
  tessera::detail::check_disjoint(c, b, "matmul", "c", "b");
}

}  // namespace tessera::tile::detail
