// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Tables of rotary position embedding for tests.
#pragma once

#include <cstdint>

#include "../support/array.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/attention/rotary_tables.hpp"
#include "tessera/attention/rotate.hpp"

namespace rotary_test {

inline constexpr tessera::attention::rotary_layout layouts[] = {tessera::attention::rotary_layout::halves,
                                                                tessera::attention::rotary_layout::interleaved};

struct tables {
  support::array<float, 2> cos;
  support::array<float, 2> sin;

  tables(std::int64_t positions, std::int64_t dims, std::int64_t gap = 0)
      : cos({positions, dims / 2}, {gap}), sin({positions, dims / 2}, {gap}) {
    tessera::attention::fill_rotary_tables(tessera::seq, cos.view(), sin.view());
  }
  [[nodiscard]] tessera::attention::rotary with(tessera::attention::rotary_layout layout) const {
    return {.cos = cos.view(), .sin = sin.view(), .layout = layout};
  }
};

}  // namespace rotary_test
