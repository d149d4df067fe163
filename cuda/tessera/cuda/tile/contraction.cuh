// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The contraction on a CUDA device: every query against every key, folded as it is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/tile/query_block.cuh"
#include "tessera/cuda/tile/rows.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/tile/detail/contraction_checks.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/no_emit.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::tile {
namespace detail {

/// What products of such operands are made in: 16-bit operands of one type on the tensor cores, float64 there, too; all else in float32 one by one.
/// Distances that a reducer wants exactly are summed from differences.
template <class Score, class T, class First, class... Others>
using contraction_multiplication =
    std::conditional_t<distance_score<Score>, squared_differences<T>,
                       std::conditional_t<(sizeof(First) == 2 && (std::is_same_v<First, Others> && ...)), First, T>>;

/// One contraction, as its kernel gets it.
template <class Q, class K, class V, class O, class Score, class Reducer, class Mask, class Emit>
struct contraction_problem {
  view<const Q, 2> queries;
  view<const K, 2> keys;
  view<const V, 2> values;
  view<O, 2> out;
  Score score;
  Reducer reducer;
  Mask mask;
  Emit emit;
};

/// The pairs of a block of queries [first, last) and all keys.
template <class T, class Score, class Reducer, class Mask>
struct contraction_pairs {
  const Score& of_score;
  const Mask& mask;
  std::int64_t first;
  std::int64_t last;
  std::int64_t keys;
  T scale;  ///< of the product
  T unit;   ///< of the score, where the scale does not hold it

  using index = lane_index<T>;
  static constexpr bool is_linear = tessera::detail::is_linear<Score> || distance_score<Score>;

  TESSERA_DEVICE contraction_pairs(const Score& s, const Mask& m, std::int64_t first_query, std::int64_t last_query,
                                   std::int64_t n_keys)
      : of_score(s), mask(m), first(first_query), last(last_query), keys(n_keys), scale(1), unit(1) {
    double factor = 1;
    if constexpr (distance_score<Score>) {
      factor = s.distance_factor();
    } else if constexpr (requires { s.query_scale(); }) {
      factor = s.query_scale();
    }
    if constexpr (is_linear) {
      scale = static_cast<T>(factor * tessera::detail::unit_of<Reducer>);
    } else {
      scale = static_cast<T>(factor);
      unit = static_cast<T>(tessera::detail::unit_of<Reducer>);
    }
  }

  [[nodiscard]] TESSERA_DEVICE key_range range() const { return mask.keys(first, last, keys); }
  [[nodiscard]] TESSERA_DEVICE tile_class classify(std::int64_t j0, std::int64_t j1) const {
    return mask.classify(first, last, j0, j1);
  }
  [[nodiscard]] TESSERA_DEVICE bool visible(int r, index j) const { return mask.visible(query(r), j); }
  [[nodiscard]] TESSERA_DEVICE T score(T product, int r, index j) const {
    if constexpr (is_linear) {
      return product * scale;
    } else {
      return of_score(product * scale, query(r), j) * unit;
    }
  }

 private:
  /// The query of a row of the block; the last one for rows that are not there.
  [[nodiscard]] TESSERA_DEVICE index query(int r) const {
    const std::int64_t i = first + r;
    return static_cast<index>(i < last ? i : last - 1);
  }
};

template <class Shape, bool Aligned, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident) contraction_kernel(const __grid_constant__ Problem p) {
  using sum = typename Shape::sum;
  const std::int64_t n = p.queries.extent(0);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * Shape::rows;
  const std::int64_t last = first + Shape::rows < n ? first + Shape::rows : n;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.y) * Shape::value_depth;
  const std::int64_t columns = p.values.extent(1) - column;
  const matrix_rows operands(p.queries, first, last, p.keys, p.values, column, aligned_rows<Aligned>{});
  const contraction_pairs<sum, decltype(p.score), decltype(p.reducer), decltype(p.mask)> pairs(p.score, p.mask, first, last,
                                                                                               p.keys.extent(0));
  query_block<Shape, decltype(p.reducer)> block(p.reducer, dynamic_shared_memory());
  block.run(operands, pairs);
  block.rows().join_lanes();
  if constexpr (Shape::value_depth > 0) {
    block.rows().for_each_value([&](int r, int c, const packed<sum, 2>& sums, const auto& state) {
      if (first + r >= last) return;
      const sum mass = p.reducer.normalizer(state);
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < 2; ++i) {
        if (c + i < columns) {
          p.out(first + r, column + c + i) =
              static_cast<value_type_of<decltype(p.out)>>(mass == sum(0) ? sum(0) : sums[i] / mass);
        }
      }
    });
  }
  if (blockIdx.y == 0) {
    block.rows().for_each_state([&](int r, const auto& state) {
      if (first + r < last) p.emit(first + r, p.reducer.finish(state));
    });
  }
}

/// Puts the kernel of one shape in the stream.
template <class Shape, bool Aligned, class Problem>
TESSERA_HIDDEN void launch_contraction(const executor& exec, const Problem& p, const char* function) {
  const std::int64_t blocks = (p.queries.extent(0) + Shape::rows - 1) / Shape::rows;
  const std::int64_t slices = Shape::value_depth > 0 ? (p.values.extent(1) + Shape::value_depth - 1) / Shape::value_depth : 1;
  if (blocks == 0) return;
  const cuda::shape where{.grid = dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(slices > 0 ? slices : 1)),
                          .block = dim3(Shape::threads),
                          .shared_bytes = Shape::shared_bytes,
                          .function = function};
  launch(exec, where, contraction_kernel<Shape, Aligned, Problem>, p);
}

/// Chooses the shape. Registers bound it: sums of values, scores and the fragments of an operand are a thread's. A warp has 32 queries where they
/// fit, so that each row of a tile of keys is read from shared memory once for so many.
template <class M, bool HasValues, class Problem>
TESSERA_HIDDEN void run_contraction(const executor& exec, const Problem& p, const char* function) {
  using element = typename multiplication<M>::element;
  using sum = typename multiplication<M>::sum;
  constexpr bool on_tensor_cores = !multiplication<M>::one_by_one;
  constexpr int keys = sizeof(element) == 8 ? 32 : 64;
  constexpr int row_blocks = sizeof(sum) == 4 && on_tensor_cores ? 2 : 1;
  const std::int64_t width = HasValues && p.values.extent(1) > p.queries.extent(1) ? p.values.extent(1) : p.queries.extent(1);
  if constexpr (rows_may_be_copied<element, Problem>) {
    if (rows_begin_at_chunks(p.queries) && rows_begin_at_chunks(p.keys) && (!HasValues || rows_begin_at_chunks(p.values))) {
      if (width <= 64 || sizeof(element) == 8) {
        launch_contraction<block_shape<M, 4, row_blocks, keys, 64, HasValues ? 64 : 0>, true>(exec, p, function);
      } else {
        launch_contraction<block_shape<M, 4, HasValues ? 1 : row_blocks, keys, 128, HasValues ? 128 : 0>, true>(exec, p,
                                                                                                                function);
      }
      return;
    }
  }
  launch_contraction<block_shape<M, 4, 1, keys, 64, HasValues ? 64 : 0>, false>(exec, p, function);
}

}  // namespace detail
}  // namespace tessera::cuda::tile

namespace tessera {

/// contract (tessera/tile/contraction.hpp) on a CUDA device: same arguments, same meaning. Views are of device memory; score, reducer, mask and emit
/// are copied into the kernel and called there: lambdas are marked __host__ __device__ (nvcc: --extended-lambda).
///
/// Emit            called once a row by one thread, concurrently for different rows
/// Accuracy        float32, float64 products of distances: as on the CPU. 16-bit operands: products are exact, and summed in float32 as the
///                 tensor cores do, with an error of 2^-22 depth sum |q||k| at most. With values, 16-bit weights are rounded to nearest, and
///                 the mass is that of the rounded ones.
/// Cost            as on the CPU; no scratch memory
/// Determinism     the same bits in every run, and for a row alone or among others
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses, and memory that is not the device's;
///                 cuda::error
template <mdspan_like Queries, mdspan_like Keys, class Score, class Reducer, class Emit, class Mask = no_mask>
  requires(Queries::rank() == 2 && Keys::rank() == 2 && !mdspan_like<Score>)
TESSERA_HIDDEN void contract(const cuda::executor& exec, const Queries& queries, const Keys& keys, const Score& score,
                             const Reducer& reducer, const Emit& emit, const Mask& mask = {}) {
  using Q = value_type_of<Queries>;
  using K = value_type_of<Keys>;
  using T = std::common_type_t<compute_t<Q>, compute_t<K>>;
  const char* const function = "contract";
  const view<const Q, 2> q(queries);
  const view<const K, 2> k(keys);
  tile::detail::check_contraction<T>(tile::detail::argument_names{}, q, k);
  tile::detail::check_score<T>(function, score, reducer, q.extent(0), k.extent(0));
  cuda::detail::check_memory(exec, q, function, "queries");
  cuda::detail::check_memory(exec, k, function, "keys");
  using M = cuda::tile::detail::contraction_multiplication<Score, T, Q, K>;
  const cuda::tile::detail::contraction_problem<Q, K, K, T, Score, Reducer, Mask, Emit> problem{q,     k,       {},   {},
                                                                                                score, reducer, mask, emit};
  cuda::tile::detail::run_contraction<M, false>(exec, problem, function);
}

/// The same with values: out_i = sum_j w_ij v_j / sum_j w_ij.
template <mdspan_like Queries, mdspan_like Keys, mdspan_like Values, class Score, class Reducer, mdspan_like Out,
          class Emit = no_emit, class Mask = no_mask>
  requires(Queries::rank() == 2 && Keys::rank() == 2 && Values::rank() == 2 && Out::rank() == 2)
TESSERA_HIDDEN void contract(const cuda::executor& exec, const Queries& queries, const Keys& keys, const Values& values,
                             const Score& score, const Reducer& reducer, const Out& out, const Emit& emit = {},
                             const Mask& mask = {}) {
  using Q = value_type_of<Queries>;
  using K = value_type_of<Keys>;
  using V = value_type_of<Values>;
  using O = value_type_of<Out>;
  using T = std::common_type_t<compute_t<Q>, compute_t<K>, compute_t<V>>;
  const char* const function = "contract";
  const view<const Q, 2> q(queries);
  const view<const K, 2> k(keys);
  const view<const V, 2> v(values);
  const view<O, 2> o(out);
  tile::detail::check_weighted_contraction<T>(tile::detail::argument_names{}, q, k, v, o, score, reducer);
  cuda::detail::check_memory(exec, q, function, "queries");
  cuda::detail::check_memory(exec, k, function, "keys");
  cuda::detail::check_memory(exec, v, function, "values");
  cuda::detail::check_memory(exec, o, function, "out");
  using M = cuda::tile::detail::contraction_multiplication<Score, T, Q, K, V>;
  const cuda::tile::detail::contraction_problem<Q, K, V, O, Score, Reducer, Mask, Emit> problem{q,     k,       v,    o,
                                                                                                score, reducer, mask, emit};
  cuda::tile::detail::run_contraction<M, true>(exec, problem, function);
}

}  // namespace tessera
