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

namespace detail {

/// A position as the index type of a pack or number: numbers beyond its range become its ends.
template <class I>
TESSERA_HD TESSERA_ALWAYS_INLINE I saturated_index(std::int64_t x) {
  if constexpr (requires { typename I::value_type; }) {
    using V = typename I::value_type;
    if constexpr (sizeof(V) == 4) {
      constexpr std::int64_t end = 0x7FFFFFFF;
      return I(static_cast<V>(x > end ? end : (x < -end ? -end : x)));
    } else {
      return I(static_cast<V>(x));
    }
  } else if constexpr (sizeof(I) == 4) {
    constexpr std::int64_t end = 0x7FFFFFFF;
    return static_cast<I>(x > end ? end : (x < -end ? -end : x));
  } else {
    return static_cast<I>(x);
  }
}

/// a and b, a or b: of bool, or of masks of packs.
template <class M>
TESSERA_HD TESSERA_ALWAYS_INLINE M both(M a, M b) {
  return static_cast<M>(a & b);
}
template <class M>
TESSERA_HD TESSERA_ALWAYS_INLINE M either(M a, M b) {
  return static_cast<M>(a | b);
}

}  // namespace detail

/// Query i sees the keys of a window around the diagonal, low <= j - i <= high, and the keys j < prefix besides.
struct band_mask {
  /// No bound; sums with positions stay in range.
  static constexpr std::int64_t unbounded = std::int64_t{1} << 60;

  std::int64_t low = -unbounded;
  std::int64_t high = unbounded;
  std::int64_t prefix = 0;

  [[nodiscard]] TESSERA_HD key_range keys(std::int64_t i0, std::int64_t i1, std::int64_t n_keys) const {
    const auto inside = [=](std::int64_t j) { return j < 0 ? 0 : (j < n_keys ? j : n_keys); };
    const std::int64_t first = prefix > 0 ? 0 : inside(i0 + low);
    const std::int64_t last = inside(i1 + high);
    const std::int64_t end = inside(prefix) > last ? inside(prefix) : last;
    return {first < end ? first : end, end};
  }
  [[nodiscard]] TESSERA_HD tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    if (j1 <= prefix) return tile_class::all;
    const std::int64_t least = j0 - (i1 - 1);
    const std::int64_t most = j1 - 1 - i0;
    if (least >= low && most <= high) return tile_class::all;
    return (most < low || least > high) && j0 >= prefix ? tile_class::none : tile_class::some;
  }
  template <class I>
  [[nodiscard]] TESSERA_HD auto visible(I i, I j) const {
    const I distance = j - i;
    const auto inside = detail::both(distance >= detail::saturated_index<I>(low), distance <= detail::saturated_index<I>(high));
    return detail::either(inside, j < detail::saturated_index<I>(prefix));
  }
};

/// Query i sees the keys j <= i + offset.
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr band_mask causal_mask(std::int64_t offset = 0) { return {.high = offset}; }

}  // namespace tessera
