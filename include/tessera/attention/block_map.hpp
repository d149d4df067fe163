// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What an opaque mask says of blocks of pairs: found once, and used by as many calls as the mask holds for.
#pragma once

#include <cstdint>

#include "tessera/attention/mapped.hpp"
#include "tessera/attention/mask.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// blocks[b, h, r, c] = what the mask says of queries [64 r, 64 r + 64) and keys [64 c, 64 c + 64): none, some or all of the pairs.
///
/// Shapes   blocks [batch, heads, map_extent(len_q), map_extent(len_k)]; of a mask that is the same for all of a batch or for all heads,
///          one of them is enough, and a view of stride 0 serves the call
/// Cost     every pair is asked once. A call then skips the tiles of blocks without a pair, and asks no pair of whole ones
/// Errors   argument_error before anything is written: extents, null data, elements on one another
template <executor Exec, class Mask, mdspan_like Blocks>
  requires(Blocks::rank() == 4)
void map_blocks(const Exec& exec, const Mask& mask, std::int64_t len_q, std::int64_t len_k, const Blocks& blocks) {
  const char* const function = "attention::map_blocks";
  const view<tile_class, 4> to(blocks);
  detail::check_map(function, to, len_q, len_k);
  const std::int64_t heads = to.extent(1);
  const std::int64_t rows = to.extent(2);
  exec.for_each(to.extent(0) * heads * rows, [&](int, std::int64_t item) {
    const std::int64_t b = item / rows / heads;
    const std::int64_t h = item / rows % heads;
    const std::int64_t r = item % rows;
    const auto head = detail::head_of(mask, b, h, len_q, len_k);
    const std::int64_t i1 = (r + 1) * map_rows < len_q ? (r + 1) * map_rows : len_q;
    for (std::int64_t c = 0; c < to.extent(3); ++c) {
      const std::int64_t j1 = (c + 1) * map_columns < len_k ? (c + 1) * map_columns : len_k;
      bool some = false;
      bool all = true;
      for (std::int64_t i = r * map_rows; i < i1; ++i) {
        for (std::int64_t j = c * map_columns; j < j1 && !(some && !all); ++j) {
          const bool seen = head.visible(i, j);
          some = some || seen;
          all = all && seen;
        }
      }
      to(b, h, r, c) = !some ? tile_class::none : all ? tile_class::all : tile_class::some;
    }
  });
}

}  // namespace tessera::attention
