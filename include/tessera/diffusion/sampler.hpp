// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Euler and Heun steps along the probability-flow ODE, with EDM's churn, over any denoiser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tessera/core/scratch.hpp"
#include "tessera/diffusion/detail/sampler_loop.hpp"
#include "tessera/diffusion/noise.hpp"
#include "tessera/diffusion/sampler_options.hpp"
#include "tessera/diffusion/state.hpp"

namespace tessera::diffusion {

namespace detail {

/// A sampler's steps on an executor of the CPU.
template <executor Exec>
struct steps_on {
  const Exec& exec;

  template <class T, std::size_t Rank>
  void add_noise(const view<T, Rank>& x, double scale, const noise_address& noise) const {
    add_scaled_noise(exec, x, scale, noise);
  }
  template <class F, class T, std::size_t Rank, class... In>
  void apply(const F& f, const view<T, Rank>& out, const In&... in) const {
    for_each_run(
        exec,
        [f](std::int64_t, std::int64_t count, T* y, const auto*... x) {
          for (std::int64_t e = 0; e < count; ++e) y[e] = f(x[e]...);
        },
        out, in...);
  }
};

template <bool Heun, executor Exec, class Denoiser, class T, std::size_t Rank, class Observer>
void sample(const Exec& exec, Denoiser& denoiser, std::span<const double> sigmas, const view<T, Rank>& state,
            const sampler_options& options, Observer& observer, const char* function) {
  check_sampler(sigmas, options, function);
  check_state(state, function, "state");
  tessera::detail::check_disjoint(state, view<const double, 1>(sigmas.data(), std::ssize(sigmas)), function, "state", "sigmas");
  if (state.size() == 0) return;

  using arrays = sampler_arrays<T, Rank>;
  tessera::detail::bump needed;
  static_cast<void>(arrays::over(Heun, state, needed));
  const tessera::detail::scratch memory(exec.memory(), needed.bytes());
  tessera::detail::bump block(memory.data());
  sampler_loop<Heun>(steps_on<Exec>{exec}, denoiser, sigmas, arrays::over(Heun, state, block), options, observer);
}

}  // namespace detail

/// Moves a batch from sigmas.front() to sigmas.back() by Euler steps: first order, one denoiser call a step.
///
///   gamma = min(s_churn / steps, sqrt(2) - 1) where s_min <= sigma_i <= s_max, else 0
///   sigma_hat = (1 + gamma) sigma_i;   x_hat = x + sqrt(sigma_hat^2 - sigma_i^2) s_noise z
///   d = (x_hat - D(x_hat; sigma_hat)) / sigma_hat;   x <- x_hat + (sigma_{i+1} - sigma_hat) d
///
/// Without churn this is DDIM. Start from `initial_noise(exec, sigmas.front(), state)`.
///
/// Shapes          state [samples, ...], float or double, each sample dense; sigmas: steps + 1 levels, e.g. sigma_grid(18)
/// Range           sigmas strictly falling, the last may be 0; strictly rising levels encode (needs s_churn = 0)
/// denoiser        denoiser(noisy, sigma, out), see denoiser_for: called from this thread, out does not overlap noisy, every
///                 element of out is to be written
/// observer        observer(sampler_step) after every step, from this thread
/// Special values  no samples or empty samples: nothing is called. NaN stays in its sample. The step to level 0 gives D exactly
/// Accuracy        sums in float64, one rounding to the state's type a step; a float run of sigma_grid(steps) ends within
///                 2^-24 steps max(1, |x|) of float64's on mixtures of Gaussians (test/diffusion/sampler.cpp)
/// Cost            steps denoiser calls, two passes over the state a step; scratch of 1 state, taken once
/// Determinism     the same bits for any batch, stride and thread count, as far as the denoiser's are; noise is addressed
///                 (noise_address), and none is drawn where gamma = 0
/// Errors          argument_error, state untouched, for bad sigmas or options, null data, samples that are not dense, a state
///                 that overlaps itself or sigmas. What the denoiser or the observer throws passes through; the state is then
///                 what they last saw
/// Source          Karras et al. 2022, arXiv:2206.00364, algorithm 2
template <executor Exec, class Denoiser, state_view State, class Observer = no_observer>
  requires denoiser_for<Denoiser, State>
void euler(const Exec& exec, Denoiser&& denoiser, std::span<const double> sigmas, const State& state,
           const sampler_options& options = {}, Observer&& observer = {}) {
  detail::sample<false>(exec, denoiser, sigmas, view_of<State>(state), options, observer, "diffusion::euler");
}

/// Moves a batch from sigmas.front() to sigmas.back() by Heun steps: second order, two denoiser calls a step.
///
/// Each Euler step (see `euler`, whose notes hold here) is repeated with the mean of the slopes at both of its ends,
///
///   x' = x_hat + (sigma_{i+1} - sigma_hat) d;   d' = (x' - D(x'; sigma_{i+1})) / sigma_{i+1}
///   x <- x_hat + (sigma_{i+1} - sigma_hat) (d + d') / 2
///
/// but for a step to level 0, where d' does not exist: that step is Euler's.
///
/// Accuracy        second order; a float state adds at most 2^-24 (steps + 2 max_i sigma_i / sigma_{i+1}) max(1, |x|) on mixtures
///                 of Gaussians (test/diffusion/sampler.cpp): in a coarse grid d' divides the rounding of x' and D by a small
///                 sigma
/// Cost            2 steps denoiser calls, 2 steps - 1 with a final 0; four passes over the state a step; scratch of 3 states
/// Source          Karras et al. 2022, arXiv:2206.00364, algorithm 2
template <executor Exec, class Denoiser, state_view State, class Observer = no_observer>
  requires denoiser_for<Denoiser, State>
void heun(const Exec& exec, Denoiser&& denoiser, std::span<const double> sigmas, const State& state,
          const sampler_options& options = {}, Observer&& observer = {}) {
  detail::sample<true>(exec, denoiser, sigmas, view_of<State>(state), options, observer, "diffusion::heun");
}

}  // namespace tessera::diffusion
