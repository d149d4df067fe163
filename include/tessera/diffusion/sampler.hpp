// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Euler and Heun steps along the probability-flow ODE, with EDM's churn, over any denoiser.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/diffusion/detail/number.hpp"
#include "tessera/diffusion/noise.hpp"
#include "tessera/diffusion/state.hpp"

namespace tessera::diffusion {

/// EDM's names and values. The defaults make the sampler deterministic.
struct sampler_options {
  /// Amount of noise put back over the whole run: step i raises sigma_i by the factor 1 + min(s_churn / steps, sqrt(2) - 1).
  double s_churn = 0;
  /// Noise is put back only where s_min <= sigma_i <= s_max.
  double s_min = 0;
  double s_max = std::numeric_limits<double>::infinity();
  /// The standard deviation of the noise put back, relative to what the raised level asks for.
  double s_noise = 1;
  /// Step i draws from noise.stream + 1 + i.
  noise_address noise = {};
};

/// A finished step, as an observer sees it.
template <class T, std::size_t Rank>
struct sampler_step {
  /// 0 … steps - 1.
  std::int64_t index = 0;
  std::int64_t steps = 0;
  double sigma = 0;
  /// sigma, raised by churn.
  double sigma_hat = 0;
  double sigma_next = 0;
  /// The state at sigma_next.
  view<const T, Rank> state;
  /// D at sigma_hat: a preview of the end.
  view<const T, Rank> denoised;
};

/// denoiser(noisy, sigma, out) writes E[x0 | x = noisy] for noise of standard deviation sigma.
template <class D, class State>
concept denoiser_for = state_view<State> && requires(D& d, view<const typename State::element_type, State::rank()> noisy,
                                                     double sigma, view_of<State> out) { d(noisy, sigma, out); };

/// The observer that does nothing.
struct no_observer {
  template <class Step>
  void operator()(const Step&) const {}
};

namespace detail {

inline void check_sampler(std::span<const double> sigmas, const sampler_options& options, const char* function) {
  using tessera::detail::expects;
  expects(
      sigmas.size() >= 2, function, "sigmas", [&] { return std::to_string(sigmas.size()) + " levels"; },
      "needs at least 2 (one step)");
  const bool rising = sigmas[1] > sigmas[0];
  for (std::size_t i = 0; i < sigmas.size(); ++i) {
    const auto got = [&] { return "level " + std::to_string(i) + " is " + number(sigmas[i]); };
    expects(std::isfinite(sigmas[i]), function, "sigmas", got, "needs finite levels");
    expects(sigmas[i] > 0 || (sigmas[i] == 0 && i + 1 == sigmas.size()), function, "sigmas", got,
            "needs levels above 0 (only the last may be 0)");
    expects(i == 0 || (rising ? sigmas[i] > sigmas[i - 1] : sigmas[i] < sigmas[i - 1]), function, "sigmas", got,
            "needs strictly falling levels (or strictly rising ones, which encode)");
  }
  expects(options.s_churn >= 0, function, "s_churn", [&] { return number(options.s_churn); }, "needs at least 0");
  expects(
      options.s_churn == 0 || !rising, function, "s_churn", [&] { return number(options.s_churn) + " with rising sigmas"; },
      "needs 0 when encoding");
  expects(options.s_min >= 0, function, "s_min", [&] { return number(options.s_min); }, "needs at least 0");
  expects(options.s_max >= options.s_min, function, "s_max", [&] { return number(options.s_max); }, "needs at least s_min");
  expects(
      std::isfinite(options.s_noise) && options.s_noise >= 0, function, "s_noise", [&] { return number(options.s_noise); },
      "needs a finite value of at least 0");
}

/// gamma_i: 0 leaves the level as it is.
inline double churn_factor(double sigma, std::int64_t steps, const sampler_options& options) {
  if (!(sigma >= options.s_min && sigma <= options.s_max)) return 0;
  const double gamma = options.s_churn / static_cast<double>(steps);
  const double most = 0.41421356237309505;  // sqrt(2) - 1: the noise at most doubles in variance
  return gamma < most ? gamma : most;
}

/// EDM's algorithm 2. `state` is x_i, then x_hat, then x_{i+1}; `trial` and `denoised_trial` serve Heun's second evaluation.
template <bool Heun, executor Exec, class Denoiser, class T, std::size_t Rank, class Observer>
void sample(const Exec& exec, Denoiser& denoiser, std::span<const double> sigmas, const view<T, Rank>& state,
            const sampler_options& options, Observer& observer, const char* function) {
  check_sampler(sigmas, options, function);
  check_state(state, function, "state");
  tessera::detail::check_disjoint(state, view<const double, 1>(sigmas.data(), std::ssize(sigmas)), function, "state", "sigmas");
  const std::int64_t size = state.size();
  if (size == 0) return;

  tessera::detail::bump needed;
  for (int i = 0; i < (Heun ? 3 : 1); ++i) needed.take<T>(size);
  const tessera::detail::scratch memory(exec.memory(), needed.bytes());
  tessera::detail::bump block(memory.data());
  const view<T, Rank> denoised = dense_like(state, block.take<T>(size));
  const view<T, Rank> trial = Heun ? dense_like(state, block.take<T>(size)) : denoised;
  const view<T, Rank> denoised_trial = Heun ? dense_like(state, block.take<T>(size)) : denoised;

  const std::int64_t steps = std::ssize(sigmas) - 1;
  for (std::int64_t i = 0; i < steps; ++i) {
    const double sigma = sigmas[static_cast<std::size_t>(i)];
    const double next = sigmas[static_cast<std::size_t>(i) + 1];
    const double gamma = churn_factor(sigma, steps, options);
    const double hat = sigma + gamma * sigma;
    if (gamma > 0 && options.s_noise > 0) {
      noise_address noise = options.noise;
      noise.stream += 1 + static_cast<std::uint64_t>(i);
      // sqrt(hat^2 - sigma^2) without the difference
      add_scaled_noise(exec, state, sigma * std::sqrt(gamma * (2 + gamma)) * options.s_noise, noise);
    }
    denoiser(view<const T, Rank>(state), hat, denoised);

    // x_hat + (next - hat) d with d = (x_hat - D) / hat, written so that the step to level 0 ends on D itself.
    const double keep = next / hat;
    const bool second = Heun && next > 0;
    const view<T, Rank> target = second ? trial : state;
    for_each_run(
        exec,
        [keep](std::int64_t, std::int64_t count, const T* x, const T* d, T* y) {
          for (std::int64_t e = 0; e < count; ++e) {
            const double mean = static_cast<double>(d[e]);
            y[e] = static_cast<T>(mean + keep * (static_cast<double>(x[e]) - mean));
          }
        },
        state, denoised, target);
    if (second) {
      denoiser(view<const T, Rank>(trial), next, denoised_trial);
      const double half_step = 0.5 * (next - hat);
      const double begin = half_step / hat;
      const double end = half_step / next;
      for_each_run(
          exec,
          [begin, end](std::int64_t, std::int64_t count, T* x, const T* d, const T* y, const T* dy) {
            for (std::int64_t e = 0; e < count; ++e) {
              // Two statements with one product each: however the compiler contracts them, it can do so in one way only.
              const double at = static_cast<double>(x[e]);
              const double half_way = at + begin * (at - static_cast<double>(d[e]));
              x[e] = static_cast<T>(half_way + end * (static_cast<double>(y[e]) - static_cast<double>(dy[e])));
            }
          },
          state, denoised, trial, denoised_trial);
    }
    observer(sampler_step<T, Rank>{i, steps, sigma, hat, next, state, denoised});
  }
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
