// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Calls of linear_cross_entropy and its gradient against reference/linear_cross_entropy.hpp, with the bounds of their docs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/linear_cross_entropy.hpp"
#include "tessera/training/linear_cross_entropy.hpp"
#include "tessera/training/linear_cross_entropy_backward.hpp"

namespace oracle {

using support::array;
using support::matrix;
using tessera::training::cross_entropy_options;
using tessera::training::reduction;

template <class H, class W = H, class B = W>
struct inputs {
  using T = std::common_type_t<tessera::compute_t<H>, tessera::compute_t<W>>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  using hidden_type = H;
  using weight_type = W;

  matrix<H> hidden;
  matrix<W> weight;
  array<B, 1> bias;
  array<std::int64_t, 1> target;

  inputs(std::int64_t n, std::int64_t depth, std::int64_t classes, std::uint64_t seed = 1, std::int64_t gap = 0)
      : hidden({n, depth}, {gap}), weight({classes, depth}, {gap}), bias({classes}), target({n}) {
    hidden.fill([=](std::uint64_t k) { return support::normal(seed, k); });
    weight.fill([=](std::uint64_t k) { return support::normal(seed + 1, k); });
    bias.fill([=](std::uint64_t k) { return support::normal(seed + 2, k); });
    // Every fifth row does not count.
    target.fill([=](std::uint64_t i) { return i % 5 == 3 ? -100 : support::below(seed + 3, i, classes); });
  }

  [[nodiscard]] std::int64_t n() const { return hidden.view().extent(0); }
  [[nodiscard]] std::int64_t depth() const { return hidden.view().extent(1); }
  [[nodiscard]] std::int64_t classes() const { return weight.view().extent(0); }
  [[nodiscard]] bool untouched() const {
    return hidden.untouched() && weight.untouched() && bias.untouched() && target.untouched();
  }
  [[nodiscard]] std::vector<Real> wide_bias() const {
    std::vector<Real> result;
    for (const B b : bias.elements()) result.push_back(static_cast<Real>(static_cast<double>(b)));
    return result;
  }
  /// Z of row i: the largest sum |h||w| + |b|.
  [[nodiscard]] double size(std::int64_t i) const {
    double largest = 0;
    for (std::int64_t j = 0; j < classes(); ++j) {
      double sum = std::isfinite(static_cast<double>(bias(j))) ? std::fabs(static_cast<double>(bias(j))) : 0;
      for (std::int64_t k = 0; k < depth(); ++k) {
        sum += std::fabs(static_cast<double>(hidden(i, k)) * static_cast<double>(weight(j, k)));
      }
      largest = std::fmax(largest, sum);
    }
    return largest;
  }
};

/// What the bounds of a row are made of, in units of u.
struct bounds {
  double u, products, sums;

  template <class In>
  explicit bounds(const In& in)
      : u(tessera::unit_roundoff<typename In::T>),
        products(std::fmin(static_cast<double>(in.depth()), 128) + static_cast<double>(in.depth()) / 128 + 1),
        sums(2 * std::log(static_cast<double>(in.classes()) + 1) + 150 + static_cast<double>(in.classes()) / 256) {}

  [[nodiscard]] double lse(double size) const { return ((products + 2) * size + sums) * u; }
  [[nodiscard]] double loss(double size, double row_lse, std::int64_t classes, const cross_entropy_options& options) const {
    double bound = ((2 * products + 4) * size + sums) * u;
    if (options.label_smoothing > 0) bound += (40 + static_cast<double>(classes) / 1024) * size * u;
    return bound + options.z_loss * (2 * std::fabs(row_lse) * lse(size) + lse(size) * lse(size));
  }
};

template <class Exec, class In>
void check_forward(support::worst& errors, const Exec& exec, const In& in, const cross_entropy_options& options) {
  using T = typename In::T;
  using Real = typename In::Real;
  const bool each = options.reduce == reduction::none;
  array<T, 1> loss({each ? in.n() : 1});
  array<T, 1> lse({in.n()});
  using tessera::training::linear_cross_entropy;
  linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.bias.view(), in.target.view(), loss.view(), lse.view(),
                       options);
  BOOST_TEST((in.untouched() && loss.gaps_untouched() && lse.gaps_untouched()));
  const auto want =
      tessera::reference::linear_cross_entropy<Real>(in.hidden.view(), in.weight.view(), in.wide_bias(), in.target.view(),
                                                     options, std::vector<Real>(static_cast<std::size_t>(in.n()), 1));
  const bounds bound(in);
  double total = 0;
  double counting = 0;
  for (std::int64_t i = 0; i < in.n(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double size = in.size(i);
    const double row_lse = static_cast<double>(want.lse[at]);
    const bool counts = in.target(i) != options.ignore_index;
    errors(static_cast<double>(lse(i)), want.lse[at], counts ? bound.lse(size) + support::rounding<T>(row_lse) : 0, "lse of row",
           i);
    const double row_bound =
        counts ? bound.loss(size, row_lse, in.classes(), options) + support::rounding<T>(want.row_losses[at]) : 0;
    if (each) errors(static_cast<double>(loss(i)), want.row_losses[at], row_bound, "loss of row", i);
    total += row_bound;
    counting += counts;
  }
  if (each) return;
  if (options.reduce == reduction::mean) total /= counting;
  errors(static_cast<double>(loss(0)), want.loss, total + support::rounding<T>(want.loss), "loss");
}

/// What the docs add to the bounds of gradients, in units of u but for `slope`: for each term of a sum over classes or rows.
struct gradient_bounds {
  double from_classes, from_rows;
  double slope = 0;  ///< relative error of a stored slope
  double least = 0;  ///< absolute one, of the largest 2 s (1 + 2 z_loss |lse|)

  template <class In>
  explicit gradient_bounds(const In& in)
      : from_classes(140 + static_cast<double>(in.classes()) / 1024), from_rows(140 + static_cast<double>(in.n()) / 1024) {
#if defined(TESSERA_TESTED_GRADIENTS_ON_DEVICE)
    using H = typename In::hidden_type;
    from_classes = 170 + static_cast<double>(in.classes()) / 4096;
    from_rows = 150 + static_cast<double>(in.n()) / 128;
    if constexpr (sizeof(H) == 2 && std::is_same_v<H, typename In::weight_type>) {
      from_classes = 4 * std::fmin(static_cast<double>(in.classes()), 4096) + static_cast<double>(in.classes()) / 4096;
      from_rows = 4 * static_cast<double>(in.n()) + 150;
      slope = tessera::unit_roundoff<H>;
      if constexpr (std::is_same_v<H, tessera::float16>) least = 0x1p-39;
    }
#endif
  }
};

/// The gradients, stored as D.
template <class D, class Exec, class In>
void check_backward(support::worst& errors, const Exec& exec, const In& in, const cross_entropy_options& options) {
  using T = typename In::T;
  using Real = typename In::Real;
  const bool each = options.reduce == reduction::none;
  array<T, 1> loss({each ? in.n() : 1});
  array<T, 1> lse({in.n()});
  array<T, 1> grad_loss({each ? in.n() : 1});
  grad_loss.fill([](std::uint64_t n) { return support::normal(77, n); });
  matrix<D> grad_hidden({in.n(), in.depth()}, {2});
  matrix<D> grad_weight({in.classes(), in.depth()}, {1});
  array<D, 1> grad_bias({in.classes()});
  using tessera::training::linear_cross_entropy;
  using tessera::training::linear_cross_entropy_backward;
  linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.bias.view(), in.target.view(), loss.view(), lse.view(),
                       options);
  linear_cross_entropy_backward(exec, in.hidden.view(), in.weight.view(), in.bias.view(), in.target.view(), lse.view(),
                                grad_loss.view(), grad_hidden.view(), grad_weight.view(), grad_bias.view(), options);
  BOOST_TEST((in.untouched() && grad_hidden.gaps_untouched() && grad_weight.gaps_untouched() && grad_bias.gaps_untouched()));
  std::vector<Real> scales;
  for (const T g : grad_loss.elements()) scales.push_back(static_cast<Real>(g));
  const auto want = tessera::reference::linear_cross_entropy<Real>(in.hidden.view(), in.weight.view(), in.wide_bias(),
                                                                   in.target.view(), options, scales);
  const bounds bound(in);
  const auto n = static_cast<std::size_t>(in.n());
  const auto classes = static_cast<std::size_t>(in.classes());
  const auto depth = static_cast<std::size_t>(in.depth());
  const auto h = tessera::reference::rows<double>(in.hidden.view());
  const auto w = tessera::reference::rows<double>(in.weight.view());
  const auto b = in.wide_bias();
  const double counting = static_cast<double>(std::count_if(
      h.begin(), h.end(), [&, i = std::int64_t{0}](const auto&) mutable { return in.target(i++) != options.ignore_index; }));
  // The same sums as the reference, of what each term may be wrong by.
  const gradient_bounds sums(in);
  const double from_classes = sums.from_classes * bound.u + sums.slope;
  const double from_rows = sums.from_rows * bound.u + sums.slope;
  double largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (in.target(static_cast<std::int64_t>(i)) == options.ignore_index) continue;
    const double scale = std::fabs(static_cast<double>(scales[each ? i : 0]));
    largest = std::fmax(largest, scale * (2 + 4 * options.z_loss * std::fabs(static_cast<double>(want.lse[i]))));
  }
  if (options.reduce == reduction::mean) largest /= counting;
  std::vector<std::vector<double>> weight_bounds(classes, std::vector<double>(depth));
  std::vector<double> bias_bounds(classes);
  for (std::size_t i = 0; i < n; ++i) {
    const auto row = static_cast<std::int64_t>(i);
    std::vector<double> hidden_bounds(depth);
    if (in.target(row) != options.ignore_index) {
      const double size = in.size(row);
      double scale = std::fabs(static_cast<double>(scales[each ? i : 0]));
      if (options.reduce == reduction::mean) scale /= counting;
      const double row_lse = static_cast<double>(want.lse[i]);
      for (std::size_t j = 0; j < classes; ++j) {
        double z = static_cast<double>(b[j]);
        for (std::size_t k = 0; k < depth; ++k) z += h[i][k] * w[j][k];
        const double share = scale * std::exp(z - row_lse) * (1 + 2 * options.z_loss * std::fabs(row_lse));
        const double wrong =
            (bound.lse(size) + ((bound.products + 2) * size + 4) * bound.u) * share + 4 * bound.u * scale + sums.least * largest;
        const bool hit = static_cast<std::int64_t>(j) == in.target(row);
        const double g = share + scale * (options.label_smoothing / static_cast<double>(classes) + (hit ? 1 : 0));
        for (std::size_t k = 0; k < depth; ++k) {
          hidden_bounds[k] += (wrong + from_classes * g) * std::fabs(w[j][k]);
          weight_bounds[j][k] += (wrong + from_rows * g) * std::fabs(h[i][k]);
        }
        bias_bounds[j] += wrong + from_rows * g;
      }
    }
    for (std::size_t k = 0; k < depth; ++k) {
      errors(static_cast<double>(grad_hidden(row, static_cast<std::int64_t>(k))), want.grad_hidden[i][k],
             hidden_bounds[k] + support::rounding<D>(want.grad_hidden[i][k]), "grad_hidden", i, k);
    }
  }
  for (std::size_t j = 0; j < classes; ++j) {
    const auto at = static_cast<std::int64_t>(j);
    for (std::size_t k = 0; k < depth; ++k) {
      errors(static_cast<double>(grad_weight(at, static_cast<std::int64_t>(k))), want.grad_weight[j][k],
             weight_bounds[j][k] + support::rounding<D>(want.grad_weight[j][k]), "grad_weight", j, k);
    }
    errors(static_cast<double>(grad_bias(at)), want.grad_bias[j], bias_bounds[j] + support::rounding<D>(want.grad_bias[j]),
           "grad_bias", j);
  }
}

/// Around registers, panels and tiles (1024 rows, 1024 classes), depths around registers and steps of 128.
struct shape {
  std::int64_t n, depth, classes;
};
inline constexpr shape shapes[] = {{1, 1, 1},    {3, 2, 7},      {5, 17, 1},  {7, 5, 31},     {16, 33, 64},  {31, 8, 1023},
                                   {2, 9, 1024}, {9, 129, 1025}, {40, 0, 50}, {12, 300, 100}, {6, 64, 3000}, {1300, 6, 40}};
inline constexpr cross_entropy_options all_options[] = {{.reduce = reduction::none},
                                                        {.reduce = reduction::mean, .label_smoothing = 0.1},
                                                        {.reduce = reduction::sum, .z_loss = 1e-3},
                                                        {.reduce = reduction::none, .label_smoothing = 1, .z_loss = 0.1}};

}  // namespace oracle
