// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Lion: steps of one size, in the direction of a moving average.
#pragma once

#include <array>
#include <cstdint>

#include "tessera/numeric/lane.hpp"
#include "tessera/training/detail/optimize.hpp"
#include "tessera/training/detail/optimizer_checks.hpp"
#include "tessera/training/optimizer_options.hpp"

namespace tessera::training {

namespace detail {

template <class T>
struct lion_rule {
  T factor;
  T one_less_beta1;
  T one_less_beta2;
  T rate;
  T decay;  ///< 1 - rate weight_decay

  TESSERA_HD static lion_rule of(const lion_options& o) {
    return {.factor = static_cast<T>(o.gradient_factor),
            .one_less_beta1 = static_cast<T>(1 - o.beta1),
            .one_less_beta2 = static_cast<T>(1 - o.beta2),
            .rate = static_cast<T>(o.rate),
            .decay = static_cast<T>(1 - o.rate * o.weight_decay)};
  }

  template <class N>
  TESSERA_HD TESSERA_ALWAYS_INLINE N operator()(N weight, N gradient, N (&state)[1]) const {
    using tessera::fma;
    using tessera::select;
    const N g = gradient * N(factor);
    const N change = g - state[0];
    const N direction = fma(change, N(one_less_beta1), state[0]);
    // The sign of 0 is 0, and that of NaN is NaN.
    const N sign = select(direction > N(T(0)), N(T(1)), select(direction < N(T(0)), N(T(-1)), direction));
    state[0] = fma(change, N(one_less_beta2), state[0]);
    return fma(N(-rate), sign, weight * N(decay));
  }
};

}  // namespace detail

/// A step of Lion.
///
///   g = gradient * gradient_factor;   u = sign(beta1 average + (1 - beta1) g);   average = beta2 average + (1 - beta2) g
///   weight = (1 - rate weight_decay) weight - rate u
///
/// Averages are formed as average + (1 - beta) (g - average); the sign of 0 is 0, of NaN NaN. Everything else as training::adamw.
/// Cost            20 bytes a weight with float masters and average, bfloat16 copy and gradients
/// Source          Chen et al. 2023, arXiv:2302.06675, algorithm 2
template <executor Exec, weight_list Weights, tensor_list Gradients, tensor_list Average>
void lion(const Exec& exec, const Weights& weights, const Gradients& gradients, const Average& average, std::int64_t step,
          const lion_options& options = {}) {
  using record = detail::weight_record<Weights>;
  using gradient = tessera::detail::tensor_element<Gradients>;
  using state = tessera::detail::tensor_element<Average>;
  constexpr const char* function = "training::lion";
  detail::check_step(function, step);
  detail::check_rate(function, options.rate);
  detail::check_beta(function, "options.beta1", options.beta1);
  detail::check_beta(function, "options.beta2", options.beta2);
  detail::check_at_least_0(function, "options.weight_decay", options.weight_decay);
  detail::check_finite(function, "options.gradient_factor", options.gradient_factor);
  const detail::model_tensors<record, gradient, state, 1> model{weights, gradients, {average}};
  detail::check_model<Exec>(model, function, std::array{"average"});
  detail::step_model(exec, model, detail::lion_rule<detail::weight_number<record>>::of(options), step);
}

}  // namespace tessera::training
