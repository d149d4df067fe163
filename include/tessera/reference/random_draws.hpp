// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of random categories and orders. Where a draw from logits falls on a rounding of the noise, the two may decide
/// differently: once in 10^12 or so. The rest is integers, or sums in one order: the same to the last bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "tessera/reference/random.hpp"

namespace tessera::reference {

/// The first c of the largest logits[c] + Gumbel number at index row * columns + c.
template <class Logit>
std::int64_t categorical(const Logit* logits, std::int64_t columns, std::uint64_t seed, std::uint64_t stream, std::uint64_t row) {
  double most = -std::numeric_limits<double>::infinity();
  std::int64_t at = -1;
  for (std::int64_t c = 0; c < columns; ++c) {
    const std::uint64_t index = row * static_cast<std::uint64_t>(columns) + static_cast<std::uint64_t>(c);
    const double score = static_cast<double>(logits[c]) + gumbel<double>(seed, stream, index);
    if (score > most) at = c;
    most = std::max(most, score);
  }
  return at;
}

/// The first c whose sum weights[0] + … + weights[c] is above u times that of all, u the uniform number at index row; where a rounding
/// leaves none, the last whose weight is not 0.
template <class Weight>
std::int64_t categorical_of_weights(const Weight* weights, std::int64_t columns, std::uint64_t seed, std::uint64_t stream,
                                    std::uint64_t row) {
  std::vector<double> sums;
  for (std::int64_t c = 0; c < columns; ++c) {
    sums.push_back((sums.empty() ? 0 : sums.back()) + static_cast<double>(weights[c]));
  }
  const double target = uniform<double>(seed, stream, row) * sums.back();
  std::int64_t at = std::upper_bound(sums.begin(), sums.end(), target) - sums.begin();
  if (at == columns) --at;
  while (!(static_cast<double>(weights[at]) > 0)) --at;
  return at;
}

/// Element `index` of the permutation of n: a Feistel network on two digits of h bits, 4^h >= n and h >= 3, its twelve keys and the word
/// that may exchange 0 and 1 from the stream's child n; and again while what comes out is no number below n.
inline std::uint64_t permutation(std::uint64_t n, std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  int h = 3;
  while (h < 32 && (n - 1) >> (2 * h) > 0) ++h;
  const std::uint64_t base = std::uint64_t{1} << h;
  const auto key = child(seed, stream, n);
  do {
    std::uint64_t left = index / base;
    std::uint64_t right = index % base;
    for (std::uint64_t round = 0; round < 12; ++round) {
      std::uint64_t hash = (right ^ random_word<double>(key[0], key[1], round)) * 0x9E3779B97F4A7C15u;
      hash = (hash ^ hash / 0x100000000u) * 0xD2511F53CD9E8D57u;
      left = std::exchange(right, left ^ hash >> (64 - h));
    }
    index = left * base + right;
    if (index < 2 && random_word<double>(key[0], key[1], 12) % 2 == 1) index = 1 - index;
  } while (index >= n);
  return index;
}

/// 0 … n - 1 after Fisher and Yates' shuffle: for i = n - 1 … 1, elements i and uniform_int(0, i) change places.
inline std::vector<std::uint64_t> shuffled(std::uint64_t n, std::uint64_t seed, std::uint64_t stream) {
  std::vector<std::uint64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (std::uint64_t i = n - 1; i > 0; --i) std::swap(order[i], order[uniform_int<std::uint64_t>(0, i, seed, stream, i)]);
  return order;
}

}  // namespace tessera::reference
