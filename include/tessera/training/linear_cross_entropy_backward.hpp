// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The gradients of linear_cross_entropy: logits are made again, a tile at a time, and turned into their own gradient in place.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "tessera/training/detail/cross_entropy_gradients.hpp"
#include "tessera/training/detail/vocabulary_tiles.hpp"

namespace tessera::training {
namespace detail {

template <class Exec, class H, class W, class B, class Target, class Lse, class G, class DH, class DW, class DB>
void run_linear_cross_entropy_backward(const Exec& exec, const problem<H, W, B, Target>& p, bool has_bias,
                                       const view<const Lse, 1>& lse, const view<const G, 1>& grad_loss,
                                       const gradients<DH, DW, DB>& to) {
  using T = std::common_type_t<compute_t<H>, compute_t<W>>;
  using Arch = typename Exec::arch;
  using P = simd::pack<T, Arch>;
  using tile::detail::product_use;
  static_assert(sizeof(Lse) >= sizeof(T), "lse must be stored in the type in which it was computed");
  constexpr bool weight_holds_sums = std::is_same_v<DW, T>;
  const char* const function = "training::linear_cross_entropy_backward";
  check_problem(p, has_bias, function);
  const std::int64_t n = p.hidden.extent(0);
  const std::int64_t depth = p.hidden.extent(1);
  const std::int64_t classes = p.weight.extent(0);
  check_gradients(p, has_bias, lse, grad_loss, to, function);

  const std::int64_t counting = p.counting_rows();
  const std::int64_t most_rows = std::min(counting, tile_rows);
  const std::int64_t most_classes = std::min(classes, tile_classes);
  std::int64_t heights[2];
  std::int64_t breadths[2];
  const std::int64_t depths[2] = {depth, depth};
  const std::int64_t ones[2] = {1, 1};
  parts_of(counting, tile_rows, heights);
  parts_of(classes, tile_classes, breadths);
  const int workers = exec.workers();
  const std::size_t product = std::max({product_bytes<T, Arch, T>(workers, heights, breadths, depths),
                                        product_bytes<T, Arch, T>(workers, heights, depths, breadths),
                                        product_bytes<T, Arch, T>(workers, breadths, depths, heights),
                                        product_bytes<T, Arch, T>(workers, ones, breadths, heights)});
  struct arrays {
    std::int64_t* which;
    row_gradient<T>* rows;
    T* hidden;
    T* grad_hidden;
    T* grad_weight;
    T* grad_bias;
    T* ones;
    T* logits;
    std::byte* product;
  };
  const auto lay_out = [&](tessera::detail::bump& memory) {
    return arrays{memory.take<std::int64_t>(counting),
                  memory.take<row_gradient<T>>(counting),
                  memory.take<T>(counting * depth),
                  memory.take<T>(counting * depth),
                  memory.take<T>(weight_holds_sums ? 0 : most_classes * depth),
                  memory.take<T>(most_classes),
                  memory.take<T>(most_rows),
                  memory.take<T>(most_rows * most_classes),
                  memory.take<std::byte>(static_cast<std::int64_t>(product))};
  };
  tessera::detail::bump size;
  (void)lay_out(size);
  tessera::detail::scratch memory(exec.memory(), size.bytes());
  tessera::detail::bump cut(memory.data());
  const arrays scratch = lay_out(cut);

  std::int64_t from = 0;
  p.next(from, counting, scratch.which);
  gather_rows<P>(exec, p.hidden, scratch.which, counting, scratch.hidden);
  std::fill_n(scratch.ones, most_rows, T(1));
  std::fill_n(scratch.grad_hidden, counting * depth, T(0));
  for (std::int64_t r = 0; r < counting; ++r) {
    const std::int64_t i = scratch.which[r];
    double scale = static_cast<double>(grad_loss(p.options.reduce == reduction::none ? i : 0));
    if (p.options.reduce == reduction::mean) scale /= static_cast<double>(counting);
    scratch.rows[r] = gradient_of_row<T>(p.options, classes, scale, static_cast<double>(lse(i)));
  }

  const view<T, 2> hidden(scratch.hidden, counting, depth);
  const view<T, 2> grad_hidden(scratch.grad_hidden, counting, depth);
  for (std::int64_t first = 0; first < classes; first += tile_classes) {
    const std::int64_t count = std::min(tile_classes, classes - first);
    const view<const W, 2> weight = some_rows(p.weight, first, count);
    view<T, 2> grad_weight(scratch.grad_weight, count, depth);
    if constexpr (weight_holds_sums) grad_weight = some_rows(to.weight, first, count);
    const view<T, 2> grad_bias(scratch.grad_bias, 1, count);
    if (counting == 0) {
      for (std::int64_t j = 0; j < count; ++j) std::fill_n(grad_weight.data_handle() + j * grad_weight.stride(0), depth, T(0));
      std::fill_n(scratch.grad_bias, count, T(0));
    }
    for (std::int64_t r0 = 0; r0 < counting; r0 += tile_rows) {
      const std::int64_t rows = std::min(tile_rows, counting - r0);
      const view<T, 2> h = some_rows(hidden, r0, rows);
      const view<T, 2> logits(scratch.logits, rows, count);
      multiply<T>(exec, scratch.product, h, exchanged(weight), logits, product_use::read_next);
      for_tile_rows(exec, rows, count, [&](std::int64_t r) {
        T* const row = &logits(r, 0);
        if (has_bias) add_bias<P>(row, p.bias, first, count);
        const row_gradient<T>& g = scratch.rows[r0 + r];
        const P row_lse(g.lse);
        const P mass(g.mass);
        const P spread(g.spread);
        tile::detail::write_run<P>(row, count, false, [&](std::int64_t k, int some) {
          const P z = tile::detail::load_or<P>(static_cast<const T*>(row) + k, some, T(0));
          return fma(exp(z - row_lse), mass, -spread);
        });
        const std::int64_t target = static_cast<std::int64_t>(p.target(scratch.which[r0 + r])) - first;
        if (target >= 0 && target < count) row[target] -= g.hit;
      });
      const product_use use = r0 == 0 ? product_use::read_next : product_use::added;
      multiply<T>(exec, scratch.product, logits, weight, some_rows(grad_hidden, r0, rows), product_use::added);
      multiply<T>(exec, scratch.product, exchanged(logits), h, grad_weight, use);
      if (has_bias) multiply<T>(exec, scratch.product, view<T, 2>(scratch.ones, 1, rows), logits, grad_bias, use);
    }
    if constexpr (!weight_holds_sums) {
      for_tile_rows(exec, count, depth, [&](std::int64_t j) {
        tile::store_row<P>(to.weight.data_handle() + (first + j) * to.weight.stride(0), &grad_weight(j, 0), depth);
      });
    }
    for (std::int64_t j = 0; has_bias && j < count; ++j) to.bias(first + j) = static_cast<DB>(scratch.grad_bias[j]);
  }
  for (std::int64_t i = 0, r = 0; i < n; ++i) {
    DH* const row = to.hidden.data_handle() + i * to.hidden.stride(0);
    if (p.counts(i)) {
      tile::store_row<P>(row, scratch.grad_hidden + r++ * depth, depth);
    } else {
      std::fill_n(row, depth, static_cast<DH>(0.0F));
    }
  }
}

}  // namespace detail

/// The gradients of linear_cross_entropy by hidden, weight and bias, given the gradient of what it gave.
///
/// Formula         g_ij = s_i (p_ij (1 + 2 z_loss lse_i) - label_smoothing / vocabulary - (1 - label_smoothing) [j = target_i]),
///                 p_ij = exp(z_ij - lse_i), s_i = grad_loss_i, or grad_loss_0 (over the number of rows that count, for a mean);
///                 grad_hidden = g weight, grad_weight = g^T hidden, grad_bias = sum_i g_i.
/// Shapes          as linear_cross_entropy; lse of linear_cross_entropy, stored in the type it was computed in or a wider one; grad_loss
///                 [n], or [1] where the rows are reduced; grad_hidden [n, depth], grad_weight [vocabulary, depth], grad_bias [vocabulary].
/// Types           as linear_cross_entropy; sums in the compute type, rounded once.
/// Special values  rows of target ignore_index get zeros and add nothing, whatever stands in their hidden. NaN goes through the
///                 products as in IEEE arithmetic.
/// Accuracy        with Z, E and the bound e of lse from linear_cross_entropy: each g has an error below
///                 (e + (E + 2) Z u + 4 u) s p (1 + 2 z_loss |lse|) + 4 u s; and sums of it are made in chains of 128 and tiles of 1,024,
///                 so that grad_hidden adds (140 + vocabulary / 1024) u sum |g||w|, grad_weight (140 + n / 1024) u sum |g||h| and
///                 grad_bias as much of sum |g|. test/training/linear_cross_entropy_backward.cpp.
/// Cost            6 n vocabulary depth flops and one exponential a logit: the logits are made again. Scratch: hidden and its gradient in the
///                 compute type, 1024 x 1024 logits, what a matmul of that size takes, and 1024 rows where grad_weight is narrower
///                 than the compute type.
/// Determinism     the same bits for every number of threads; grad_hidden also for a row alone or among others.
/// Errors          argument_error before anything is written, as linear_cross_entropy.
template <executor Exec, mdspan_like Hidden, mdspan_like Weight, mdspan_like Bias, mdspan_like Target, mdspan_like Lse,
          mdspan_like GradLoss, mdspan_like GradHidden, mdspan_like GradWeight, mdspan_like GradBias>
  requires(Hidden::rank() == 2 && Weight::rank() == 2 && Bias::rank() == 1 && Target::rank() == 1 && Lse::rank() == 1 &&
           GradLoss::rank() == 1 && GradHidden::rank() == 2 && GradWeight::rank() == 2 && GradBias::rank() == 1)
void linear_cross_entropy_backward(const Exec& exec, const Hidden& hidden, const Weight& weight, const Bias& bias,
                                   const Target& target, const Lse& lse, const GradLoss& grad_loss, const GradHidden& grad_hidden,
                                   const GradWeight& grad_weight, const GradBias& grad_bias,
                                   const cross_entropy_options& options = {}) {
  const detail::problem<value_type_of<Hidden>, value_type_of<Weight>, value_type_of<Bias>, value_type_of<Target>> p{
      hidden, weight, bias, target, options};
  const detail::gradients<value_type_of<GradHidden>, value_type_of<GradWeight>, value_type_of<GradBias>> to{
      grad_hidden, grad_weight, grad_bias};
  detail::run_linear_cross_entropy_backward(exec, p, true, view<const value_type_of<Lse>, 1>(lse),
                                            view<const value_type_of<GradLoss>, 1>(grad_loss), to);
}

/// The same without a bias.
template <executor Exec, mdspan_like Hidden, mdspan_like Weight, mdspan_like Target, mdspan_like Lse, mdspan_like GradLoss,
          mdspan_like GradHidden, mdspan_like GradWeight>
  requires(Hidden::rank() == 2 && Weight::rank() == 2 && Target::rank() == 1 && Lse::rank() == 1 && GradLoss::rank() == 1 &&
           GradHidden::rank() == 2 && GradWeight::rank() == 2)
void linear_cross_entropy_backward(const Exec& exec, const Hidden& hidden, const Weight& weight, const Target& target,
                                   const Lse& lse, const GradLoss& grad_loss, const GradHidden& grad_hidden,
                                   const GradWeight& grad_weight, const cross_entropy_options& options = {}) {
  const detail::problem<value_type_of<Hidden>, value_type_of<Weight>, float, value_type_of<Target>> p{
      hidden, weight, {}, target, options};
  const detail::gradients<value_type_of<GradHidden>, value_type_of<GradWeight>, float> to{grad_hidden, grad_weight, {}};
  detail::run_linear_cross_entropy_backward(exec, p, false, view<const value_type_of<Lse>, 1>(lse),
                                            view<const value_type_of<GradLoss>, 1>(grad_loss), to);
}

}  // namespace tessera::training
