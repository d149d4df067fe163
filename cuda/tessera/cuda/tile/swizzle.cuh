// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Where the 16-byte chunks of a row stand in shared memory, so that eight rows read at one chunk touch every bank once.
#pragma once

#include "tessera/core/config.hpp"

namespace tessera::cuda::tile {

/// The largest power of two, at most 8, that divides n: chunks of a row are permuted in groups of so many.
TESSERA_HD constexpr int swizzle_group(int chunks) {
  int group = 1;
  while (group < 8 && chunks % (2 * group) == 0) group *= 2;
  return group;
}

/// The place of a chunk in its row: its number within its group, exclusive-or the number of the row among those that start in different
/// banks. Rows of 128 bytes and multiples change with every row, rows of 64 bytes with every second, since two of them fill the banks.
template <int Chunks>
TESSERA_HD constexpr int swizzled_chunk(int row, int chunk) {
  constexpr int group = swizzle_group(Chunks);
  return chunk ^ (row / (8 / group) & (group - 1));
}

}  // namespace tessera::cuda::tile
