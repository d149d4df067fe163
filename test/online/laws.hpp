// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What holds of every reducer: states of numbers and of packs, cut anywhere and merged.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "../support/random.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/simd/compat.hpp"
#include "tessera/simd/pack.hpp"

namespace laws {

/// The state of a row of scores whose first key has index `first`, absorbed in tiles of at most `step`.
template <class T, class Reducer>
typename Reducer::template state<T> fold(const Reducer& reducer, std::vector<T> scores, std::int64_t first = 0, int step = 96) {
  auto state = reducer.template identity<T>();
  const int size = static_cast<int>(scores.size());
  for (int j = 0; j < size; j += step) {
    const int count = size - j < step ? size - j : step;
    reducer.absorb(state, tessera::score_tile<T>(scores.data() + j, 1, count, first + j));
  }
  return state;
}

template <class State>
bool same_bits(const State& a, const State& b) {
  static_assert(std::is_trivially_copyable_v<State>);
  return std::memcmp(&a, &b, sizeof(State)) == 0;
}

/// Rows of scores: ordinary, far apart, equal, rising, falling, with -inf, empty and single ones.
template <class T>
std::vector<std::vector<T>> rows() {
  const T inf = tessera::infinity<T>();
  std::vector<std::vector<T>> result = {
      {}, {T(3)}, {-inf}, {-inf, -inf, -inf}, {T(1e4), T(-1e4)}, {T(2), T(2), T(2), T(2), T(2)}};
  const auto add = [&](int size, const auto& f) {
    std::vector<T> row;
    for (int j = 0; j < size; ++j) row.push_back(static_cast<T>(f(static_cast<std::uint64_t>(j))));
    result.push_back(row);
  };
  for (const int size : {2, 5, 95, 96, 97, 300}) {
    add(size, [&](std::uint64_t j) { return 3 * support::normal(1, j); });
    add(size, [&](std::uint64_t j) { return 1e4 + 30 * support::normal(2, j); });
    add(size, [&](std::uint64_t j) { return support::below(3, j, 4); });
    add(size, [&](std::uint64_t j) { return 0.01 * static_cast<double>(j); });
    add(size, [&](std::uint64_t j) { return -2.0 * static_cast<double>(j); });
    add(size, [&](std::uint64_t j) { return j % 3 == 1 ? static_cast<double>(-inf) : support::normal(4, j); });
  }
  return result;
}

/// merge with the state of nothing changes no bit, from either side.
template <class T, class Reducer>
int identity_changes(const Reducer& reducer) {
  int changed = 0;
  for (const auto& row : rows<T>()) {
    const auto state = fold<T>(reducer, row);
    const auto nothing = reducer.template identity<T>();
    changed += !same_bits(reducer.merge(state, nothing), state) + !same_bits(reducer.merge(nothing, state), state);
  }
  return changed;
}

/// check(cut and merged, whole, row) for every row and many cuts in two and three, merged from the left and from the right.
template <class T, class Reducer, class Check>
void each_cut(const Reducer& reducer, const Check& check) {
  for (const auto& row : rows<T>()) {
    const auto whole = fold<T>(reducer, row);
    const auto size = static_cast<std::int64_t>(row.size());
    const auto part = [&](std::int64_t from, std::int64_t to) {
      return fold<T>(reducer, std::vector<T>(row.begin() + from, row.begin() + to), from, 17);
    };
    for (std::uint64_t n = 0; n < 6; ++n) {
      std::int64_t a = support::below(5, n, size + 1);
      std::int64_t b = support::below(6, n, size + 1);
      if (a > b) std::swap(a, b);
      check(reducer.merge(part(0, a), part(a, size)), whole, row);
      check(reducer.merge(reducer.merge(part(0, a), part(a, b)), part(b, size)), whole, row);
      check(reducer.merge(part(0, a), reducer.merge(part(a, b), part(b, size))), whole, row);
    }
  }
}

/// A state of packs is as many states of numbers, to the bit, wherever fma is one rounding for both: the number of members (of all
/// lanes, all rows) that differ.
template <class T, class Reducer>
int pack_differences(const Reducer& reducer) {
  using P = tessera::simd::pack<T>;
  using scalar = typename Reducer::template state<T>;
  constexpr int lanes = P::lanes;
  if constexpr (!tessera::simd::compat::has_fma<typename P::arch>) return 0;
  int different = 0;
  const auto all = rows<T>();
  for (std::size_t r = 0; r + lanes < all.size(); ++r) {
    int size = 300;
    alignas(64) T scores[300][lanes];
    for (int l = 0; l < lanes; ++l) {
      const auto& row = all[r + static_cast<std::size_t>(l)];
      for (int j = 0; j < size; ++j) scores[j][l] = row.empty() ? T(j % 7) : row[static_cast<std::size_t>(j) % row.size()];
    }
    auto packed = reducer.template identity<P>();
    for (int j = 0; j < size; j += 96) {
      const int count = size - j < 96 ? size - j : 96;
      reducer.absorb(packed, tessera::score_tile<P>(scores[j], lanes, count, j));
    }
    T members[sizeof(packed) / sizeof(T)];
    std::memcpy(members, &packed, sizeof(packed));
    for (int l = 0; l < lanes; ++l) {
      auto state = reducer.template identity<T>();
      for (int j = 0; j < size; j += 96) {
        const int count = size - j < 96 ? size - j : 96;
        reducer.absorb(state, tessera::score_tile<T>(scores[j] + l, lanes, count, j));
      }
      T want[sizeof(scalar) / sizeof(T)];
      std::memcpy(want, &state, sizeof(state));
      for (std::size_t m = 0; m < std::size(want); ++m) {
        different +=
            std::memcmp(&want[m], &members[m * static_cast<std::size_t>(lanes) + static_cast<std::size_t>(l)], sizeof(T)) != 0;
      }
    }
  }
  return different;
}

}  // namespace laws
