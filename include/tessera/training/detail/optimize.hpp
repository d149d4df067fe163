// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// An optimiser's pass over the tensors of a model: its rule for one weight, in registers and at the ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>

#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/detail/tensor_chunks.hpp"
#include "tessera/tile/tensor_list.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/detail/weight_access.hpp"

namespace tessera::training {

/// A list of ways of keeping weights: views of float or double, or records of weights.hpp, one behind the other in memory.
template <class Range>
concept weight_list = std::ranges::contiguous_range<const Range> && std::ranges::sized_range<const Range> &&
                      requires { typename detail::weight_access<std::ranges::range_value_t<Range>>::number; };

namespace detail {

template <class Range>
using weight_record = std::ranges::range_value_t<Range>;

/// The lists of one step, checked.
template <class Weights, class Gradient, class State, std::size_t States>
struct model_tensors {
  std::span<const Weights> weights;
  std::span<const view<Gradient, 1>> gradients;
  std::array<std::span<const view<State, 1>>, States> states;
};

/// Refuses lists that are empty, or do not belong together, by name and number.
template <class Weights, class Gradient, class State, std::size_t States>
TESSERA_ALWAYS_INLINE void check_model(const model_tensors<Weights, Gradient, State, States>& model, const char* function,
                                       const std::array<const char*, States>& names) {
  using tessera::detail::expects;
  using tessera::detail::tensor_name;
  using access = weight_access<Weights>;
  expects(!model.gradients.empty(), function, "gradients", [] { return "an empty list"; }, "needs one tensor at least");
  tessera::detail::check_tensors(model.gradients, model.gradients, function, "gradients", "gradients");
  expects(
      model.weights.size() == model.gradients.size(), function, "weights",
      [&] { return std::to_string(model.weights.size()) + " tensors"; },
      ("needs as many as gradients, " + std::to_string(model.gradients.size())).c_str());
  for (std::size_t t = 0; t < model.weights.size(); ++t) {
    const auto check = [&](const auto& v, const char* part) {
      const std::int64_t size = model.gradients[t].size();
      const bool sound = v.size() == size && (size == 0 || v.data_handle() != nullptr) && (size <= 1 || v.stride(0) == 1);
      if (!sound) {
        const std::string name = tensor_name("weights", t) + part;
        tessera::detail::check_operand(v, function, name.c_str());
        expects(
            v.size() == size, function, name.c_str(), [&] { return std::to_string(v.size()) + " elements"; },
            ("needs as many as " + tensor_name("gradients", t) + ", " + std::to_string(size)).c_str());
      }
      if (tessera::detail::overlap(v, model.gradients[t])) {
        tessera::detail::fail(function, (tensor_name("weights", t) + part).c_str(), "overlaps its gradients",
                              "needs memory of its own");
      }
    };
    check(access::first(model.weights[t]), access::name);
    access::others(model.weights[t], check);
    if constexpr (requires { model.weights[t].tensor; }) {
      expects(
          model.weights[t].tensor < most_tensors, function, (tensor_name("weights", t) + ".tensor").c_str(),
          [&] { return std::to_string(model.weights[t].tensor); }, "needs a number below 2^24");
    }
  }
  for (std::size_t s = 0; s < States; ++s) {
    tessera::detail::check_tensors(model.states[s], model.gradients, function, names[s], "gradients");
    for (std::size_t t = 0; t < model.weights.size(); ++t) {
      const auto apart = [&](const auto& v, const char*) {
        if (!tessera::detail::overlap(model.states[s][t], v)) return;
        tessera::detail::fail(function, tensor_name(names[s], t).c_str(), "overlaps its weights or gradients",
                              "needs memory of its own");
      };
      apart(access::first(model.weights[t]), "");
      access::others(model.weights[t], apart);
      apart(model.gradients[t], "");
      for (std::size_t other = 0; other < s; ++other) apart(model.states[other][t], "");
    }
  }
}

/// What an optimiser computes a tensor's weights in.
template <class Weights>
using weight_number = typename weight_access<Weights>::number;

/// Elements [begin, begin + n) of one tensor: weight = rule(weight, gradient, states), all at once where they fill registers.
/// States are left as they are where not `Writes`.
template <class Exec, bool Writes = true, class Weights, class Rule, class Gradient, class State, std::size_t States>
TESSERA_NOINLINE void step_some(const Weights& record, const Gradient* gradients, const std::array<State*, States>& states,
                                const Rule& rule, std::int64_t step, std::int64_t begin, std::int64_t n) {
  using number = weight_number<Weights>;
  using P = simd::pack<number, typename Exec::arch>;
  constexpr std::int64_t pair = 2 * P::lanes;
  weight_access<Weights> weights(record, step);
  for (std::int64_t block = begin; block < begin + n; block += prepared) {
    weights.template prepare<Exec>(block);
    const std::int64_t end = begin + n - block < prepared ? begin + n : block + prepared;
    std::int64_t i = block;
    for (; i + pair <= end; i += pair) {
      P w[2];
      weights.load(i, w[0], w[1]);
      P s[2][States > 0 ? States : 1];
      for (int p = 0; p < 2; ++p) {
        for (std::size_t k = 0; k < States; ++k) s[p][k] = simd::load_as<P>(states[k] + i + p * P::lanes);
        w[p] = rule(w[p], simd::load_as<P>(gradients + i + p * P::lanes), s[p]);
      }
      if constexpr (Writes) {
        for (std::size_t k = 0; k < States; ++k) simd::store_as(states[k] + i, s[0][k], s[1][k]);
      }
      weights.store(i, w[0], w[1]);
    }
    for (; i < end; ++i) {
      number s[States > 0 ? States : 1];
      for (std::size_t k = 0; k < States; ++k) s[k] = static_cast<number>(states[k][i]);
      const number w = rule(weights.load(i), static_cast<number>(gradients[i]), s);
      if constexpr (Writes) {
        for (std::size_t k = 0; k < States; ++k) states[k][i] = static_cast<State>(s[k]);
      }
      weights.store(i, w);
    }
  }
}

/// rule over all tensors of a model.
template <class Exec, class Rule, class Weights, class Gradient, class State, std::size_t States>
void step_model(const Exec& exec, const model_tensors<Weights, Gradient, State, States>& model, const Rule& rule,
                std::int64_t step) {
  tessera::detail::scratch places(exec.memory(), (model.gradients.size() + 1) * sizeof(std::int64_t));
  const tessera::detail::tensor_chunks chunks(model.gradients, reinterpret_cast<std::int64_t*>(places.data()));
  constexpr double bytes = 8 + sizeof(Gradient) + 2 * States * sizeof(State);
  tessera::detail::for_each_tensor_chunk(
      exec, chunks, model.gradients, bytes, [&](std::int64_t, std::int64_t tensor, std::int64_t begin, std::int64_t n) {
        const auto t = static_cast<std::size_t>(tensor);
        std::array<State*, States> states;
        for (std::size_t k = 0; k < States; ++k) states[k] = model.states[k][t].data_handle();
        step_some<Exec>(model.weights[t], model.gradients[t].data_handle(), states, rule, step, begin, n);
      });
}

}  // namespace detail
}  // namespace tessera::training
