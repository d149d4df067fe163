// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What samplers are told, and tell: the same on any device.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "tessera/diffusion/noise_address.hpp"
#include "tessera/diffusion/state_view.hpp"

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

}  // namespace tessera::diffusion
