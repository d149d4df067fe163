// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What attention gives exactly in every storage type: a value of one, the value of a single key, the value of a one-hot row.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../support/random.hpp"
#include "oracle.hpp"

namespace exact {

/// Elements of out that are not want(b, h, i, c), to the bit, of a call on either path.
template <class O, class Q, class K, class V, class Want>
int faults(const oracle::inputs<Q, K, V>& in, const tessera::attention::options<>& options, const Want& want) {
  using T = std::common_type_t<tessera::compute_t<Q>, tessera::compute_t<K>, tessera::compute_t<V>>;
  oracle::array<O, 4> out(in.out_extents());
  oracle::array<T, 3> lse(in.lse_extents());
  tessera::attention::forward(tessera::seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
  const auto extents = in.out_extents();
  int wrong = 0;
  for (std::int64_t b = 0; b < extents[0]; ++b) {
    for (std::int64_t h = 0; h < extents[1]; ++h) {
      for (std::int64_t i = 0; i < extents[2]; ++i) {
        for (std::int64_t c = 0; c < extents[3]; ++c) {
          const O wanted(static_cast<T>(want(b, h, i, c)));
          wrong += std::memcmp(&out(b, h, i, c), &wanted, sizeof wanted) != 0;
        }
      }
    }
  }
  return wrong;
}

template <class Q, class K, class V, class O>
void check() {
  using tessera::attention::causal;
  using tessera::attention::everything;
  for (const std::int64_t len_q : {9, 140}) {  // few queries and many
    oracle::inputs<Q, K, V> ones(1, 2, 1, len_q, 500, 20, 3);
    ones.k.fill([](std::uint64_t n) { return support::normal(2, n); });
    ones.v.fill([](std::uint64_t) { return 1; });
    for (const double factor : {0.1, 3.0, 100.0}) {
      ones.q.fill([=](std::uint64_t n) { return factor * support::normal(1, n); });
      for (const auto& mask : {everything, causal}) {
        BOOST_TEST(faults<O>(ones, {.mask = mask}, [](auto...) { return 1; }) == 0);
      }
    }

    oracle::inputs<Q, K, V> single(2, 2, 1, len_q, 1, 20, 5);
    single.q.fill([](std::uint64_t n) { return 100 * support::normal(1, n); });
    single.k.fill([](std::uint64_t n) { return support::normal(2, n); });
    single.v.fill([](std::uint64_t n) { return support::spread(3, n, -14, 10); });
    BOOST_TEST(faults<O>(single, {}, [&](auto b, auto, auto, auto c) { return single.v(b, 0, 0, c); }) == 0);

    // Query i is key 7 i + 3 of as many unit vectors: all others are behind by more than either compute type knows.
    oracle::inputs<Q, K, V> hot(1, 2, 2, len_q, 30, 30, 7);
    const auto key_of = [](std::int64_t i) { return (7 * i + 3) % 30; };
    hot.q.fill([&](std::uint64_t n) {
      return static_cast<std::int64_t>(n) % 30 == key_of(static_cast<std::int64_t>(n) / 30 % len_q) ? 32 : 0;
    });
    hot.k.fill([](std::uint64_t n) { return n % 30 == n / 30 % 30 ? 32 : 0; });
    hot.v.fill([](std::uint64_t n) { return support::spread(4, n, -14, 10); });
    BOOST_TEST(faults<O>(hot, {.scale = 1}, [&](auto b, auto h, auto i, auto c) { return hot.v(b, h, key_of(i), c); }) == 0);
  }
}

}  // namespace exact
