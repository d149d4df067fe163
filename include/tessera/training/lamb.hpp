// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// LAMB: Adam's direction, as long in each tensor as that tensor's weights.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "tessera/core/scratch.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/training/detail/optimize.hpp"
#include "tessera/training/detail/optimizer_checks.hpp"
#include "tessera/training/optimizer_options.hpp"

namespace tessera::training {

namespace detail {

/// The direction of one weight, and the step along it.
template <class T>
struct lamb_rule {
  T factor;
  T one_less_beta1;
  T beta2;
  T one_less_beta2;
  T first_factor;  ///< 1 / (1 - beta1^step)
  T root_factor;   ///< 1 / sqrt(1 - beta2^step)
  T epsilon;
  T decay;

  TESSERA_HD static lamb_rule of(const lamb_options& o, std::int64_t step) {
    return {.factor = static_cast<T>(o.gradient_factor),
            .one_less_beta1 = static_cast<T>(1 - o.beta1),
            .beta2 = static_cast<T>(o.beta2),
            .one_less_beta2 = static_cast<T>(1 - o.beta2),
            .first_factor = static_cast<T>(1 / (1 - integer_power(o.beta1, step))),
            .root_factor = static_cast<T>(1 / tessera::sqrt(1 - integer_power(o.beta2, step))),
            .epsilon = static_cast<T>(o.epsilon),
            .decay = static_cast<T>(o.weight_decay)};
  }

  template <class N>
  TESSERA_HD TESSERA_ALWAYS_INLINE void advance(N gradient, N (&moments)[2]) const {
    using tessera::fma;
    const N g = gradient * N(factor);
    moments[0] = fma(g - moments[0], N(one_less_beta1), moments[0]);
    moments[1] = fma(g * N(one_less_beta2), g, moments[1] * N(beta2));
  }
  template <class N>
  TESSERA_HD TESSERA_ALWAYS_INLINE N direction(N weight, const N (&moments)[2]) const {
    using tessera::fma;
    using tessera::sqrt;
    const N ratio = moments[0] * N(first_factor) / fma(sqrt(moments[1]), N(root_factor), N(epsilon));
    return fma(N(decay), weight, ratio);
  }
};

struct lamb_squares {
  double weights = 0;
  double directions = 0;
};

/// Moments of elements [begin, begin + n) of a tensor, written; the squares of its weights and directions. Sums run over 32 lanes and the
/// halving tree in blocks of `prepared` elements, and in float64 over blocks.
template <class Exec, class Weights, class T, class Gradient, class State>
TESSERA_NOINLINE lamb_squares lamb_moments(const Weights& record, const Gradient* gradients, const std::array<State*, 2>& states,
                                           const lamb_rule<T>& rule, std::int64_t begin, std::int64_t n) {
  using P = simd::pack<T, typename Exec::arch>;
  constexpr int lanes = 32;
  constexpr int packs = lanes / P::lanes;
  const weight_access<Weights> weights(record, 1);
  lamb_squares found;
  for (std::int64_t block = begin; block < begin + n; block += prepared) {
    const std::int64_t end = begin + n - block < prepared ? begin + n : block + prepared;
    P of_weights[packs];
    P of_directions[packs];
    for (int p = 0; p < packs; ++p) of_weights[p] = of_directions[p] = P(T(0));
    std::int64_t i = block;
    for (; i + lanes <= end; i += lanes) {
      for (int p = 0; p < packs; p += 2) {
        const std::int64_t at = i + p * P::lanes;
        P w[2];
        P s[2][2];
        weights.load(at, w[0], w[1]);
        for (int q = 0; q < 2; ++q) {
          for (std::size_t k = 0; k < 2; ++k) s[q][k] = simd::load_as<P>(states[k] + at + q * P::lanes);
          rule.advance(simd::load_as<P>(gradients + at + q * P::lanes), s[q]);
        }
        for (std::size_t k = 0; k < 2; ++k) simd::store_as(states[k] + at, s[0][k], s[1][k]);
        for (int q = 0; q < 2; ++q) {
          // As they are stored: the second pass reads no others.
          for (std::size_t k = 0; k < 2; ++k) s[q][k] = simd::load_as<P>(states[k] + at + q * P::lanes);
          const P r = rule.direction(w[q], s[q]);
          of_weights[p + q] = fma(w[q], w[q], of_weights[p + q]);
          of_directions[p + q] = fma(r, r, of_directions[p + q]);
        }
      }
    }
    found.weights += static_cast<double>(simd::fold_add(of_weights));
    found.directions += static_cast<double>(simd::fold_add(of_directions));
    for (; i < end; ++i) {
      const T w = weights.load(i);
      T s[2] = {static_cast<T>(states[0][i]), static_cast<T>(states[1][i])};
      rule.advance(static_cast<T>(gradients[i]), s);
      for (std::size_t k = 0; k < 2; ++k) {
        states[k][i] = static_cast<State>(s[k]);
        s[k] = static_cast<T>(states[k][i]);
      }
      const auto r = static_cast<double>(rule.direction(w, s));
      found.weights += static_cast<double>(w) * static_cast<double>(w);
      found.directions += r * r;
    }
  }
  return found;
}

/// The second pass: weight -= size * direction.
template <class T>
struct lamb_step {
  lamb_rule<T> rule;
  T size;

  template <class N>
  TESSERA_HD TESSERA_ALWAYS_INLINE N operator()(N weight, N, N (&moments)[2]) const {
    return tessera::fma(N(-size), rule.direction(weight, moments), weight);
  }
};

template <class Exec, class Weights, class Gradient, class State>
void run_lamb(const Exec& exec, const model_tensors<Weights, Gradient, State, 2>& model, const lamb_options& o,
              std::int64_t step) {
  using T = weight_number<Weights>;
  tessera::detail::scratch places(exec.memory(), (model.gradients.size() + 1) * sizeof(std::int64_t));
  const tessera::detail::tensor_chunks chunks(model.gradients, reinterpret_cast<std::int64_t*>(places.data()));
  tessera::detail::scratch memory(exec.memory(), static_cast<std::size_t>(chunks.count()) * sizeof(lamb_squares));
  auto* const found = reinterpret_cast<lamb_squares*>(memory.data());
  const auto rule = lamb_rule<T>::of(o, step);
  const auto states_of = [&](std::size_t t) {
    return std::array{model.states[0][t].data_handle(), model.states[1][t].data_handle()};
  };
  constexpr double bytes = 4 + sizeof(Gradient) + 4 * sizeof(State);
  const auto measure = [&](std::int64_t chunk, std::int64_t tensor, std::int64_t begin, std::int64_t n) {
    const auto t = static_cast<std::size_t>(tensor);
    found[chunk] = lamb_moments<Exec>(model.weights[t], model.gradients[t].data_handle(), states_of(t), rule, begin, n);
  };
  tessera::detail::for_each_tensor_chunk(exec, chunks, model.gradients, bytes, measure);
  tessera::detail::scratch sizes_memory(exec.memory(), model.gradients.size() * sizeof(T));
  T* const sizes = reinterpret_cast<T*>(sizes_memory.data());
  for (std::size_t t = 0; t < model.gradients.size(); ++t) {
    lamb_squares sum;
    for (std::int64_t chunk = chunks.first_of(static_cast<std::int64_t>(t));
         chunk < chunks.first_of(static_cast<std::int64_t>(t) + 1); ++chunk) {
      sum.weights += found[chunk].weights;
      sum.directions += found[chunk].directions;
    }
    const bool none = sum.weights == 0 || sum.directions == 0;
    sizes[t] = static_cast<T>(o.rate * (none ? 1 : std::sqrt(sum.weights) / std::sqrt(sum.directions)));
  }
  const auto move = [&](std::int64_t, std::int64_t tensor, std::int64_t begin, std::int64_t n) {
    const auto t = static_cast<std::size_t>(tensor);
    step_some<Exec, false>(model.weights[t], model.gradients[t].data_handle(), states_of(t), lamb_step<T>{rule, sizes[t]}, step,
                           begin, n);
  };
  tessera::detail::for_each_tensor_chunk(exec, chunks, model.gradients, bytes, move);
}

}  // namespace detail

/// A step of LAMB.
///
///   g = gradient * gradient_factor;  first += (1 - beta1) (g - first);  second = beta2 second + (1 - beta2) g^2
///   r = (first / (1 - beta1^step)) / (sqrt(second / (1 - beta2^step)) + epsilon) + weight_decay weight
///   weight = weight - rate (|weights| / |r|) r,   norms those of the tensor; their ratio is 1 where one of them is 0
///
/// Everything else as training::adamw. NaN in one gradient reaches all weights of its tensor.
/// Cost            two passes: weights, moments and gradients are read twice; 16 bytes of scratch for every 16384 elements
/// Determinism     that of adamw: the norms are sums of fixed chunks in a fixed order
/// Source          You et al. 2020, arXiv:1904.00962, algorithm 2, with phi(z) = z
template <executor Exec, weight_list Weights, tensor_list Gradients, tensor_list First, tensor_list Second>
void lamb(const Exec& exec, const Weights& weights, const Gradients& gradients, const First& first, const Second& second,
          std::int64_t step, const lamb_options& options = {}) {
  using record = detail::weight_record<Weights>;
  using gradient = tessera::detail::tensor_element<Gradients>;
  using state = tessera::detail::tensor_element<First>;
  constexpr const char* function = "training::lamb";
  detail::check_step(function, step);
  detail::check_rate(function, options.rate);
  detail::check_beta(function, "options.beta1", options.beta1);
  detail::check_beta(function, "options.beta2", options.beta2);
  detail::check_at_least_0(function, "options.epsilon", options.epsilon);
  detail::check_at_least_0(function, "options.weight_decay", options.weight_decay);
  detail::check_finite(function, "options.gradient_factor", options.gradient_factor);
  const detail::model_tensors<record, gradient, state, 2> model{weights, gradients, {first, second}};
  detail::check_model<Exec>(model, function, std::array{"first", "second"});
  detail::run_lamb(exec, model, options, step);
}

}  // namespace tessera::training
