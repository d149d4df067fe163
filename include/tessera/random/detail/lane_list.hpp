// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Lists of the addresses of a group that rejection has still to do.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"

namespace tessera::random::detail {

/// The addresses of a group of `Group` that are left, in rising order.
template <std::size_t Group>
struct lane_list {
  static constexpr std::size_t batch = 16;  ///< taken at a time; the list is padded to a multiple of it with its last entry

  std::uint16_t at[Group + batch];
  std::size_t size = 0;

  TESSERA_ALWAYS_INLINE void add_if(std::size_t lane, bool add) noexcept {
    at[size] = static_cast<std::uint16_t>(lane);
    size += add ? 1u : 0u;
  }
  TESSERA_ALWAYS_INLINE void pad() noexcept {
    for (std::size_t i = size; i % batch != 0; ++i) at[i] = at[size - 1];
  }
};

}  // namespace tessera::random::detail
