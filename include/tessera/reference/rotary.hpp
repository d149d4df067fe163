// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of attention/rotary.hpp, rotate.hpp and rotary_tables.hpp.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/attention/rotary.hpp"
#include "tessera/reference/contraction.hpp"
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
  a = by.first_dim + (halves ? m : 2 * m);
  b = by.first_dim + (halves ? m + by.dims() / 2 : 2 * m + 1);
}

/// x [batch, heads, len, dim], contiguous, row i rotated as at position first + i, or rotated back.
template <class Real = double, class T>
std::vector<Real> rotated(const view<T, 4>& x, const tessera::attention::rotary& by, std::int64_t first, bool back = false) {
  std::vector<Real> result;
  for (std::int64_t n = 0; n < x.extent(0); ++n) {
    for (std::int64_t h = 0; h < x.extent(1); ++h) {
      for (std::int64_t i = 0; i < x.extent(2); ++i) {
        const std::size_t row = result.size();
        for (std::int64_t d = 0; d < x.extent(3); ++d) {
          result.push_back(widened<Real>(x(n, h, i, d)));
        }
        for (std::int64_t m = 0; m < by.dims() / 2; ++m) {
          std::int64_t a;
          std::int64_t b;
          rotary_pair(by, m, a, b);
          const Real c = static_cast<Real>(by.cos(first + i, m));
          const Real s = static_cast<Real>(back ? -by.sin(first + i, m) : by.sin(first + i, m));
          Real& first_element = result[row + static_cast<std::size_t>(a)];
          Real& second_element = result[row + static_cast<std::size_t>(b)];
          const Real rotated_element = first_element * c - second_element * s;
          second_element = second_element * c + first_element * s;
          first_element = rotated_element;
        }
      }
    }
  }
  return result;
}

/// f(q, k, options without rotary), q and k rotated as the option says, in Real.
template <class Real, class Q, class K, class Options, class F>
void with_rotated(const view<Q, 4>& q, const view<K, 4>& k, const Options& options, const F& f) {
  using tessera::attention::rotary;
  const rotary& by = options.rotary;
  Options rest = options;
  rest.rotary = {};
  rotary none;
  static constexpr float nothing = 0;
  none.cos = view<const float, 2>(&nothing, 0, 0);
  const auto rows = rotated<Real>(q, by.queries ? by : none, by.query_position(q.extent(2), k.extent(2)));
  const auto keys = rotated<Real>(k, by.keys ? by : none, by.first_key);
  f(view<const Real, 4>(rows.data(), q.extent(0), q.extent(1), q.extent(2), q.extent(3)),
    view<const Real, 4>(keys.data(), k.extent(0), k.extent(1), k.extent(2), k.extent(3)), static_cast<const Options&>(rest));
}

}  // namespace tessera::reference
