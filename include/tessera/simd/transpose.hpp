// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A square of packs, transposed in registers; two packs taken apart into elements of even and of odd index.
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

/// even, odd = a[0], a[2] … b[0], b[2] …, and what is left out.
template <class T, class Arch, std::size_t... L>
TESSERA_ALWAYS_INLINE void unzip(pack<T, Arch> a, pack<T, Arch> b, pack<T, Arch>& even, pack<T, Arch>& odd,
                                 std::index_sequence<L...>) {
  constexpr int lanes = pack<T, Arch>::lanes;
#if TESSERA_SHUFFLEVECTOR
  typedef T vector __attribute__((vector_size(sizeof(T) * lanes)));  // NOLINT(modernize-use-using): GCC 12 drops it from an alias
  const vector x = __builtin_bit_cast(vector, a);
  const vector y = __builtin_bit_cast(vector, b);
  even = __builtin_bit_cast(pack<T, Arch>, __builtin_shufflevector(x, y, (2 * static_cast<int>(L))...));
  odd = __builtin_bit_cast(pack<T, Arch>, __builtin_shufflevector(x, y, (2 * static_cast<int>(L) + 1)...));
#else
  alignas(pack<T, Arch>::alignment) T x[2 * lanes];
  alignas(pack<T, Arch>::alignment) T y[2][lanes];
  a.store(x);
  b.store(x + lanes);
  for (int i = 0; i < 2 * lanes; ++i) y[i % 2][i / 2] = x[i];
  even = pack<T, Arch>::load(y[0]);
  odd = pack<T, Arch>::load(y[1]);
#endif
}

}  // namespace detail

/// What undoes `transpose` of two packs: afterwards x[0] holds the elements of even index of both, one after another, x[1] the others.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE void separate(pack<T, Arch> (&x)[2]) {
  pack<T, Arch> even, odd;
  detail::unzip(x[0], x[1], even, odd, std::make_index_sequence<pack<T, Arch>::lanes>{});
  x[0] = even;
  x[1] = odd;
}

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
