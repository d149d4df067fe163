// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Gradients of what scores are made with on a device: biases, ALiBi's slopes, sinks. Kernels of their own: who does not ask does not pay. No sum is
/// made by atomics: each has one block and one order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "tessera/attention/detail/score_stages.hpp"
#include "tessera/attention/score.hpp"
#include "tessera/cuda/attention/detail/gradient_block.cuh"
#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/attention/detail/sequence_tiles.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/warp.cuh"
#include "tessera/numeric/exp.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

/// A score whose derivative is that by what a stage of it gave.
template <class Stage, class Score>
struct stage_of_score {
  using head_type = decltype(tessera::attention::detail::score_of(std::declval<const Score&>(), 0, 0, 0, 0));
  Score score;
  [[nodiscard]] TESSERA_HD tessera::attention::detail::stage_score<Stage, head_type> head(std::int64_t b, std::int64_t h,
                                                                                          std::int64_t len_q,
                                                                                          std::int64_t len_k) const {
    return {tessera::attention::detail::score_of(score, b, h, len_q, len_k)};
  }
};

/// The problem with another score.
template <class Stage, class T, class Q, class K, class V, class G, class DQ, class DK, class DV, class Mask, class Score>
gradient_problem<T, Q, K, V, G, DQ, DK, DV, Mask, stage_of_score<Stage, Score>> stage_problem(
    const gradient_problem<T, Q, K, V, G, DQ, DK, DV, Mask, Score>& p) {
  return {p.q,     p.k,        p.v,          p.dout,         p.dq,        p.dk,      p.dv,        p.batch,
          p.heads, p.kv_heads, p.group,      p.head_dim,     p.value_dim, p.len_q,   p.len_k,     p.scale,
          p.mask,  {p.score},  p.key_scales, p.value_scales, p.dropout,   p.numbers, p.some_empty};
}

/// The sum over the threads of a block, in one order, for thread 0. At `shared`: a number a warp.
template <int Threads>
TESSERA_DEVICE double block_sum(double mine, const shared_array<double>& shared) {
  TESSERA_DEVICE_UNROLL
  for (int step = 16; step > 0; step /= 2) mine += shuffle_xor(mine, step);
  if (lane_id() == 0) shared.store(warp_id(), mine);
  __syncthreads();
  double total = 0;
  if (threadIdx.x == 0) {
    for (int w = 0; w < Threads / warp_threads; ++w) total += shared.load(w);
  }
  return total;
}

inline constexpr int sum_threads = 256;

/// dsinks_h = -sum over the queries of the sink's weight times dout . out.
template <class T>
TESSERA_KERNEL void __launch_bounds__(sum_threads)
    sink_gradient_kernel(const row_numbers<T>* numbers, std::int64_t count, view<const float, 1> sinks, view<float, 1> dsinks) {
  const std::int64_t h = blockIdx.x;
  const double sink = static_cast<double>(sinks(h)) * softmax::unit;
  double total = 0;
  for (std::int64_t n = threadIdx.x; n < count; n += sum_threads) {
    const row_numbers<T> row = numbers[h * count + n];
    if (row[0] == infinity<T>()) continue;
    total -= tessera::exp2(sink - static_cast<double>(row[0])) * static_cast<double>(row[1]);
  }
  shared_cursor cursor(dynamic_shared_memory());
  const double sum = block_sum<sum_threads>(total, cursor.take<double>(sum_threads / warp_threads));
  if (threadIdx.x == 0) dsinks(h) = static_cast<float>(sum);
}

template <class T>
TESSERA_HIDDEN void sink_gradient(const executor& exec, const row_numbers<T>* numbers, std::int64_t heads, std::int64_t count,
                                  const view<const float, 1>& sinks, const view<float, 1>& dsinks, const char* function) {
  if (heads == 0) return;
  const shape where{.grid = dim3(static_cast<unsigned>(heads)),
                    .block = dim3(sum_threads),
                    .shared_bytes = shared_array<double>::bytes(sum_threads / warp_threads),
                    .function = function};
  launch(exec, where, sink_gradient_kernel<T>, numbers, count, sinks, dsinks);
}

/// partial [heads][tiles of queries] = what the queries of a tile give to the gradient of a slope: -sum of slopes times distances.
template <class Shape, class Problem>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident)
    slope_gradient_kernel(const __grid_constant__ Problem p, double* partial) {
  using sum = typename Shape::sum;
  static_assert(Shape::rows == number_rows);
  const sequence_tiles tiles = p.number_tiles();
  const std::int64_t numbers = tiles.count(p.q.offsets);
  const std::int64_t item = blockIdx.x;
  const std::int64_t h = item / numbers;
  const sequence_tiles::place at = tiles.find(item - h * numbers, p.q.offsets);
  const std::int64_t kv_h = h / p.group;
  double total = 0;
  if (at.row < at.last) {
    const std::int64_t b = at.b;
    const auto queries = p.query_rows(p.q, b, h);
    const auto gradients = p.query_rows(p.dout, b, h);
    const std::int64_t offset = tessera::attention::detail::alibi_offset(p.score.head(b, h, p.queries_of(b), p.keys_of(b)).head);
    const gradient_pairs<Problem> pairs(p, b, h, kv_h);
    gradient_block<Shape> block(dynamic_shared_memory());
    block.own(queries, gradients, static_cast<int>(at.row), static_cast<int>(p.head_dim), static_cast<int>(p.value_dim),
              p.numbers + item * number_rows);
    block.for_each_tile(queries, gradients, p.key_rows(p.k, b, kv_h), p.key_rows(p.v, b, kv_h), 0, static_cast<int>(p.keys_of(b)),
                        static_cast<int>(p.head_dim), static_cast<int>(p.value_dim), pairs, p.numbers, p.some_empty + item,
                        [&](const auto&, const auto& slopes, int first, int, bool) {
                          TESSERA_DEVICE_UNROLL
                          for (int n = 0; n < Shape::streamed / 8; ++n) {
                            TESSERA_DEVICE_UNROLL
                            for (int e = 0; e < 4; ++e) {
                              const std::int64_t j = first + 8 * n + 2 * tile::fragment_column() + e % 2;
                              const std::int64_t away = j - (at.row + gradient_block<Shape>::row(e / 2)) - offset;
                              const sum slope = slopes[0][n][e];
                              total -= static_cast<double>(slope) * static_cast<double>(away < 0 ? -away : away);
                            }
                          }
                        });
  }
  wait_copies<0>();
  __syncthreads();  // nobody reads a tile any more
  shared_cursor cursor(dynamic_shared_memory());
  const double of_tile = block_sum<Shape::threads>(total, cursor.take<double>(Shape::threads / warp_threads));
  if (threadIdx.x == 0) partial[item] = of_tile;
}

/// to(h) = sum of partial [heads][count] of a head. A template, as no kernel is inline.
template <class S>
TESSERA_KERNEL void __launch_bounds__(sum_threads) partial_sum_kernel(const double* partial, std::int64_t count, view<S, 1> to) {
  const std::int64_t h = blockIdx.x;
  double total = 0;
  for (std::int64_t n = threadIdx.x; n < count; n += sum_threads) total += partial[h * count + n];
  shared_cursor cursor(dynamic_shared_memory());
  const double sum = block_sum<sum_threads>(total, cursor.take<double>(sum_threads / warp_threads));
  if (threadIdx.x == 0) to(h) = static_cast<S>(sum);
}

template <class M, class Problem>
TESSERA_HIDDEN void slope_gradient(const executor& exec, const Problem& problem, double* partial, const view<float, 1>& dslopes,
                                   const char* function) {
  if (problem.heads == 0) return;
  using shape_type = typename sliced_gradient_shapes<M, false>::queries;
  const auto p = stage_problem<tessera::attention::detail::of_slopes>(problem);
  const std::int64_t tiles = p.number_tiles().count(p.q.offsets);
  if (tiles > 0) {
    const shape where{.grid = dim3(static_cast<unsigned>(p.heads * tiles)),
                      .block = dim3(shape_type::threads),
                      .shared_bytes = shape_type::shared_bytes,
                      .function = function};
    launch(exec, where, slope_gradient_kernel<shape_type, std::remove_const_t<decltype(p)>>, p, partial);
  }
  const shape where{.grid = dim3(static_cast<unsigned>(p.heads)),
                    .block = dim3(sum_threads),
                    .shared_bytes = shared_array<double>::bytes(sum_threads / warp_threads),
                    .function = function};
  launch(exec, where, partial_sum_kernel<float>, partial, tiles, dslopes);
}

/// Which tiles a block adds up: one of those of an axis that has a stride, all of an axis that is one row of memory.
struct tile_axis {
  std::int64_t tiles;
  bool summed;

  [[nodiscard]] TESSERA_HD std::int64_t blocks() const { return summed ? 1 : tiles; }
  [[nodiscard]] TESSERA_HD std::int64_t first(std::int64_t block) const { return summed ? 0 : block; }
  [[nodiscard]] TESSERA_HD std::int64_t last(std::int64_t block) const { return summed ? tiles : block + 1; }
};

/// dbias [batch, heads, len_q, len_k] = the gradient of what is added to each score, summed over axes of stride 0: a block has one tile of dbias.
template <class Shape, class Problem, class B>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident)
    bias_gradient_kernel(const __grid_constant__ Problem p, view<B, 4> dbias, tile_axis batch, tile_axis heads, tile_axis queries,
                         tile_axis keys) {
  using sum = typename Shape::sum;
  static_assert(Shape::rows == number_rows);
  std::int64_t rest = blockIdx.x;
  const auto take = [&](const tile_axis& axis) {
    const std::int64_t n = rest % axis.blocks();
    rest /= axis.blocks();
    return n;
  };
  const std::int64_t key_block = take(keys);
  const std::int64_t query_block = take(queries);
  const std::int64_t head_block = take(heads);
  const std::int64_t batch_block = take(batch);
  sum total[Shape::streamed / 8][4] = {};
  gradient_block<Shape> block(dynamic_shared_memory());
  for (std::int64_t b = batch.first(batch_block); b < batch.last(batch_block); ++b) {
    for (std::int64_t h = heads.first(head_block); h < heads.last(head_block); ++h) {
      const auto rows = p.query_rows(p.q, b, h);
      const auto gradients = p.query_rows(p.dout, b, h);
      const std::int64_t kv_h = h / p.group;
      const gradient_pairs<Problem> pairs(p, b, h, kv_h);
      for (std::int64_t q = queries.first(query_block); q < queries.last(query_block); ++q) {
        const std::int64_t tile = p.first_number_tile(b, h) + q;
        block.own(rows, gradients, static_cast<int>(q * Shape::rows), static_cast<int>(p.head_dim), static_cast<int>(p.value_dim),
                  p.numbers + tile * number_rows);
        const std::int64_t end = keys.last(key_block) * Shape::streamed;
        block.for_each_tile(rows, gradients, p.key_rows(p.k, b, kv_h), p.key_rows(p.v, b, kv_h),
                            static_cast<int>(keys.first(key_block)) * Shape::streamed,
                            static_cast<int>(end < p.len_k ? end : p.len_k), static_cast<int>(p.head_dim),
                            static_cast<int>(p.value_dim), pairs, p.numbers, p.some_empty + tile,
                            [&](const auto&, const auto& slopes, int, int, bool) {
                              TESSERA_DEVICE_UNROLL
                              for (int n = 0; n < Shape::streamed / 8; ++n) {
                                TESSERA_DEVICE_UNROLL
                                for (int e = 0; e < 4; ++e) total[n][e] += slopes[0][n][e];
                              }
                            });
      }
    }
  }
  wait_copies<0>();
  __syncthreads();  // nobody reads a tile any more
  shared_cursor cursor(dynamic_shared_memory());
  const shared_array<sum> sums = cursor.take<sum>(Shape::rows * Shape::streamed);
  static_assert(Shape::shared_bytes >= sizeof(sum) * Shape::rows * Shape::streamed);
  TESSERA_DEVICE_UNROLL
  for (int n = 0; n < Shape::streamed / 8; ++n) {
    TESSERA_DEVICE_UNROLL
    for (int e = 0; e < 4; ++e) {
      sums.store(gradient_block<Shape>::row(e / 2) * Shape::streamed + 8 * n + 2 * tile::fragment_column() + e % 2, total[n][e]);
    }
  }
  __syncthreads();
  const int row_step = queries.summed ? Shape::rows : 1;
  const int column_step = keys.summed ? Shape::streamed : 1;
  const int columns = Shape::streamed / column_step;
  for (int at = static_cast<int>(threadIdx.x); at < Shape::rows / row_step * columns; at += Shape::threads) {
    const int row = at / columns * row_step;
    const int column = at % columns * column_step;
    sum result = 0;
    for (int i = row; i < row + row_step; ++i) {
      for (int j = column; j < column + column_step; ++j) result += sums.load(i * Shape::streamed + j);
    }
    const std::int64_t i = query_block * Shape::rows + row;
    const std::int64_t j = key_block * Shape::streamed + column;
    if (i < p.len_q && j < p.len_k) dbias(batch_block, head_block, i, j) = static_cast<B>(result);
  }
}

template <class M, class Problem, class B>
TESSERA_HIDDEN void bias_gradient(const executor& exec, const Problem& problem, const view<B, 4>& dbias, const char* function) {
  using shape_type = typename sliced_gradient_shapes<M, false>::queries;
  if (dbias.size() == 0) return;
  const auto p = stage_problem<tessera::attention::detail::of_bias>(problem);
  const auto axis = [&](std::size_t r, std::int64_t rows) {
    return tile_axis{(dbias.extent(r) + rows - 1) / rows, dbias.stride(r) == 0 && dbias.extent(r) > 1};
  };
  const tile_axis batch = axis(0, 1);
  const tile_axis heads = axis(1, 1);
  const tile_axis queries = axis(2, shape_type::rows);
  const tile_axis keys = axis(3, shape_type::streamed);
  const std::int64_t blocks = batch.blocks() * heads.blocks() * queries.blocks() * keys.blocks();
  const shape where{.grid = dim3(static_cast<unsigned>(blocks)),
                    .block = dim3(shape_type::threads),
                    .shared_bytes = shape_type::shared_bytes,
                    .function = function};
  launch(exec, where, bias_gradient_kernel<shape_type, std::remove_const_t<decltype(p)>, B>, p, dbias, batch, heads, queries,
         keys);
}

}  // namespace tessera::cuda::attention::detail
