// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of attention/rotary.hpp, rotate.hpp and rotary_tables.hpp.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/attention/rotary.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::reference {

/// The angle of pair m at a position: position / factor * base^(-2 m / dims).
template <class Real = double>
Real rotary_angle(std::int64_t position, std::int64_t m, std::int64_t dims, double base, double factor) {
  return static_cast<Real>(position) / static_cast<Real>(factor) *
         std::pow(static_cast<Real>(base), static_cast<Real>(-2 * m) / static_cast<Real>(dims));
}

/// The elements of pair m of a row.
inline void rotary_pair(const tessera::attention::rotary& by, std::int64_t m, std::int64_t& a, std::int64_t& b) {
  const bool halves = by.layout == tessera::attention::rotary_layout::halves;
  a = halves ? m : 2 * m;
  b = halves ? m + by.dims() / 2 : 2 * m + 1;
}

/// x [batch, heads, len, dim], contiguous, row i turned as at position first + i, or turned back.
template <class Real = double, class T>
std::vector<Real> rotated(const view<T, 4>& x, const tessera::attention::rotary& by, std::int64_t first, bool back = false) {
  std::vector<Real> result;
  for (std::int64_t n = 0; n < x.extent(0); ++n) {
    for (std::int64_t h = 0; h < x.extent(1); ++h) {
      for (std::int64_t i = 0; i < x.extent(2); ++i) {
        const std::size_t row = result.size();
        for (std::int64_t d = 0; d < x.extent(3); ++d) {
          result.push_back(static_cast<Real>(static_cast<double>(x(n, h, i, d))));
        }
        for (std::int64_t m = 0; m < by.dims() / 2; ++m) {
          std::int64_t a;
          std::int64_t b;
          rotary_pair(by, m, a, b);
          const Real c = static_cast<Real>(by.cos(first + i, m));
          const Real s = static_cast<Real>(back ? -by.sin(first + i, m) : by.sin(first + i, m));
          Real& first_element = result[row + static_cast<std::size_t>(a)];
          Real& second_element = result[row + static_cast<std::size_t>(b)];
          const Real turned = first_element * c - second_element * s;
          second_element = second_element * c + first_element * s;
          first_element = turned;
        }
      }
    }
  }
  return result;
}

}  // namespace tessera::reference
