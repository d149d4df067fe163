// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A panel of queries with its tangents, walked past the chunks of a head: what query_block does, and beside it the derivative of each sum.
#pragma once

#include <cstdint>
#include <cstring>

#include "tessera/attention/detail/dropped_pairs.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/simd/pack.hpp"
#include "tessera/tile/detail/key_store.hpp"
#include "tessera/tile/detail/score_rule.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/microkernel.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/shape.hpp"

namespace tessera::attention::detail {

/// out = sum p v and its derivative sum p v' + sum p s' (v - out), s' = d score. Sums of w, w v, w v' + w s' v and w s' are kept for each
/// query, w the weight relative to the largest score so far.
template <class T, class Arch, class Score>
class jvp_block {
 public:
  using P = simd::pack<T, Arch>;
  using I = simd::index_pack<T, Arch>;
  using index = lane_index<T>;
  using shape = tile::block_shape<T, Arch>;
  using rule_type = tile::detail::score_rule<Score, softmax, T>;
  using layout_type = tile::detail::key_layout<T, Arch, true>;
  using chunk_type = tile::detail::key_chunk_view<T>;
  using state = softmax::state<P>;
  static constexpr int width = shape::width;
  static constexpr int rows = shape::rows;
  static constexpr int packs = shape::packs;

  struct arrays {
    T* queries;       ///< [depth][width]
    T* tangents;      ///< [depth][width], of the queries
    T* sums;          ///< [value_blocks * rows][width]
    T* sum_tangents;  ///< [value_blocks * rows][width]
    T* weights;       ///< [chunk][width]
    T* moved;         ///< [chunk][width], w s'
    T* row;           ///< [value_dim]

    arrays(tessera::detail::bump& memory, const layout_type& layout)
        : queries(memory.take<T>(layout.depth * width)),
          tangents(memory.take<T>(layout.depth * width)),
          sums(memory.take<T>(layout.value_blocks() * rows * width)),
          sum_tangents(memory.take<T>(layout.value_blocks() * rows * width)),
          weights(memory.take<T>(layout_type::chunk * width)),
          moved(memory.take<T>(layout_type::chunk * width)),
          row(memory.take<T>(layout.value_dim)) {}
  };

  jvp_block(const rule_type& rule, const layout_type& layout, const arrays& memory)
      : rule_(rule), layout_(layout), memory_(memory) {}

  /// Takes queries, at most a panel, of which `first` is the first, and their tangents.
  template <class Q, class D>
  void start(const view<const Q, 2>& queries, const view<const D, 2>& tangents, std::int64_t first) {
    first_ = first;
    count_ = queries.extent(0);
    const P factor(rule_.query_factor());
    const auto scaled = [&](P x, std::int64_t) { return x * factor; };
    tile::pack_transposed<width, P>(memory_.queries, queries.data_handle(), queries.stride(0), count_, layout_.depth, scaled);
    tile::pack_transposed<width, P>(memory_.tangents, tangents.data_handle(), tangents.stride(0), count_, layout_.depth, scaled);
    for (int v = 0; v < packs; ++v) {
      states_[v] = softmax{}.identity<P>();
      moments_[v] = P(T(0));
    }
    const auto size = sizeof(T) * static_cast<std::size_t>(layout_.value_blocks() * rows * width);
    std::memset(memory_.sums, 0, size);
    std::memset(memory_.sum_tangents, 0, size);
  }

  /// Folds a chunk of keys and values, and of their tangents.
  template <class Mask>
  void absorb(const chunk_type& chunk, const chunk_type& tangents, const Mask& mask, const dropped_pairs& dropped) {
    const tile_class seen = mask.classify(first_, first_ + count_, chunk.first, chunk.first + chunk.count);
    if (seen == tile_class::none) return;
    const key_range range = mask.keys(first_, first_ + count_, chunk.first + chunk.count);
    const int end = static_cast<int>(range.last - chunk.first < chunk.count ? range.last - chunk.first : chunk.count);
    const int begin = range.first > chunk.first ? static_cast<int>(range.first - chunk.first) / rows * rows : 0;
    if (begin >= end) return;
    const bool hides = seen == tile_class::some;
    score(chunk, tangents, begin, end);
    join_factors<P> factors[packs];
    for (int v = 0; v < packs; ++v) {
      const score_tile<P> tile(memory_.weights + begin * width + v * P::lanes, width, end - begin, chunk.first + begin);
      const I i = I::iota(static_cast<index>(first_ + v * P::lanes));
      for (int j = 0; hides && j < tile.size(); ++j) {
        tile.set(j, select(mask.visible(i, tile.key(j)), tile[j], P(-infinity<T>())));
      }
      const state s = softmax{}.weigh(tile);
      P moment(T(0));
      for (int j = begin; j < end; ++j) {
        // A hidden pair may have any derivative, NaN too.
        const P w = P::load(memory_.weights + j * width + v * P::lanes);
        T* const at = memory_.moved + j * width + v * P::lanes;
        const P moved = select(w == P(T(0)), P(T(0)), w * P::load(at));
        moved.store(at);
        moment += moved;
      }
      factors[v] = softmax{}.join(states_[v], s);
      moments_[v] = fma(moments_[v], factors[v].kept, moment * factors[v].joined);
      // Mass and moment are those of all pairs.
      for (T* const terms : {memory_.weights, memory_.moved}) {
        if (!dropped.any()) break;
        dropped.template strike<P>(terms + begin * width + v * P::lanes, width, first_ + v * P::lanes, chunk.first + begin,
                                   end - begin);
      }
    }
    const bool finite = !hides || (chunk.finite_values && tangents.finite_values);
    for (std::int64_t b = 0; b < layout_.value_blocks(); ++b) {
      if (finite) {
        add_values(chunk, tangents, b, begin, end, factors);
      } else {
        add_visible_values(chunk, tangents, b, begin, end, factors, mask);
      }
    }
  }

  /// Joins a score that has no value and does not move: a sink.
  void join(const state& more) {
    for (int v = 0; v < packs; ++v) {
      const P kept = softmax{}.join(states_[v], more).kept;
      moments_[v] = moments_[v] * kept;
      for (std::int64_t c = 0; c < layout_.value_dim; ++c) {
        for (T* const sums : {memory_.sums, memory_.sum_tangents}) {
          T* const at = sums + c * width + v * P::lanes;
          (P::load(at) * kept).store(at);
        }
      }
    }
  }

  /// store(row, values) of out, then store_tangent(row, values) of its derivative, for every query.
  template <class Store, class StoreTangent>
  void finish(const Store& store, const StoreTangent& store_tangent) {
    for (int v = 0; v < packs; ++v) {
      const P mass = states_[v].mass;
      const auto empty = mass == P(T(0));
      const P mean = select(empty, P(T(0)), moments_[v] / mass);
      for (std::int64_t c = 0; c < layout_.value_dim; ++c) {
        T* const at = memory_.sums + c * width + v * P::lanes;
        T* const tangent_at = memory_.sum_tangents + c * width + v * P::lanes;
        const P out = select(empty, P(T(0)), P::load(at) / mass);
        out.store(at);
        select(empty, P(T(0)), fma(-mean, out, P::load(tangent_at) / mass)).store(tangent_at);
      }
    }
    for (std::int64_t i = 0; i < count_; ++i) {
      for (std::int64_t c = 0; c < layout_.value_dim; ++c) memory_.row[c] = memory_.sums[c * width + i];
      store(first_ + i, memory_.row);
      for (std::int64_t c = 0; c < layout_.value_dim; ++c) memory_.row[c] = memory_.sum_tangents[c * width + i];
      store_tangent(first_ + i, memory_.row);
    }
  }

 private:
  /// weights = scores in base 2, moved = d score in natural units.
  TESSERA_NOINLINE void score(const chunk_type& chunk, const chunk_type& tangents, int begin, int end) {
    const std::int64_t depth = layout_.depth;
    // A linear score has the unit in the queries' factor.
    const P to_natural(static_cast<T>(rule_type::folds_unit ? 1 / softmax::unit : 1.0));
    I query[packs];
    for (int v = 0; v < packs; ++v) query[v] = I::iota(static_cast<index>(first_ + v * P::lanes));
    for (int j = begin; j < end; j += rows) {
      P sums[rows][packs];
      tile::clear(sums);
      tile::multiply_add(depth, chunk.keys + j * depth, rows, memory_.tangents, width, sums);
      tile::multiply_add(depth, tangents.keys + j * depth, rows, memory_.queries, width, sums);
      for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < packs; ++v) (sums[r][v] * to_natural).store(memory_.moved + (j + r) * width + v * P::lanes);
      }
      tile::clear(sums);
      tile::multiply_add(depth, chunk.keys + j * depth, rows, memory_.queries, width, sums);
      for (int r = 0; r < rows; ++r) {
        const I key(static_cast<index>(chunk.first + j + r));
        for (int v = 0; v < packs; ++v) {
          rule_(sums[r][v], P(T(0)), T(0), query[v], key).store(memory_.weights + (j + r) * width + v * P::lanes);
          if constexpr (!rule_type::folds_unit) {
            T* const at = memory_.moved + (j + r) * width + v * P::lanes;
            (P::load(at) * rule_.score.score.derivative(sums[r][v], query[v], key)).store(at);
          }
        }
      }
    }
  }

  TESSERA_NOINLINE void add_values(const chunk_type& chunk, const chunk_type& tangents, std::int64_t b, int begin, int end,
                                   const join_factors<P> (&factors)[packs]) {
    const std::int64_t at = (b * layout_type::chunk + begin) * rows;
    P sums[rows][packs];
    tile::clear(sums);
    tile::multiply_add(end - begin, chunk.values + at, rows, memory_.weights + begin * width, width, sums);
    put(memory_.sums + b * rows * width, sums, factors);
    tile::clear(sums);
    tile::multiply_add(end - begin, tangents.values + at, rows, memory_.weights + begin * width, width, sums);
    tile::multiply_add(end - begin, chunk.values + at, rows, memory_.moved + begin * width, width, sums);
    put(memory_.sum_tangents + b * rows * width, sums, factors);
  }

  /// The same where hidden values hold NaN or inf.
  template <class Mask>
  TESSERA_NOINLINE void add_visible_values(const chunk_type& chunk, const chunk_type& tangents, std::int64_t b, int begin,
                                           int end, const join_factors<P> (&factors)[packs], const Mask& mask) {
    P sums[rows][packs];
    P tangent_sums[rows][packs];
    tile::clear(sums);
    tile::clear(tangent_sums);
    for (int v = 0; v < packs; ++v) {
      const I i = I::iota(static_cast<index>(first_ + v * P::lanes));
      for (int j = begin; j < end; ++j) {
        const auto seen = mask.visible(i, I(static_cast<index>(chunk.first + j)));
        const P weight = P::load(memory_.weights + j * width + v * P::lanes);
        const std::int64_t at = (b * layout_type::chunk + j) * rows;
        for (int r = 0; r < rows; ++r) {
          sums[r][v] = select(seen, fma(P(chunk.values[at + r]), weight, sums[r][v]), sums[r][v]);
          tangent_sums[r][v] = select(seen, fma(P(tangents.values[at + r]), weight, tangent_sums[r][v]), tangent_sums[r][v]);
        }
      }
      // In the order of add_values: all of the tangents, then all of the values.
      for (int j = begin; j < end; ++j) {
        const auto seen = mask.visible(i, I(static_cast<index>(chunk.first + j)));
        const P moved = P::load(memory_.moved + j * width + v * P::lanes);
        const std::int64_t at = (b * layout_type::chunk + j) * rows;
        for (int r = 0; r < rows; ++r) {
          tangent_sums[r][v] = select(seen, fma(P(chunk.values[at + r]), moved, tangent_sums[r][v]), tangent_sums[r][v]);
        }
      }
    }
    put(memory_.sums + b * rows * width, sums, factors);
    put(memory_.sum_tangents + b * rows * width, tangent_sums, factors);
  }

  static void put(T* to, const P (&sums)[rows][packs], const join_factors<P> (&factors)[packs]) {
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < packs; ++v) {
        T* const at = to + r * width + v * P::lanes;
        fma(P::load(at), factors[v].kept, sums[r][v] * factors[v].joined).store(at);
      }
    }
  }

  const rule_type& rule_;
  layout_type layout_;
  arrays memory_;
  std::int64_t first_ = 0;
  std::int64_t count_ = 0;
  state states_[packs];
  P moments_[packs];
};

}  // namespace tessera::attention::detail
