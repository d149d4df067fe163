// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Tables of rotary position embedding for tests.
#pragma once

#include <cmath>
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
#if TESSERA_CUDA_COMPILER  // which takes no kernel of the CPU's
    for (std::int64_t p = 0; p < positions; ++p) {
      for (std::int64_t m = 0; m < dims / 2; ++m) {
        const double angle = static_cast<double>(p) * std::pow(10000.0, -2 * static_cast<double>(m) / static_cast<double>(dims));
        cos(p, m) = static_cast<float>(std::cos(angle));
        sin(p, m) = static_cast<float>(std::sin(angle));
      }
    }
#else
    tessera::attention::fill_rotary_tables(tessera::seq, cos.view(), sin.view());
#endif
  }
  [[nodiscard]] tessera::attention::rotary with(tessera::attention::rotary_layout layout) const {
    return {.cos = cos.view(), .sin = sin.view(), .layout = layout};
  }
};

}  // namespace rotary_test
