// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Which keys a query sees. A mask answers for a single pair, for a range, and for a whole tile, so that hidden tiles cost
/// nothing and visible ones pay nothing.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera {

/// What a mask says of a tile of pairs.
enum class tile_class : std::uint8_t { none, some, all };

/// Keys [first, last).
struct key_range {
  std::int64_t first;
  std::int64_t last;
};

/// Every query sees every key.
struct no_mask {
  [[nodiscard]] TESSERA_HD key_range keys(std::int64_t, std::int64_t, std::int64_t n_keys) const { return {0, n_keys}; }
  [[nodiscard]] TESSERA_HD tile_class classify(std::int64_t, std::int64_t, std::int64_t, std::int64_t) const {
    return tile_class::all;
  }
  template <class I>
  [[nodiscard]] TESSERA_HD auto visible(I i, I) const {
    return i == i;
  }
};

/// Query i sees the keys j <= i + offset.
struct causal_mask {
  std::int64_t offset = 0;

  /// The keys that some query of [i0, i1) sees.
  [[nodiscard]] TESSERA_HD key_range keys(std::int64_t, std::int64_t i1, std::int64_t n_keys) const {
    const std::int64_t last = i1 + offset;
    return {0, last < 0 ? 0 : (last < n_keys ? last : n_keys)};
  }
  [[nodiscard]] TESSERA_HD tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    if (j1 - 1 <= i0 + offset) return tile_class::all;
    return j0 > i1 - 1 + offset ? tile_class::none : tile_class::some;
  }
  template <class I>
  [[nodiscard]] TESSERA_HD auto visible(I i, I j) const {
    using V = decltype(offset_as(i));
    return j <= i + I(static_cast<V>(offset));
  }

 private:
  template <class I>
  TESSERA_HD static auto offset_as(I) {
    if constexpr (requires { typename I::value_type; }) {
      return typename I::value_type{};
    } else {
      return I{};
    }
  }
};

}  // namespace tessera
