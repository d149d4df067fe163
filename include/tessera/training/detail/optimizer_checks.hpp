// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What every optimiser asks of its numbers, and makes of them.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/training/weights.hpp"

namespace tessera::training::detail {

/// x^n for n from 0, by squaring: the same bits on host and device.
TESSERA_HD constexpr double integer_power(double x, std::int64_t n) {
  double result = 1;
  for (; n > 0; n >>= 1, x *= x) {
    if ((n & 1) != 0) result *= x;
  }
  return result;
}

TESSERA_ALWAYS_INLINE void check_step(const char* function, std::int64_t step) {
  tessera::detail::expects(
      step >= 1 && step < most_steps, function, "step", [&] { return std::to_string(step); },
      "needs the number of this step, from 1 to below 2^40");
}

TESSERA_ALWAYS_INLINE void check_at_least_0(const char* function, const char* argument, double x) {
  tessera::detail::expects(
      x >= 0 && x <= std::numeric_limits<double>::max(), function, argument, [&] { return tessera::detail::number(x); },
      "needs a finite number of at least 0");
}

TESSERA_ALWAYS_INLINE void check_rate(const char* function, double x) { check_at_least_0(function, "options.rate", x); }

TESSERA_ALWAYS_INLINE void check_beta(const char* function, const char* argument, double x) {
  tessera::detail::expects(
      x >= 0 && x < 1, function, argument, [&] { return tessera::detail::number(x); }, "needs a number from 0 to below 1");
}

TESSERA_ALWAYS_INLINE void check_finite(const char* function, const char* argument, double x) {
  tessera::detail::expects(x - x == 0, function, argument, [&] { return tessera::detail::number(x); }, "needs a finite number");
}

}  // namespace tessera::training::detail
