// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A mask with a map of blocks of pairs (block_map.hpp makes it): what the map knows of a tile is not asked of pairs.
#pragma once

#include <cstdint>

#include "tessera/attention/mask.hpp"
#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// Queries and keys of a block.
inline constexpr std::int64_t map_rows = 64;
inline constexpr std::int64_t map_columns = 64;

/// Extents of the map of len_q queries and len_k keys.
TESSERA_HD constexpr std::int64_t map_extent(std::int64_t length) { return (length + map_rows - 1) / map_rows; }
static_assert(map_rows == map_columns);

namespace detail {

template <class Head>
struct mapped_head {
  Head head;
  view<const tile_class, 2> blocks;

  [[nodiscard]] TESSERA_HD key_range keys(std::int64_t i0, std::int64_t i1, std::int64_t n_keys) const {
    std::int64_t first = blocks.extent(1);
    std::int64_t last = 0;
    for (std::int64_t r = i0 / map_rows; r * map_rows < i1; ++r) {
      std::int64_t c = 0;
      while (c < first && blocks(r, c) == tile_class::none) ++c;
      first = c < first ? c : first;
      for (c = blocks.extent(1); c > last && blocks(r, c - 1) == tile_class::none;) --c;
      last = c > last ? c : last;
    }
    const std::int64_t end = last * map_columns < n_keys ? last * map_columns : n_keys;
    return {first * map_columns < end ? first * map_columns : end, end};
  }
  [[nodiscard]] TESSERA_HD tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    const tile_class first = blocks(i0 / map_rows, j0 / map_columns);
    for (std::int64_t r = i0 / map_rows; r * map_rows < i1; ++r) {
      for (std::int64_t c = j0 / map_columns; c * map_columns < j1; ++c) {
        if (blocks(r, c) != first) return tile_class::some;
      }
    }
    return first;
  }
  template <class I>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE auto visible(I i, I j) const {
    return head.visible(i, j);
  }
};

/// Refuses a map to be filled that is not of such lengths.
TESSERA_ALWAYS_INLINE void check_map(const char* function, const view<tile_class, 4>& to, std::int64_t len_q,
                                     std::int64_t len_k) {
  tessera::detail::check_readable(to, function, "blocks");
  tessera::detail::check_distinct(to, function, "blocks");
  tessera::detail::expects(
      len_q >= 0 && len_k >= 0 && to.extent(2) == map_extent(len_q) && to.extent(3) == map_extent(len_k), function, "blocks",
      [&] { return "shape " + tessera::detail::shape(to); }, "needs [batch, heads, map_extent(len_q), map_extent(len_k)]");
}

}  // namespace detail

/// A mask with its map: what the map knows of a tile is not asked of pairs. See map_blocks.
///
/// Shapes  blocks [batch, heads, map_extent(len_q), map_extent(len_k)], any strides: 0 broadcasts
template <class Mask>
struct mapped {
  Mask mask;
  view<const tile_class, 4> blocks;

  [[nodiscard]] TESSERA_HD auto head(std::int64_t b, std::int64_t h, std::int64_t len_q, std::int64_t len_k) const {
    return detail::mapped_head<decltype(detail::head_of(mask, b, h, len_q, len_k))>{detail::head_of(mask, b, h, len_q, len_k),
                                                                                    blocks[b][h]};
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const {
    detail::check_part(mask, function, s);
    detail::check_extents(blocks, {s.batch, s.heads, map_extent(s.len_q), map_extent(s.len_k)}, function, "options.mask.blocks",
                          "needs [batch, heads, map_extent(len_q), map_extent(len_k)]");
  }
};
template <class Mask, class Blocks>
mapped(Mask, const Blocks&) -> mapped<Mask>;

}  // namespace tessera::attention
