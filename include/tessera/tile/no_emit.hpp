// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a contraction does with the finished state of a row where nobody asks for it.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"

namespace tessera {

/// Drops the finished state of a row.
struct no_emit {
  template <class Result>
  TESSERA_HD void operator()(std::int64_t, const Result&) const {}
};

}  // namespace tessera
