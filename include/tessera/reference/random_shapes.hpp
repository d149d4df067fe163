// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of the random numbers with parameters: the same integers, then the textbook formulas in Real with the standard
/// library's functions. Where a decision falls on a rounding, the two may decide differently: once in 10^12 or so.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tessera/reference/random.hpp"

namespace tessera::reference {

/// Block `number` of what belongs to the address whose own words are `own`.
inline std::array<std::uint32_t, 4> private_block(const std::array<std::uint32_t, 4>& own, std::uint64_t number) {
  return philox4x32_10(
      {static_cast<std::uint32_t>(number % 0x100000000u), static_cast<std::uint32_t>(number / 0x100000000u), own[2], own[3]},
      {own[0], own[1]});
}

/// (2 w + 1) / 2^33.
template <class Real>
Real midpoint(std::uint32_t w) {
  return std::ldexp(static_cast<Real>(2 * std::uint64_t{w} + 1), -33);
}

/// The normal numbers 2 pair and 2 pair + 1 of a block: of two of its four words (digits up to 24) or of all.
template <class T, class Real>
std::array<Real, 2> normals_of_block(const std::array<std::uint32_t, 4>& w, std::size_t pair) {
  Real radius{};
  std::array<Real, 2> direction{};
  if (std::numeric_limits<T>::digits <= 24) {
    const std::uint32_t a = w[2 * pair];
    const std::uint32_t b = w[2 * pair + 1];
    radius =
        a >= 0x10000 ? normal_radius<Real>(a | 1, 32) : normal_radius<Real>((a * std::uint64_t{0x10000} + b % 0x10000) | 1, 48);
    direction = normal_direction<Real>(b, 32);
  } else {
    radius = normal_radius<Real>(join(w[0], w[1]) | 1, 64);
    direction = normal_direction<Real>(join(w[2], w[3]), 64);
  }
  return {radius * direction[0], radius * direction[1]};
}

/// The block of the normal number of a gamma number's first attempt, and the word that decides on it: 256 indices have 64 blocks of
/// four normal numbers or 128 of two, then 64 of words.
template <class T>
std::array<std::uint32_t, 4> gamma_own_block(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const bool narrow = std::numeric_limits<T>::digits <= 24;
  return philox(seed, stream, index / 256 * (narrow ? 128 : 192) + index % 256 / (narrow ? 4 : 2));
}
template <class T>
std::uint32_t gamma_word(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const bool narrow = std::numeric_limits<T>::digits <= 24;
  return philox(seed, stream, index / 256 * (narrow ? 128 : 192) + (narrow ? 64 : 128) + index % 256 / 4)[index % 4];
}

/// The root 1 + c x with which Marsaglia and Tsang's loop, without a squeeze, ends at an address; shape is at least 1.
template <class T, class Real = double>
Real gamma_root(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, Real shape) {
  const bool narrow = std::numeric_limits<T>::digits <= 24;
  const std::uint64_t mate = index % (narrow ? 4 : 2);
  const auto own = gamma_own_block<T>(seed, stream, index);
  const Real d = shape - Real(1) / 3;
  const Real c = 1 / std::sqrt(9 * d);
  Real x = normals_of_block<T, Real>(own, mate / 2)[mate % 2];
  std::uint32_t word = gamma_word<T>(seed, stream, index);
  for (std::uint64_t attempt = 1;; ++attempt) {
    const Real root = 1 + c * x;
    const Real v = root * root * root;
    if (root > 0 && std::log(midpoint<Real>(word)) < x * x / 2 + d * (1 - v + std::log(v))) return root;
    const auto again = private_block(own, 8 * attempt + 2 * mate);
    x = normals_of_block<T, Real>(again, 0)[0];
    word = narrow ? again[2] : private_block(own, 8 * attempt + 2 * mate + 1)[0];
  }
}

/// The logarithm of the gamma number at an address: log(d root^3), and for shapes below 1 that of shape + 1 and log(U) / shape.
template <class T, class Real = double>
Real log_gamma_variate(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, Real shape) {
  const Real raised = shape < 1 ? shape + 1 : shape;
  const Real result = std::log(raised - Real(1) / 3) + 3 * std::log(gamma_root<T, Real>(seed, stream, index, raised));
  if (shape >= 1) return result;
  const std::uint64_t mate = index % (std::numeric_limits<T>::digits <= 24 ? 4 : 2);
  const auto boost = private_block(gamma_own_block<T>(seed, stream, index), mate / 2);
  const std::uint64_t w = join(boost[mate % 2 * 2], boost[mate % 2 * 2 + 1]);
  // -log U for U = (w + 1/2) 2^-64, from 1 - U where that is the smaller.
  const Real minus_log = w >> 63 != 0 ? -std::log1p(-std::ldexp(static_cast<Real>(~w) + Real(0.5), -64))
                                      : -std::log(std::ldexp(static_cast<Real>(w) + Real(0.5), -64));
  return result - minus_log / shape;
}

template <class T, class Real = double>
Real gamma(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, Real shape, Real scale = 1) {
  return std::exp(log_gamma_variate<T, Real>(seed, stream, index, shape)) * scale;
}

/// X / (X + Y) for the gamma numbers X at index 2 index, of shape a, and Y at the next, of shape b.
template <class T, class Real = double>
Real beta(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, Real a, Real b) {
  const Real log_x = log_gamma_variate<T, Real>(seed, stream, 2 * index, a);
  const Real log_y = log_gamma_variate<T, Real>(seed, stream, 2 * index + 1, b);
  return 1 / (1 + std::exp(log_y - log_x));
}

/// A row of gamma numbers, of shape alpha[c] at index row * columns + c, over their sum; the largest is taken as 1.
template <class T, class Real = double>
std::vector<Real> dirichlet(std::uint64_t seed, std::uint64_t stream, std::uint64_t row, const std::vector<Real>& alpha) {
  std::vector<Real> shares;
  for (const Real shape : alpha) {
    shares.push_back(log_gamma_variate<T, Real>(seed, stream, row * alpha.size() + shares.size(), shape));
  }
  const Real most = *std::max_element(shares.begin(), shares.end());
  Real sum = 0;
  for (Real& share : shares) sum += share = std::exp(share - most);
  for (Real& share : shares) share /= sum;
  return shares;
}

/// The Poisson number at an address: by inversion below rate 10, by Hörmann's PTRS, without a squeeze, from there on.
template <class Real = double>
Real poisson(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, Real rate) {
  const auto own = philox(seed, stream, index);
  if (rate < 10) {
    const Real u = std::ldexp(static_cast<Real>(join(own[0], own[1]) >> 11), -53);
    Real k = 0;
    Real term = std::exp(-rate);
    for (Real sum = term; u >= sum && k < 200; sum += term) {
      k += 1;
      term *= rate / k;
    }
    return k;
  }
  const Real b = Real(0.931L) + Real(2.53L) * std::sqrt(rate);
  const Real a = Real(-0.059L) + Real(0.02483L) * b;
  const Real inverse_alpha = Real(1.1239L) + Real(1.1328L) / (b - Real(3.4L));
  for (std::uint64_t attempt = 0;; ++attempt) {
    const auto words = attempt == 0 ? own : private_block(own, attempt);
    const auto uniform = [&](std::uint64_t w) { return std::ldexp(static_cast<Real>(2 * (w >> 12) + 1), -53); };
    const Real u = uniform(join(words[0], words[1])) - Real(0.5L);
    const Real v = uniform(join(words[2], words[3]));
    const Real us = Real(0.5L) - std::abs(u);
    const Real k = std::floor((2 * a / us + b) * u + rate + Real(0.43L));
    if (k < 0 || (us < Real(0.013L) && v > us)) continue;
    if (std::log(v * inverse_alpha / (a / (us * us) + b)) <= k * std::log(rate) - rate - std::lgamma(k + 1)) return k;
  }
}

}  // namespace tessera::reference
