// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A part of the queries and keys of a call, with the masks, scores and rotations of the whole: what is cut in pieces sees the same positions.
#pragma once

#include <cstdint>
#include <string>

#include "tessera/attention/detail/dropped_pairs.hpp"
#include "tessera/attention/mask.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/score.hpp"
#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/shape.hpp"

namespace tessera::attention {

/// Keys of a part: where all parts but the last hold a multiple of it, the bits are those of one call. Sums run over so many keys.
inline constexpr std::int64_t part_keys = tile::value_chunk;

/// Where the queries and keys of a call stand among those of the whole.
struct part {
  std::int64_t first_query = 0;
  std::int64_t first_key = 0;
  std::int64_t len_q = 0;  ///< queries of the whole, on which masks and scores are built
  std::int64_t len_k = 0;  ///< keys of the whole
};

namespace detail {

/// The mask of a head, asked about positions in the part.
template <class Head>
struct placed_mask {
  Head head;
  std::int64_t first_query;
  std::int64_t first_key;

  [[nodiscard]] key_range keys(std::int64_t i0, std::int64_t i1, std::int64_t n_keys) const {
    const key_range whole = head.keys(i0 + first_query, i1 + first_query, n_keys + first_key);
    const auto inside = [&](std::int64_t j) { return j < first_key ? 0 : (j - first_key < n_keys ? j - first_key : n_keys); };
    return {inside(whole.first), inside(whole.last)};
  }
  [[nodiscard]] tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    return head.classify(i0 + first_query, i1 + first_query, j0 + first_key, j1 + first_key);
  }
  template <class I>
  [[nodiscard]] TESSERA_ALWAYS_INLINE auto visible(I i, I j) const {
    return head.visible(static_cast<I>(i + tessera::detail::saturated_index<I>(first_query)),
                        static_cast<I>(j + tessera::detail::saturated_index<I>(first_key)));
  }
};

/// The score of a head, likewise.
template <class Head>
struct placed_score {
  static constexpr bool linear = tessera::detail::is_linear<Head>;
  Head head;
  std::int64_t first_query;
  std::int64_t first_key;

  template <class T>
  [[nodiscard]] TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T> i, lane_index<T> j) const {
    return head(s, i + tessera::detail::saturated_index<lane_index<T>>(first_query),
                j + tessera::detail::saturated_index<lane_index<T>>(first_key));
  }
  template <class T>
    requires requires(const Head& h, T s, lane_index<T> i) { h.derivative(s, i, i); }
  [[nodiscard]] TESSERA_ALWAYS_INLINE T derivative(T s, lane_index<T> i, lane_index<T> j) const {
    return head.derivative(s, i + tessera::detail::saturated_index<lane_index<T>>(first_query),
                           j + tessera::detail::saturated_index<lane_index<T>>(first_key));
  }
};

// Bands, products and slopes stay of their own type: a part instantiates no kernel that the whole does not.
template <class Head>
auto place_mask(const Head& head, const part& at) {
  return placed_mask<Head>{head, at.first_query, at.first_key};
}
TESSERA_ALWAYS_INLINE band_mask place_mask(const band_mask& mask, const part& at) {
  const std::int64_t offset = at.first_query - at.first_key;
  return {mask.low + offset, mask.high + offset, mask.prefix > at.first_key ? mask.prefix - at.first_key : 0};
}
template <class Head>
auto place_score(const Head& head, const part& at) {
  return placed_score<Head>{head, at.first_query, at.first_key};
}
TESSERA_ALWAYS_INLINE plain_head place_score(const plain_head& head, const part&) { return head; }
TESSERA_ALWAYS_INLINE alibi_head place_score(const alibi_head& head, const part& at) {
  return {head.slope, head.offset + at.first_query - at.first_key};
}

/// A mask and a score of the whole as those of a call on the part. They must outlive it.
template <class Mask>
struct part_mask {
  const Mask& mask;
  part at;
  [[nodiscard]] auto head(std::int64_t b, std::int64_t h, std::int64_t, std::int64_t) const {
    return place_mask(head_of(mask, b, h, at.len_q, at.len_k), at);
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const {
    check_part(mask, function, {s.batch, s.heads, at.len_q, at.len_k});
  }
};
template <class Score>
struct part_score {
  const Score& score;
  part at;
  [[nodiscard]] auto head(std::int64_t b, std::int64_t h, std::int64_t, std::int64_t) const {
    return place_score(score_of(score, b, h, at.len_q, at.len_k), at);
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const {
    check_part(score, function, {s.batch, s.heads, at.len_q, at.len_k});
  }
};

template <class Mask>
TESSERA_ALWAYS_INLINE whole_place place_in_whole(const part_mask<Mask>& mask, std::int64_t) {
  return {mask.at.first_query, mask.at.first_key, mask.at.len_q};
}

/// The options of the whole as those of a call on the part.
template <class Mask, class Score, class Accumulation>
options<part_mask<Mask>, part_score<Score>, Accumulation> part_options(const options<Mask, Score, Accumulation>& whole,
                                                                       const part& at) {
  options<part_mask<Mask>, part_score<Score>, Accumulation> result{whole.scale,  {whole.mask, at}, {whole.score, at},
                                                                   whole.sinks,  whole.key_scales, whole.value_scales,
                                                                   whole.rotary, whole.dropout,    whole.accumulation};
  result.rotary.first_query = whole.rotary.query_position(at.len_q, at.len_k) + at.first_query;
  result.rotary.first_key = held_position(whole.rotary.first_key) + at.first_key;
  return result;
}

/// Refuses a part that is not within its whole.
TESSERA_ALWAYS_INLINE void check_place(const char* function, const part& at, std::int64_t len_q, std::int64_t len_k) {
  const auto within = [&](std::int64_t first, std::int64_t count, std::int64_t whole, const char* argument) {
    tessera::detail::expects(
        first >= 0 && count <= whole && first <= whole - count, function, argument,
        [&] { return std::to_string(count) + " from " + std::to_string(first) + " of " + std::to_string(whole); },
        "needs a part that lies within the whole");
  };
  within(at.first_query, len_q, at.len_q, "at.first_query");
  within(at.first_key, len_k, at.len_k, "at.first_key");
}

}  // namespace detail
}  // namespace tessera::attention
