// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of random/: the same integers, then the textbook formulas with the standard library's functions.
/// `Real` is the type of the arithmetic; what it rounds is never the random integer, so that double is enough for float.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

namespace tessera::reference {

/// Philox4x32-10: ten rounds on the counter, the key growing by the Weyl constants between them.
inline std::array<std::uint32_t, 4> philox4x32_10(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) {
      key[0] += 0x9E3779B9u;
      key[1] += 0xBB67AE85u;
    }
    const std::uint64_t even = counter[0] * std::uint64_t{0xD2511F53u};
    const std::uint64_t odd = counter[2] * std::uint64_t{0xCD9E8D57u};
    counter = {static_cast<std::uint32_t>(odd >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(odd),
               static_cast<std::uint32_t>(even >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(even)};
  }
  return counter;
}

/// The four words at an address.
inline std::array<std::uint32_t, 4> philox(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x % 0x100000000u); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x / 0x100000000u); };
  return philox4x32_10({low(index), high(index), low(stream), high(stream)}, {low(seed), high(seed)});
}

/// The random word of number `index` of type T: one of four 32-bit words of block index / 4, or, for types of more than 24 digits,
/// one of two 64-bit words of block index / 2.
template <class T>
std::uint64_t random_word(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  if (std::numeric_limits<T>::digits <= 24) return philox(seed, stream, index / 4)[index % 4];
  const auto x = philox(seed, stream, index / 2);
  return x[2 * (index % 2)] + 0x100000000u * std::uint64_t{x[2 * (index % 2) + 1]};
}

/// The multiple of 2^-digits at or below word / 2^bits.
template <class T>
double uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const int digits = std::numeric_limits<T>::digits;
  const int bits = digits <= 24 ? 32 : 64;
  return std::ldexp(static_cast<double>(random_word<T>(seed, stream, index) >> (bits - digits)), -digits);
}

/// The midpoint of the cell of width 2^(1 - digits) that holds word / 2^bits.
template <class T>
double uniform_open(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const int digits = std::numeric_limits<T>::digits;
  const int bits = digits <= 24 ? 32 : 64;
  const std::uint64_t cell = random_word<T>(seed, stream, index) >> (bits - digits + 1);
  return std::ldexp(static_cast<double>(2 * cell + 1), -digits);
}

/// sqrt(-2 ln u) for u = n 2^-bits, n odd; from 1 - u where u is above 1/2: the integers have both exactly.
template <class Real>
Real normal_radius(std::uint64_t n, int bits) {
  const std::uint64_t rest = bits == 64 ? 0 - n : (std::uint64_t{1} << bits) - n;
  const Real log_u =
      n > rest ? std::log1p(-std::ldexp(static_cast<Real>(rest), -bits)) : std::log(std::ldexp(static_cast<Real>(n), -bits));
  return std::sqrt(-2 * log_u);
}

/// Cosine and sine of 2 pi (n + 1/2) 2^-bits. The quarter turns are taken off as integers, so that small results are right too.
template <class Real>
std::array<Real, 2> normal_direction(std::uint64_t n, int bits) {
  const std::uint64_t quarters = (n + (std::uint64_t{1} << (bits - 3))) >> (bits - 2);
  const auto rest = static_cast<std::int64_t>(n - (quarters << (bits - 2)));
  const Real angle = std::ldexp(static_cast<Real>(2 * rest + 1), -bits) * std::numbers::pi_v<Real>;
  const Real c = std::cos(angle);
  const Real s = std::sin(angle);
  switch (quarters % 4) {
    case 0:
      return {c, s};
    case 1:
      return {-s, c};
    case 2:
      return {-c, -s};
    default:
      return {s, -c};
  }
}

/// The standard normal number at an address, before the rounding to T.
template <class T, class Real = double>
Real normal(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const std::uint64_t a = random_word<T>(seed, stream, index / 2 * 2);
  const std::uint64_t b = random_word<T>(seed, stream, index / 2 * 2 + 1);
  Real radius{};
  std::array<Real, 2> direction{};
  if (std::numeric_limits<T>::digits <= 24) {
    radius = a >= 0x10000 ? normal_radius<Real>(a | 1, 32) : normal_radius<Real>((a * 0x10000 + b % 0x10000) | 1, 48);
    direction = normal_direction<Real>(b, 32);
  } else {
    radius = normal_radius<Real>(a | 1, 64);
    direction = normal_direction<Real>(b, 64);
  }
  return radius * direction[index % 2];
}

}  // namespace tessera::reference
