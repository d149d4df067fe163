// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The pairs that dropout strikes out, many at a time: queries stand in the lanes, and a block of Philox in each lane serves 4 keys.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/whole_place.hpp"
#include "tessera/attention/dropout.hpp"
#include "tessera/core/config.hpp"
#include "tessera/random/detail/philox_rounds.hpp"
#include "tessera/simd/detail/words.hpp"
#include "tessera/simd/math.hpp"

namespace tessera::attention::detail {

/// What is dropped of a head.
struct dropped_pairs {
  std::uint64_t seed;
  std::uint64_t stream;
  std::uint32_t threshold;
  std::uint64_t row;        ///< of query 0
  std::uint64_t first_key;  ///< where key 0 stands in the whole

  [[nodiscard]] TESSERA_ALWAYS_INLINE bool any() const { return threshold > 0; }

  /// weights[j * step + lane] = 0 where the pair of query `query + lane` and key `key + j` is dropped, for j < count.
  template <class P>
  TESSERA_NOINLINE void strike(typename P::value_type* weights, std::int64_t step, std::int64_t query, std::int64_t key,
                               int count) const;
  /// to[j * step + lane] = 1 where the pair is kept, else 0.
  template <class P>
  TESSERA_NOINLINE void factors(typename P::value_type* to, std::int64_t step, std::int64_t query, std::int64_t key,
                                int count) const;
  /// weights[j * n + r] = 0 where the pair of row rows[r], r < n, and key `key + j` is dropped. n is a power of 2.
  template <class P>
  TESSERA_NOINLINE void strike_rows(typename P::value_type* weights, int n, const std::uint64_t* rows, std::int64_t key,
                                    int count) const;
};

/// What a call's options drop of head h of sequence b.
template <class Options>
TESSERA_ALWAYS_INLINE dropped_pairs pairs_dropped(const Options& options, std::int64_t b, std::int64_t h, std::int64_t heads,
                                                  std::int64_t len_q) {
  const whole_place place = place_in_whole(options.mask, len_q);
  return {options.dropout.seed, options.dropout.stream, options.dropout.threshold(),
          static_cast<std::uint64_t>((b * heads + h) * place.len_q + place.first_query),
          static_cast<std::uint64_t>(place.first_key)};
}

/// The same of sequences. Rows of ragged ones are counted as they lie, [heads, total_q].
template <class Options, class Sequences>
  requires requires(const Sequences& x) { x.ragged(); }
TESSERA_ALWAYS_INLINE dropped_pairs pairs_dropped(const Options& options, const Sequences& x, std::int64_t b, std::int64_t h) {
  dropped_pairs dropped = pairs_dropped(options, b, h, x.heads(), x.len_q(b));
  if (x.ragged()) dropped.row = static_cast<std::uint64_t>(x.ragged_row(b, h));
  return dropped;
}

/// What the weighted means of a head are multiplied by: the factor of its values, that of kept weights, or both.
template <class T, class Options>
TESSERA_ALWAYS_INLINE T value_factor(const Options& options, std::int64_t kv_h) {
  const double scale = options.value_scales.data_handle() != nullptr ? static_cast<double>(options.value_scales(kv_h)) : 1.0;
  return static_cast<T>(scale * options.dropout.factor());
}

/// The random words of some rows, as many blocks of 4 keys at once as fill the lanes: lane l has row l % rows and block + l / rows.
template <class P>
class pair_words {
  using T = typename P::value_type;
  using I = simd::index_pack<T, typename P::arch>;
  using index = typename I::value_type;
  using words = simd::detail::words<simd::detail::word_bytes<static_cast<int>(P::alignment)>>;
  static constexpr int lanes = P::lanes;
  static constexpr int groups = lanes / words::lanes;  // evaluations for one pack: a block takes 64 bits of a register

 public:
  template <class RowOf>
  pair_words(const dropped_pairs& dropped, int rows, const RowOf& row_of)
      : stream_(dropped.stream),
        rows_(rows),
        least_(sizeof(T) == 4 ? static_cast<index>(dropped.threshold ^ 0x80000000u) : static_cast<index>(dropped.threshold)) {
    random::detail::fill_round_keys(dropped.seed, key_);
    for (int e = 0; e < groups; ++e) {
      for (int i = 0; i < words::lanes; ++i) {
        // Two evaluations are merged into one register of 32-bit words, those of the first in even lanes.
        const int l = sizeof(T) == 4 ? e / 2 * 2 * words::lanes + 2 * i + e % 2 : e * words::lanes + i;
        const std::uint64_t row = row_of(l % rows);
        low_[e * words::lanes + i] = (row & 3) << 30 | static_cast<std::uint64_t>(l / rows);
        high_[e * words::lanes + i] = row >> 2;
      }
    }
  }

  /// Makes the words of keys [4 block, 4 block + 4 lanes / rows) of the whole; block is a multiple of lanes / rows.
  TESSERA_ALWAYS_INLINE void make(std::uint64_t block) {
    words x0[groups], x1[groups], x2[groups], x3[groups];
    TESSERA_UNROLL
    for (int e = 0; e < groups; ++e) {
      x0[e] = either(words::load(low_ + e * words::lanes), words::all(block));
      x1[e] = words::load(high_ + e * words::lanes);
      x2[e] = words::all(stream_);
      x3[e] = words::all(stream_ >> 32);
    }
    random::detail::philox_rounds(key_, x0, x1, x2, x3);
    put(0, x0);
    put(1, x1);
    put(2, x2);
    put(3, x3);
  }
  /// The lanes whose pair with key t of their block is kept.
  [[nodiscard]] TESSERA_ALWAYS_INLINE auto kept(int t) const { return above(words_[t]); }

  /// Puts the words into the order of keys, and of rows for each key.
  TESSERA_ALWAYS_INLINE void turn() {
    for (int l = 0; l < lanes; ++l) {
      unsigned_index* const to = turned_ + l / rows_ * 4 * rows_ + l % rows_;
      for (int t = 0; t < 4; ++t) to[t * rows_] = words_[t][l];
    }
  }
  /// The lanes of pack u of those words that are kept.
  [[nodiscard]] TESSERA_ALWAYS_INLINE auto turned(int u) const { return above(turned_ + u * lanes); }

 private:
  using unsigned_index = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

  TESSERA_ALWAYS_INLINE auto above(const unsigned_index* from) const {
    const I word = I::load(reinterpret_cast<const index*>(from));
    if constexpr (sizeof(T) == 4) {
      return (word ^ I(static_cast<index>(0x80000000u))) >= I(least_);  // integers of packs are signed
    } else {
      return word >= I(least_);
    }
  }

  TESSERA_ALWAYS_INLINE void put(int t, const words (&x)[groups]) {
    TESSERA_UNROLL
    for (int e = 0; e < groups; ++e) {
      if constexpr (sizeof(T) == 4) {
        if (e % 2 == 0) merge(x[e], x[e + 1]).store(words_[t] + e * words::lanes);
      } else {
        merge(x[e], words::all(0)).store(words_[t] + e * words::lanes);
      }
    }
  }

  words key_[10][2];
  std::uint64_t stream_;
  int rows_;
  index least_;
  alignas(64) std::uint64_t low_[lanes];
  alignas(64) std::uint64_t high_[lanes];
  alignas(64) unsigned_index words_[4][lanes];
  alignas(64) unsigned_index turned_[4 * lanes];
};

/// f(j, lanes that are kept) for the keys key + j, j < count, of queries query, query + 1 ….
template <class P, class F>
TESSERA_ALWAYS_INLINE void for_each_kept(const dropped_pairs& dropped, std::int64_t query, std::int64_t key, int count,
                                         const F& f) {
  pair_words<P> made(dropped, P::lanes, [&](int l) { return dropped.row + static_cast<std::uint64_t>(query + l); });
  const auto first = static_cast<std::int64_t>(dropped.first_key) + key;
  for (std::int64_t block = first / 4; 4 * block < first + count; ++block) {
    made.make(static_cast<std::uint64_t>(block));
    for (int t = 0; t < 4; ++t) {
      const std::int64_t j = 4 * block + t - first;
      if (j >= 0 && j < count) f(j, made.kept(t));
    }
  }
}

template <class P>
void dropped_pairs::strike(typename P::value_type* weights, std::int64_t step, std::int64_t query, std::int64_t key,
                           int count) const {
  using T = typename P::value_type;
  for_each_kept<P>(*this, query, key, count, [&](std::int64_t j, auto kept) {
    select(kept, P::load(weights + j * step), P(T(0))).store(weights + j * step);
  });
}

template <class P>
void dropped_pairs::factors(typename P::value_type* to, std::int64_t step, std::int64_t query, std::int64_t key,
                            int count) const {
  using T = typename P::value_type;
  for_each_kept<P>(*this, query, key, count,
                   [&](std::int64_t j, auto kept) { select(kept, P(T(1)), P(T(0))).store(to + j * step); });
}

template <class P>
void dropped_pairs::strike_rows(typename P::value_type* weights, int n, const std::uint64_t* rows, std::int64_t key,
                                int count) const {
  using T = typename P::value_type;
  const int at_once = std::min(n, P::lanes);
  const int blocks = P::lanes / at_once;  // and keys of a pack of weights
  const auto first = static_cast<std::int64_t>(first_key) + key;
  for (int r0 = 0; r0 < n; r0 += at_once) {
    pair_words<P> made(*this, at_once, [&](int r) { return rows[r0 + r]; });
    for (std::int64_t block = first / 4 / blocks * blocks; 4 * block < first + count; block += blocks) {
      made.make(static_cast<std::uint64_t>(block));
      made.turn();
      for (int u = 0; u < 4; ++u) {
        const std::int64_t j = 4 * block + u * blocks - first;
        const std::int64_t at = j * n + r0;
        if (j >= 0 && j + blocks <= count && at % P::lanes == 0) {
          select(made.turned(u), P::load(weights + at), P(T(0))).store(weights + at);
          continue;
        }
        alignas(P::alignment) T kept[P::lanes];  // a part's first key may stand anywhere
        select(made.turned(u), P(T(1)), P(T(0))).store(kept);
        for (int l = 0; l < P::lanes; ++l) {
          const std::int64_t e = j + l / at_once;
          if (e >= 0 && e < count && kept[l] == T(0)) weights[at + l / at_once * n + l % at_once] = 0;
        }
      }
    }
  }
}

}  // namespace tessera::attention::detail
