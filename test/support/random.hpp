// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Test data addressed by (seed, index), so that a case does not depend on what ran before it.
#pragma once

#include <cmath>
#include <cstdint>

namespace support {

/// 64 well mixed bits (the finaliser of SplitMix64).
inline std::uint64_t bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t x = seed * 0x9E3779B97F4A7C15u + index * 0xD1B54A32D192ED03u + 0x632BE59BD9B4E019u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// An integer in [0, n).
inline std::int64_t below(std::uint64_t seed, std::uint64_t index, std::int64_t n) {
  return static_cast<std::int64_t>(bits(seed, index) % static_cast<std::uint64_t>(n));
}

/// A number in [-1, 1).
inline double uniform(std::uint64_t seed, std::uint64_t index) {
  return static_cast<double>(bits(seed, index) >> 11) * 0x1p-52 - 1;
}

/// A standard normal number.
inline double normal(std::uint64_t seed, std::uint64_t index) {
  const double u = (uniform(seed, 2 * index) + 1) / 2 + 0x1p-54;
  return std::sqrt(-2 * std::log(u)) * std::cos(3.141592653589793 * uniform(seed, 2 * index + 1));
}

/// n -> factor times a normal number, to fill arrays with.
inline auto normals(std::uint64_t seed, double factor = 1) {
  return [=](std::uint64_t n) { return factor * normal(seed, n); };
}

/// Of random sign, with an exponent spread evenly over [low, high): sums of such numbers live on few of their terms.
inline double spread(std::uint64_t seed, std::uint64_t index, int low, int high) {
  return uniform(seed, index) * std::exp2(static_cast<double>(low) + static_cast<double>(below(seed + 1, index, high - low)));
}

}  // namespace support
