// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The cross-entropy of a linear layer's logits on a CUDA device: the logits are folded in registers and never stored.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/tile/query_block.cuh"
#include "tessera/cuda/tile/rows.cuh"
#include "tessera/cuda/training/logit_fold.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/numeric/log.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/cross_entropy_options.hpp"
#include "tessera/training/detail/cross_entropy_problem.hpp"

namespace tessera::cuda::training {
namespace detail {

using tessera::training::reduction;
using tessera::training::detail::problem;

/// Classes that a block folds: their states are merged in order. A constant, so that it is part of no machine's bits.
inline constexpr std::int64_t chunk_classes = 4096;
/// Threads that add up the losses of all rows.
inline constexpr int sum_threads = 256;

template <bool HasBias, class T, class Problem>
struct logit_pairs {
  static constexpr bool has_bias = HasBias;
  const Problem& p;
  std::int64_t first;
  std::int64_t last;
  key_range classes;

  [[nodiscard]] TESSERA_DEVICE key_range range() const { return classes; }
  [[nodiscard]] TESSERA_DEVICE static tile_class classify(std::int64_t, std::int64_t) { return tile_class::all; }
  [[nodiscard]] TESSERA_DEVICE T bias(std::int64_t j) const { return static_cast<T>(p.bias(j)); }
  [[nodiscard]] TESSERA_DEVICE std::int64_t target(int r) const {
    return first + r < last ? static_cast<std::int64_t>(p.target(first + r)) : -1;
  }
};

/// Rows of hidden, those that do not count left out, and of weight.
template <class H, class W, class Problem, bool Aligned>
struct logit_operands {
  static constexpr bool aligned = Aligned;
  const Problem& p;
  std::int64_t first;
  std::int64_t last;

  [[nodiscard]] TESSERA_DEVICE const H* query(int r) const {
    const std::int64_t i = first + r;
    return i < last && p.counts(i) ? p.hidden.data_handle() + i * p.hidden.stride(0) : nullptr;
  }
  [[nodiscard]] TESSERA_DEVICE const W* key(std::int64_t j) const { return p.weight.data_handle() + j * p.weight.stride(0); }
  [[nodiscard]] TESSERA_DEVICE const W* value(std::int64_t) const { return nullptr; }
  [[nodiscard]] TESSERA_DEVICE int depth() const { return static_cast<int>(p.hidden.extent(1)); }
  [[nodiscard]] TESSERA_DEVICE static int value_dim() { return 0; }
};

template <class Shape, bool Aligned, bool HasBias, class H, class W, class B, class Target>
TESSERA_KERNEL void __launch_bounds__(Shape::threads, Shape::resident)
    logits_kernel(const __grid_constant__ problem<H, W, B, Target> p, logit_state<typename Shape::sum>* states) {
  using sum = typename Shape::sum;
  using rows = logit_rows<typename Shape::multiplied, Shape::row_blocks, Shape::keys / 8>;
  using problem_type = problem<H, W, B, Target>;
  const std::int64_t n = p.hidden.extent(0);
  const std::int64_t classes = p.weight.extent(0);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * Shape::rows;
  const std::int64_t last = first + Shape::rows < n ? first + Shape::rows : n;
  const std::int64_t chunk = static_cast<std::int64_t>(blockIdx.y) * chunk_classes;
  const logit_pairs<HasBias, sum, problem_type> pairs{
      p, first, last, {chunk, chunk + chunk_classes < classes ? chunk + chunk_classes : classes}};
  tile::query_block<Shape, void, rows> block(pairs, dynamic_shared_memory());
  block.run(logit_operands<H, W, problem_type, Aligned>{p, first, last}, pairs);
  block.rows().for_each_state([&](int r, const logit_state<sum>& state) {
    if (first + r < last) states[static_cast<std::int64_t>(blockIdx.y) * n + first + r] = state;
  });
}

/// The loss of each row: to `loss` where there are as many, else to `row_losses`. Thread by row.
template <class T, class H, class W, class B, class Target, class Loss, class Lse>
TESSERA_KERNEL void __launch_bounds__(128)
    losses_kernel(const __grid_constant__ problem<H, W, B, Target> p, const logit_state<T>* states, std::int64_t chunks,
                  double* row_losses, const __grid_constant__ view<Loss, 1> loss, const __grid_constant__ view<Lse, 1> lse) {
  const std::int64_t n = p.hidden.extent(0);
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * 128 + static_cast<std::int64_t>(threadIdx.x);
  if (i >= n) return;
  double of_row = 0;
  T row_lse = 0;
  if (p.counts(i)) {
    logit_state<T> row = logit_state<T>::none();
    for (std::int64_t c = 0; c < chunks; ++c) row = logit_state<T>::merge(row, states[c * n + i]);
    const double log_mass = static_cast<double>(log(row.mass));
    of_row = tessera::training::detail::loss_of(row, log_mass, p.weight.extent(0), p.options);
    row_lse = static_cast<T>(static_cast<double>(row.max) + log_mass);
  }
  lse(i) = static_cast<Lse>(row_lse);
  if (p.options.reduce == reduction::none) {
    loss(i) = static_cast<Loss>(static_cast<T>(of_row));
  } else {
    row_losses[i] = of_row;
  }
}

/// The sum or mean of the losses, by one block, in an order of its own.
template <class T, class H, class W, class B, class Target, class Loss>
TESSERA_KERNEL void __launch_bounds__(sum_threads)
    reduce_kernel(const __grid_constant__ problem<H, W, B, Target> p, const double* row_losses, Loss* loss) {
  shared_cursor cursor(dynamic_shared_memory());
  const shared_array<double> sums = cursor.take<double>(sum_threads);
  const shared_array<double> counts = cursor.take<double>(sum_threads);
  double sum = 0;
  double count = 0;
  const int thread = static_cast<int>(threadIdx.x);
  for (std::int64_t i = thread; i < p.hidden.extent(0); i += sum_threads) {
    sum += row_losses[i];
    count += p.counts(i) ? 1 : 0;
  }
  sums.store(thread, sum);
  counts.store(thread, count);
  __syncthreads();
  for (int half = sum_threads / 2; half > 0; half /= 2) {
    if (thread < half) {
      sums.store(thread, sums.load(thread) + sums.load(thread + half));
      counts.store(thread, counts.load(thread) + counts.load(thread + half));
    }
    __syncthreads();
  }
  if (thread != 0) return;
  const double total = p.options.reduce == reduction::mean ? sums.load(0) / counts.load(0) : sums.load(0);
  *loss = static_cast<Loss>(static_cast<T>(total));
}

template <class Shape, bool Aligned, bool HasBias, class H, class W, class B, class Target>
TESSERA_HIDDEN void launch_logits(const executor& exec, const problem<H, W, B, Target>& p,
                                  logit_state<typename Shape::sum>* states, std::int64_t chunks, const char* function) {
  const std::int64_t blocks = (p.hidden.extent(0) + Shape::rows - 1) / Shape::rows;
  launch(exec,
         {.grid = dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(chunks)),
          .block = dim3(Shape::threads),
          .shared_bytes = Shape::shared_bytes,
          .function = function},
         logits_kernel<Shape, Aligned, HasBias, H, W, B, Target>, p, states);
}

template <bool HasBias, class H, class W, class B, class Target, class Loss, class Lse>
TESSERA_HIDDEN void run_linear_cross_entropy(const executor& exec, const problem<H, W, B, Target>& p, const view<Loss, 1>& loss,
                                             const view<Lse, 1>& lse) {
  using T = std::common_type_t<compute_t<H>, compute_t<W>>;
  using M = std::conditional_t<(sizeof(H) == 2 && std::is_same_v<H, W>), H, T>;
  using element = typename tile::multiplication<M>::element;
  const char* const function = "training::linear_cross_entropy";
  tessera::training::detail::check_shapes(p, HasBias, function);
  tessera::training::detail::check_losses(p, loss, lse, function);
  cuda::detail::check_memory(exec, p.hidden, function, "hidden");
  cuda::detail::check_memory(exec, p.weight, function, "weight");
  cuda::detail::check_memory(exec, p.bias, function, "bias");
  cuda::detail::check_memory(exec, p.target, function, "target");
  cuda::detail::check_memory(exec, loss, function, "loss");
  cuda::detail::check_memory(exec, lse, function, "lse");
  const std::int64_t n = p.hidden.extent(0);
  const std::int64_t chunks = (p.weight.extent(0) + chunk_classes - 1) / chunk_classes;
  const bool reduced = p.options.reduce != reduction::none;
  const auto lay_out = [&](bump& memory) {
    struct {
      logit_state<T>* states;
      double* row_losses;
    } result{memory.take<logit_state<T>>(chunks * n), memory.take<double>(reduced ? n : 0)};
    return result;
  };
  bump needed;
  lay_out(needed);
  const workspace memory(exec, needed.bytes(), function);
  bump block(memory.data());
  const auto at = lay_out(block);
  if (n > 0 && chunks > 0) {
    constexpr int keys = sizeof(element) == 8 ? 32 : 64;
    constexpr int row_blocks = sizeof(M) == 2 ? 2 : 1;
    constexpr int depth = sizeof(element) == 8 ? 64 : 128;
    if constexpr (std::is_same_v<H, element> && std::is_same_v<W, element>) {
      if (tile::detail::rows_begin_at_chunks(p.hidden) && tile::detail::rows_begin_at_chunks(p.weight)) {
        launch_logits<tile::block_shape<M, 4, row_blocks, keys, depth, 0>, true, HasBias>(exec, p, at.states, chunks, function);
      } else {
        launch_logits<tile::block_shape<M, 4, 1, keys, 64, 0>, false, HasBias>(exec, p, at.states, chunks, function);
      }
    } else {
      launch_logits<tile::block_shape<M, 4, 1, keys, 64, 0>, false, HasBias>(exec, p, at.states, chunks, function);
    }
  }
  if (n > 0) {
    launch(exec, {.grid = dim3(static_cast<unsigned>((n + 127) / 128)), .block = dim3(128), .function = function},
           losses_kernel<T, H, W, B, Target, Loss, Lse>, p, at.states, chunks, at.row_losses, loss, lse);
  }
  if (reduced) {
    launch(exec, {.block = dim3(sum_threads), .shared_bytes = 2 * shared_array<double>::bytes(sum_threads), .function = function},
           reduce_kernel<T, H, W, B, Target, Loss>, p, at.row_losses, loss.data_handle());
  }
}

}  // namespace detail
}  // namespace tessera::cuda::training

namespace tessera::training {

/// linear_cross_entropy (tessera/training/linear_cross_entropy.hpp) on a CUDA device: same arguments, same meaning. Views are of device memory.
///
/// Targets         are not read by the host: a row whose target is no class has the loss NaN, and so has a mean or sum with it.
/// Accuracy        as on the CPU, with E = depth + 1 for float32 and float64, 4 depth for 16-bit hidden and weight of one type (the tensor
///                 cores' sums), and L = 2 log vocabulary + 80 + vocabulary / 4096. The losses of the rows are added up in float64.
///                 test/cuda/linear_cross_entropy.cpp.
/// Cost            2 n vocabulary depth flops, on the tensor cores for 16-bit and float64 operands; one exponential a logit. Scratch: 16 bytes (of
///                 float64 32) for each row and 4,096 classes.
/// Determinism     the same bits in every run, and for a row alone or among others.
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses but for targets, and memory that is not the
///                 device's; cuda::error.
/// Source          Wijmans et al. 2024, arXiv:2411.09009
template <mdspan_like Hidden, mdspan_like Weight, mdspan_like Bias, mdspan_like Target, mdspan_like Loss, mdspan_like Lse>
  requires(Hidden::rank() == 2 && Weight::rank() == 2 && Bias::rank() == 1 && Target::rank() == 1 && Loss::rank() == 1 &&
           Lse::rank() == 1 && std::integral<value_type_of<Target>>)
TESSERA_HIDDEN void linear_cross_entropy(const cuda::executor& exec, const Hidden& hidden, const Weight& weight, const Bias& bias,
                                         const Target& target, const Loss& loss, const Lse& lse,
                                         const cross_entropy_options& options = {}) {
  const detail::problem<value_type_of<Hidden>, value_type_of<Weight>, value_type_of<Bias>, value_type_of<Target>> p{
      hidden, weight, bias, target, options};
  cuda::training::detail::run_linear_cross_entropy<true>(exec, p, view<value_type_of<Loss>, 1>(loss),
                                                         view<value_type_of<Lse>, 1>(lse));
}

/// The same without a bias.
template <mdspan_like Hidden, mdspan_like Weight, mdspan_like Target, mdspan_like Loss, mdspan_like Lse>
  requires(Hidden::rank() == 2 && Weight::rank() == 2 && Target::rank() == 1 && Loss::rank() == 1 && Lse::rank() == 1 &&
           std::integral<value_type_of<Target>>)
TESSERA_HIDDEN void linear_cross_entropy(const cuda::executor& exec, const Hidden& hidden, const Weight& weight,
                                         const Target& target, const Loss& loss, const Lse& lse,
                                         const cross_entropy_options& options = {}) {
  const detail::problem<value_type_of<Hidden>, value_type_of<Weight>, float, value_type_of<Target>> p{
      hidden, weight, {}, target, options};
  cuda::training::detail::run_linear_cross_entropy<false>(exec, p, view<value_type_of<Loss>, 1>(loss),
                                                          view<value_type_of<Lse>, 1>(lse));
}

}  // namespace tessera::training
