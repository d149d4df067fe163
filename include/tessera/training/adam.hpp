// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Adam and AdamW: one pass over weights, gradients and both moments.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>

#include "tessera/numeric/lane.hpp"
#include "tessera/training/detail/optimize.hpp"
#include "tessera/training/detail/optimizer_checks.hpp"
#include "tessera/training/optimizer_options.hpp"

namespace tessera::training {

namespace detail {

/// One weight's step, in float32 or float64; the same bits on a CPU with fma and on a device.
template <class T, bool Decoupled>
struct adam_rule {
  T factor;
  T one_less_beta1;
  T beta2;
  T one_less_beta2;
  T root_factor;  ///< 1 / sqrt(1 - beta2^step)
  T epsilon;
  T step_size;  ///< rate / (1 - beta1^step)
  T decay;      ///< decoupled: 1 - rate weight_decay, to multiply weights by; else weight_decay, to add to gradients

  TESSERA_HD static adam_rule of(const adam_options& o, std::int64_t step) {
    const double left1 = 1 - integer_power(o.beta1, step);
    const double left2 = 1 - integer_power(o.beta2, step);
    return {.factor = static_cast<T>(o.gradient_factor),
            .one_less_beta1 = static_cast<T>(1 - o.beta1),
            .beta2 = static_cast<T>(o.beta2),
            .one_less_beta2 = static_cast<T>(1 - o.beta2),
            .root_factor = static_cast<T>(1 / tessera::sqrt(left2)),
            .epsilon = static_cast<T>(o.epsilon),
            .step_size = static_cast<T>(o.rate / left1),
            .decay = static_cast<T>(Decoupled ? 1 - o.rate * o.weight_decay : o.weight_decay)};
  }

  template <class N>
  TESSERA_HD TESSERA_ALWAYS_INLINE N operator()(N weight, N gradient, N (&moments)[2]) const {
    using tessera::fma;
    using tessera::sqrt;
    N g = gradient * N(factor);
    if constexpr (!Decoupled) g = fma(N(decay), weight, g);
    moments[0] = fma(g - moments[0], N(one_less_beta1), moments[0]);
    moments[1] = fma(g * N(one_less_beta2), g, moments[1] * N(beta2));
    const N ratio = moments[0] / fma(sqrt(moments[1]), N(root_factor), N(epsilon));
    if constexpr (Decoupled) weight = weight * N(decay);
    return fma(N(-step_size), ratio, weight);
  }
};

template <bool Decoupled, class Exec, class Weights, class Gradients, class First, class Second>
void run_adam(const Exec& exec, const char* function, const Weights& weights, const Gradients& gradients, const First& first,
              const Second& second, std::int64_t step, const adam_options& o) {
  using record = weight_record<Weights>;
  using gradient = tessera::detail::tensor_element<Gradients>;
  using state = tessera::detail::tensor_element<First>;
  static_assert(std::is_same_v<state, tessera::detail::tensor_element<Second>>, "training::adam: needs moments of one type");
  check_step(function, step);
  check_rate(function, o.rate);
  check_beta(function, "options.beta1", o.beta1);
  check_beta(function, "options.beta2", o.beta2);
  check_at_least_0(function, "options.epsilon", o.epsilon);
  check_at_least_0(function, "options.weight_decay", o.weight_decay);
  check_finite(function, "options.gradient_factor", o.gradient_factor);
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
/// Accuracy        each result is that of the formula in float64 to 6 roundings of its terms; test/training/adam.cpp
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
template <executor Exec, weight_list Weights, tensor_list Gradients, tensor_list First, tensor_list Second>
void adam(const Exec& exec, const Weights& weights, const Gradients& gradients, const First& first, const Second& second,
          std::int64_t step, const adam_options& options = {.weight_decay = 0}) {
  detail::run_adam<false>(exec, "training::adam", weights, gradients, first, second, step, options);
}

}  // namespace tessera::training
