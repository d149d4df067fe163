// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Gamma numbers at many addresses at once: loops of constant length without branches, which compilers turn into SIMD code, over
/// lists of the addresses that are not done. The same operations on the same words as gamma_at, hence the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/gamma.hpp"
#include "tessera/random/fill.hpp"

namespace tessera::random::detail {

inline constexpr std::size_t gamma_group = 256;

/// The addresses of a group that are left, in rising order.
struct gamma_list {
  static constexpr std::size_t batch = 16;  ///< taken at a time; the list is padded to a multiple of it with its last entry

  std::uint16_t at[gamma_group + batch];
  std::size_t size = 0;

  TESSERA_ALWAYS_INLINE void add_if(std::size_t lane, bool add) noexcept {
    at[size] = static_cast<std::uint16_t>(lane);
    size += add ? 1u : 0u;
  }
  TESSERA_ALWAYS_INLINE void pad() noexcept {
    for (std::size_t i = size; i % batch != 0; ++i) at[i] = at[size - 1];
  }
};

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
  static constexpr std::size_t pairs = gamma_group / 2;
  alignas(64) std::uint32_t own[4][pairs];
  alignas(64) V x[gamma_group];
  alignas(64) std::uint32_t word[gamma_group];
  alignas(64) V root[gamma_group];
  alignas(64) std::uint32_t open[gamma_group];
  alignas(64) double e[gamma_group];
};

/// First words and normal numbers of the group from `first` on, a multiple of gamma_group.
template <class V>
TESSERA_ALWAYS_INLINE void gamma_first_words(gamma_workspace<V>& w, std::uint64_t seed, std::uint64_t stream,
                                             std::uint64_t first) noexcept {
  constexpr std::size_t pairs = gamma_workspace<V>::pairs;
  constexpr bool narrow = values_per_block<V> == 4;
  const std::uint64_t pair = first >> 1;
  for (std::size_t b = 0; b < pairs; ++b) {
    const philox_block bits = philox(seed, stream, gamma_block<V>(pair | b));
    for (int i = 0; i < 4; ++i) w.own[i][b] = bits.word[i];
  }
  if constexpr (narrow) {
    for (std::size_t b = 0; b < pairs; ++b) {
      const normal_pair<V> z = normal_pair_from(w.own[0][b], w.own[1][b]);
      w.x[2 * b] = z.cosine;
      w.x[2 * b + 1] = z.sine;
      w.word[2 * b] = w.own[2][b];
      w.word[2 * b + 1] = w.own[3][b];
    }
  } else {
    const std::uint64_t four = first >> 2;
    for (std::size_t b = 0; b < pairs / 2; ++b) {
      const philox_block bits = philox(seed, stream, 3 * (four | b) + 2);
      for (int i = 0; i < 4; ++i) w.word[4 * b + static_cast<std::size_t>(i)] = bits.word[i];
    }
    for (std::size_t b = 0; b < pairs; ++b) {
      const normal_pair<V> z = normal_pair_from(joined(w.own[0][b], w.own[1][b]), joined(w.own[2][b], w.own[3][b]));
      w.x[2 * b] = z.cosine;
      w.x[2 * b + 1] = z.sine;
    }
  }
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
template <class V, class Shapes>
TESSERA_ALWAYS_INLINE void gamma_roots(gamma_workspace<V>& w, const Shapes& shapes, std::uint64_t seed, std::uint64_t stream,
                                       std::uint64_t first) noexcept {
  constexpr std::size_t pairs = gamma_workspace<V>::pairs;
  constexpr std::size_t n = gamma_list::batch;
  gamma_first_words(w, seed, stream, first);
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
      alignas(64) V x[n];
      alignas(64) std::uint32_t word[n];
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t lane = left.at[begin + i];
        mate[i] = static_cast<std::uint32_t>(lane % 2);
        for (int k = 0; k < 4; ++k) own[k][i] = w.own[k][lane / 2];
      }
      for (std::size_t i = 0; i < n; ++i) {
        const gamma_draw<V> draw = gamma_again<V>({{own[0][i], own[1][i], own[2][i], own[3][i]}}, attempt, mate[i]);
        x[i] = draw.x;
        word[i] = draw.word;
      }
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
    const philox_block own{{w.own[0][lane / 2], w.own[1][lane / 2], w.own[2][lane / 2], w.own[3][lane / 2]}};
    w.root[lane] = gamma_root_from<V>(shapes[lane], own, lane % 2, attempt);
  }
  if (!shapes.boosted()) return;
  for (std::size_t b = 0; b < pairs; ++b) {
    const philox_block bits = private_block({{w.own[0][b], w.own[1][b], w.own[2][b], w.own[3][b]}}, 0);
    for (int i = 0; i < 4; ++i) w.own[i][b] = bits.word[i];
  }
  for (std::size_t b = 0; b < pairs; ++b) {
    w.e[2 * b] = minus_log_uniform(joined(w.own[0][b], w.own[1][b]));
    w.e[2 * b + 1] = minus_log_uniform(joined(w.own[2][b], w.own[3][b]));
  }
}

/// The logarithms of a group's numbers.
template <class V, class Shapes>
TESSERA_ALWAYS_INLINE void gamma_logs(gamma_workspace<V>& w, const Shapes& shapes, std::uint64_t seed, std::uint64_t stream,
                                      std::uint64_t first, double* TESSERA_RESTRICT logs) noexcept {
  gamma_roots(w, shapes, seed, stream, first);
  if (shapes.boosted()) {
    for (std::size_t i = 0; i < gamma_group; ++i) logs[i] = gamma_log<V>(shapes[i], w.root[i], w.e[i]);
  } else {
    for (std::size_t i = 0; i < gamma_group; ++i) logs[i] = gamma_log<V>(shapes[i], w.root[i], 0.0);
  }
}

}  // namespace tessera::random::detail
