// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of random/brownian.hpp: Lévy's construction, middle after middle, without a Schauder function. A path has the seed,
/// stream, begin, end and depth of random::brownian_path.
#pragma once

#include <cmath>
#include <cstdint>

#include "tessera/reference/random.hpp"

namespace tessera::reference {

/// W(t) - W(begin): the interval around t is halved `depth` times, each middle the mean of its ends and a normal number of its own; what is
/// left is a line between the ends and a last normal number. T says whose normal numbers these are.
template <class T, class Real = double, class Path>
Real brownian(const Path& path, double t, std::uint64_t index) {
  const auto z = [&](std::uint64_t node) {
    const auto key = child(path.seed, path.stream, node);
    return normal<T, Real>(key[0], key[1], index);
  };
  auto a = static_cast<Real>(path.begin);
  auto c = static_cast<Real>(path.end);
  Real w_a = 0;
  Real w_c = std::sqrt(c - a) * z(0);
  std::uint64_t node = 1;
  for (int level = 0; level < path.depth; ++level) {
    const Real m = (a + c) / 2;
    const Real w_m = (w_a + w_c) / 2 + std::sqrt(c - a) / 2 * z(node);
    const bool lower = static_cast<Real>(t) < m;
    (lower ? c : a) = m;
    (lower ? w_c : w_a) = w_m;
    node = 2 * node + (lower ? 0 : 1);
  }
  const Real r = (static_cast<Real>(t) - a) / (c - a);
  return w_a + r * (w_c - w_a) + std::sqrt((c - a) * r * (1 - r)) * z(node);
}

/// W(t_b) - W(t_a).
template <class T, class Real = double, class Path>
Real brownian_increment(const Path& path, double t_a, double t_b, std::uint64_t index) {
  return brownian<T, Real>(path, t_b, index) - brownian<T, Real>(path, t_a, index);
}

/// The bridge from `from` to `to`: W without its end, on the line between the two.
template <class T, class Real = double, class Path>
Real brownian_bridge(const Path& path, double t, double from, double to, std::uint64_t index) {
  const auto begin = static_cast<Real>(path.begin);
  const Real s = (static_cast<Real>(t) - begin) / (static_cast<Real>(path.end) - begin);
  return (1 - s) * static_cast<Real>(from) + s * static_cast<Real>(to) + brownian<T, Real>(path, t, index) -
         s * brownian<T, Real>(path, path.end, index);
}

}  // namespace tessera::reference
