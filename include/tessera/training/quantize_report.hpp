// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a pass that quantised a tensor found out.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"

namespace tessera::training {

/// What quantising found. Reports of parts of a tensor join by `add`.
struct quantize_report {
  float amax = 0;               ///< the largest magnitude, not scaled; NaN where an element is NaN
  std::int64_t elements = 0;    ///< in all
  std::int64_t zeros = 0;       ///< that were 0
  std::int64_t underflows = 0;  ///< that were not 0, and are now
  std::int64_t overflows = 0;   ///< that were too large, infinities among them, and have become the largest number of the format
  std::int64_t bad_blocks = 0;  ///< of scaled blocks: those that hold an infinity or NaN, and have become NaN

  /// Joins what was found elsewhere.
  TESSERA_HD constexpr void add(const quantize_report& more) {
    if (more.amax > amax || more.amax != more.amax) amax = more.amax;
    elements += more.elements;
    zeros += more.zeros;
    underflows += more.underflows;
    overflows += more.overflows;
    bad_blocks += more.bad_blocks;
  }
};

}  // namespace tessera::training
