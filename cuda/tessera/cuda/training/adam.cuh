// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Adam and AdamW on CUDA: all tensors of a model in one launch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/memory/vector.cuh"
#include "tessera/cuda/multi_tensor.cuh"
#include "tessera/cuda/training/kept_weights.cuh"
#include "tessera/cuda/training/loss_scale.cuh"
#include "tessera/tile/view.hpp"
#include "tessera/training/detail/adam_rule.hpp"
#include "tessera/training/detail/unscaled.hpp"
#include "tessera/training/optimizer_options.hpp"

namespace tessera::training {
namespace detail {

/// What a thread carries through its chunks: moments written, moments and gradients read, then the weights' arrays.
template <class Rule, class Record>
struct adam_worker {
  Rule rule;
  bool skipped;

  template <class State, class Gradient, int N, class... Weights>
  TESSERA_DEVICE void operator()(std::uint64_t, cuda::packed<State, N>& first, cuda::packed<State, N>& second,
                                 const cuda::packed<State, N>& old_first, const cuda::packed<State, N>& old_second,
                                 const cuda::packed<Gradient, N>& gradient, Weights&... weights) const {
    using kept = kept_weights<Record>;
    using number = typename kept::number;
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < N; ++i) {
      number moments[2] = {static_cast<number>(cuda::widen(old_first[i])), static_cast<number>(cuda::widen(old_second[i]))};
      const number w = rule(kept::load(i, weights...), static_cast<number>(cuda::widen(gradient[i])), moments);
      first[i] = cuda::convert<State>(moments[0]);
      second[i] = cuda::convert<State>(moments[1]);
      kept::store(i, w, weights...);
    }
  }

  [[nodiscard]] TESSERA_DEVICE bool skips() const { return skipped; }
  TESSERA_DEVICE void end() const {}
};

/// A step whose number the host knows.
template <class Rule, class Record>
struct adam_step {
  Rule rule;

  TESSERA_DEVICE adam_worker<Rule, Record> begin() const { return {rule, false}; }
};

/// A step that the device counts, and takes only where nothing bad was found.
template <class Rule, class Record>
struct adam_device_step {
  adam_options options;
  const loss_scale_state* state;
  const float* found;
  bool scaled;

  TESSERA_DEVICE adam_worker<Rule, Record> begin() const {
    adam_options o = options;
    if (scaled) o.gradient_factor = o.gradient_factor * static_cast<double>(inverse_of_scale(state->scale));
    return {Rule::of(o, state->steps - state->skipped + 1), *found != 0.0f};
  }
};

template <class List>
std::span<const view<cuda::detail::tensor_element<List>, 1>> views_of(const List& list) {
  return list;
}

/// Refuses lists that are empty, do not belong together, or share memory, and launches `pass` over them.
template <class Record, class Pass, class Gradient, class State>
TESSERA_HIDDEN void launch_adam(const cuda::executor& exec, const char* function, const Pass& pass,
                                std::span<const Record> weights, std::span<const view<Gradient, 1>> gradients,
                                std::span<const view<State, 1>> first, std::span<const view<State, 1>> second) {
  using G = std::remove_const_t<Gradient>;
  using cuda::detail::check_tensors;
  tessera::detail::expects(
      !gradients.empty(), function, "gradients", [] { return "an empty list"; }, "needs one tensor at least");
  check_tensors(exec, gradients, gradients, function, "gradients", "gradients");
  check_tensors(exec, first, gradients, function, "first", "gradients");
  check_tensors(exec, second, gradients, function, "second", "gradients");
  const auto apart = [&](const auto& out, const char* name, const auto& other) {
    for (std::size_t t = 0; t < out.size(); ++t) {
      if (!tessera::detail::overlap(out[t], other[t])) continue;
      tessera::detail::fail(function, cuda::detail::tensor_name(name, t).c_str(), "overlaps another array of its step",
                            "needs memory of its own");
    }
  };
  apart(first, "first", gradients);
  apart(second, "second", gradients);
  apart(second, "second", first);
  const auto check_weights = [&](const auto& list, const char* name) {
    check_tensors(exec, list, gradients, function, name, "gradients");
    apart(list, name, gradients);
    apart(list, name, first);
    apart(list, name, second);
  };
  kept_weights<Record>::with_lists(
      weights, [&]<class... T>(cuda::detail::elements_are<T...>, const char* name, const char* other_name, const auto& list,
                               const auto& other, const auto&... more) {
        check_weights(list, name);
        if (other_name != nullptr) {
          check_weights(other, other_name);
          apart(other, other_name, list);
        }
        constexpr int chunk =
            std::min({cuda::vector_elements<State>, cuda::vector_elements<G>, cuda::vector_elements<std::remove_const_t<T>>...});
        cuda::detail::for_each_tensor<chunk>(exec, function, pass,
                                             cuda::detail::elements_are<State, State, const State, const State, const G, T...>{},
                                             first, second, first, second, gradients, list, other, more...);
      });
}

template <bool Decoupled, class Weights, class Gradients, class First, class Second>
TESSERA_HIDDEN void run_adam(const cuda::executor& exec, const char* function, const Weights& weights, const Gradients& gradients,
                             const First& first, const Second& second, std::int64_t step, const adam_options& o) {
  using record = std::ranges::range_value_t<Weights>;
  using rule = adam_rule<typename kept_weights<record>::number, Decoupled>;
  check_step(function, step);
  check_options(o, function);
  launch_adam<record>(exec, function, adam_step<rule, record>{rule::of(o, step)}, std::span<const record>(weights),
                      views_of(gradients), views_of(first), views_of(second));
}

template <bool Decoupled, class Weights, class Gradients, class First, class Second>
TESSERA_HIDDEN void run_adam(const cuda::executor& exec, const char* function, const Weights& weights, const Gradients& gradients,
                             const First& first, const Second& second, const device_step& step, const adam_options& o) {
  using record = std::ranges::range_value_t<Weights>;
  using rule = adam_rule<typename kept_weights<record>::number, Decoupled>;
  check_options(o, function);
  check_number(exec, step.state, function, "step.state");
  check_number(exec, step.found, function, "step.found");
  const adam_device_step<rule, record> pass{o, step.state.data_handle(), step.found.data_handle(), step.scaled};
  launch_adam<record>(exec, function, pass, std::span<const record>(weights), views_of(gradients), views_of(first),
                      views_of(second));
}

}  // namespace detail

/// A step of AdamW, as the CPU's: the same formula, shapes, types and bits, on arrays in the memory of the device.
///
/// With a device_step in the place of the step's number, the device counts the steps and leaves everything as it is where a bad gradient was
/// found, so that the host never waits: `unscale(exec, grads, unscaled, scale, found)`, `adamw(exec, …, {.state, .found})`,
/// `update(exec, state, found)`.
///
/// Shapes          as the CPU's; every array in the memory of the device
/// Types           weights: view<float> or view<double>, master_weights, split_weights, compensated_weights; gradients: any storage type of a byte
///                 or more; moments: float, double, bfloat16, float16
/// Cost            one read and one write of each array, nothing where the step is skipped; one launch for about forty tensors, and one for each further
///                 four hundred: their addresses travel with the launch. No memory of the device is allocated
/// Determinism     the bits of the CPU with fma, for any launch shape
/// Errors          argument_error, nothing written: as the CPU's, host memory, arrays of one tensor that overlap
/// Source          Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2; Kingma & Ba 2015, arXiv:1412.6980
template <std::ranges::contiguous_range Weights, cuda::tensor_list Gradients, cuda::tensor_list First, cuda::tensor_list Second>
TESSERA_HIDDEN void adamw(const cuda::executor& exec, const Weights& weights, const Gradients& gradients, const First& first,
                          const Second& second, std::int64_t step, const adam_options& options = {}) {
  detail::run_adam<true>(exec, "training::adamw", weights, gradients, first, second, step, options);
}
template <std::ranges::contiguous_range Weights, cuda::tensor_list Gradients, cuda::tensor_list First, cuda::tensor_list Second>
TESSERA_HIDDEN void adamw(const cuda::executor& exec, const Weights& weights, const Gradients& gradients, const First& first,
                          const Second& second, const device_step& step, const adam_options& options = {}) {
  detail::run_adam<true>(exec, "training::adamw", weights, gradients, first, second, step, options);
}

/// A step of Adam, as the CPU's; the rest as adamw.
template <std::ranges::contiguous_range Weights, cuda::tensor_list Gradients, cuda::tensor_list First, cuda::tensor_list Second>
TESSERA_HIDDEN void adam(const cuda::executor& exec, const Weights& weights, const Gradients& gradients, const First& first,
                         const Second& second, std::int64_t step, const adam_options& options = {.weight_decay = 0}) {
  detail::run_adam<false>(exec, "training::adam", weights, gradients, first, second, step, options);
}
template <std::ranges::contiguous_range Weights, cuda::tensor_list Gradients, cuda::tensor_list First, cuda::tensor_list Second>
TESSERA_HIDDEN void adam(const cuda::executor& exec, const Weights& weights, const Gradients& gradients, const First& first,
                         const Second& second, const device_step& step, const adam_options& options = {.weight_decay = 0}) {
  detail::run_adam<false>(exec, "training::adam", weights, gradients, first, second, step, options);
}

}  // namespace tessera::training
