// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows of any storage type as rows of float16 for the tensor cores, beside how far each has been moved by that: what is computed of them is wrong
/// by no more than the triangle inequality allows.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "tessera/cuda/error.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/warp.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::tile {

/// Rows whose summaries are kept together: those of a tile of keys.
inline constexpr int rough_group = 64;

/// y = float16(S (x - c)), S a power of two and c a row near the middle of all: both are anything, so far as results go.
struct rough_rows {
  const float16* data;  ///< [rows][stride], 16-byte aligned rows
  std::int64_t stride;  ///< elements
  const float* norms;   ///< |y|^2, up to a whole group
  const float* moved;   ///< no less than |y - S (x - c)|; inf for a row out of range, NaN for one that holds a NaN: their y is 0
  const packed<float, 2>* groups;  ///< the largest norm, and the largest `moved` (inf for NaN), of each group

  [[nodiscard]] TESSERA_HD const float16* row(std::int64_t i) const { return data + i * stride; }
};

/// S and c.
struct rough_frame {
  const unsigned long long* largest;  ///< bits of the largest |x - c| of some keys, as float64
  const double* center;               ///< [depth]; null: 0

  /// S: brings the largest to [2^12, 2^13), far from the ends of float16.
  [[nodiscard]] TESSERA_HD double scale() const {
    const auto exponent = static_cast<int>(*largest >> 52 & 0x7FFu);
    if (exponent == 0 || exponent == 0x7FF) return 1;
    const int wanted = 2058 - exponent;
    return __builtin_bit_cast(double, static_cast<unsigned long long>(wanted < 1 ? 1 : (wanted > 2046 ? 2046 : wanted)) << 52);
  }
};

namespace detail {

inline constexpr int rough_threads = 128;
inline constexpr std::int64_t center_samples = 128;

/// The mean of some keys, spread over all, and how far these are from it. Thread by column.
template <class K>
TESSERA_KERNEL void __launch_bounds__(rough_threads)
    center_kernel(const __grid_constant__ view<const K, 2> keys, double* center, unsigned long long* largest) {
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * rough_threads + static_cast<std::int64_t>(threadIdx.x);
  if (column >= keys.extent(1)) return;
  const std::int64_t m = keys.extent(0);
  const std::int64_t samples = m < center_samples ? m : center_samples;
  const auto sample = [&](std::int64_t s) {
    return static_cast<double>(keys.data_handle()[s * m / samples * keys.stride(0) + column]);
  };
  double sum = 0;
  double low = infinity<double>();
  double high = -infinity<double>();
  for (std::int64_t s = 0; s < samples; ++s) {
    const double x = sample(s);
    if (!(x - x == 0)) continue;
    sum += x;
    low = x < low ? x : low;
    high = x > high ? x : high;
  }
  double middle = center != nullptr && samples > 0 ? sum / static_cast<double>(samples) : 0;
  if (!(middle - middle == 0)) middle = 0;
  if (center != nullptr) center[column] = middle;
  if (low > high) return;
  const double below = middle - low;
  const double above = high - middle;
  const double size = below > above ? below : above;
  atomicMax(largest, __builtin_bit_cast(unsigned long long, size > 0 ? size : 0.0));
}

/// What a rough_rows points to, to be written.
struct rough_store {
  float16* data;
  std::int64_t stride;
  float* norms;
  float* moved;
  packed<float, 2>* groups;

  [[nodiscard]] rough_rows rows() const { return {data, stride, norms, moved, groups}; }
  static rough_store take(bump& memory, std::int64_t rows, std::int64_t depth) {
    const std::int64_t stride = (depth + 7) / 8 * 8;
    const std::int64_t groups = (rows + rough_group - 1) / rough_group;
    return {memory.take<float16>(rows * stride), stride, memory.take<float>(groups * rough_group),
            memory.take<float>(groups * rough_group), memory.take<packed<float, 2>>(groups)};
  }
};

template <class X, class Join>
TESSERA_DEVICE X fold_warp(X x, const Join& join) {
  TESSERA_DEVICE_UNROLL
  for (int step = 16; step > 0; step /= 2) x = join(x, shuffle_xor(x, step));
  return x;
}

/// A block makes one group, a warp a row at a time.
template <class X>
TESSERA_KERNEL void __launch_bounds__(rough_threads)
    rough_rows_kernel(const __grid_constant__ view<const X, 2> x, const __grid_constant__ rough_frame frame,
                      const __grid_constant__ rough_store to) {
  constexpr int warps = rough_threads / warp_threads;
  shared_cursor cursor(dynamic_shared_memory());
  const shared_array<packed<float, 2>> largest = cursor.take<packed<float, 2>>(warps);
  const double scale = frame.scale();
  const std::int64_t depth = x.extent(1);
  packed<float, 2> mine{{0, 0}};
  TESSERA_DEVICE_ROLLED
  for (int r = warp_id(); r < rough_group; r += warps) {
    const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * rough_group + r;
    packed<float, 2> of_row{{0, 0}};
    if (i < x.extent(0)) {
      const X* const from = x.data_handle() + i * x.stride(0);
      float16* const row = to.data + i * to.stride;
      double norm = 0;
      double moved = 0;
      bool usable = true;
      bool number = true;
      TESSERA_DEVICE_ROLLED
      for (std::int64_t d = lane_id(); d < depth; d += warp_threads) {
        const double wanted = scale * (static_cast<double>(from[d]) - (frame.center != nullptr ? frame.center[d] : 0.0));
        const float16 y(static_cast<float>(wanted));
        const double got = static_cast<double>(static_cast<float>(y));
        row[d] = y;
        usable = usable && got - got == 0;
        number = number && wanted == wanted;
        norm += got * got;
        moved += (got - wanted) * (got - wanted);
      }
      const auto add = [](double a, double b) { return a + b; };
      norm = fold_warp(norm, add);
      moved = fold_warp(moved, add);
      number = __all_sync(all_lanes, number) != 0;
      if (__all_sync(all_lanes, usable) == 0) {
        for (std::int64_t d = lane_id(); d < depth; d += warp_threads) row[d] = float16(0.0F);
        of_row = {{0, number ? infinity<float>() : quiet_nan<float>()}};
      } else {
        // Beyond all roundings: of the sum, of the root, and of the differences themselves (they are of 24 or 53 bits, y of 11).
        of_row = {
            {static_cast<float>(norm), static_cast<float>(::sqrt(moved) * (1 + 0x1p-20) + ::sqrt(norm) * 0x1p-50 + 0x1p-120)}};
      }
    }
    if (lane_id() == 0) {
      to.norms[i] = of_row[0];
      to.moved[i] = of_row[1];
    }
    const float moved = of_row[1] == of_row[1] ? of_row[1] : infinity<float>();
    mine = {{of_row[0] > mine[0] ? of_row[0] : mine[0], moved > mine[1] ? moved : mine[1]}};
  }
  if (lane_id() == 0) largest.store(warp_id(), mine);
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 0; w < warps; ++w) {
      const packed<float, 2> other = largest.load(w);
      mine = {{other[0] > mine[0] ? other[0] : mine[0], other[1] > mine[1] ? other[1] : mine[1]}};
    }
    to.groups[blockIdx.x] = mine;
  }
}

template <class X>
TESSERA_HIDDEN void make_rough_rows(const executor& exec, const view<const X, 2>& x, const rough_frame& frame,
                                    const rough_store& to, const char* function) {
  const std::int64_t groups = (x.extent(0) + rough_group - 1) / rough_group;
  if (groups == 0) return;
  launch(exec,
         shape{.grid = dim3(static_cast<unsigned>(groups)),
               .block = dim3(rough_threads),
               .shared_bytes = shared_array<packed<float, 2>>::bytes(rough_threads / warp_threads),
               .function = function},
         rough_rows_kernel<X>, x, frame, to);
}

/// Queries and keys in one frame.
struct rough_operands {
  rough_store queries;
  rough_store keys;
  unsigned long long* largest;
  double* center;  ///< null: none is wanted

  static rough_operands take(bump& memory, std::int64_t n, std::int64_t m, std::int64_t depth, bool centered) {
    rough_operands result{};
    result.queries = rough_store::take(memory, n, depth);
    result.keys = rough_store::take(memory, m, depth);
    result.largest = memory.take<unsigned long long>(1);
    result.center = centered ? memory.take<double>(depth) : nullptr;
    return result;
  }
  [[nodiscard]] rough_frame frame() const { return {largest, center}; }

  template <class Q, class K>
  TESSERA_HIDDEN void make(const executor& exec, const view<const Q, 2>& q, const view<const K, 2>& k,
                           const char* function) const {
    check(cudaMemsetAsync(largest, 0, sizeof *largest, exec.stream()), "cudaMemsetAsync");
    if (k.extent(1) > 0) {
      const auto blocks = static_cast<unsigned>((k.extent(1) + rough_threads - 1) / rough_threads);
      launch(exec, shape{.grid = dim3(blocks), .block = dim3(rough_threads), .function = function}, center_kernel<K>, k, center,
             largest);
    }
    make_rough_rows(exec, k, frame(), keys, function);
    make_rough_rows(exec, q, frame(), queries, function);
  }
};

}  // namespace detail
}  // namespace tessera::cuda::tile
