// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the gradients of a cross-entropy are made of, and what they ask of their arguments, on every device.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/detail/cross_entropy_problem.hpp"

namespace tessera::training::detail {

/// Where gradients go; bias null where there is none.
template <class DH, class DW, class DB>
struct gradients {
  view<DH, 2> hidden;
  view<DW, 2> weight;
  view<DB, 1> bias;
};

/// Per row: what the gradient of a logit is made of, g_j = mass e^(z_j - lse) - spread, less `hit` at the target.
template <class T>
struct row_gradient {
  T lse;
  T mass;
  T spread;
  T hit;
};

/// That of a row of this lse, with `scale` the gradient of its loss.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE row_gradient<T> gradient_of_row(const cross_entropy_options& options, std::int64_t classes,
                                                                 double scale, double lse) {
  const double smoothing = options.label_smoothing;
  return {static_cast<T>(lse), static_cast<T>(scale * (1 + 2 * options.z_loss * lse)),
          static_cast<T>(scale * smoothing / static_cast<double>(classes)), static_cast<T>(scale * (1 - smoothing))};
}

/// Refuses gradients of another shape, or on something else, and what of the forward pass does not belong to the problem.
template <class H, class W, class B, class Target, class Lse, class G, class DH, class DW, class DB>
TESSERA_ALWAYS_INLINE void check_gradients(const problem<H, W, B, Target>& p, bool has_bias, const view<const Lse, 1>& lse,
                                           const view<const G, 1>& grad_loss, const gradients<DH, DW, DB>& to,
                                           const char* function) {
  using tessera::detail::expects;
  using tessera::detail::shape;
  const std::int64_t n = p.hidden.extent(0);
  const std::int64_t depth = p.hidden.extent(1);
  const std::int64_t classes = p.weight.extent(0);
  check_vector(lse, n, function, "lse", "needs a number a row of hidden");
  check_vector(grad_loss, p.options.reduce == reduction::none ? n : 1, function, "grad_loss",
               "needs a number a row of hidden, or one number where they are reduced");
  tessera::detail::check_output(to.hidden, function, "grad_hidden");
  tessera::detail::check_output(to.weight, function, "grad_weight");
  expects(
      to.hidden.extent(0) == n && to.hidden.extent(1) == depth, function, "grad_hidden",
      [&] { return "shape " + shape(to.hidden); }, "needs the shape of hidden");
  expects(
      to.weight.extent(0) == classes && to.weight.extent(1) == depth, function, "grad_weight",
      [&] { return "shape " + shape(to.weight); }, "needs the shape of weight");
  if (has_bias) {
    check_vector(to.bias, classes, function, "grad_bias", "needs the shape of bias");
    tessera::detail::check_distinct(to.bias, function, "grad_bias");
  }
  const auto apart = [&](const auto& out, const char* name) {
    tessera::detail::check_disjoint(out, p.hidden, function, name, "hidden");
    tessera::detail::check_disjoint(out, p.weight, function, name, "weight");
    tessera::detail::check_disjoint(out, p.bias, function, name, "bias");
    tessera::detail::check_disjoint(out, p.target, function, name, "target");
    tessera::detail::check_disjoint(out, lse, function, name, "lse");
    tessera::detail::check_disjoint(out, grad_loss, function, name, "grad_loss");
  };
  apart(to.hidden, "grad_hidden");
  apart(to.weight, "grad_weight");
  apart(to.bias, "grad_bias");
  tessera::detail::check_disjoint(to.hidden, to.weight, function, "grad_hidden", "grad_weight");
  tessera::detail::check_disjoint(to.bias, to.hidden, function, "grad_bias", "grad_hidden");
  tessera::detail::check_disjoint(to.bias, to.weight, function, "grad_bias", "grad_weight");
}

}  // namespace tessera::training::detail
