// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows of sequences of one length as the array they are, for tensor copies.
#pragma once

#include <cstdint>

#include "tessera/attention/detail/sequences.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

/// [batch, heads, length, dim] of rows that lie so.
template <class S>
view<const S, 4> as_array(const tessera::attention::detail::sequence_rows<const S>& rows, std::int64_t batch, std::int64_t heads,
                          std::int64_t length, std::int64_t dim) {
  return {rows.data, {batch, heads, length, dim}, {rows.sequence, rows.head, rows.row, 1}};
}

}  // namespace tessera::cuda::attention::detail
