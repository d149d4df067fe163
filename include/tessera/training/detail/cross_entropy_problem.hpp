// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a cross-entropy of a linear layer is asked, and what it asks of its arguments, on every device.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/cross_entropy_options.hpp"

namespace tessera::training::detail {

/// What every function of this family is given.
template <class H, class W, class B, class Target>
struct problem {
  view<const H, 2> hidden;
  view<const W, 2> weight;
  view<const B, 1> bias;  ///< null data: none
  view<const Target, 1> target;
  cross_entropy_options options;

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE bool counts(std::int64_t i) const {
    return static_cast<std::int64_t>(target(i)) != options.ignore_index;
  }
  /// The next rows that count, from row `i` on, at most `most`, written to `which`; moves i behind them.
  TESSERA_ALWAYS_INLINE std::int64_t next(std::int64_t& i, std::int64_t most, std::int64_t* which) const {
    std::int64_t count = 0;
    for (; i < target.extent(0) && count < most; ++i) {
      if (counts(i)) which[count++] = i;
    }
    return count;
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t counting_rows() const {
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < target.extent(0); ++i) count += counts(i);
    return count;
  }
};

/// Refuses what no loss can be computed of, whatever the targets.
template <class H, class W, class B, class Target>
TESSERA_ALWAYS_INLINE void check_shapes(const problem<H, W, B, Target>& p, bool has_bias, const char* function) {
  using tessera::detail::expects;
  using tessera::detail::number;
  using tessera::detail::shape;
  tessera::detail::check_operand(p.hidden, function, "hidden");
  tessera::detail::check_operand(p.weight, function, "weight");
  tessera::detail::check_readable(p.target, function, "target");
  expects(
      p.weight.extent(1) == p.hidden.extent(1), function, "weight",
      [&] { return "shape " + shape(p.weight) + " beside hidden of shape " + shape(p.hidden); },
      "needs [vocabulary, depth] with the depth of hidden");
  expects(
      p.target.extent(0) == p.hidden.extent(0), function, "target", [&] { return "shape " + shape(p.target); },
      "needs one class a row of hidden");
  if (has_bias) {
    tessera::detail::check_operand(p.bias, function, "bias");
    expects(
        p.bias.extent(0) == p.weight.extent(0), function, "bias", [&] { return "shape " + shape(p.bias); },
        "needs one number a row of weight");
  }
  expects(
      p.options.label_smoothing >= 0 && p.options.label_smoothing <= 1, function, "options.label_smoothing",
      [&] { return number(p.options.label_smoothing); }, "needs a share in [0, 1]");
  expects(
      p.options.z_loss >= 0 && std::isfinite(p.options.z_loss), function, "options.z_loss",
      [&] { return number(p.options.z_loss); }, "needs a finite factor of at least 0");
}

/// The same, and targets that are no class.
template <class H, class W, class B, class Target>
TESSERA_ALWAYS_INLINE void check_problem(const problem<H, W, B, Target>& p, bool has_bias, const char* function) {
  using tessera::detail::expects;
  check_shapes(p, has_bias, function);
  for (std::int64_t i = 0; i < p.target.extent(0); ++i) {
    const auto class_of = static_cast<std::int64_t>(p.target(i));
    expects(
        !p.counts(i) || (class_of >= 0 && class_of < p.weight.extent(0)), function, "target",
        [&] { return std::to_string(class_of) + " in row " + std::to_string(i); },
        "needs classes in [0, vocabulary), or options.ignore_index");
  }
}

/// Refuses a vector of per-row numbers that has not `n` of them.
template <class T>
TESSERA_ALWAYS_INLINE void check_vector(const view<T, 1>& v, std::int64_t n, const char* function, const char* argument,
                                        const char* needs) {
  tessera::detail::check_readable(v, function, argument);
  tessera::detail::expects(v.extent(0) == n, function, argument, [&] { return "shape " + tessera::detail::shape(v); }, needs);
}

/// Refuses results of another shape, or on something else.
template <class H, class W, class B, class Target, class Loss, class Lse>
TESSERA_ALWAYS_INLINE void check_losses(const problem<H, W, B, Target>& p, const view<Loss, 1>& loss, const view<Lse, 1>& lse,
                                        const char* function) {
  const std::int64_t n = p.hidden.extent(0);
  check_vector(loss, p.options.reduce == reduction::none ? n : 1, function, "loss",
               "needs a number a row of hidden, or one number where they are reduced");
  check_vector(lse, n, function, "lse", "needs a number a row of hidden");
  tessera::detail::check_distinct(loss, function, "loss");
  tessera::detail::check_distinct(lse, function, "lse");
  const auto apart = [&](const auto& out, const char* name) {
    tessera::detail::check_disjoint(out, p.hidden, function, name, "hidden");
    tessera::detail::check_disjoint(out, p.weight, function, name, "weight");
    tessera::detail::check_disjoint(out, p.bias, function, name, "bias");
    tessera::detail::check_disjoint(out, p.target, function, name, "target");
  };
  apart(loss, "loss");
  apart(lse, "lse");
  tessera::detail::check_disjoint(loss, lse, function, "loss", "lse");
}

/// The loss of a row of which all is known: `max` and `sum` of its logits, and that of its `target`.
template <class Row>
TESSERA_HD TESSERA_ALWAYS_INLINE double loss_of(const Row& row, double log_mass, std::int64_t classes,
                                                const cross_entropy_options& options) {
  // Differences from the largest logit first: what is left of a sure answer is the logarithm of a mass near 1.
  const double loss = static_cast<double>(row.max - row.target) + log_mass;
  double result = (1 - options.label_smoothing) * loss;
  if (options.label_smoothing > 0) {
    const double mean = static_cast<double>(row.sum) / static_cast<double>(classes);
    result += options.label_smoothing * (static_cast<double>(row.max) - mean + log_mass);
  }
  if (options.z_loss > 0) {
    const double lse = static_cast<double>(row.max) + log_mass;
    result += options.z_loss * lse * lse;
  }
  return result;
}

}  // namespace tessera::training::detail
