// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Gamma numbers at many addresses at once: loops of constant length without branches, which compilers turn into SIMD code, over
/// lists of the addresses that are not done. The same operations on the same words as gamma_at, hence the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/detail/gamma.hpp"
#include "tessera/random/detail/lane_list.hpp"
#include "tessera/random/detail/normal_group.hpp"

namespace tessera::random::detail {

inline constexpr std::size_t gamma_group = gamma_layout<float>::group;

using gamma_list = lane_list<gamma_group>;

/// The same constants for every lane.
template <class V>
struct one_shape {
  gamma_constants<V> g;
  TESSERA_ALWAYS_INLINE const gamma_constants<V>& operator[](std::size_t) const noexcept { return g; }
  [[nodiscard]] TESSERA_ALWAYS_INLINE bool boosted() const noexcept { return g.inverse_shape != 0.0; }
};

/// Constants of a lane's own.
template <class V>
struct many_shapes {
  alignas(64) V d[gamma_group];
  alignas(64) V c[gamma_group];
  alignas(64) V squeeze[gamma_group];
  alignas(64) double log_d[gamma_group];
  alignas(64) double inverse_shape[gamma_group];
  bool some_boosted = false;

  TESSERA_ALWAYS_INLINE void set(std::size_t lane, const gamma_constants<V>& g) noexcept {
    d[lane] = g.d;
    c[lane] = g.c;
    squeeze[lane] = g.squeeze;
    log_d[lane] = g.log_d;
    inverse_shape[lane] = g.inverse_shape;
    some_boosted = some_boosted || g.inverse_shape != 0.0;
  }
  TESSERA_ALWAYS_INLINE gamma_constants<V> operator[](std::size_t lane) const noexcept {
    return {d[lane], c[lane], squeeze[lane], log_d[lane], inverse_shape[lane]};
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE bool boosted() const noexcept { return some_boosted; }
};

/// Arrays of one group.
template <class V>
struct gamma_workspace {
  alignas(64) word_of<V> even[gamma_group / 2];  ///< words 2 p of the normal numbers' blocks
  alignas(64) word_of<V> odd[gamma_group / 2];   ///< words 2 p + 1
  alignas(64) V x[gamma_group];
  alignas(64) std::uint32_t word[gamma_group];
  alignas(64) V root[gamma_group];
  alignas(64) std::uint32_t open[gamma_group];
  alignas(64) double e[gamma_group];

  /// The own block of a lane.
  TESSERA_ALWAYS_INLINE philox_block own(std::size_t lane) const noexcept {
    if constexpr (values_per_block<V> == 4) {
      const std::size_t p = lane / 4 * 2;
      return {{even[p], odd[p], even[p + 1], odd[p + 1]}};
    } else {
      const std::size_t p = lane / 2;
      return {{static_cast<std::uint32_t>(even[p]), static_cast<std::uint32_t>(even[p] >> 32), static_cast<std::uint32_t>(odd[p]),
               static_cast<std::uint32_t>(odd[p] >> 32)}};
    }
  }
};

/// Normal numbers and uniform words of first attempts for the group from `first` on, a multiple of gamma_group.
template <class V, class Source>
TESSERA_ALWAYS_INLINE void gamma_first_words(gamma_workspace<V>& w, const Source& source, std::uint64_t first) noexcept {
  constexpr std::size_t pairs = gamma_group / 2;
  constexpr std::size_t step = values_per_block<V> / 2 * group_blocks;  // pairs at a time
  const std::uint64_t block = gamma_layout<V>::normal_block(first);
  for (std::size_t p = 0; p < pairs; p += step) source.pairs_of(block + p / step * group_blocks, w.even + p, w.odd + p);
  source.words_of(gamma_layout<V>::uniform_block(first), w.word);
  normal_pairs<Source::bytes>(w.even, w.odd, w.x, [](V z) { return z; });
}

/// Applies the exact condition to the lanes of the list; those that fail go to `left`.
template <class V, class Shapes>
TESSERA_ALWAYS_INLINE void gamma_decide(const gamma_workspace<V>& w, const Shapes& shapes, gamma_list& list, gamma_list& left) {
  constexpr std::size_t n = gamma_list::batch;
  list.pad();
  for (std::size_t begin = 0; begin < list.size; begin += n) {
    alignas(64) double d[n], c[n], x[n], u[n];
    alignas(64) std::uint64_t accepted[n];
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t lane = list.at[begin + i];
      const auto& g = shapes[lane];
      d[i] = static_cast<double>(g.d);
      c[i] = static_cast<double>(g.c);
      x[i] = static_cast<double>(w.x[lane]);
      u[i] = exact_uniform(w.word[lane]);
    }
    for (std::size_t i = 0; i < n; ++i) accepted[i] = gamma_accepts(d[i], c[i], x[i], u[i]) ? 1u : 0u;
    const std::size_t count = list.size - begin < n ? list.size - begin : n;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t lane = list.at[begin + i];
      left.add_if(lane, accepted[i] == 0 || !(w.root[lane] > V(0)));
    }
  }
}

/// Roots at the gamma_group addresses from `first` on, and E where some shape is below 1.
template <class V, class Shapes, class Source>
TESSERA_ALWAYS_INLINE void gamma_roots(gamma_workspace<V>& w, const Shapes& shapes, const Source& source,
                                       std::uint64_t first) noexcept {
  constexpr std::size_t mates = gamma_layout<V>::mates;
  constexpr std::size_t n = gamma_list::batch;
  gamma_first_words(w, source, first);
  for (std::size_t i = 0; i < gamma_group; ++i) {
    const auto& g = shapes[i];
    w.root[i] = fma(g.c, w.x[i], V(1));
    w.open[i] = gamma_takes(g.squeeze, w.root[i], w.x[i], squeeze_uniform<V>(w.word[i])) ? 0u : 1u;
  }
  gamma_list list;
  for (std::size_t i = 0; i < gamma_group; ++i) list.add_if(i, w.open[i] != 0);
  gamma_list left;
  gamma_decide(w, shapes, list, left);
  // Attempt after attempt for all that are left, while they fill a good part of a batch; then one by one.
  std::uint64_t attempt = 1;
  for (; left.size > n / 4; ++attempt) {
    left.pad();
    list.size = 0;
    for (std::size_t begin = 0; begin < left.size; begin += n) {
      alignas(64) std::uint32_t own[4][n], mate[n];
      alignas(64) word_of<V> a[n], b[n];
      alignas(64) V x[n];
      alignas(64) std::uint32_t word[n];
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t lane = left.at[begin + i];
        const philox_block block = w.own(lane);
        mate[i] = static_cast<std::uint32_t>(lane % mates);
        for (int k = 0; k < 4; ++k) own[k][i] = block.word[k];
      }
      for (std::size_t i = 0; i < n; ++i) {
        const gamma_words<V> words = gamma_again<V>({{own[0][i], own[1][i], own[2][i], own[3][i]}}, attempt, mate[i]);
        a[i] = words.a;
        b[i] = words.b;
        word[i] = words.uniform;
      }
      normal_radii<Source::bytes>(a, b, x);
      for (std::size_t i = 0; i < n; ++i) x[i] *= normal_direction(b[i]).cosine;
      const std::size_t count = left.size - begin < n ? left.size - begin : n;
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t lane = left.at[begin + i];
        w.x[lane] = x[i];
        w.word[lane] = word[i];
        const auto& g = shapes[lane];
        w.root[lane] = fma(g.c, x[i], V(1));
        list.add_if(lane, !gamma_takes(g.squeeze, w.root[lane], x[i], squeeze_uniform<V>(word[i])));
      }
    }
    left.size = 0;
    gamma_decide(w, shapes, list, left);
  }
  for (std::size_t i = 0; i < left.size; ++i) {
    const std::size_t lane = left.at[i];
    w.root[lane] = gamma_root_from<V>(shapes[lane], w.own(lane), lane % mates, attempt);
  }
  if (!shapes.boosted()) return;
  // One private block for two lanes.
  constexpr std::size_t pairs = gamma_group / 2;
  alignas(64) std::uint32_t bits[4][pairs];
  for (std::size_t p = 0; p < pairs; ++p) {
    const philox_block block = private_block(w.own(2 * p), mates == 4 ? p % 2 : 0);
    for (int k = 0; k < 4; ++k) bits[k][p] = block.word[k];
  }
  for (std::size_t p = 0; p < pairs; ++p) {
    w.e[2 * p] = minus_log_unit(std::uint64_t{bits[1][p]} << 32 | bits[0][p], std::uint64_t{0});
    w.e[2 * p + 1] = minus_log_unit(std::uint64_t{bits[3][p]} << 32 | bits[2][p], std::uint64_t{0});
  }
}

/// The logarithms of a group's numbers.
template <class V, class Shapes, class Source>
TESSERA_ALWAYS_INLINE void gamma_logs(gamma_workspace<V>& w, const Shapes& shapes, const Source& source, std::uint64_t first,
                                      double* TESSERA_RESTRICT logs) noexcept {
  gamma_roots(w, shapes, source, first);
  if (shapes.boosted()) {
    for (std::size_t i = 0; i < gamma_group; ++i) logs[i] = gamma_log<V>(shapes[i], w.root[i], w.e[i]);
  } else {
    for (std::size_t i = 0; i < gamma_group; ++i) logs[i] = gamma_log<V>(shapes[i], w.root[i], 0.0);
  }
}

}  // namespace tessera::random::detail
