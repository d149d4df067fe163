// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// EDM's algorithm 2, over the steps of any device.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/diffusion/detail/number.hpp"
#include "tessera/diffusion/noise_address.hpp"
#include "tessera/diffusion/sampler_options.hpp"
#include "tessera/diffusion/state_view.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::diffusion::detail {

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

/// x_hat + (next - hat) d with d = (x_hat - D) / hat, written so that the step to level 0 ends on D itself; keep = next / hat.
struct euler_step {
  double keep;

  template <class T>
  TESSERA_HD T operator()(T x, T denoised) const {
    const double mean = static_cast<double>(denoised);
    return static_cast<T>(mean + keep * (static_cast<double>(x) - mean));
  }
};

/// x_hat + (next - hat) (d + d') / 2 with d' = (trial - D') / next; begin and end are half of next - hat over hat and next.
struct heun_step {
  double begin;
  double end;

  template <class T>
  TESSERA_HD T operator()(T x, T denoised, T trial, T denoised_trial) const {
    // Two statements with one product each: however the compiler contracts them, it can do so in one way only.
    const double at = static_cast<double>(x);
    const double half_way = at + begin * (at - static_cast<double>(denoised));
    return static_cast<T>(half_way + end * (static_cast<double>(trial) - static_cast<double>(denoised_trial)));
  }
};

/// The arrays of a sampler. `state` is x_i, then x_hat, then x_{i+1}; `trial` and `denoised_trial` serve Heun's second evaluation.
template <class T, std::size_t Rank>
struct sampler_arrays {
  view<T, Rank> state;
  view<T, Rank> denoised;
  view<T, Rank> trial;
  view<T, Rank> denoised_trial;

  /// Scratch states cut from a block by `take`, all or what Euler's steps need.
  template <class Bump>
  static sampler_arrays over(bool heun, const view<T, Rank>& state, Bump& block) {
    const std::int64_t size = state.size();
    const view<T, Rank> denoised = dense_like(state, block.template take<T>(size));
    if (!heun) return {state, denoised, denoised, denoised};
    const view<T, Rank> trial = dense_like(state, block.template take<T>(size));
    return {state, denoised, trial, dense_like(state, block.template take<T>(size))};
  }
};

/// `steps` does the work on a device:
///   steps.add_noise(x, scale, noise)         x += scale z
///   steps.apply(f, out, in …)                out = f(in …) for every element
template <bool Heun, class Steps, class Denoiser, class T, std::size_t Rank, class Observer>
void sampler_loop(const Steps& steps, Denoiser& denoiser, std::span<const double> sigmas, const sampler_arrays<T, Rank>& a,
                  const sampler_options& options, Observer& observer) {
  const std::int64_t count = std::ssize(sigmas) - 1;
  for (std::int64_t i = 0; i < count; ++i) {
    const double sigma = sigmas[static_cast<std::size_t>(i)];
    const double next = sigmas[static_cast<std::size_t>(i) + 1];
    const double gamma = churn_factor(sigma, count, options);
    const double hat = sigma + gamma * sigma;
    if (gamma > 0 && options.s_noise > 0) {
      noise_address noise = options.noise;
      noise.stream += 1 + static_cast<std::uint64_t>(i);
      // sqrt(hat^2 - sigma^2) without the difference
      steps.add_noise(a.state, sigma * std::sqrt(gamma * (2 + gamma)) * options.s_noise, noise);
    }
    denoiser(view<const T, Rank>(a.state), hat, a.denoised);
    const bool second = Heun && next > 0;
    steps.apply(euler_step{next / hat}, second ? a.trial : a.state, a.state, a.denoised);
    if (second) {
      denoiser(view<const T, Rank>(a.trial), next, a.denoised_trial);
      const double half_step = 0.5 * (next - hat);
      steps.apply(heun_step{half_step / hat, half_step / next}, a.state, a.state, a.denoised, a.trial, a.denoised_trial);
    }
    observer(sampler_step<T, Rank>{i, count, sigma, hat, next, a.state, a.denoised});
  }
}

}  // namespace tessera::diffusion::detail
