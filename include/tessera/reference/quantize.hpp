// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Quantisation by search: the nearest of all the numbers that a narrow format has; scales of blocks as their papers have them.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tessera/numeric/e8m0.hpp"
#include "tessera/numeric/traits.hpp"

namespace tessera::reference {

/// Of all finite numbers of S the nearest to y, of two equally near the one with an even code, of y's sign; NaN stays NaN where S has it,
/// and is the largest number elsewhere.
template <class S>
S nearest_number(double y) {
  using format = format_of_t<S>;
  using bits = typename format::bits_type;
  if (std::isnan(y)) return std::numeric_limits<S>::quiet_NaN();
  const double magnitude = std::fabs(y);
  if (magnitude >= static_cast<double>(max_finite<S>())) return std::signbit(y) ? -max_finite<S>() : max_finite<S>();
  bits best = 0;
  double distance = magnitude;
  for (int code = 1; code <= format::max_finite; ++code) {
    const double apart = std::fabs(static_cast<double>(from_bits<S>(static_cast<bits>(code))) - magnitude);
    if (apart < distance || (apart == distance && code % 2 == 0)) {
      best = static_cast<bits>(code);
      distance = apart;
    }
  }
  return from_bits<S>(static_cast<bits>(best | (std::signbit(y) ? format::sign_mask : bits{0})));
}

/// The exponent of the scale of a block of S whose largest magnitude is amax: OCP Microscaling Formats (MX) 1.0, section 6.3, with the 8 bits
/// of its scale; or, rounded up, the least by which no number of the block is too large.
template <class S>
int mx_exponent(double amax, bool up) {
  if (amax == 0) return -127;
  int exponent = std::ilogb(amax) - format_of_t<S>::max_exponent;
  if (up && amax > std::ldexp(static_cast<double>(max_finite<S>()), exponent)) exponent += 1;
  return exponent < -127 ? -127 : exponent > 127 ? 127 : exponent;
}

/// A row in blocks: its codes, and for each block what they are multiplied by; of a block with an infinity or NaN all is NaN.
template <class S>
void quantize_mx(const std::vector<double>& row, std::int64_t block, bool up, std::vector<S>& codes,
                 std::vector<double>& scales) {
  const auto length = static_cast<std::int64_t>(row.size());
  codes.assign(row.size(), S());
  scales.clear();
  for (std::int64_t begin = 0; begin < length; begin += block) {
    const std::int64_t end = begin + block < length ? begin + block : length;
    double amax = 0;
    bool bad = false;
    for (std::int64_t i = begin; i < end; ++i) {
      const double x = std::fabs(row[static_cast<std::size_t>(i)]);
      bad = bad || !std::isfinite(x);
      amax = x > amax ? x : amax;
    }
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const int exponent = bad ? 0 : mx_exponent<S>(amax, up);
    scales.push_back(bad ? nan : std::ldexp(1.0, exponent));
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      codes[at] = nearest_number<S>(bad ? nan : std::ldexp(row[at], -exponent));
    }
  }
}

}  // namespace tessera::reference
