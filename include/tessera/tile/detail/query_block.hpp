// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A block of queries with the fold of each, walked past one chunk of keys after another, a panel (as many queries as a register
/// block has lanes) at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tessera/core/scratch.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/simd/math.hpp"
#include "tessera/simd/transpose.hpp"
#include "tessera/tile/detail/key_store.hpp"
#include "tessera/tile/detail/lane_state.hpp"
#include "tessera/tile/detail/rough_distances.hpp"
#include "tessera/tile/detail/score_rule.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/microkernel.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/shape.hpp"

namespace tessera::tile::detail {

/// Strikes no weight out.
struct keep_weights {};

/// A block of queries that one worker walks past all keys.
template <class T, class Arch, class Score, class Reducer, bool HasValues>
class query_block {
 public:
  using P = simd::pack<T, Arch>;
  using I = simd::index_pack<T, Arch>;
  using index = lane_index<T>;
  using shape = block_shape<T, Arch>;
  using rule_type = score_rule<Score, Reducer, T>;
  using layout_type = key_layout<T, Arch, HasValues>;
  using state = typename Reducer::template state<P>;
  static constexpr int width = shape::width;
  static constexpr int rows = shape::rows;
  /// Distances are made of norms, and folds that ask whether a score can be NaN are told by them; weights ask nothing.
  /// The fold keeps what its sums lose, and adds to both.
  static constexpr bool keeps_lost = requires { requires Reducer::keeps_lost; };
  static constexpr bool wants_norms = rule_type::is_distance || !HasValues;

  /// What a block of up to `panels` panels works in.
  struct arrays {
    T* queries;      ///< [panels][depth][width]
    T* query_rows;   ///< [panels * width][depth], where distances may be computed again from the differences
    T* norms;        ///< [panels * width]
    T* sums;         ///< [panels][value_blocks * rows][width]
    T* lost;         ///< [panels][value_blocks * rows][width] what the sums lost, where the fold keeps it
    T* scores;       ///< [chunk][width]
    T* row;          ///< [lanes][row_size]
    bool* ordinary;  ///< [panels] whether no score of the panel's queries can be NaN beside ordinary keys
    state* states;   ///< [panels * packs]

    arrays(tessera::detail::bump& memory, const layout_type& layout, std::int64_t panels)
        : queries(memory.take<T>(panels * layout.depth * width)),
          query_rows(memory.take<T>(rule_type::from_norms ? panels * width * layout.depth : 0)),
          norms(memory.take<T>(panels * width)),
          sums(memory.take<T>(panels * layout.value_blocks() * rows * width)),
          lost(memory.take<T>(keeps_lost ? panels * layout.value_blocks() * rows * width : 0)),
          scores(memory.take<T>(layout_type::chunk * width)),
          row(memory.take<T>(P::lanes * row_size(layout))),
          ordinary(memory.take<bool>(panels)),
          states(memory.take<state>(panels * shape::packs)) {}
  };

  query_block(const rule_type& rule, const layout_type& layout, const arrays& memory)
      : rule_(rule), far_below_(far_below(rule.factor)), layout_(layout), memory_(memory) {}

  /// Packs queries [first, first + count) and empties their folds.
  template <class Q>
  void start(const view<const Q, 2>& queries, std::int64_t first, std::int64_t count, const T* center) {
    start_with(
        [&](std::int64_t i, std::int64_t n) {
          return view<const Q, 2>(queries.data_handle() + i * queries.stride(0), {n, queries.extent(1)}, {queries.stride(0), 1});
        },
        first, count, center);
  }
  /// The same, of the queries that rows_from(i, n) gives: a view of queries [i, i + n), at most a panel, that is used until the next one.
  template <class Rows>
  void start_with(const Rows& rows_from, std::int64_t first, std::int64_t count, const T* center) {
    first_ = first;
    count_ = count;
    panels_ = (count + width - 1) / width;
    const T factor = rule_.query_factor();
    for (std::int64_t p = 0; p < panels_; ++p) {
      const std::int64_t n = count - p * width < width ? count - p * width : width;
      const auto queries = rows_from(first + p * width, n);
      const auto* const source = queries.data_handle();
      T* const panel = memory_.queries + p * layout_.depth * width;
      if constexpr (rule_type::from_norms) {
        const auto columns = [&](std::int64_t k) {
          return static_cast<int>(std::min<std::int64_t>(P::lanes, layout_.depth - k));
        };
        pack_transposed<width, P>(panel, source, queries.stride(0), n, layout_.depth,
                                  [&](P x, std::int64_t k) { return x - detail::load_columns<P>(center + k, columns(k)); });
        squared_norms<width, P>(memory_.norms + p * width, panel, layout_.depth);
        for (std::int64_t i = 0; i < layout_.depth * width; ++i) panel[i] *= factor;
        for (std::int64_t i = 0; i < n; ++i) {
          T* const row = memory_.query_rows + (p * width + i) * layout_.depth;
          for (std::int64_t k = 0; k < layout_.depth; ++k) row[k] = static_cast<T>(source[i * queries.stride(0) + k]);
        }
      } else {
        pack_transposed<width, P>(panel, source, queries.stride(0), n, layout_.depth,
                                  [&](P x, std::int64_t) { return x * P(factor); });
        if constexpr (wants_norms) squared_norms<width, P>(memory_.norms + p * width, panel, layout_.depth);
      }
      memory_.ordinary[p] = wants_norms && (tessera::detail::is_linear<Score> || rule_type::is_distance);
      for (int l = 0; wants_norms && l < width; ++l) memory_.ordinary[p] &= memory_.norms[p * width + l] < far_below_;
    }
    for (std::int64_t s = 0; s < panels_ * shape::packs; ++s) memory_.states[s] = rule_.reducer.template identity<P>();
    if constexpr (HasValues) std::memset(memory_.sums, 0, sizeof(T) * static_cast<std::size_t>(panels_ * panel_sums()));
    if constexpr (keeps_lost) std::memset(memory_.lost, 0, sizeof(T) * static_cast<std::size_t>(panels_ * panel_sums()));
  }

  /// Takes up the folds that suspend left: load(row, values) writes the [value_dim] sums of a row and returns its state.
  template <class Load>
  void resume(const Load& load) {
    for (std::int64_t i = 0; i < count_; ++i) {
      set_lane_state<Reducer, T, P>(memory_.states[state_of(i)], static_cast<int>(i % P::lanes), load(first_ + i, memory_.row));
      T* const sums = memory_.sums + i / width * panel_sums() + i % width;
      for (std::int64_t c = 0; c < layout_.value_dim; ++c) sums[c * width] = memory_.row[c];
    }
  }

  /// store(row, state, values) for every row, in rising order: its state and sums so far, not divided.
  template <class Store>
  void suspend(const Store& store) {
    for (std::int64_t i = 0; i < count_; ++i) {
      const T* const sums = memory_.sums + i / width * panel_sums() + i % width;
      for (std::int64_t c = 0; c < layout_.value_dim; ++c) memory_.row[c] = sums[c * width];
      store(first_ + i, lane_state<Reducer, T, P>(memory_.states[state_of(i)], static_cast<int>(i % P::lanes)), memory_.row);
    }
  }

  /// Folds one chunk of keys into every query that sees some of it. `struck` may take weights for 0 after they are part of the mass.
  template <class K, class Mask, class Struck = keep_weights>
  void absorb(const key_chunk_view<T>& chunk, const view<const K, 2>& keys, const Mask& mask, const Struck& struck = {}) {
    for (std::int64_t p = 0; p < panels_; ++p) {
      const std::int64_t left = count_ - p * width;
      const std::int64_t packs = (left + P::lanes - 1) / P::lanes;
      if (packs >= shape::packs) {
        absorb_panel<shape::packs>(p, chunk, keys, mask, struck);
      } else if (packs == 1) {
        absorb_panel<1>(p, chunk, keys, mask, struck);
      } else {
        absorb_panel<2>(p, chunk, keys, mask, struck);
      }
    }
  }

  /// Joins one more state to those of all queries, without values.
  template <class More>
  void join(const More& more) {
    for (std::int64_t p = 0; p < panels_; ++p) {
      for (int v = 0; v < shape::packs; ++v) {
        const P kept = rule_.reducer.join(memory_.states[p * shape::packs + v], more).kept;
        T* const sums = memory_.sums + p * panel_sums() + v * P::lanes;
        if constexpr (keeps_lost) {
          T* const lost = memory_.lost + p * panel_sums() + v * P::lanes;
          for (T* const all : {sums, lost}) {
            for (std::int64_t c = 0; c < layout_.value_dim; ++c)
              fma(P::load(all + c * width), kept, P(T(0))).store(all + c * width);
          }
        } else {
          for (std::int64_t c = 0; c < layout_.value_dim; ++c) (P::load(sums + c * width) * kept).store(sums + c * width);
        }
      }
    }
  }

  /// store(row, values) for every row of weighted means, in rising order; values is [value_dim] in the compute type.
  template <class Store>
  void finish_values(const Store& store) {
    constexpr int lanes = P::lanes;
    const std::int64_t stride = row_size(layout_);
    for (std::int64_t i0 = 0; i0 < count_; i0 += lanes) {
      const T* const sums = memory_.sums + i0 / width * panel_sums() + i0 % width;
      const P mass = rule_.reducer.normalizer(memory_.states[state_of(i0)]);
      const auto empty = mass == P(T(0));
      for (std::int64_t c = 0; c < layout_.value_dim; c += lanes) {
        const std::int64_t stored = layout_.value_blocks() * rows - c;
        P x[lanes];
        if (stored >= lanes) {
          TESSERA_UNROLL
          for (int k = 0; k < lanes; ++k) x[k] = select(empty, P(T(0)), total(sums + (c + k) * width) / mass);
        } else {
          for (int k = 0; k < lanes; ++k)
            x[k] = k < stored ? select(empty, P(T(0)), total(sums + (c + k) * width) / mass) : P(T(0));
        }
        simd::transpose_square(x);
        TESSERA_UNROLL
        for (int l = 0; l < lanes; ++l) x[l].store(memory_.row + l * stride + c);
      }
      const std::int64_t n = count_ - i0 < lanes ? count_ - i0 : lanes;
      for (std::int64_t l = 0; l < n; ++l) store(first_ + i0 + l, memory_.row + l * stride);
    }
  }

  /// emit(row, result) for every row, in rising order.
  template <class Emit>
  void finish_states(const Emit& emit) {
    using result = decltype(rule_.reducer.finish(memory_.states[0]));
    if constexpr (std::is_same_v<result, P> && lane<P>::fused) {
      alignas(P::alignment) T results[P::lanes];
      for (std::int64_t i = 0; i < count_; ++i) {
        if (i % P::lanes == 0) rule_.reducer.finish(memory_.states[state_of(i)]).store(results);
        emit(first_ + i, results[i % P::lanes]);
      }
    } else {  // a result that is not one number, or lanes that round otherwise than numbers do
      for (std::int64_t i = 0; i < count_; ++i) {
        emit(first_ + i,
             rule_.reducer.finish(lane_state<Reducer, T, P>(memory_.states[state_of(i)], static_cast<int>(i % P::lanes))));
      }
    }
  }

 private:
  /// Keys between which it is told apart what a panel sees: whole register blocks.
  static constexpr int step = 48;
  static_assert(step % rows == 0 && layout_type::chunk % step == 0);
  /// Where the step of key j ends; where that of the key before j begins.
  [[nodiscard]] static int step_end(int j, int last) { return std::min((j / step + 1) * step, last); }
  [[nodiscard]] static int step_begin(int j, int first) { return std::max((j - 1) / step * step, first); }

  /// Where the state of query i of the block is, in lane i % lanes.
  [[nodiscard]] static std::int64_t state_of(std::int64_t i) { return i / width * shape::packs + i % width / P::lanes; }
  /// Of a row of values, whole packs.
  [[nodiscard]] static std::int64_t row_size(const layout_type& layout) {
    return (layout.value_dim + P::lanes - 1) / P::lanes * P::lanes;
  }
  [[nodiscard]] std::int64_t panel_sums() const { return layout_.value_blocks() * rows * width; }
  [[nodiscard]] int panel_packs(std::int64_t p) const {
    const std::int64_t packs = (count_ - p * width + P::lanes - 1) / P::lanes;
    return static_cast<int>(packs < shape::packs ? packs : shape::packs);
  }

  template <int Packs, class K, class Mask, class Struck>
  TESSERA_NOINLINE void absorb_panel(std::int64_t p, const key_chunk_view<T>& chunk, const view<const K, 2>& keys,
                                     const Mask& mask, const Struck& struck) {
    const std::int64_t i0 = first_ + p * width;
    const std::int64_t left = count_ - p * width;
    const std::int64_t i1 = i0 + (left < width ? left : width);
    int begin = 0;
    int count = chunk.count;
    tile_class seen = tile_class::all;
    constexpr bool masked = !std::is_same_v<Mask, no_mask>;
    if constexpr (masked) {
      seen = mask.classify(i0, i1, chunk.first, chunk.first + chunk.count);
      if (seen == tile_class::none) return;
      const key_range range = mask.keys(i0, i1, chunk.first + chunk.count);
      count = static_cast<int>(range.last - chunk.first < count ? range.last - chunk.first : count);
      // Hidden keys add exact zeros, so those before and after the rest may be left out.
      if (!rule_type::from_norms && range.first > chunk.first) begin = static_cast<int>(range.first - chunk.first) / rows * rows;
      if (seen == tile_class::some) {
        const auto hidden = [&](int j0, int j1) {
          return mask.classify(i0, i1, chunk.first + j0, chunk.first + j1) == tile_class::none;
        };
        for (int j = begin; !rule_type::from_norms && j < count && hidden(j, step_end(j, count)); begin = j)
          j = step_end(j, count);
        for (int j = count; j > begin && hidden(step_begin(j, begin), j); count = j) j = step_begin(j, begin);
      }
      if (begin >= count) return;
    }

    score_chunk<Packs>(p, chunk, begin, count, i0);

    const bool ordinary = memory_.ordinary[p] && chunk.largest_norm < far_below_;

    join_factors<P> factors[Packs];
    for (int v = 0; v < Packs; ++v) {
      const score_tile<P> tile(memory_.scores + begin * width + v * P::lanes, width, count - begin, chunk.first + begin,
                               ordinary && seen == tile_class::all);
      state& s = memory_.states[p * shape::packs + v];
      if constexpr (masked) {
        if (seen == tile_class::some) hide(tile, mask, i0, i1, v, chunk.first + begin);
      }
      if constexpr (rule_type::from_norms) {
        const std::int64_t i = p * width + v * P::lanes;
        const rough_distances<P, Reducer, K> rough{
            rule_.reducer, rule_.factor,      far_below_, layout_.depth, memory_.query_rows + i * layout_.depth,
            count_ - i,    memory_.norms + i, chunk,      keys,          memory_.scores + v * P::lanes,
            width};
        const key_range refined = rough.refine(s, tile, ordinary);
        if constexpr (masked) {
          // Where a row has seen nothing yet its limit is `excluded` itself, and hidden pairs were computed, too.
          if (seen == tile_class::some) hide(tile, mask, i0, i1, v, chunk.first + begin);
        }
        if constexpr (requires { Reducer::only_suspects_matter; }) {
          if (refined.first < refined.last) rule_.reducer.absorb(s, tile.part(refined.first, refined.last));
          continue;
        }
      }
      if constexpr (HasValues) {
        factors[v] = rule_.reducer.join(s, rule_.reducer.weigh(tile));
        if constexpr (!std::is_same_v<Struck, keep_weights>) {
          if (struck.any()) {
            struck.template strike<P>(memory_.scores + begin * width + v * P::lanes, width, i0 + v * P::lanes,
                                      chunk.first + begin, count - begin);
          }
        }
      } else {
        rule_.reducer.absorb(s, tile);
      }
    }
    if constexpr (HasValues && masked) {
      if (seen == tile_class::some && !chunk.finite_values) {
        add_visible_values<Packs>(p, chunk, begin, count, factors, mask, i0);
        return;
      }
    }
    if constexpr (HasValues) add_values<Packs>(p, chunk, begin, count, factors);
  }

  /// scores[j][lane] for the keys [begin, count) (and the padding up to a whole block); begin is a multiple of `rows`.
  template <int Packs>
  TESSERA_NOINLINE void score_chunk(std::int64_t p, const key_chunk_view<T>& chunk, int begin, int count, std::int64_t i0) {
    const std::int64_t depth = layout_.depth;
    const T* const panel = memory_.queries + p * depth * width;
    P query_norms[Packs];
    I query_index[Packs];
    for (int v = 0; v < Packs; ++v) {
      query_norms[v] = wants_norms ? P::load(memory_.norms + p * width + v * P::lanes) * P(rule_.factor) : P(T(0));
      query_index[v] = I::iota(static_cast<index>(i0 + v * P::lanes));
    }
    for (int j = begin; j < count; j += rows) {
      P sums[rows][Packs];
      clear(sums);
      if constexpr (rule_type::from_differences) {
        add_squared_differences(depth, chunk.keys + j * depth, rows, panel, width, sums);
      } else {
        multiply_add(depth, chunk.keys + j * depth, rows, panel, width, sums);
      }
      T* const to = memory_.scores + j * width;
      TESSERA_UNROLL
      for (int r = 0; r < rows; ++r) {
        TESSERA_UNROLL
        for (int v = 0; v < Packs; ++v) {
          rule_(sums[r][v], query_norms[v], chunk.norms[j + r], query_index[v], I(static_cast<index>(chunk.first + j + r)))
              .store(to + r * width + v * P::lanes);
        }
      }
    }
  }

  /// Joins the sum of a chunk to the one at `at`.
  TESSERA_ALWAYS_INLINE void add_to(T* at, const join_factors<P>& factors, P sum) {
    if constexpr (keeps_lost) {
      T* const lost_at = memory_.lost + (at - memory_.sums);
      P all = P::load(at);
      P lost = P::load(lost_at);
      Reducer::add(all, lost, factors.kept, sum, factors.joined);
      all.store(at);
      lost.store(lost_at);
    } else {
      fma(P::load(at), factors.kept, sum * factors.joined).store(at);
    }
  }
  /// The sum at `at`, with what it lost.
  [[nodiscard]] TESSERA_ALWAYS_INLINE P total(const T* at) const {
    if constexpr (keeps_lost) {
      return Reducer::total(P::load(at), P::load(memory_.lost + (at - memory_.sums)));
    } else {
      return P::load(at);
    }
  }

  /// sums[c][lane] = kept * sums[c][lane] + joined * sum over keys of value[key][c] * weight[key][lane].
  template <int Packs>
  TESSERA_NOINLINE void add_values(std::int64_t p, const key_chunk_view<T>& chunk, int begin, int count,
                                   const join_factors<P> (&factors)[Packs]) {
    for (std::int64_t b = 0; b < layout_.value_blocks(); ++b) {
      T* const to = memory_.sums + p * panel_sums() + b * rows * width;
      for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < Packs; ++v) simd::prefetch(to + r * width + v * P::lanes);
      }
      P sums[rows][Packs];
      clear(sums);
      multiply_add(count - begin, chunk.values + (b * layout_type::chunk + begin) * rows, rows, memory_.scores + begin * width,
                   width, sums);
      TESSERA_UNROLL
      for (int r = 0; r < rows; ++r) {
        TESSERA_UNROLL
        for (int v = 0; v < Packs; ++v) {
          add_to(to + r * width + v * P::lanes, factors[v], sums[r][v]);
        }
      }
    }
  }

  /// The same sums where hidden values hold NaN or inf: 0 * NaN must not reach a row that does not see the key.
  template <int Packs, class Mask>
  TESSERA_NOINLINE void add_visible_values(std::int64_t p, const key_chunk_view<T>& chunk, int begin, int count,
                                           const join_factors<P> (&factors)[Packs], const Mask& mask, std::int64_t i0) {
    for (std::int64_t c = 0; c < layout_.value_dim; ++c) {
      const T* const values = chunk.values + c / rows * rows * layout_type::chunk + c % rows;
      for (int v = 0; v < Packs; ++v) {
        const I i = I::iota(static_cast<index>(i0 + v * P::lanes));
        P sum(T(0));
        for (int j = begin; j < count; ++j) {
          const P weight = P::load(memory_.scores + j * width + v * P::lanes);
          sum = select(mask.visible(i, I(static_cast<index>(chunk.first + j))), fma(P(values[j * rows]), weight, sum), sum);
        }
        add_to(memory_.sums + p * panel_sums() + c * width + v * P::lanes, factors[v], sum);
      }
    }
  }

  /// Excludes the scores of pack v of queries [i0, i1) with the keys that they do not see.
  template <class Mask>
  void hide(const score_tile<P>& tile, const Mask& mask, std::int64_t i0, std::int64_t i1, int v, std::int64_t key0) {
    const I i = I::iota(static_cast<index>(i0 + v * P::lanes));
    for (int j = 0; j < tile.size();) {
      const int next = j + step - static_cast<int>((key0 + j) % step);
      const int end = next < tile.size() ? next : tile.size();
      if (mask.classify(i0, i1, key0 + j, key0 + end) == tile_class::all) {
        j = end;
        continue;
      }
      for (; j < end; ++j) tile.set(j, select(mask.visible(i, tile.key(j)), tile[j], P(Reducer::template excluded<T>())));
    }
  }

  const rule_type& rule_;
  const T far_below_;
  layout_type layout_;
  arrays memory_;
  std::int64_t first_ = 0;
  std::int64_t count_ = 0;
  std::int64_t panels_ = 0;
};

}  // namespace tessera::tile::detail
