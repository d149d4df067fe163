// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Stochastic gradient descent: plain, with momentum, with Nesterov's.
#pragma once

#include <array>
#include <cstdint>

#include "tessera/numeric/lane.hpp"
#include "tessera/training/detail/optimize.hpp"
#include "tessera/training/detail/optimizer_checks.hpp"
#include "tessera/training/optimizer_options.hpp"

namespace tessera::training {

namespace detail {

template <class T, bool Momentum>
struct sgd_rule {
  T factor;
  T decay;
  T rate;
  T momentum;
  T share;  ///< of the gradient in the velocity
  bool nesterov;

  TESSERA_HD static sgd_rule of(const sgd_options& o, std::int64_t step) {
    return {.factor = static_cast<T>(o.gradient_factor),
            .decay = static_cast<T>(o.weight_decay),
            .rate = static_cast<T>(o.rate),
            .momentum = static_cast<T>(o.momentum),
            .share = static_cast<T>(step == 1 ? 1 : 1 - o.dampening),
            .nesterov = o.nesterov};
  }

  template <class N>
  TESSERA_HD TESSERA_ALWAYS_INLINE N operator()(N weight, N gradient, N (&state)[1]) const {
    using tessera::fma;
    N g = fma(N(decay), weight, gradient * N(factor));
    if constexpr (Momentum) {
      state[0] = fma(state[0], N(momentum), g * N(share));
      g = nesterov ? fma(state[0], N(momentum), g) : state[0];
    }
    return fma(N(-rate), g, weight);
  }
};

TESSERA_ALWAYS_INLINE void check_sgd(const char* function, std::int64_t step, const sgd_options& o) {
  check_step(function, step);
  check_rate(function, o.rate);
  check_at_least_0(function, "options.weight_decay", o.weight_decay);
  check_finite(function, "options.gradient_factor", o.gradient_factor);
}

}  // namespace detail

/// A step of gradient descent.
///
///   g = gradient * gradient_factor + weight_decay weight;   weight = weight - rate g
///
/// Everything else as training::adamw: lists, types, errors, determinism.
/// Cost            14 bytes a weight with float masters, bfloat16 copy and bfloat16 gradients
template <executor Exec, weight_list Weights, tensor_list Gradients>
void sgd(const Exec& exec, const Weights& weights, const Gradients& gradients, std::int64_t step,
         const sgd_options& options = {}) {
  using record = detail::weight_record<Weights>;
  using gradient = tessera::detail::tensor_element<Gradients>;
  constexpr const char* function = "training::sgd";
  detail::check_sgd(function, step, options);
  const detail::model_tensors<record, gradient, float, 0> model{weights, gradients, {}};
  detail::check_model<Exec>(model, function, std::array<const char*, 0>{});
  detail::step_model(exec, model, detail::sgd_rule<detail::weight_number<record>, false>::of(options, step), step);
}

/// A step of gradient descent with momentum.
///
///   g = gradient * gradient_factor + weight_decay weight;   velocity = momentum velocity + (1 - dampening) g
///   weight = weight - rate velocity;   with nesterov: weight - rate (g + momentum velocity)
///
/// The first step, step = 1, does not dampen: PyTorch's velocity begins with the first gradient. Zeros before it.
/// Errors          those of adamw; nesterov with dampening, or without momentum
/// Source          Sutskever et al. 2013; the conventions of PyTorch's torch.optim.SGD
template <executor Exec, weight_list Weights, tensor_list Gradients, tensor_list Velocity>
void sgd(const Exec& exec, const Weights& weights, const Gradients& gradients, const Velocity& velocity, std::int64_t step,
         const sgd_options& options = {}) {
  using record = detail::weight_record<Weights>;
  using gradient = tessera::detail::tensor_element<Gradients>;
  using state = tessera::detail::tensor_element<Velocity>;
  constexpr const char* function = "training::sgd";
  detail::check_sgd(function, step, options);
  detail::check_at_least_0(function, "options.momentum", options.momentum);
  detail::check_at_least_0(function, "options.dampening", options.dampening);
  tessera::detail::expects(
      !options.nesterov || (options.momentum > 0 && options.dampening == 0), function, "options.nesterov", [] { return "true"; },
      "needs momentum, and no dampening");
  const detail::model_tensors<record, gradient, state, 1> model{weights, gradients, {velocity}};
  detail::check_model<Exec>(model, function, std::array{"velocity"});
  detail::step_model(exec, model, detail::sgd_rule<detail::weight_number<record>, true>::of(options, step), step);
}

}  // namespace tessera::training
