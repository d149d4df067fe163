// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Gaussian noise on a batch of samples, addressed so that a sample's noise never depends on its neighbours.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/diffusion/noise_address.hpp"
#include "tessera/diffusion/state.hpp"
#include "tessera/exec/seq.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::diffusion {

namespace detail {

/// element = f(element, z) for every element of x.
template <executor Exec, class T, std::size_t Rank, class F>
void for_each_noise(const Exec& exec, const view<T, Rank>& x, const noise_address& noise, F f) {
  const std::uint64_t first = noise.first_sample * static_cast<std::uint64_t>(sample_size(x));
  for_each_run(
      exec,
      [=](std::int64_t index, std::int64_t count, T* run) {
        float z[elements_per_item];
        random::fill_normal(basic_seq<typename Exec::arch>{}, view<float, 1>(z, count), noise.seed, noise.stream,
                            first + static_cast<std::uint64_t>(index));
        for (std::int64_t e = 0; e < count; ++e) run[e] = f(run[e], static_cast<double>(z[e]));
      },
      x);
}

/// x += scale z, rounded once.
template <executor Exec, class T, std::size_t Rank>
void add_scaled_noise(const Exec& exec, const view<T, Rank>& x, double scale, const noise_address& noise) {
  for_each_noise(exec, x, noise, noise_added{scale});
}

}  // namespace detail

/// Where a sampler starts: state = sigma z, z ~ N(0, 1).
///
/// Shapes          state [samples, ...], float or double
/// Cost            one normal an element; no scratch
/// Determinism     the bits depend on noise and the element's place only (see noise_address)
/// Errors          argument_error for null data, samples that are not dense, or a sigma that is negative or not finite
template <executor Exec, state_view State>
void initial_noise(const Exec& exec, double sigma, const State& state, const noise_address& noise = {}) {
  const view_of<State> x(state);
  detail::check_sigma(sigma, "diffusion::initial_noise");
  detail::check_state(x, "diffusion::initial_noise", "state");
  detail::for_each_noise(exec, x, noise, detail::noise_alone{sigma});
}

/// The forward process: state += sigma z, z ~ N(0, 1). At one address z is that of initial_noise; the rest is as there.
template <executor Exec, state_view State>
void add_noise(const Exec& exec, double sigma, const State& state, const noise_address& noise = {}) {
  const view_of<State> x(state);
  detail::check_sigma(sigma, "diffusion::add_noise");
  detail::check_state(x, "diffusion::add_noise", "state");
  detail::add_scaled_noise(exec, x, sigma, noise);
}

}  // namespace tessera::diffusion
