// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The five products of the backward pass for one chunk of queries and one chunk of keys.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tessera/attention/detail/dropped_pairs.hpp"
#include "tessera/attention/detail/gradient_store.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/simd/math.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/microkernel.hpp"
#include "tessera/tile/score.hpp"

namespace tessera::attention::detail {

/// sums[r][p] += sum over k of a[r * Stride + k] * b[k * b_step + p * lanes + lane]: multiply_add where a is stored by its other axis.
template <int Stride, int Rows, int Packs, class P>
TESSERA_ALWAYS_INLINE void multiply_add_rows(std::int64_t depth, const typename P::value_type* TESSERA_RESTRICT a,
                                             const typename P::value_type* TESSERA_RESTRICT b, std::int64_t b_step,
                                             P (&sums)[Rows][Packs]) {
  TESSERA_UNROLL_BY_4
  for (std::int64_t k = 0; k < depth; ++k) {
    P b_pack[Packs];
    TESSERA_UNROLL
    for (int p = 0; p < Packs; ++p) b_pack[p] = P::load(b + p * P::lanes);
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const P a_all(a[r * Stride]);
      TESSERA_UNROLL
      for (int p = 0; p < Packs; ++p) sums[r][p] = fma(a_all, b_pack[p], sums[r][p]);
    }
    ++a;
    b += b_step;
  }
}

/// One worker's memory for it, and the loops.
template <class T, class Arch, class Mask, class Score>
class gradient_tile {
 public:
  using P = simd::pack<T, Arch>;
  using I = simd::index_pack<T, Arch>;
  using index = lane_index<T>;
  using layout_type = gradient_layout<T, Arch>;
  using shape = tile::block_shape<T, Arch>;
  static constexpr int width = layout_type::width;
  static constexpr int rows = layout_type::rows;

  static constexpr bool linear = tessera::detail::is_linear<Score>;
  static_assert(
      linear || requires(const Score& f, P s, I i) { f.derivative(s, i, i); },
      "attention::backward: the score needs a derivative(s, i, j); see score_by{f, derivative}");

  /// What lies between the products.
  struct arrays {
    T* weights;  ///< [key_chunk][query_chunk] softmax weights
    T* slopes;   ///< [key_chunk][query_chunk] gradients of the scaled products
    T* kept;     ///< [key_chunk][width] 0 where dropout strikes a pair out, else 1; of a panel, where something is dropped
  };

  gradient_tile(const layout_type& layout, const arrays& memory, const Mask& mask, const Score& score,
                const dropped_pairs& dropped)
      : layout_(layout), memory_(memory), mask_(mask), score_(score), dropped_(dropped) {}

  /// Keys of a chunk, or queries.
  struct span {
    int first;
    int last;
  };

  /// Makes the weights and slopes of all pairs of the chunks. The keys that some query sees; for those, rounded to whole steps, every
  /// weight and slope stands there, 0 where a pair is hidden.
  span weigh(const query_chunk_view<T>& q, const key_gradient_chunk<T>& k) {
    const tile_class seen = mask_.classify(q.first, q.first + q.count, k.first, k.first + k.count);
    if (seen == tile_class::none) return {0, 0};
    const bool odd = !(q.finite && k.finite_keys && k.finite_values);
    partly_ = seen == tile_class::some || (odd && q.some_empty);
    const span seen_keys = find_reach(q, k, seen);
    if (seen_keys.first >= seen_keys.last) return {0, 0};
    for (int p = 0; p * width < q.count; ++p) {
      const span range = seen == tile_class::some ? reach_of(p * width, (p + 1) * width) : seen_keys;
      const span whole{range.first / rows * rows, (range.last + rows - 1) / rows * rows};
      if (q.count - p * width <= P::lanes) {
        partly_ ? weigh<1, true>(p, whole, q, k) : weigh<1, false>(p, whole, q, k);
      } else {
        partly_ ? weigh<shape::packs, true>(p, whole, q, k) : weigh<shape::packs, false>(p, whole, q, k);
      }
      clear(p, seen_keys.first / step * step, whole.first);
      clear(p, whole.last, (seen_keys.last + step - 1) / step * step);
    }
    return seen_keys;
  }

  /// Adds what the pairs of the two chunks give: to dk and dv of the keys, and to dq [query_chunk][columns].
  void add(const query_chunk_view<T>& q, const key_gradient_chunk<T>& k, T* dq) {
    const span seen_keys = weigh(q, k);
    if (seen_keys.first >= seen_keys.last) return;
    if (partly_ && !(q.finite && k.finite_keys && k.finite_values)) {
      add_visible(q, k, dq);
      return;
    }
    by_columns(layout_.value_columns(), [&](auto packs, std::int64_t c) {
      over_queries<packs>(q, seen_keys, memory_.weights, q.gradient_rows + c, layout_.value_columns(), k.dv + c);
    });
    by_columns(layout_.columns(), [&](auto packs, std::int64_t c) {
      over_queries<packs>(q, seen_keys, memory_.slopes, q.rows + c, layout_.columns(), k.dk + c);
    });
    by_columns(layout_.columns(),
               [&](auto packs, std::int64_t c) { over_keys<packs>(q, k.rows + c, layout_.columns(), dq + c); });
  }

 private:
  /// Queries between which what they see is told apart.
  static constexpr int group = 8;
  static constexpr int groups = query_chunk / group;
  /// Whole blocks of 6 and of 8 rows.
  static constexpr int step = 24;
  static_assert(key_chunk % step == 0 && query_chunk % step == 0);

  template <int Packs>
  static constexpr int tall = shape::wide ? (Packs == 4 ? 6 : 8) : 6;

  /// Calls f with the number of packs (a constant) and the first column of every block of columns, blocks as even as they come.
  template <class F>
  static void by_columns(std::int64_t columns, const F& f) {
    constexpr int most = shape::wide ? 4 : 2;
    const std::int64_t packs = columns / P::lanes;
    const std::int64_t blocks = (packs + most - 1) / most;
    std::int64_t c = 0;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t n = (packs - c / P::lanes + blocks - b - 1) / (blocks - b);
      if (n == 1) {
        f(std::integral_constant<int, 1>{}, c);
      } else if (n == 2) {
        f(std::integral_constant<int, 2>{}, c);
      } else if constexpr (most == 4) {
        if (n == 3) {
          f(std::integral_constant<int, 3>{}, c);
        } else {
          f(std::integral_constant<int, 4>{}, c);
        }
      }
      c += n * P::lanes;
    }
  }

  /// What each group of queries sees of the chunk of keys; the hull of all.
  span find_reach(const query_chunk_view<T>& q, const key_gradient_chunk<T>& k, tile_class seen) {
    if (seen == tile_class::all) {
      std::fill_n(reach_, groups, span{0, k.count});
      return {0, k.count};
    }
    span hull{k.count, 0};
    for (int g = 0; g < groups; ++g) {
      reach_[g] = {k.count, 0};
      if (g * group >= q.count) continue;
      const std::int64_t i0 = q.first + g * group;
      const std::int64_t i1 = std::min<std::int64_t>(i0 + group, q.first + q.count);
      const key_range keys = mask_.keys(i0, i1, k.first + k.count);
      const std::int64_t first = std::max<std::int64_t>(keys.first - k.first, 0);
      const std::int64_t last = std::min<std::int64_t>(keys.last - k.first, k.count);
      if (first >= last) continue;
      reach_[g] = {static_cast<int>(first), static_cast<int>(last)};
      hull = {std::min(hull.first, reach_[g].first), std::max(hull.last, reach_[g].last)};
    }
    return hull;
  }

  /// The hull of what queries [i0, i1) of the chunk see.
  [[nodiscard]] span reach_of(int i0, int i1) const {
    span hull{key_chunk, 0};
    for (int g = i0 / group; g * group < i1 && g < groups; ++g) {
      hull = {std::min(hull.first, reach_[g].first), std::max(hull.last, reach_[g].last)};
    }
    return hull.first < hull.last ? hull : span{0, 0};
  }

  /// The hull of the queries of the chunk that see some of keys [j0, j1).
  [[nodiscard]] span seen_by(int j0, int j1, int count) const {
    span hull{count, 0};
    for (int g = 0; g < groups; ++g) {
      if (reach_[g].first < j1 && reach_[g].last > j0) {
        hull = {std::min(hull.first, g * group), std::min(count, (g + 1) * group)};
      }
    }
    return hull;
  }

  void clear(int p, int first, int last) {
    for (int j = first; j < last; ++j) {
      std::fill_n(memory_.weights + j * query_chunk + p * width, width, T(0));
      std::fill_n(memory_.slopes + j * query_chunk + p * width, width, T(0));
    }
  }

  /// Weights and slopes of the pairs of panel p with keys [range.first, range.last), whole blocks.
  template <int Packs, bool Partly>
  TESSERA_NOINLINE void weigh(int p, span range, const query_chunk_view<T>& q, const key_gradient_chunk<T>& k) {
    const std::int64_t depth = layout_.depth;
    const std::int64_t value_dim = layout_.value_dim;
    const T* const panel = q.panels + p * width * depth;
    const T* const gradients = q.gradient_panels + p * width * value_dim;
    P lse[Packs];
    P delta[Packs];
    I i[Packs];
    for (int v = 0; v < Packs; ++v) {
      lse[v] = P::load(q.lse + p * width + v * P::lanes);
      delta[v] = P::load(q.delta + p * width + v * P::lanes);
      i[v] = I::iota(static_cast<index>(q.first + p * width + v * P::lanes));
    }
    const bool drops = dropped_.any();
    for (int v = 0; drops && v < Packs; ++v) {
      dropped_.template factors<P>(memory_.kept + range.first * width + v * P::lanes, width, q.first + p * width + v * P::lanes,
                                   k.first + range.first, range.last - range.first);
    }
    for (int j = range.first; j < range.last; j += rows) {
      T* const weights = memory_.weights + j * query_chunk + p * width;
      T* const slopes = memory_.slopes + j * query_chunk + p * width;
      P sums[rows][Packs];
      tile::clear(sums);
      tile::multiply_add(depth, k.keys + j * depth, rows, panel, width, sums);
      TESSERA_UNROLL
      for (int r = 0; r < rows; ++r) {
        TESSERA_UNROLL
        for (int v = 0; v < Packs; ++v) {
          if constexpr (linear) {
            // Never above 1, to which rounding could bring it; min keeps a NaN.
            exp2_nonpositive<faintest>(min(P(T(0)), sums[r][v] - lse[v])).store(weights + r * query_chunk + v * P::lanes);
          } else {
            const I key(static_cast<index>(k.first + j + r));
            // As the forward pass rounds it: the product first, so that both are wrong alike.
            const P score = fma(score_(sums[r][v], i[v], key), P(static_cast<T>(softmax::unit)), P(T(0)));
            const P weight = exp2_nonpositive<faintest>(min(P(T(0)), score - lse[v]));
            weight.store(weights + r * query_chunk + v * P::lanes);
            (weight * score_.derivative(sums[r][v], i[v], key)).store(slopes + r * query_chunk + v * P::lanes);
          }
        }
      }
      tile::clear(sums);
      tile::multiply_add(value_dim, k.values + j * value_dim, rows, gradients, width, sums);
      if (drops) {
        TESSERA_UNROLL
        for (int r = 0; r < rows; ++r) {
          TESSERA_UNROLL
          for (int v = 0; v < Packs; ++v) sums[r][v] = sums[r][v] * P::load(memory_.kept + (j + r) * width + v * P::lanes);
        }
      }
      TESSERA_UNROLL
      for (int r = 0; r < rows; ++r) {
        TESSERA_UNROLL
        for (int v = 0; v < Packs; ++v) {
          const T* const weight = (linear ? weights : slopes) + r * query_chunk + v * P::lanes;
          (P::load(weight) * (sums[r][v] - delta[v])).store(slopes + r * query_chunk + v * P::lanes);
        }
      }
      if (drops) {
        for (int r = 0; r < rows; ++r) {
          for (int v = 0; v < Packs; ++v) {
            T* const weight = weights + r * query_chunk + v * P::lanes;
            (P::load(weight) * P::load(memory_.kept + (j + r) * width + v * P::lanes)).store(weight);
          }
        }
      }
      if constexpr (Partly) {
        const std::int64_t i0 = q.first + p * width;
        const std::int64_t i1 = std::min<std::int64_t>(i0 + width, q.first + q.count);
        if (!q.some_empty && mask_.classify(i0, i1, k.first + j, k.first + std::min(j + rows, k.count)) == tile_class::all)
          continue;
        for (int r = 0; r < rows && j + r < k.count; ++r) {
          for (int v = 0; v < Packs; ++v) {
            const auto seen = mask_.visible(i[v], I(static_cast<index>(k.first + j + r)));
            const auto empty = lse[v] == P(infinity<T>());
            for (T* const at : {weights + r * query_chunk + v * P::lanes, slopes + r * query_chunk + v * P::lanes}) {
              select(seen, select(empty, P(T(0)), P::load(at)), P(T(0))).store(at);
            }
          }
        }
      }
    }
  }

  /// to[j][lane] += sum over the queries of tile[j][i] * from[i][lane].
  template <int Packs>
  TESSERA_NOINLINE void over_queries(const query_chunk_view<T>& q, span keys, const T* tile, const T* from, std::int64_t columns,
                                     T* to) {
    constexpr int block = tall<Packs>;
    for (int j = keys.first / block * block; j < keys.last; j += block) {
      const span seen = seen_by(j, j + block, q.count);
      if (seen.first >= seen.last) continue;
      P sums[block][Packs];
      tile::clear(sums);
      multiply_add_rows<query_chunk>(seen.last - seen.first, tile + j * query_chunk + seen.first, from + seen.first * columns,
                                     columns, sums);
      T* const at = to + j * columns;
      TESSERA_UNROLL
      for (int r = 0; r < block; ++r) {
        TESSERA_UNROLL
        for (int v = 0; v < Packs; ++v)
          (P::load(at + r * columns + v * P::lanes) + sums[r][v]).store(at + r * columns + v * P::lanes);
      }
    }
  }

  /// to[i][lane] += sum over the keys of slopes[j][i] * from[j][lane].
  template <int Packs>
  TESSERA_NOINLINE void over_keys(const query_chunk_view<T>& q, const T* from, std::int64_t columns, T* to) {
    constexpr int block = tall<Packs>;
    for (int i = 0; i < q.count; i += block) {
      const span seen = reach_of(i, i + block);
      if (seen.first >= seen.last) continue;
      P sums[block][Packs];
      tile::clear(sums);
      tile::multiply_add(seen.last - seen.first, memory_.slopes + seen.first * query_chunk + i, query_chunk,
                         from + seen.first * columns, columns, sums);
      T* const at = to + i * columns;
      TESSERA_UNROLL
      for (int r = 0; r < block; ++r) {
        TESSERA_UNROLL
        for (int v = 0; v < Packs; ++v)
          (P::load(at + r * columns + v * P::lanes) + sums[r][v]).store(at + r * columns + v * P::lanes);
      }
    }
  }

  /// The last three products where hidden pairs meet NaN or inf: 0 * NaN must not reach what does not see it.
  TESSERA_NOINLINE void add_visible(const query_chunk_view<T>& q, const key_gradient_chunk<T>& k, T* dq) {
    const std::int64_t columns = layout_.columns();
    const std::int64_t value_columns = layout_.value_columns();
    const auto seen = [&](int i, int j) { return mask_.visible(q.first + i, k.first + j) && q.lse[i] != infinity<T>(); };
    const auto sum = [&](int n, const T* from, std::int64_t width_of, T* to, const auto& see, const auto& factor) {
      for (std::int64_t c = 0; c < width_of; c += P::lanes) {
        P total(T(0));
        for (int e = 0; e < n; ++e) {
          if (see(e)) total = fma(P(factor(e)), P::load(from + e * width_of + c), total);
        }
        (P::load(to + c) + total).store(to + c);
      }
    };
    const span keys = reach_of(0, q.count);
    for (int j = keys.first; j < keys.last; ++j) {
      const auto see = [&](int i) { return seen(i, j); };
      sum(q.count, q.gradient_rows, value_columns, k.dv + j * value_columns, see,
          [&](int i) { return memory_.weights[j * query_chunk + i]; });
      sum(q.count, q.rows, columns, k.dk + j * columns, see, [&](int i) { return memory_.slopes[j * query_chunk + i]; });
    }
    for (int i = 0; i < q.count; ++i) {
      sum(
          k.count, k.rows, columns, dq + i * columns, [&](int j) { return seen(i, j); },
          [&](int j) { return memory_.slopes[j * query_chunk + i]; });
    }
  }

  /// Where weights end, as in softmax.
  static constexpr int faintest = sizeof(T) == 4 ? -63 : -511;

  const layout_type& layout_;
  arrays memory_;
  const Mask& mask_;
  const Score& score_;
  const dropped_pairs& dropped_;
  bool partly_ = false;  ///< some pair of the tile is hidden
  span reach_[groups];
};

}  // namespace tessera::attention::detail
