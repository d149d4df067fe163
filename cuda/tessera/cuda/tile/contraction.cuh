// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The contraction on a CUDA device: every query against every key, folded as it is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/cuda/hopper/contraction.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/tile/contraction_problem.cuh"
#include "tessera/cuda/tile/query_block.cuh"
#include "tessera/cuda/tile/rows.cuh"
#include "tessera/cuda/tile/stored_products.cuh"
#include "tessera/cuda/tile/suspects.cuh"
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

template <class Shape, bool Aligned, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident) contraction_kernel(const __grid_constant__ Problem p) {
  using sum = typename Shape::sum;
  const std::int64_t n = p.queries.extent(0);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * Shape::rows;
  const std::int64_t last = first + Shape::rows < n ? first + Shape::rows : n;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.y) * Shape::value_depth;
  const operand_rows operands(p.queries, first, last, p.keys, p.values, column, aligned_rows<Aligned>{});
  const contraction_pairs<sum, decltype(p.score), decltype(p.reducer), decltype(p.mask)> pairs(p.score, p.mask, first, last,
                                                                                               p.keys.extent(0));
  query_block<Shape, decltype(p.reducer)> block(p.reducer, dynamic_shared_memory());
  block.run(operands, pairs);
  finish_rows<(Shape::value_depth > 0)>(block.rows(), p, first, last, column);
}

/// Puts the kernel of one shape in the stream. OneSlice: values are known to have no more columns than the shape.
template <class Shape, bool Aligned, bool OneSlice, class Problem>
TESSERA_HIDDEN void launch_contraction(const executor& exec, const Problem& p, const char* function) {
  const std::int64_t blocks = (p.queries.extent(0) + Shape::rows - 1) / Shape::rows;
  const std::int64_t slices = Shape::value_depth > 0 ? (p.values.extent(1) + Shape::value_depth - 1) / Shape::value_depth : 1;
  if (blocks == 0) return;
  if constexpr (Shape::value_depth > 0 && !OneSlice) {
    if (worth_storing<Shape>(p)) {
      launch_stored<Shape, Aligned>(exec, p, function);
      return;
    }
  }
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
  if constexpr (sizeof(M) == 2 && rows_may_be_copied<element, Problem>) {
    if (hopper::launch_contraction<HasValues>(exec, p, function)) return;
  }
  [[maybe_unused]] const std::int64_t width =
      HasValues && p.values.extent(1) > p.queries.extent(1) ? p.values.extent(1) : p.queries.extent(1);
  if constexpr (rows_may_be_copied<element, Problem>) {
    if (rows_begin_at_chunks(p.queries) && rows_begin_at_chunks(p.keys) && (!HasValues || rows_begin_at_chunks(p.values))) {
      if constexpr (sizeof(element) == 8) {
        launch_contraction<block_shape<M, 4, 1, keys, 64, HasValues ? 64 : 0>, true, false>(exec, p, function);
      } else if (width <= 64) {
        launch_contraction<block_shape<M, 4, row_blocks, keys, 64, HasValues ? 64 : 0>, true, true>(exec, p, function);
      } else {
        launch_contraction<block_shape<M, 4, HasValues ? 1 : row_blocks, keys, 128, HasValues ? 128 : 0>, true, false>(exec, p,
                                                                                                                       function);
      }
      return;
    }
  }
  launch_contraction<block_shape<M, 4, 1, keys, 64, HasValues ? 64 : 0>, false, false>(exec, p, function);
}

/// What a score reads must be the device's, too.
template <class Score>
void check_score_memory(const executor& exec, const Score& score, const char* function) {
  if constexpr (requires { score.bias.extent(0); }) cuda::detail::check_memory(exec, score.bias, function, "score.bias");
}

/// The contraction with values, for every function that is one.
template <class Queries, class Keys, class Values, class Score, class Reducer, class Out, class Emit, class Mask>
TESSERA_HIDDEN void contract_values(const tessera::tile::detail::argument_names& names, const executor& exec,
                                    const Queries& queries, const Keys& keys, const Values& values, const Score& score,
                                    const Reducer& reducer, const Out& out, const Emit& emit, const Mask& mask) {
  using Q = value_type_of<Queries>;
  using K = value_type_of<Keys>;
  using V = value_type_of<Values>;
  using O = value_type_of<Out>;
  using T = std::common_type_t<compute_t<Q>, compute_t<K>, compute_t<V>>;
  const char* const function = names.function;
  const view<const Q, 2> q(queries);
  const view<const K, 2> k(keys);
  const view<const V, 2> v(values);
  const view<O, 2> o(out);
  tessera::tile::detail::check_weighted_contraction<T>(names, q, k, v, o, score, reducer);
  cuda::detail::check_memory(exec, q, function, names.queries);
  cuda::detail::check_memory(exec, k, function, names.keys);
  cuda::detail::check_memory(exec, v, function, names.values);
  cuda::detail::check_memory(exec, o, function, names.out);
  check_score_memory(exec, score, function);
  using M = contraction_multiplication<Score, T, Q, K, V>;
  const contraction_problem<Q, K, V, O, Score, Reducer, Mask, Emit> problem{q, k, v, o, score, reducer, mask, emit};
  run_contraction<M, true>(exec, problem, function);
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
/// Cost            as on the CPU. Distances of which only suspects matter (argmin, argmax, top_k): products in float16 on the tensor cores, whatever
///                 the storage type; scratch 2 (n + m) depth bytes. Values of more than 128 columns (64, where rows are not aligned to 16 bytes or
///                 float64): the products go through scratch, up to 256 MiB. Else no scratch.
/// Determinism     the same bits in every run, and for a row alone or among others
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses, and memory that is not the device's;
///                 cuda::error
/// Source          Milakov and Gimelshein 2018, arXiv:1805.02867 (folds online); Dao et al. 2022, arXiv:2205.14135 (tiles, values with them)
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
  cuda::tile::detail::check_score_memory(exec, score, function);
  if constexpr (cuda::tile::detail::goes_by_suspects<Score, Reducer>) {
    cuda::tile::detail::contract_suspects<T>(exec, q, k, score, reducer, emit, mask, function);
  } else {
    using M = cuda::tile::detail::contraction_multiplication<Score, T, Q, K>;
    const cuda::tile::detail::contraction_problem<Q, K, K, T, Score, Reducer, Mask, Emit> problem{q,     k,       {},   {},
                                                                                                  score, reducer, mask, emit};
    cuda::tile::detail::run_contraction<M, false>(exec, problem, function);
  }
}

/// The same with values: out_i = sum_j w_ij v_j / sum_j w_ij.
template <mdspan_like Queries, mdspan_like Keys, mdspan_like Values, class Score, class Reducer, mdspan_like Out,
          class Emit = no_emit, class Mask = no_mask>
  requires(Queries::rank() == 2 && Keys::rank() == 2 && Values::rank() == 2 && Out::rank() == 2)
TESSERA_HIDDEN void contract(const cuda::executor& exec, const Queries& queries, const Keys& keys, const Values& values,
                             const Score& score, const Reducer& reducer, const Out& out, const Emit& emit = {},
                             const Mask& mask = {}) {
  cuda::tile::detail::contract_values(tile::detail::argument_names{}, exec, queries, keys, values, score, reducer, out, emit,
                                      mask);
}

}  // namespace tessera
