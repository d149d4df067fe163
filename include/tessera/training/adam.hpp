// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Adam and AdamW: one pass over weights, gradients and both moments.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>

#include "tessera/training/detail/adam_rule.hpp"
#include "tessera/training/detail/optimize.hpp"
#include "tessera/training/detail/optimizer_checks.hpp"
#include "tessera/training/optimizer_options.hpp"

namespace tessera::training {

namespace detail {

template <bool Decoupled, class Exec, class Weights, class Gradients, class First, class Second>
void run_adam(const Exec& exec, const char* function, const Weights& weights, const Gradients& gradients, const First& first,
              const Second& second, std::int64_t step, const adam_options& o) {
  using record = weight_record<Weights>;
  using gradient = tessera::detail::tensor_element<Gradients>;
  using state = tessera::detail::tensor_element<First>;
  static_assert(std::is_same_v<state, tessera::detail::tensor_element<Second>>, "training::adam: needs moments of one type");
  check_step(function, step);
  check_options(o, function);
  const model_tensors<record, gradient, state, 2> model{weights, gradients, {first, second}};
  check_model<Exec>(model, function, std::array{"first", "second"});
  step_model(exec, model, adam_rule<weight_number<record>, Decoupled>::of(o, step), step);
}

}  // namespace detail

/// A step of AdamW: Adam whose weight decay does not pass through the moments.
///
///   g = gradient * gradient_factor;  first += (1 - beta1) (g - first);  second = beta2 second + (1 - beta2) g^2
///   weight = (1 - rate weight_decay) weight - rate (first / (1 - beta1^step)) / (sqrt(second / (1 - beta2^step)) + epsilon)
///
/// Shapes          lists of as many tensors of one dimension, contiguous, of the same sizes: weights, kept in any way of training/weights.hpp,
///                 gradients, first and second moments (zeros before the first step)
/// Types           gradients: any storage type; moments: float, double or 16 bits, which are rounded to nearest after each step (bfloat16's
///                 second moment stands still where (1 - beta2) is below 2^-9). Computes in float, in double for weights of double
/// Range           step: 1 for the first; rate and weight_decay at least 0, both betas in [0, 1), epsilon at least 0
/// Special values  NaN and infinity in a gradient reach its weight and moments: leave a step out with training::loss_scaler
/// Accuracy        against the formula in float64, with moments and gradients of size 1 and rates up to 0.1: weights to 12 u (|weight| + 1),
///                 moments to 24 u: test/training/optimizers.cpp
/// Cost            one read and one write of each array: 28 bytes a weight with float masters, bfloat16 copy and gradients, 26 of split ones;
///                 8 bytes of scratch a tensor
/// Determinism     the same bits for any number of threads; for any instruction set with fma, and on a device
/// Errors          argument_error, nothing written: options out of range or NaN, an empty list, lists that differ in length or sizes, null
///                 data, strides, arrays of one tensor that overlap; the tensor is named by its number
/// Source          Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2; Kingma & Ba 2015, arXiv:1412.6980
template <executor Exec, weight_list Weights, tensor_list Gradients, tensor_list First, tensor_list Second>
void adamw(const Exec& exec, const Weights& weights, const Gradients& gradients, const First& first, const Second& second,
           std::int64_t step, const adam_options& options = {}) {
  detail::run_adam<true>(exec, "training::adamw", weights, gradients, first, second, step, options);
}

/// A step of Adam: as adamw, but weight_decay * weight is added to the gradient, before the moments.
///
/// Options given in part keep adam_options' weight_decay of 0.01: say 0 where none is meant.
template <executor Exec, weight_list Weights, tensor_list Gradients, tensor_list First, tensor_list Second>
void adam(const Exec& exec, const Weights& weights, const Gradients& gradients, const First& first, const Second& second,
          std::int64_t step, const adam_options& options = {.weight_decay = 0}) {
  detail::run_adam<false>(exec, "training::adam", weights, gradients, first, second, step, options);
}

}  // namespace tessera::training
