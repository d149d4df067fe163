// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One call of attention::forward as its kernels get it: where rows lie, and what becomes of the pairs of a block of queries.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/dropout.hpp"
#include "tessera/attention/mask.hpp"
#include "tessera/attention/score.hpp"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

/// Everything that is read, and what is written.
template <class Q, class K, class V, class O, class L, class Mask, class Score>
struct forward_problem {
  using query_type = Q;
  using key_type = K;
  using value_type = V;
  using result_type = O;

  tessera::attention::detail::sequences<Q, K, V> at;
  tessera::attention::detail::sequence_rows<O> out;
  tessera::attention::detail::sequence_rows<L> lse;  ///< null: not wanted
  double scale;
  Mask mask;
  Score score;
  view<const float, 1> sinks;
  view<const float, 1> key_scales;
  view<const float, 1> value_scales;
  tessera::attention::dropout dropout;
};

/// Queries of a block: rows [first, last) of one sequence and head, or, Packed, rows of all heads that share a key head, those of a query together:
/// row r is query r / group of head r % group.
template <class Problem, bool Packed>
struct block_place {
  const Problem& p;
  std::int64_t b;
  std::int64_t head;  ///< the first one
  std::int64_t kv_head;
  std::int64_t first;
  std::int64_t last;

  [[nodiscard]] TESSERA_DEVICE bool holds(int r) const { return first + r < last; }
  /// The query and the head of a row; those of the last one for rows that are not there.
  [[nodiscard]] TESSERA_DEVICE std::int64_t query(int r) const {
    if constexpr (Packed) return static_cast<std::int64_t>(inside(r) / group());
    return inside(r);
  }
  [[nodiscard]] TESSERA_DEVICE std::int64_t head_of(int r) const {
    if constexpr (Packed) return head + static_cast<std::int64_t>(inside(r) % group());
    return head;
  }
  [[nodiscard]] TESSERA_DEVICE std::int64_t first_query() const { return query(0); }
  [[nodiscard]] TESSERA_DEVICE std::int64_t last_query() const { return query(static_cast<int>(last - first) - 1) + 1; }

 private:
  [[nodiscard]] TESSERA_DEVICE std::uint32_t group() const { return static_cast<std::uint32_t>(p.at.group()); }
  [[nodiscard]] TESSERA_DEVICE std::uint32_t inside(int r) const {
    return static_cast<std::uint32_t>(first + r < last ? first + r : last - 1);
  }
};

/// The rows of a block, as tile/query_block.cuh asks for them; of values the columns from `column` on.
template <class Problem, bool Packed, bool Aligned>
class forward_rows {
 public:
  static constexpr bool aligned = Aligned;

  TESSERA_DEVICE forward_rows(const block_place<Problem, Packed>& place, std::int64_t column)
      : place_(place),
        keys_(place.p.at.keys(place.b, place.kv_head)),
        values_(place.p.at.values(place.b, place.kv_head)),
        column_(column) {}

  [[nodiscard]] TESSERA_DEVICE const typename Problem::query_type* query(int r) const {
    return place_.holds(r) ? place_.p.at.query(place_.b, place_.head_of(r), place_.query(r)) : nullptr;
  }
  [[nodiscard]] TESSERA_DEVICE const typename Problem::key_type* key(std::int64_t j) const { return keys_.row(j); }
  [[nodiscard]] TESSERA_DEVICE const typename Problem::value_type* value(std::int64_t j) const {
    return values_.row(j) + column_;
  }
  [[nodiscard]] TESSERA_DEVICE int depth() const { return static_cast<int>(place_.p.at.head_dim()); }
  [[nodiscard]] TESSERA_DEVICE int value_dim() const { return static_cast<int>(place_.p.at.value_dim() - column_); }

 private:
  const block_place<Problem, Packed>& place_;
  tessera::attention::detail::stored_rows<typename Problem::key_type> keys_;
  tessera::attention::detail::stored_rows<typename Problem::value_type> values_;
  std::int64_t column_;
};

/// The pairs of a block and of keys [begin, end), scores computed in T. Without Drops no weight is struck out.
template <class T, class Problem, bool Packed, bool Drops = true>
class forward_pairs {
 public:
  using index = lane_index<T>;
  using mask_type = decltype(tessera::attention::detail::head_of(std::declval<const decltype(Problem::mask)&>(), 0, 0, 0, 0));
  using score_type = decltype(tessera::attention::detail::score_of(std::declval<const decltype(Problem::score)&>(), 0, 0, 0, 0));
  static constexpr bool linear = tessera::detail::is_linear<score_type>;

  TESSERA_DEVICE forward_pairs(const block_place<Problem, Packed>& place, std::int64_t begin, std::int64_t end)
      : place_(place),
        len_q_(place.p.at.len_q(place.b)),
        len_k_(place.p.at.len_k(place.b)),
        begin_(begin),
        end_(end < len_k_ ? end : len_k_),
        mask_(mask_of(place.head)),
        score_(score_of(place.head)) {
    double factor = place.p.scale;
    if (place.p.key_scales.data_handle() != nullptr) factor *= static_cast<double>(place.p.key_scales(place.kv_head));
    scale_ = static_cast<T>(linear ? factor * softmax::unit : factor);
  }

  [[nodiscard]] TESSERA_DEVICE key_range range() const {
    key_range all = mask_.keys(place_.first_query(), place_.last_query(), len_k_);
    if constexpr (heads_differ) {
      for (std::int64_t h = 1; h < place_.p.at.group(); ++h) {
        const key_range more = mask_of(place_.head + h).keys(place_.first_query(), place_.last_query(), len_k_);
        if (more.first >= more.last) continue;
        if (all.first >= all.last) {
          all = more;
        } else {
          all.first = more.first < all.first ? more.first : all.first;
          all.last = more.last > all.last ? more.last : all.last;
        }
      }
    }
    const std::int64_t first = all.first > begin_ ? all.first : begin_;
    const std::int64_t last = all.last < end_ ? all.last : end_;
    return {first < last ? first : last, last};
  }
  [[nodiscard]] TESSERA_DEVICE tile_class classify(std::int64_t j0, std::int64_t j1) const {
    tile_class all = mask_.classify(place_.first_query(), place_.last_query(), j0, j1);
    if constexpr (heads_differ) {
      for (std::int64_t h = 1; h < place_.p.at.group() && all != tile_class::some; ++h) {
        if (mask_of(place_.head + h).classify(place_.first_query(), place_.last_query(), j0, j1) != all) all = tile_class::some;
      }
    }
    return all;
  }
  [[nodiscard]] TESSERA_DEVICE bool visible(int r, index j) const {
    const index i = static_cast<index>(place_.query(r));
    if constexpr (Packed) return static_cast<bool>(mask_of(place_.head_of(r)).visible(i, j));
    return static_cast<bool>(mask_.visible(i, j));
  }
  [[nodiscard]] TESSERA_DEVICE T factor() const
    requires(linear)
  {
    return scale_;
  }
  [[nodiscard]] TESSERA_DEVICE T score(T product, int r, index j) const {
    if constexpr (linear) {
      return product * scale_;
    } else {
      const index i = static_cast<index>(place_.query(r));
      if constexpr (Packed) return score_of(place_.head_of(r))(product * scale_, i, j) * static_cast<T>(softmax::unit);
      return score_(product * scale_, i, j) * static_cast<T>(softmax::unit);
    }
  }

  [[nodiscard]] TESSERA_DEVICE bool drops() const
    requires(Drops)
  {
    return place_.p.dropout.active();
  }
  /// Which of keys j and j + 1 (j even) dropout strikes out of a row: bits 0 and 1.
  [[nodiscard]] TESSERA_DEVICE unsigned dropped(int r, index j) const {
    const auto& dropout = place_.p.dropout;
    const std::uint32_t least = dropout.threshold();
    const std::int64_t h = place_.head_of(r);
    const std::int64_t row = place_.query(r) + (place_.p.at.ragged() ? place_.p.at.ragged_row(place_.b, h)
                                                                     : (place_.b * place_.p.at.heads() + h) * len_q_);
    const std::uint64_t address = static_cast<std::uint64_t>(row) << 32 | static_cast<std::uint64_t>(j);
    const random::philox_block block = random::philox(dropout.seed, dropout.stream, address / 4);
    const bool upper = address % 4 != 0;
    const std::uint32_t a = upper ? block.word[2] : block.word[0];
    const std::uint32_t c = upper ? block.word[3] : block.word[1];
    return (a < least ? 1u : 0u) | (c < least ? 2u : 0u);
  }

 private:
  /// A band is the same for all heads; of other masks nothing is known.
  static constexpr bool heads_differ = Packed && !std::is_same_v<mask_type, band_mask>;

  [[nodiscard]] TESSERA_DEVICE mask_type mask_of(std::int64_t h) const {
    return tessera::attention::detail::head_of(place_.p.mask, place_.b, h, len_q_, len_k_);
  }
  [[nodiscard]] TESSERA_DEVICE score_type score_of(std::int64_t h) const {
    return tessera::attention::detail::score_of(place_.p.score, place_.b, h, len_q_, len_k_);
  }

  const block_place<Problem, Packed>& place_;
  std::int64_t len_q_;
  std::int64_t len_k_;
  std::int64_t begin_;
  std::int64_t end_;
  mask_type mask_;
  score_type score_;
  T scale_;
};

/// The state of a row before its first key: its sink, if there is one, which one lane of the quad counts.
template <class T, class Problem, bool Packed>
TESSERA_DEVICE softmax::state<T> sink_state(const block_place<Problem, Packed>& place, int r, bool counts) {
  softmax::state<T> s = softmax{}.template identity<T>();
  if (place.p.sinks.data_handle() == nullptr) return s;
  s.max = static_cast<T>(static_cast<double>(place.p.sinks(place.head_of(r))) * softmax::unit);
  s.mass = counts && s.max != -infinity<T>() ? T(1) : T(0);
  return s;
}

/// What weighted means of values are multiplied by.
template <class T, class Problem>
TESSERA_DEVICE T value_factor(const Problem& p, std::int64_t kv_head) {
  const double stored = p.value_scales.data_handle() != nullptr ? static_cast<double>(p.value_scales(kv_head)) : 1.0;
  return static_cast<T>(stored * p.dropout.factor());
}

}  // namespace tessera::cuda::attention::detail
