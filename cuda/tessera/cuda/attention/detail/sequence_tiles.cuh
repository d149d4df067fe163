// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Tiles of rows of all sequences of a call, numbered so that a block of threads finds its own from offsets that only the device can read.
#pragma once

#include <cstdint>

#include "tessera/attention/index_view.hpp"
#include "tessera/core/config.hpp"

namespace tessera::cuda::attention::detail {

/// Rows of sequences in tiles of `rows`. Sequences of one length have as many tiles each; of ragged ones, tiles of sequence b are numbered from
/// offsets(b) / rows + b on. That leaves room for all of them, rises with b, and needs no sums: whose a number is, a search in the offsets tells.
/// Some numbers are nobody's.
struct sequence_tiles {
  int rows;
  std::int64_t batch;
  std::int64_t len;    ///< of every sequence; of ragged ones, the rows of all
  std::int64_t alike;  ///< tiles of every sequence; not used where there are offsets

  TESSERA_HD sequence_tiles(int tile_rows, std::int64_t sequences, std::int64_t length)
      : rows(tile_rows), batch(sequences), len(length), alike((length + tile_rows - 1) / tile_rows) {}

  /// One more than the largest number.
  [[nodiscard]] TESSERA_HD std::int64_t count(const tessera::attention::index_view<1>& offsets) const {
    return offsets.null() ? batch * alike : batch > 0 ? len / rows + batch : 0;
  }
  /// The number of the first tile of a sequence.
  [[nodiscard]] TESSERA_HD std::int64_t first(std::int64_t b, const tessera::attention::index_view<1>& offsets) const {
    return offsets.null() ? b * alike : offsets(b) / rows + b;
  }

  /// Whose a number is, and which of its tiles, that need not be there.
  struct owner {
    std::int64_t b;
    std::int64_t tile;
  };
  [[nodiscard]] TESSERA_HD owner owner_of(std::int64_t number, const tessera::attention::index_view<1>& offsets) const {
    if (offsets.null()) {
      const std::int64_t b = number / alike;
      return {b, number - b * alike};
    }
    std::int64_t low = 0;
    std::int64_t high = batch;
    while (high - low > 1) {
      const std::int64_t middle = low + (high - low) / 2;
      if (first(middle, offsets) <= number) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return {low, number - first(low, offsets)};
  }

  /// A tile: rows [row, last) of sequence b; none where last is not above row.
  struct place {
    std::int64_t b;
    std::int64_t row;
    std::int64_t last;
  };
  [[nodiscard]] TESSERA_HD place find(std::int64_t number, const tessera::attention::index_view<1>& offsets) const {
    const owner of_number = owner_of(number, offsets);
    return of(of_number.b, of_number.tile, offsets.null() ? len : offsets(of_number.b + 1) - offsets(of_number.b));
  }

 private:
  [[nodiscard]] TESSERA_HD place of(std::int64_t b, std::int64_t tile, std::int64_t length) const {
    const std::int64_t row = tile * rows;
    if (tile < 0 || row >= length) return {b, 0, 0};
    return {b, row, row + rows < length ? row + rows : length};
  }
};

}  // namespace tessera::cuda::attention::detail
