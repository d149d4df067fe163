// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The cross-entropy of a linear layer's logits, tile by tile: the logits are never stored.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tessera/numeric/log.hpp"
#include "tessera/tile/softmax_rows.hpp"
#include "tessera/training/detail/vocabulary_tiles.hpp"

namespace tessera::training {
namespace detail {

/// What is known of the logits of a row so far.
template <class T>
struct logit_fold {
  T max;
  T mass;    ///< sum of e^(z - max)
  T sum;     ///< of z
  T target;  ///< the logit of the target

  TESSERA_ALWAYS_INLINE void add(const tile::detail::chunk_mass<T>& next) {
    using tile::detail::exp_nonpositive;
    const T top = tessera::max(max, next.max);
    const T base = tile::detail::row_anchor(top);
    mass = fma(mass, exp_nonpositive(max - base), next.mass * exp_nonpositive(next.max - base));
    max = top;
  }
};

template <class Exec, class H, class W, class B, class Target, class Loss, class Lse>
void run_linear_cross_entropy(const Exec& exec, const problem<H, W, B, Target>& p, bool has_bias, const view<Loss, 1>& loss,
                              const view<Lse, 1>& lse) {
  using T = std::common_type_t<compute_t<H>, compute_t<W>>;
  using P = simd::pack<T, typename Exec::arch>;
  const char* const function = "training::linear_cross_entropy";
  check_problem(p, has_bias, function);
  const std::int64_t n = p.hidden.extent(0);
  const std::int64_t depth = p.hidden.extent(1);
  const std::int64_t classes = p.weight.extent(0);
  check_losses(p, loss, lse, function);

  const std::int64_t most_rows = std::min(n, tile_rows);
  const std::int64_t most_classes = std::min(classes, tile_classes);
  std::int64_t heights[2];
  std::int64_t breadths[2];
  const std::int64_t depths[2] = {depth, depth};
  const std::int64_t counting = p.counting_rows();
  parts_of(counting, tile_rows, heights);
  parts_of(classes, tile_classes, breadths);
  const std::size_t product = product_bytes<T, typename Exec::arch, T>(exec.workers(), heights, breadths, depths);
  struct arrays {
    std::int64_t* which;
    T* hidden;
    T* logits;
    logit_fold<T>* folds;
    std::byte* product;
  };
  const auto lay_out = [&](tessera::detail::bump& memory) {
    return arrays{memory.take<std::int64_t>(most_rows), memory.take<T>(most_rows * depth),
                  memory.take<T>(most_rows * most_classes), memory.take<logit_fold<T>>(most_rows),
                  memory.take<std::byte>(static_cast<std::int64_t>(product))};
  };
  tessera::detail::bump size;
  (void)lay_out(size);
  tessera::detail::scratch memory(exec.memory(), size.bytes());
  tessera::detail::bump cut(memory.data());
  const arrays scratch = lay_out(cut);

  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (p.counts(i)) continue;
    lse(i) = static_cast<Lse>(0.0F);
    if (p.options.reduce == reduction::none) loss(i) = static_cast<Loss>(0.0F);
  }
  for (std::int64_t i = 0; i < n;) {
    const std::int64_t rows = p.next(i, tile_rows, scratch.which);
    if (rows == 0) break;
    gather_rows<P>(exec, p.hidden, scratch.which, rows, scratch.hidden);
    const view<const T, 2> hidden(scratch.hidden, rows, depth);
    std::fill_n(scratch.folds, rows, logit_fold<T>{-infinity<T>(), T(0), T(0), T(0)});
    for (std::int64_t first = 0; first < classes; first += tile_classes) {
      const std::int64_t count = std::min(tile_classes, classes - first);
      const view<T, 2> logits(scratch.logits, rows, count);
      multiply<T>(exec, scratch.product, hidden, exchanged(some_rows(p.weight, first, count)), logits,
                  tile::detail::product_use::read_next);
      for_tile_rows(exec, rows, count, [&](std::int64_t r) {
        T* const row = &logits(r, 0);
        logit_fold<T>& fold = scratch.folds[r];
        if (has_bias) add_bias<P>(row, p.bias, first, count);
        fold.add(tile::detail::mass_of_chunk<P>(static_cast<const T*>(row), count, nullptr));
        if (p.options.label_smoothing > 0) {
          fold.sum += tile::detail::sum_of<P>(
              count, [&](P sum, std::int64_t k, int some) { return sum + tile::detail::load_or<P>(row + k, some, T(0)); });
        }
        const std::int64_t target = static_cast<std::int64_t>(p.target(scratch.which[r])) - first;
        if (target >= 0 && target < count) fold.target = row[target];
      });
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      const logit_fold<T>& fold = scratch.folds[r];
      const double log_mass = static_cast<double>(log(fold.mass));
      const double loss_here = loss_of(fold, log_mass, classes, p.options);
      lse(scratch.which[r]) = static_cast<Lse>(static_cast<T>(static_cast<double>(fold.max) + log_mass));
      if (p.options.reduce == reduction::none) loss(scratch.which[r]) = static_cast<Loss>(static_cast<T>(loss_here));
      total += loss_here;
    }
  }
  if (p.options.reduce == reduction::none) return;
  if (p.options.reduce == reduction::mean) total /= static_cast<double>(counting);
  loss(0) = static_cast<Loss>(static_cast<T>(total));
}

}  // namespace detail

/// loss_i = lse_i - z_it, lse_i = log sum_j exp(z_ij), z = hidden weight^T + bias, t = target_i: the logits z are never stored.
///
/// Formula         with label_smoothing s: (1 - s) (lse_i - z_it) + s (lse_i - mean_j z_ij); with z_loss: + z_loss lse_i^2.
/// Shapes          hidden [n, depth], weight [vocabulary, depth], bias [vocabulary], target [n] (any integer type), loss [n], or [1] where
///                 the rows are reduced, lse [n]. Rows of hidden and weight contiguous and at any stride.
/// Types           float64, float32, float16, bfloat16 in any mixture; computed in float64 if hidden or weight is float64, else in
///                 float32. The losses of the rows are added up in float64.
/// Special values  a row of target ignore_index has loss and lse 0, does not count in the mean, and its hidden is not read: a NaN there
///                 reaches nothing. reduction::mean over no rows: NaN. A bias of -inf takes its class out of the sum; as a target its loss is
///                 +inf. All logits -inf: lse -inf, loss NaN. A NaN or +inf among a row's logits makes its loss NaN.
/// Accuracy        with u the unit roundoff, Z the largest sum |h||w| + |b| of the row, E = min(depth, 128) + depth / 128 + 1 and
///                 L = 2 log vocabulary + 150 + vocabulary / 256: |error| <= ((E + 2) Z + L) u of lse and ((2 E + 4) Z + L) u of a loss
///                 (label_smoothing adds (40 + vocabulary / 1024) Z u, z_loss z_loss (2 |lse| e + e^2) with e the error of lse), plus the
///                 rounding of what is stored. A sure answer (z_it beyond all others) has no error of its logits but the
///                 product's. test/training/linear_cross_entropy.cpp.
/// Cost            2 n vocabulary depth flops, one exponential a logit. Scratch: 1024 x 1024 logits, 1024 rows of hidden, and what a
///                 matmul of that size takes.
/// Determinism     the same bits for every number of threads, and for a row alone or among others: logits are folded in tiles of 1,024
///                 classes, in order.
/// Errors          argument_error before anything is written: shapes, null data, rows that are not contiguous, overlap, a target outside
///                 the vocabulary, options out of range.
/// Source          Wijmans et al. 2024, arXiv:2411.09009
template <executor Exec, mdspan_like Hidden, mdspan_like Weight, mdspan_like Bias, mdspan_like Target, mdspan_like Loss,
          mdspan_like Lse>
  requires(Hidden::rank() == 2 && Weight::rank() == 2 && Bias::rank() == 1 && Target::rank() == 1 && Loss::rank() == 1 &&
           Lse::rank() == 1 && std::integral<value_type_of<Target>>)
void linear_cross_entropy(const Exec& exec, const Hidden& hidden, const Weight& weight, const Bias& bias, const Target& target,
                          const Loss& loss, const Lse& lse, const cross_entropy_options& options = {}) {
  const detail::problem<value_type_of<Hidden>, value_type_of<Weight>, value_type_of<Bias>, value_type_of<Target>> p{
      hidden, weight, bias, target, options};
  detail::run_linear_cross_entropy(exec, p, true, view<value_type_of<Loss>, 1>(loss), view<value_type_of<Lse>, 1>(lse));
}

/// The same without a bias.
template <executor Exec, mdspan_like Hidden, mdspan_like Weight, mdspan_like Target, mdspan_like Loss, mdspan_like Lse>
  requires(Hidden::rank() == 2 && Weight::rank() == 2 && Target::rank() == 1 && Loss::rank() == 1 && Lse::rank() == 1 &&
           std::integral<value_type_of<Target>>)
void linear_cross_entropy(const Exec& exec, const Hidden& hidden, const Weight& weight, const Target& target, const Loss& loss,
                          const Lse& lse, const cross_entropy_options& options = {}) {
  const detail::problem<value_type_of<Hidden>, value_type_of<Weight>, float, value_type_of<Target>> p{
      hidden, weight, {}, target, options};
  detail::run_linear_cross_entropy(exec, p, false, view<value_type_of<Loss>, 1>(loss), view<value_type_of<Lse>, 1>(lse));
}

}  // namespace tessera::training
