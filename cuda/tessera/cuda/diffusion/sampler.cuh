// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Euler and Heun steps along the probability-flow ODE, with EDM's churn, over any denoiser that works in a CUDA stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tessera/core/config.hpp"
#include "tessera/cuda/diffusion/chunk_of_step.cuh"
#include "tessera/cuda/diffusion/noise.cuh"
#include "tessera/cuda/elementwise.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/diffusion/detail/sampler_loop.hpp"
#include "tessera/diffusion/noise_address.hpp"
#include "tessera/diffusion/sampler_options.hpp"
#include "tessera/diffusion/state_view.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::diffusion {
namespace detail {

/// A sampler's steps in a stream.
struct steps_in_stream {
  const cuda::executor& exec;
  const char* function;

  template <class T, std::size_t Rank>
  TESSERA_HIDDEN void add_noise(const view<T, Rank>& x, double scale, const noise_address& noise) const {
    add_scaled_noise(exec, x, scale, noise, function);
  }
  template <class F, class T, std::size_t Rank, class... In>
  TESSERA_HIDDEN void apply(const F& f, const view<T, Rank>& out, const In&... in) const {
    cuda::detail::elementwise<cuda::vector_elements<T>, true>(exec, function, chunk_of_step<F>{f}, 0, out,
                                                              view<const T, Rank>(in)...);
  }
};

template <bool Heun, class Denoiser, class T, std::size_t Rank, class Observer>
TESSERA_HIDDEN void sample(const cuda::executor& exec, Denoiser& denoiser, std::span<const double> sigmas,
                           const view<T, Rank>& state, const sampler_options& options, Observer& observer, const char* function) {
  check_sampler(sigmas, options, function);
  check_state(state, function, "state");
  cuda::detail::check_memory(exec, state, function, "state");
  if (state.size() == 0) return;

  using arrays = sampler_arrays<T, Rank>;
  cuda::bump needed;
  static_cast<void>(arrays::over(Heun, state, needed));
  const cuda::workspace memory(exec, needed.bytes(), function);
  cuda::bump block(memory.data());
  sampler_loop<Heun>(steps_in_stream{exec, function}, denoiser, sigmas, arrays::over(Heun, state, block), options, observer);
}

template <bool Heun, class T, std::size_t Rank>
std::size_t sampler_workspace(const view<T, Rank>& state) {
  cuda::bump needed;
  static_cast<void>(sampler_arrays<T, Rank>::over(Heun, state, needed));
  return cuda::workspace::to_give(needed.bytes());
}

}  // namespace detail

/// Moves a batch in the memory of a GPU from sigmas.front() to sigmas.back() by Euler steps: what diffusion/sampler.hpp has for the CPU, with
/// the same options and formulas.
///
/// denoiser        denoiser(noisy, sigma, out) is called from this thread, and puts its work in the executor's stream (or makes that stream
///                 wait for it): the views are in the memory of the device, and may be read and written there in the order of the stream
/// observer        observer(sampler_step) is called from this thread when the step is in the stream, which is before it is done. To look at its
///                 views from the host, wait for the stream
/// Special values  as on the CPU
/// Accuracy        as on the CPU: sums in float64, one rounding to the state's type a step. Noise has the CPU's bits
/// Cost            steps denoiser calls, two passes over the state a step; scratch of 1 state, taken once
/// Determinism     the same bits for any batch, stride and device, as far as the denoiser's are
/// Errors          as on the CPU, and argument_error for host memory or a workspace that is too small; cuda::error
/// Source          Karras et al. 2022, arXiv:2206.00364, algorithm 2
template <class Denoiser, state_view State, class Observer = no_observer>
  requires denoiser_for<Denoiser, State>
TESSERA_HIDDEN void euler(const cuda::executor& exec, Denoiser&& denoiser, std::span<const double> sigmas, const State& state,
                          const sampler_options& options = {}, Observer&& observer = {}) {
  detail::sample<false>(exec, denoiser, sigmas, view_of<State>(state), options, observer, "diffusion::euler");
}

/// Moves a batch in the memory of a GPU by Heun steps: second order, two denoiser calls a step. See `euler` above, and heun in
/// diffusion/sampler.hpp.
///
/// Cost            2 steps denoiser calls, 2 steps - 1 with a final 0; four passes over the state a step; scratch of 3 states
template <class Denoiser, state_view State, class Observer = no_observer>
  requires denoiser_for<Denoiser, State>
TESSERA_HIDDEN void heun(const cuda::executor& exec, Denoiser&& denoiser, std::span<const double> sigmas, const State& state,
                         const sampler_options& options = {}, Observer&& observer = {}) {
  detail::sample<true>(exec, denoiser, sigmas, view_of<State>(state), options, observer, "diffusion::heun");
}

/// The bytes of `executor::workspace` that euler and heun need for a state.
template <state_view State>
[[nodiscard]] std::size_t euler_workspace(const State& state) {
  return detail::sampler_workspace<false>(view_of<State>(state));
}
template <state_view State>
[[nodiscard]] std::size_t heun_workspace(const State& state) {
  return detail::sampler_workspace<true>(view_of<State>(state));
}

}  // namespace tessera::diffusion
