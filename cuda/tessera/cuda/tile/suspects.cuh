// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Folds of which few pairs matter (the nearest key, the k nearest): rough products on the tensor cores for all pairs, exact scores for the few.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/query_block.cuh"
#include "tessera/cuda/tile/rough_rows.cuh"
#include "tessera/cuda/tile/suspect_fold.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::tile::detail {

/// A fold of the pairs of some queries with some keys, as its kernel gets it. Rows says what a row of it is: `warps` and `row_blocks` of a block,
/// the `depth` that tiles have, `type`, `make(first row
/// of the block, r)`, `shared_bytes(rows)`, and `store(split, i, row)`.
template <class Q, class K, class T, class Mask, class Rows>
struct suspect_problem {
  view<const Q, 2> queries;
  view<const K, 2> keys;
  rough_rows rough_queries;
  rough_rows rough_keys;
  rough_frame frame;
  T factor;  ///< of squared distances; of products 1
  Mask mask;
  Rows rows;
  std::int64_t split;  ///< keys that a block folds, a multiple of rough_group
};

template <class T, wanted Kind, class Problem>
struct suspect_pairs {
  const Problem& p;
  std::int64_t first;
  std::int64_t last;
  key_range keys;  ///< of this block's split
  double scale;
  std::byte* shared;

  using index = lane_index<T>;
  using rule_type = suspect_rule<Kind>;

  [[nodiscard]] TESSERA_DEVICE std::int64_t query(int r) const { return first + r < last ? first + r : last - 1; }

  [[nodiscard]] TESSERA_DEVICE key_range range() const {
    const key_range seen = p.mask.keys(first, last, p.keys.extent(0));
    return {seen.first > keys.first ? seen.first : keys.first, seen.last < keys.last ? seen.last : keys.last};
  }
  [[nodiscard]] TESSERA_DEVICE tile_class classify(std::int64_t j0, std::int64_t j1) const {
    return p.mask.classify(first, last, j0, j1);
  }
  [[nodiscard]] TESSERA_DEVICE bool visible(int r, std::int64_t j) const {
    return p.mask.visible(static_cast<index>(query(r)), static_cast<index>(j));
  }

  [[nodiscard]] TESSERA_DEVICE auto row(int r) const { return p.rows.make(shared, r); }
  [[nodiscard]] TESSERA_DEVICE rule_type rule(int r) const {
    const std::int64_t i = query(r);
    // A row with a NaN has no score that a list takes; where NaN is an answer, every pair is looked at.
    const float moved =
        first + r < last ? p.rough_queries.moved[i] : quiet_nan<float>();  // nothing matters of rows that are not there
    const bool any = decltype(row(0))::takes_nan && moved != moved && first + r < last;
    return {0x1p-22F * static_cast<float>(p.queries.extent(1) + 32), p.rough_queries.norms[i], any ? infinity<float>() : moved};
  }
  [[nodiscard]] TESSERA_DEVICE packed<float, 2> key_norms(std::int64_t j) const {
    return *reinterpret_cast<const packed<float, 2>*>(p.rough_keys.norms + j);
  }
  [[nodiscard]] TESSERA_DEVICE packed<float, 2> group(std::int64_t j) const { return p.rough_keys.groups[j / rough_group]; }

  /// A quad shares the elements of a row.
  [[nodiscard]] TESSERA_DEVICE T exact_part(int r, std::int64_t j, bool given) const {
    const auto* const q = p.queries.data_handle() + query(r) * p.queries.stride(0);
    const auto* const k = p.keys.data_handle() + j * p.keys.stride(0);
    const std::int64_t depth = given ? p.queries.extent(1) : 0;
    T sum = 0;
    TESSERA_DEVICE_UNROLL_BY_4
    for (std::int64_t d = fragment_column(); d < depth; d += 4) {
      if constexpr (rule_type::of_distances) {
        const T difference = static_cast<T>(q[d]) - static_cast<T>(k[d]);
        sum = fma(difference, difference, sum);
      } else {
        sum = fma(static_cast<T>(q[d]), static_cast<T>(k[d]), sum);
      }
    }
    return sum;
  }
  [[nodiscard]] TESSERA_DEVICE T score(T sum) const { return rule_type::of_distances ? sum * p.factor : sum; }

  [[nodiscard]] TESSERA_DEVICE float in_rough_units(T least) const {
    if constexpr (rule_type::of_distances) {
      constexpr float all = Kind == wanted::near ? infinity<float>() : 0.0F;
      if (p.factor == T(0)) return all;
      const double square = static_cast<double>(least) / static_cast<double>(p.factor);
      return square > 0 ? static_cast<float>(::sqrt(square) * scale) : 0.0F;
    } else {
      return static_cast<float>(static_cast<double>(least) * scale * scale);
    }
  }
};

/// Rough rows as query_block.cuh asks for them.
struct rough_matrix {
  static constexpr bool aligned = true;
  const rough_rows& queries;
  const rough_rows& keys;
  std::int64_t first;
  std::int64_t last;
  int columns;

  [[nodiscard]] TESSERA_DEVICE const float16* query(int r) const { return first + r < last ? queries.row(first + r) : nullptr; }
  [[nodiscard]] TESSERA_DEVICE const float16* key(std::int64_t j) const { return keys.row(j); }
  [[nodiscard]] TESSERA_DEVICE const float16* value(std::int64_t) const { return nullptr; }
  [[nodiscard]] TESSERA_DEVICE int depth() const { return columns; }
  [[nodiscard]] TESSERA_DEVICE int value_dim() const { return 0; }
};

template <class Shape, class T, wanted Kind, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident) suspect_kernel(const __grid_constant__ Problem p) {
  using pairs_type = suspect_pairs<T, Kind, Problem>;
  using row_type = typename decltype(Problem::rows)::type;
  using fold = suspect_fold<Shape::row_blocks, Shape::keys / 8, Kind, row_type>;
  const std::int64_t n = p.queries.extent(0);
  const std::int64_t m = p.keys.extent(0);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * Shape::rows;
  const std::int64_t last = first + Shape::rows < n ? first + Shape::rows : n;
  const std::int64_t key = static_cast<std::int64_t>(blockIdx.y) * p.split;
  std::byte* const shared = dynamic_shared_memory();
  const pairs_type pairs{p, first, last, {key, key + p.split < m ? key + p.split : m}, p.frame.scale(), shared};
  query_block<Shape, void, fold> block(pairs, shared + p.rows.shared_bytes(Shape::rows));
  block.run(rough_matrix{p.rough_queries, p.rough_keys, first, last, static_cast<int>(p.queries.extent(1))}, pairs);
  block.rows().for_each_row(
      [&](int r, const row_type& row) { p.rows.store(static_cast<std::int64_t>(blockIdx.y), first + r, first + r < last, row); });
}

/// How keys are cut among blocks where queries are few. No bit depends on it: what is best of several bests is the best.
struct key_splits {
  std::int64_t count;
  std::int64_t keys;  ///< of a split

  key_splits(const executor& exec, std::int64_t blocks, std::int64_t m) {
    constexpr std::int64_t most = warp_threads;
    const std::int64_t groups = (m + rough_group - 1) / rough_group;
    const std::int64_t wanted = blocks > 0 ? 2 * static_cast<std::int64_t>(exec.device().multiprocessors) / blocks : 1;
    std::int64_t splits =
        wanted < groups / 8 ? wanted : groups / 8;  // at least eight tiles, or starting costs more than it brings
    splits = splits < 1 ? 1 : (splits < most ? splits : most);
    const std::int64_t per_split = groups > 0 ? (groups + splits - 1) / splits : 1;
    keys = per_split * rough_group;
    count = groups > 0 ? (groups + per_split - 1) / per_split : 1;
  }
};

template <class Rows>
inline constexpr int suspect_rows = 16 * Rows::warps * Rows::row_blocks;

template <class T, wanted Kind, class Problem>
TESSERA_HIDDEN void launch_suspects(const executor& exec, const Problem& p, std::int64_t splits, const char* function) {
  using rows = decltype(Problem::rows);
  const auto run = [&](auto shape_of) {
    using shape_type = decltype(shape_of);
    const std::int64_t blocks = (p.queries.extent(0) + shape_type::rows - 1) / shape_type::rows;
    launch(exec,
           cuda::shape{.grid = dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(splits)),
                       .block = dim3(shape_type::threads),
                       .shared_bytes = shape_type::shared_bytes + p.rows.shared_bytes(shape_type::rows),
                       .function = function},
           suspect_kernel<shape_type, T, Kind, Problem>, p);
  };
  if (rows::depth == 64 || p.queries.extent(1) <= 64) {
    run(block_shape<float16, rows::warps, rows::row_blocks, rough_group, 64, 0>{});
  } else if constexpr (rows::depth > 64) {
    run(block_shape<float16, rows::warps, rows::row_blocks, rough_group, rows::depth, 0>{});
  }
}

/// Rows that fold into states of a reducer; those of all splits are left at `states`, [splits][n].
template <class T, class Reducer>
struct reducer_rows {
  using type = reducer_row<T, Reducer>;
  using state = typename type::state_type;
  static constexpr int warps = 4;
  static constexpr int row_blocks = sizeof(state) <= 16 ? 2 : 1;
  static constexpr int depth = 128;

  Reducer reducer;
  state* states;
  std::int64_t n;

  [[nodiscard]] TESSERA_HD static constexpr std::size_t shared_bytes(int) { return 0; }
  [[nodiscard]] TESSERA_DEVICE type make(std::byte*, int) const { return type(reducer); }
  TESSERA_DEVICE void store(std::int64_t split, std::int64_t i, bool there, const type& row) const {
    if (there && fragment_column() == 0) states[split * n + i] = row.state();
  }
};

/// Merges the states of the splits of a row, in the order of keys. Thread by row.
template <class T, class Reducer, class Emit>
TESSERA_KERNEL void __launch_bounds__(128) merge_states_kernel(const __grid_constant__ reducer_rows<T, Reducer> of,
                                                               std::int64_t splits, const __grid_constant__ Emit emit) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * 128 + static_cast<std::int64_t>(threadIdx.x);
  if (i >= of.n) return;
  auto state = of.states[i];
  for (std::int64_t s = 1; s < splits; ++s) state = of.reducer.merge(state, of.states[s * of.n + i]);
  emit(i, of.reducer.finish(state));
}

/// Which measure a distance score is, with a reducer of which only suspects matter.
template <class Score>
inline constexpr int sign_of_factor = 0;
template <>
inline constexpr int sign_of_factor<squared_distance> = 1;
template <>
inline constexpr int sign_of_factor<gaussian> = -1;

template <class Reducer>
inline constexpr bool only_suspects = false;
template <class Reducer>
  requires requires { Reducer::only_suspects_matter; }
inline constexpr bool only_suspects<Reducer> = Reducer::only_suspects_matter;

template <class Score, class Reducer>
inline constexpr bool goes_by_suspects = sign_of_factor<Score> != 0 && only_suspects<Reducer>;

/// A contraction of distances of which only suspects matter.
template <class T, class Q, class K, class Score, class Reducer, class Emit, class Mask>
TESSERA_HIDDEN void contract_suspects(const executor& exec, const view<const Q, 2>& q, const view<const K, 2>& k,
                                      const Score& score, const Reducer& reducer, const Emit& emit, const Mask& mask,
                                      const char* function) {
  using rows = reducer_rows<T, Reducer>;
  constexpr wanted kind = Reducer::smallest_wins == (sign_of_factor<Score> > 0) ? wanted::near : wanted::far;
  const std::int64_t n = q.extent(0);
  const std::int64_t m = k.extent(0);
  if (n == 0) return;
  const key_splits splits(exec, (n + suspect_rows<rows> - 1) / suspect_rows<rows>, m);
  const auto lay_out = [&](bump& memory) {
    struct {
      rough_operands rough;
      typename rows::state* states;
    } result{rough_operands::take(memory, n, m, q.extent(1), true), memory.take<typename rows::state>(splits.count * n)};
    return result;
  };
  bump needed;
  lay_out(needed);
  const workspace memory(exec, needed.bytes(), function);
  bump block(memory.data());
  const auto at = lay_out(block);
  at.rough.make(exec, q, k, function);
  const rows of{reducer, at.states, n};
  const suspect_problem<Q, K, T, Mask, rows> problem{q,
                                                     k,
                                                     at.rough.queries.rows(),
                                                     at.rough.keys.rows(),
                                                     at.rough.frame(),
                                                     static_cast<T>(score.distance_factor()),
                                                     mask,
                                                     of,
                                                     splits.keys};
  launch_suspects<T, kind>(exec, problem, splits.count, function);
  launch(exec, cuda::shape{.grid = dim3(static_cast<unsigned>((n + 127) / 128)), .block = dim3(128), .function = function},
         merge_states_kernel<T, Reducer, Emit>, of, splits.count, emit);
}

}  // namespace tessera::cuda::tile::detail
