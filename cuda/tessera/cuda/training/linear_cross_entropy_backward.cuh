// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The gradients of linear_cross_entropy on a CUDA device: some thousand classes at a time, logits are made again and become their own gradient
/// before they reach memory.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/hopper/product.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/tile/product_kernel.cuh"
#include "tessera/cuda/tile/product_operand.cuh"
#include "tessera/cuda/tile/rows.cuh"
#include "tessera/cuda/training/gradient_products.cuh"
#include "tessera/cuda/training/logit_slopes.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/cross_entropy_options.hpp"
#include "tessera/training/detail/cross_entropy_gradients.hpp"

namespace tessera::cuda::training {
namespace detail {

using tessera::training::detail::gradients;
using tessera::training::detail::problem;

/// Classes whose slopes are in memory at a time. A constant, so that it is part of no machine's bits.
inline constexpr std::int64_t slope_classes = 4096;

/// Elements of a row, rounded up to chunks of 16 bytes.
template <class T>
std::int64_t whole_chunks(std::int64_t columns) {
  constexpr std::int64_t chunk = vector_elements<T>;
  return (columns + chunk - 1) / chunk * chunk;
}

/// Scratch of a call.
template <class T, class Slope>
struct slope_memory {
  slope_totals* totals;
  slope_row<T>* rows;
  Slope* slopes;
  T* sums;        ///< of grad_hidden, where they cannot stay in the result
  Slope* hidden;  ///< of the rows that count, where copies cannot leave rows out

  slope_memory(bump& memory, std::int64_t n, std::int64_t pitch, std::int64_t sums_size, std::int64_t hidden_size)
      : totals(memory.take<slope_totals>(1)),
        rows(memory.take<slope_row<T>>(n)),
        slopes(memory.take<Slope>(n * pitch)),
        sums(memory.take<T>(sums_size)),
        hidden(hidden_size > 0 ? memory.take<Slope>(hidden_size) : nullptr) {}
};

/// The products of all chunks, of operands that are copied or converted.
template <class M, bool Copied, class T, class Slope, class H, class W, class B, class Target, class DH, class DW, class DB>
TESSERA_HIDDEN void add_chunks(const executor& exec, const problem<H, W, B, Target>& p, bool has_bias,
                               const gradients<DH, DW, DB>& to, const slope_memory<T, Slope>& memory, std::int64_t pitch,
                               const char* function) {
  using enum tile::operand_layout;
  constexpr tile::operand_layout by_rows = Copied ? along : converted;
  constexpr tile::operand_layout by_columns = Copied ? across : converted;
  using hidden_type = counting_rows<H, Target>;
  using weight_type = tile::stored_rows<W>;
  using slopes_type = tile::stored_rows<Slope>;
  const std::int64_t n = p.hidden.extent(0);
  const std::int64_t depth = p.hidden.extent(1);
  const std::int64_t classes = p.weight.extent(0);
  const hidden_type hidden_rows{p.hidden.data_handle(), p.hidden.stride(0), p.target, p.options.ignore_index};
  view<const H, 2> kept_hidden;
  if constexpr (Copied && sizeof(H) == 2) {
    if (memory.hidden != nullptr) {
      const std::int64_t hidden_pitch = whole_chunks<H>(depth);
      kept_hidden = {memory.hidden, {n, depth}, {hidden_pitch, 1}};
      launch(exec,
             {.grid = dim3(static_cast<unsigned>((n + copied_rows - 1) / copied_rows)),
              .block = dim3(copied_rows * warp_threads),
              .function = function},
             counting_rows_kernel<H, problem<H, W, B, Target>>, p, memory.hidden, hidden_pitch);
    }
  }
  std::int64_t first = 0;
  do {
    const std::int64_t count = classes - first < slope_classes ? classes - first : slope_classes;
    const view<const W, 2> some_weight(p.weight.data_handle() + first * p.weight.stride(0), {count, depth},
                                       {p.weight.stride(0), 1});
    const view<const Slope, 2> some_slopes(memory.slopes, {n, count}, {pitch, 1});
    const weight_type weight_rows{some_weight.data_handle(), p.weight.stride(0), count};
    const slopes_type slopes{memory.slopes, pitch, n};
    // Rows that do not count become zeros when their logits are finished, whatever those were made of.
    launch_either<M>(exec, boxed_operand<hidden_type, by_rows>{{hidden_rows, depth, true}, p.hidden},
                     boxed_operand<weight_type, by_rows>{{weight_rows, depth, true}, some_weight}, {n, count, depth},
                     store_slopes<T, Slope, B>{memory.rows, has_bias ? p.bias.data_handle() : nullptr,
                                               has_bias ? p.bias.stride(0) : 0, memory.slopes, pitch, first},
                     function);
    add_grad_hidden<T, Slope, DH> add{memory.rows,
                                      memory.totals,
                                      memory.sums,
                                      depth,
                                      to.hidden.data_handle(),
                                      to.hidden.stride(0),
                                      tile::pairs_are_aligned(to.hidden.data_handle(), to.hidden.stride(0), n),
                                      first == 0,
                                      first + count == classes};
    if constexpr (std::is_same_v<DH, T>) {
      add.sums = to.hidden.data_handle();
      add.sums_stride = to.hidden.stride(0);
    }
    launch_either<M>(exec, boxed_operand<slopes_type, by_rows>{{slopes, count, true}, some_slopes},
                     boxed_operand<weight_type, by_columns>{{weight_rows, depth, false}, some_weight}, {n, depth, count}, add,
                     function);
    DW* const grad_weight = to.weight.data_handle() + first * to.weight.stride(0);
    launch_either<M>(exec, boxed_operand<slopes_type, by_columns>{{slopes, count, false}, some_slopes},
                     boxed_operand<hidden_type, by_columns>{{hidden_rows, depth, false}, kept_hidden}, {count, depth, n},
                     store_grad_weight<T, Slope, DW>{memory.totals, grad_weight, to.weight.stride(0),
                                                     tile::pairs_are_aligned(grad_weight, to.weight.stride(0), count)},
                     function);
    if (has_bias && count > 0) {
      launch(exec,
             {.grid = dim3(static_cast<unsigned>((count + sum_columns - 1) / sum_columns)),
              .block = dim3(sum_columns * sum_warps),
              .shared_bytes = shared_array<T>::bytes(sum_columns * sum_warps),
              .function = function},
             slope_sums_kernel<T, Slope, DB>, memory.slopes, pitch, n, count, memory.totals,
             to.bias.data_handle() + first * to.bias.stride(0), to.bias.stride(0));
    }
    first += slope_classes;
  } while (first < classes);
}

template <class H, class W, class B, class Target, class Lse, class G, class DH, class DW, class DB>
TESSERA_HIDDEN void run_linear_cross_entropy_backward(const executor& exec, const problem<H, W, B, Target>& p, bool has_bias,
                                                      const view<const Lse, 1>& lse, const view<const G, 1>& grad_loss,
                                                      const gradients<DH, DW, DB>& to) {
  using T = std::common_type_t<compute_t<H>, compute_t<W>>;
  using M = std::conditional_t<(sizeof(H) == 2 && std::is_same_v<H, W>), H, T>;
  using Slope = M;
  static_assert(sizeof(Lse) >= sizeof(T), "lse must be stored in the type in which it was computed");
  const char* const function = "training::linear_cross_entropy_backward";
  tessera::training::detail::check_shapes(p, has_bias, function);
  tessera::training::detail::check_gradients(p, has_bias, lse, grad_loss, to, function);
  cuda::detail::check_memory(exec, p.hidden, function, "hidden");
  cuda::detail::check_memory(exec, p.weight, function, "weight");
  cuda::detail::check_memory(exec, p.bias, function, "bias");
  cuda::detail::check_memory(exec, p.target, function, "target");
  cuda::detail::check_memory(exec, lse, function, "lse");
  cuda::detail::check_memory(exec, grad_loss, function, "grad_loss");
  cuda::detail::check_memory(exec, to.hidden, function, "grad_hidden");
  cuda::detail::check_memory(exec, to.weight, function, "grad_weight");
  cuda::detail::check_memory(exec, to.bias, function, "grad_bias");
  const std::int64_t n = p.hidden.extent(0);
  const std::int64_t classes = p.weight.extent(0);
  const std::int64_t pitch = whole_chunks<Slope>(classes < slope_classes ? classes : slope_classes);
  const std::int64_t sums_size = std::is_same_v<DH, T> || classes <= slope_classes ? 0 : n * p.hidden.extent(1);
  bool copied = false;
  std::int64_t hidden_size = 0;
  if constexpr (std::is_same_v<H, M> && std::is_same_v<W, M>) {
    copied = tile::detail::rows_begin_at_chunks(p.hidden) && tile::detail::rows_begin_at_chunks(p.weight);
    if constexpr (sizeof(M) == 2) {
      using hopper::operand;
      if (copied &&
          hopper::has_product<operand::columns, operand::columns, store_grad_weight<T, Slope, DW>>(exec, p.hidden, p.weight)) {
        hidden_size = n * whole_chunks<H>(p.hidden.extent(1));
      }
    }
  }
  bump needed;
  static_cast<void>(slope_memory<T, Slope>(needed, n, pitch, sums_size, hidden_size));
  const workspace block(exec, needed.bytes(), function);
  bump cut(block.data());
  const slope_memory<T, Slope> memory(cut, n, pitch, sums_size, hidden_size);
  using problem_type = problem<H, W, B, Target>;
  launch(exec,
         {.block = dim3(totals_threads), .shared_bytes = 2 * shared_array<double>::bytes(totals_threads), .function = function},
         slope_totals_kernel<slopes_are_scaled<Slope>, problem_type, Lse, G>, p, lse, grad_loss, memory.totals);
  if (n > 0) {
    launch(exec, {.grid = dim3(static_cast<unsigned>((n + 127) / 128)), .block = dim3(128), .function = function},
           slope_rows_kernel<T, problem_type, Lse, G>, p, lse, grad_loss, memory.totals, memory.rows);
  }
  if constexpr (std::is_same_v<H, M> && std::is_same_v<W, M>) {
    if (copied) return add_chunks<M, true>(exec, p, has_bias, to, memory, pitch, function);
  }
  add_chunks<M, false>(exec, p, has_bias, to, memory, pitch, function);
}

}  // namespace detail
}  // namespace tessera::cuda::training

namespace tessera::training {

/// linear_cross_entropy_backward (tessera/training/linear_cross_entropy_backward.hpp) on a CUDA device: same arguments, same meaning. Views are of
/// device memory.
///
/// Targets         are not read by the host: a row whose target is no class is NaN in grad_hidden, and so is all that is summed over rows.
/// Accuracy        float32, float64 and mixtures: each g as on the CPU; grad_hidden adds (170 + vocabulary / 4096) u sum |g||w|, grad_weight and
///                 grad_bias (150 + n / 128) u sum |g||h|. 16-bit hidden and weight of one type: g is rounded to that type, a relative error of its
///                 unit roundoff (float16: slopes below 2^-28 of the largest 2 s (1 + 2 z_loss |lse|) of the call by 2^-39 of that), and the
///                 tensor cores sum with 2^-22 of sum |g||w| (of sum |g||h|) for each term of a sum, of 4,096 at most in grad_hidden.
///                 test/cuda/linear_cross_entropy_backward.cpp.
/// Cost            6 n vocabulary depth flops, on the tensor cores for 16-bit and float64 operands; one exponential a logit. Scratch: slopes of
///                 4,096 classes (n of them each, in 16 bits or the compute type), 24 bytes a row (float64 40), grad_hidden in the
///                 compute type where it is narrower and there are more classes, and on Hopper a copy of 16-bit hidden. Nothing waits for the
///                 device.
/// Determinism     the same bits in every run; grad_hidden also for a row alone or among others (float16: of which the largest scale is in the
///                 same binade)
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses but for targets, and memory that is not the
///                 device's; cuda::error.
template <mdspan_like Hidden, mdspan_like Weight, mdspan_like Bias, mdspan_like Target, mdspan_like Lse, mdspan_like GradLoss,
          mdspan_like GradHidden, mdspan_like GradWeight, mdspan_like GradBias>
  requires(Hidden::rank() == 2 && Weight::rank() == 2 && Bias::rank() == 1 && Target::rank() == 1 && Lse::rank() == 1 &&
           GradLoss::rank() == 1 && GradHidden::rank() == 2 && GradWeight::rank() == 2 && GradBias::rank() == 1 &&
           std::integral<value_type_of<Target>>)
TESSERA_HIDDEN void linear_cross_entropy_backward(const cuda::executor& exec, const Hidden& hidden, const Weight& weight,
                                                  const Bias& bias, const Target& target, const Lse& lse,
                                                  const GradLoss& grad_loss, const GradHidden& grad_hidden,
                                                  const GradWeight& grad_weight, const GradBias& grad_bias,
                                                  const cross_entropy_options& options = {}) {
  const detail::problem<value_type_of<Hidden>, value_type_of<Weight>, value_type_of<Bias>, value_type_of<Target>> p{
      hidden, weight, bias, target, options};
  const detail::gradients<value_type_of<GradHidden>, value_type_of<GradWeight>, value_type_of<GradBias>> to{
      grad_hidden, grad_weight, grad_bias};
  cuda::training::detail::run_linear_cross_entropy_backward(exec, p, true, view<const value_type_of<Lse>, 1>(lse),
                                                            view<const value_type_of<GradLoss>, 1>(grad_loss), to);
}

/// The same without a bias.
template <mdspan_like Hidden, mdspan_like Weight, mdspan_like Target, mdspan_like Lse, mdspan_like GradLoss,
          mdspan_like GradHidden, mdspan_like GradWeight>
  requires(Hidden::rank() == 2 && Weight::rank() == 2 && Target::rank() == 1 && Lse::rank() == 1 && GradLoss::rank() == 1 &&
           GradHidden::rank() == 2 && GradWeight::rank() == 2 && std::integral<value_type_of<Target>>)
TESSERA_HIDDEN void linear_cross_entropy_backward(const cuda::executor& exec, const Hidden& hidden, const Weight& weight,
                                                  const Target& target, const Lse& lse, const GradLoss& grad_loss,
                                                  const GradHidden& grad_hidden, const GradWeight& grad_weight,
                                                  const cross_entropy_options& options = {}) {
  const detail::problem<value_type_of<Hidden>, value_type_of<Weight>, float, value_type_of<Target>> p{
      hidden, weight, {}, target, options};
  const detail::gradients<value_type_of<GradHidden>, value_type_of<GradWeight>, float> to{grad_hidden, grad_weight, {}};
  cuda::training::detail::run_linear_cross_entropy_backward(exec, p, false, view<const value_type_of<Lse>, 1>(lse),
                                                            view<const value_type_of<GradLoss>, 1>(grad_loss), to);
}

}  // namespace tessera::training
