// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Which query of which head the rows of one unit of work are, and what they see.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tessera/attention/detail/few_shape.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/shape.hpp"

namespace tessera::attention::detail {

/// Some rows of one key head: row r is query (first + r) / group of the group's head (first + r) % group.
template <class T, class Arch, class Heads>
struct unit_rows {
  using shape = few_shape<T, Arch>;
  static constexpr int chunk = tile::value_chunk;

  const Heads& heads;
  std::int64_t group;
  std::int64_t b;
  std::int64_t head0;  ///< of the group
  std::int64_t first;
  std::int64_t count;
  std::int64_t len_q;
  std::int64_t len_k;

  [[nodiscard]] std::int64_t head(std::int64_t r) const { return head0 + (first + r) % group; }
  [[nodiscard]] std::int64_t query(std::int64_t r) const { return (first + r) / group; }
  [[nodiscard]] auto mask(std::int64_t r) const { return heads.mask(b, head(r), len_q, len_k); }
  [[nodiscard]] auto score(std::int64_t r) const { return heads.score(b, head(r), len_q, len_k); }
  /// Rows of a block.
  [[nodiscard]] int used(std::int64_t block) const {
    return static_cast<int>(std::min<std::int64_t>(shape::rows, count - block * shape::rows));
  }
  /// Keys of chunk c.
  [[nodiscard]] int chunk_size(std::int64_t c) const {
    return static_cast<int>(std::min<std::int64_t>(chunk, len_k - c * chunk));
  }

  /// The keys that some row sees.
  [[nodiscard]] key_range range() const {
    key_range all{len_k, 0};
    for (std::int64_t r = 0; r < count; ++r) {
      const std::int64_t i = query(r);
      const key_range mine = mask(r).keys(i, i + 1, len_k);
      if (mine.first >= mine.last) continue;
      all = {std::min(all.first, mine.first), std::max(all.last, mine.last)};
    }
    return all;
  }

  /// seen[block] and classes[row] = what every block and row sees of chunk c; the hull of all.
  key_range look(std::int64_t c, key_range* seen_by, tile_class* classes) const {
    const std::int64_t key0 = c * chunk;
    const int keys_there = chunk_size(c);
    key_range all{keys_there, 0};
    for (std::int64_t block = 0; block * shape::rows < count; ++block) {
      key_range& seen = seen_by[block] = {keys_there, 0};
      for (std::int64_t r = block * shape::rows; r < block * shape::rows + used(block); ++r) {
        const std::int64_t i = query(r);
        const auto of_row = mask(r);
        tile_class& mine = classes[r] = of_row.classify(i, i + 1, key0, key0 + keys_there);
        if (mine == tile_class::none) continue;
        key_range keys{0, keys_there};
        if (mine == tile_class::some) {
          keys = of_row.keys(i, i + 1, key0 + keys_there);
          keys = {std::max<std::int64_t>(0, keys.first - key0), keys.last - key0};
          if (keys.first >= keys.last) {
            mine = tile_class::none;
            continue;
          }
        }
        seen = {std::min(seen.first, keys.first), std::max(seen.last, keys.last)};
      }
      if (seen.first < seen.last) all = {std::min(all.first, seen.first), std::max(all.last, seen.last)};
    }
    return all;
  }
};

}  // namespace tessera::attention::detail
