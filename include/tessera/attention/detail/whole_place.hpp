// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Where a call stands among the queries and keys of the whole that it is a part of: what dropout addresses pairs by.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"

namespace tessera::attention::detail {

/// Where the queries and keys of a call stand in the whole.
struct whole_place {
  std::int64_t first_query;
  std::int64_t first_key;
  std::int64_t len_q;  ///< of the whole
};
/// A mask tells: that of a part (part.hpp) has an overload of its own; other calls are whole.
template <class Mask>
TESSERA_ALWAYS_INLINE whole_place place_in_whole(const Mask&, std::int64_t len_q) {
  return {0, 0, len_q};
}

}  // namespace tessera::attention::detail
