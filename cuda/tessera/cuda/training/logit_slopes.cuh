// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The gradients of logits, their slopes: what each row needs for them, how a product of logits becomes slopes in registers, and their sums by class.
#pragma once

#include <cstdint>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/memory/vector.cuh"
#include "tessera/cuda/tile/product_kernel.cuh"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/detail/cross_entropy_gradients.hpp"

namespace tessera::cuda::training::detail {

/// Slopes of float16 are stored times a power of two that takes the largest they may be, 2 |s_i| (1 + 2 z_loss |lse_i|), to 2^14 to 2^15: float16
/// has no room for gradients of a mean over many rows. All other types have.
template <class Slope>
inline constexpr bool slopes_are_scaled = std::is_same_v<Slope, float16>;

/// What a call's rows have in common.
struct slope_totals {
  double counting;  ///< rows
  double scale;     ///< of stored slopes
  double unscale;   ///< its inverse
};

/// What is known of a row before its slopes.
template <class T>
struct slope_row {
  tessera::training::detail::row_gradient<T> gradient;
  std::int64_t target;

  static constexpr std::int64_t no_target = -1;  ///< the row does not count
};

inline constexpr int totals_threads = 256;

/// The power of two that takes x, not negative, to [2^13, 2^14), or 2^139 for smaller ones; 1 for 0.
TESSERA_DEVICE double scale_to_float16(double x) {
  if (x == 0) return 1;
  const int exponent = static_cast<int>(__builtin_bit_cast(std::uint64_t, x) >> 52) - 1023;
  const int bounded = exponent < -126 ? -126 : (exponent > 126 ? 126 : exponent);
  return __builtin_bit_cast(double, static_cast<std::uint64_t>(1023 + 13 - bounded) << 52);
}

template <bool Scaled, class Problem, class Lse, class G>
TESSERA_KERNEL void __launch_bounds__(totals_threads)
    slope_totals_kernel(const __grid_constant__ Problem p, const __grid_constant__ view<const Lse, 1> lse,
                        const __grid_constant__ view<const G, 1> grad_loss, slope_totals* to) {
  shared_cursor cursor(dynamic_shared_memory());
  const shared_array<double> counts = cursor.take<double>(totals_threads);
  const shared_array<double> tops = cursor.take<double>(totals_threads);
  const int thread = static_cast<int>(threadIdx.x);
  const bool each = p.options.reduce == tessera::training::reduction::none;
  double count = 0;
  double top = 0;
  for (std::int64_t i = thread; i < p.hidden.extent(0); i += totals_threads) {
    if (!p.counts(i)) continue;
    count += 1;
    if constexpr (Scaled) {
      const double s =
          static_cast<double>(grad_loss(each ? i : 0)) * (1 + 2 * p.options.z_loss * abs(static_cast<double>(lse(i))));
      if (abs(s) > top && abs(s) < infinity<double>()) top = abs(s);
    }
  }
  counts.store(thread, count);
  tops.store(thread, top);
  __syncthreads();
  for (int half = totals_threads / 2; half > 0; half /= 2) {
    if (thread < half) {
      counts.store(thread, counts.load(thread) + counts.load(thread + half));
      tops.store(thread, tessera::max(tops.load(thread), tops.load(thread + half)));
    }
    __syncthreads();
  }
  if (thread != 0) return;
  count = counts.load(0);
  double scale = 1;
  if constexpr (Scaled) {
    const bool mean = p.options.reduce == tessera::training::reduction::mean && count > 0;
    scale = scale_to_float16(mean ? tops.load(0) / count : tops.load(0));
  }
  *to = {count, scale, 1 / scale};
}

/// Thread by row. A target that is no class makes a row of NaN.
template <class T, class Problem, class Lse, class G>
TESSERA_KERNEL void __launch_bounds__(128)
    slope_rows_kernel(const __grid_constant__ Problem p, const __grid_constant__ view<const Lse, 1> lse,
                      const __grid_constant__ view<const G, 1> grad_loss, const slope_totals* totals, slope_row<T>* rows) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * 128 + static_cast<std::int64_t>(threadIdx.x);
  if (i >= p.hidden.extent(0)) return;
  slope_row<T> row{{T(0), T(0), T(0), T(0)}, slope_row<T>::no_target};
  if (p.counts(i)) {
    using tessera::training::reduction;
    double scale = static_cast<double>(grad_loss(p.options.reduce == reduction::none ? i : 0));
    if (p.options.reduce == reduction::mean) scale /= totals->counting;
    const std::int64_t classes = p.weight.extent(0);
    row.target = static_cast<std::int64_t>(p.target(i));
    const bool is_class = row.target >= 0 && row.target < classes;
    if (!is_class) row.target = classes;
    row.gradient = tessera::training::detail::gradient_of_row<T>(p.options, classes, scale * totals->scale,
                                                                 is_class ? static_cast<double>(lse(i)) : quiet_nan<double>());
  }
  rows[i] = row;
}

/// What becomes of a product of logits, of classes from `first` on: slopes, in rows of an even pitch.
template <class T, class Slope, class B>
struct store_slopes {
  const slope_row<T>* rows;
  const B* bias;  ///< null: none
  std::int64_t bias_stride;
  Slope* slopes;
  std::int64_t pitch;
  std::int64_t first;

  struct row_type {
    slope_row<T> known;
    Slope* to;
  };
  [[nodiscard]] TESSERA_DEVICE row_type row(std::int64_t i) const { return {rows[i], slopes + i * pitch}; }

  TESSERA_DEVICE void operator()(const row_type& row, std::int64_t j, T z0, T z1, bool both) const {
    tile::store_pair(row.to + j, slope(row.known, first + j, z0), both ? slope(row.known, first + j + 1, z1) : T(0), both, true);
  }

 private:
  [[nodiscard]] TESSERA_DEVICE T slope(const slope_row<T>& row, std::int64_t j, T z) const {
    if (row.target == slope_row<T>::no_target) return T(0);
    if (bias != nullptr) z += static_cast<T>(bias[j * bias_stride]);
    const T g = tessera::fma(exp(z - row.gradient.lse), row.gradient.mass, -row.gradient.spread);
    return j == row.target ? g - row.gradient.hit : g;
  }
};

inline constexpr int copied_rows = 8;  ///< of a block: one a warp

/// Rows of hidden that count, and zeros for the others, in rows of `pitch`, whole chunks of 16 bytes: for copies that cannot leave rows out.
template <class H, class Problem>
TESSERA_KERNEL void __launch_bounds__(copied_rows* warp_threads)
    counting_rows_kernel(const __grid_constant__ Problem p, H* to, std::int64_t pitch) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * copied_rows + warp_id();
  if (i >= p.hidden.extent(0)) return;
  constexpr int chunk = vector_elements<H>;
  const std::int64_t depth = p.counts(i) ? p.hidden.extent(1) : 0;
  const H* const from = p.hidden.data_handle() + i * p.hidden.stride(0);
  for (std::int64_t c = lane_id() * chunk; c < pitch; c += warp_threads * chunk) {
    const std::int64_t left = depth - c;
    const packed<H, chunk> x =
        left >= chunk ? load_vector<chunk>(from + c) : load_elements<chunk>(from + c, 0, left > 0 ? static_cast<int>(left) : 0);
    store_vector(to + i * pitch + c, x);
  }
}

/// Blocks of `sum_columns` classes: each warp adds up every eighth row, in chains of 128, then the warps' sums by halves.
inline constexpr int sum_columns = warp_threads;
inline constexpr int sum_warps = 8;

template <class T, class Slope, class DB>
TESSERA_KERNEL void __launch_bounds__(sum_columns* sum_warps)
    slope_sums_kernel(const Slope* slopes, std::int64_t pitch, std::int64_t n, std::int64_t classes, const slope_totals* totals,
                      DB* to, std::int64_t to_stride) {
  const shared_array<T> sums = shared_cursor(dynamic_shared_memory()).take<T>(sum_columns * sum_warps);
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * sum_columns + lane_id();
  T total = 0;
  if (j < classes) {
    std::int64_t i = warp_id();
    while (i < n) {
      T chain = 0;
      const std::int64_t end = i + 128 * sum_warps < n ? i + 128 * sum_warps : n;
      for (; i < end; i += sum_warps) chain += static_cast<T>(widen(slopes[i * pitch + j]));
      total += chain;
    }
  }
  const int thread = static_cast<int>(threadIdx.x);
  sums.store(thread, total);
  __syncthreads();
  for (int half = sum_warps / 2 * sum_columns; half >= sum_columns; half /= 2) {
    if (thread < half) sums.store(thread, sums.load(thread) + sums.load(thread + half));
    __syncthreads();
  }
  if (thread >= sum_columns || j >= classes) return;
  total = sums.load(thread);
  if constexpr (slopes_are_scaled<Slope>) total *= static_cast<T>(totals->unscale);
  to[j * to_stride] = static_cast<DB>(total);
}

}  // namespace tessera::cuda::training::detail
