// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Where the sequences of a ragged batch lie.
#pragma once

#include "tessera/attention/index_view.hpp"

namespace tessera::attention {

/// Where the sequences of a batch begin: queries of sequence b are the rows [query_offsets(b), query_offsets(b + 1)), keys likewise
/// (FlashAttention's cu_seqlens). A row belongs to one sequence or to none.
struct ragged {
  index_view<1> query_offsets{};  ///< [batch + 1] int32 or int64
  index_view<1> key_offsets{};    ///< [batch + 1] int32 or int64; none where the keys are in a cache
};

}  // namespace tessera::attention
