// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A square of packs, transposed in registers.
#pragma once

#include <cstddef>
#include <utility>

#include "tessera/simd/pack.hpp"

namespace tessera::simd {
namespace detail {

#if TESSERA_SHUFFLEVECTOR

/// Shuffles of two registers that x86 and ARM do in one instruction, in groups of 16 bytes as x86 has them.
template <class T, int Lanes>
struct square_shuffles {
  typedef T vector __attribute__((vector_size(sizeof(T) * Lanes)));  // NOLINT(modernize-use-using): GCC 12 drops it from an alias
  static constexpr int group = static_cast<int>(16 / sizeof(T));
  static constexpr int groups = Lanes / group;

  /// Within each group: a, b, a, b, elements of its lower or upper half.
  static constexpr int interleaved(int high, int l) {
    return l % 2 * Lanes + l / group * group + high * group / 2 + l % group / 2;
  }
  /// Within each group: two of a, two of b, of its lower or upper half.
  static constexpr int paired(int high, int l) { return l % group / 2 * Lanes + l / group * group + high * 2 + l % 2; }
  /// Groups of even or odd index, first those of a, then those of b.
  static constexpr int every_other(int odd, int l) {
    const int g = l / group;
    return g / (groups / 2) * Lanes + (g % (groups / 2) * 2 + odd) * group + l % group;
  }

  template <int High, std::size_t... L>
  TESSERA_ALWAYS_INLINE static vector interleave(vector a, vector b, std::index_sequence<L...>) {
    return __builtin_shufflevector(a, b, interleaved(High, static_cast<int>(L))...);
  }
  template <int High, std::size_t... L>
  TESSERA_ALWAYS_INLINE static vector pair(vector a, vector b, std::index_sequence<L...>) {
    return __builtin_shufflevector(a, b, paired(High, static_cast<int>(L))...);
  }
  template <int Odd, std::size_t... L>
  TESSERA_ALWAYS_INLINE static vector groups_of(vector a, vector b, std::index_sequence<L...>) {
    return __builtin_shufflevector(a, b, every_other(Odd, static_cast<int>(L))...);
  }
};

template <class T, class Arch, int Lanes>
TESSERA_ALWAYS_INLINE void square_in_groups(pack<T, Arch> (&x)[Lanes]) {
  using shuffles = square_shuffles<T, Lanes>;
  using vector = typename shuffles::vector;
  constexpr int group = shuffles::group;
  constexpr int groups = shuffles::groups;
  constexpr std::make_index_sequence<static_cast<std::size_t>(Lanes)> all{};
  vector y[Lanes];
  // Squares of one group's side, each in the place of its own.
  TESSERA_UNROLL
  for (int g = 0; g < Lanes; g += group) {
    vector row[group];
    TESSERA_UNROLL
    for (int i = 0; i < group; ++i) row[i] = __builtin_bit_cast(vector, x[g + i]);
    if constexpr (group == 4) {
      const vector low0 = shuffles::template interleave<0>(row[0], row[1], all);
      const vector low1 = shuffles::template interleave<0>(row[2], row[3], all);
      const vector high0 = shuffles::template interleave<1>(row[0], row[1], all);
      const vector high1 = shuffles::template interleave<1>(row[2], row[3], all);
      y[g] = shuffles::template pair<0>(low0, low1, all);
      y[g + 1] = shuffles::template pair<1>(low0, low1, all);
      y[g + 2] = shuffles::template pair<0>(high0, high1, all);
      y[g + 3] = shuffles::template pair<1>(high0, high1, all);
    } else {
      y[g] = shuffles::template interleave<0>(row[0], row[1], all);
      y[g + 1] = shuffles::template interleave<1>(row[0], row[1], all);
    }
  }
  // Then the groups as elements.
  TESSERA_UNROLL
  for (int c = 0; c < group; ++c) {
    vector z[groups];
    if constexpr (groups == 4) {
      const vector even0 = shuffles::template groups_of<0>(y[c], y[group + c], all);
      const vector odd0 = shuffles::template groups_of<1>(y[c], y[group + c], all);
      const vector even1 = shuffles::template groups_of<0>(y[2 * group + c], y[3 * group + c], all);
      const vector odd1 = shuffles::template groups_of<1>(y[2 * group + c], y[3 * group + c], all);
      z[0] = shuffles::template groups_of<0>(even0, even1, all);
      z[1] = shuffles::template groups_of<0>(odd0, odd1, all);
      z[2] = shuffles::template groups_of<1>(even0, even1, all);
      z[3] = shuffles::template groups_of<1>(odd0, odd1, all);
    } else if constexpr (groups == 2) {
      z[0] = shuffles::template groups_of<0>(y[c], y[group + c], all);
      z[1] = shuffles::template groups_of<1>(y[c], y[group + c], all);
    } else {
      z[0] = y[c];
    }
    TESSERA_UNROLL
    for (int g = 0; g < groups; ++g) x[g * group + c] = __builtin_bit_cast(pack<T, Arch>, z[g]);
  }
}

#endif

}  // namespace detail

/// Transposes a square: afterwards lane i of pack l is what lane l of pack i was. `transpose` in the shuffles that are cheapest.
template <int Lanes, class T, class Arch>
TESSERA_ALWAYS_INLINE void transpose_square(pack<T, Arch> (&x)[Lanes]) {
  static_assert(Lanes == pack<T, Arch>::lanes);
#if TESSERA_SHUFFLEVECTOR
  if constexpr (sizeof(T) >= 4 && Lanes * sizeof(T) <= 64) {
    detail::square_in_groups<T, Arch, Lanes>(x);
    return;
  }
#endif
  transpose(x);
}

}  // namespace tessera::simd
