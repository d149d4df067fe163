// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Gaussian noise on a batch of samples, addressed so that a sample's noise never depends on its neighbours.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "tessera/core/error.hpp"
#include "tessera/diffusion/detail/number.hpp"
#include "tessera/diffusion/state.hpp"
#include "tessera/exec/seq.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::diffusion {

/// Where a call takes its noise from.
///
/// Element e of the sample in row r is random::normal<float>(seed, stream, (first_sample + r) * sample_size + e): the same for
/// any batch size, thread count or stride, and in a float as in a double state, so that a run in double shows what float lost.
/// To run rows 100 … 199 apart from rows 0 … 99, set first_sample = 100.
/// A sampler leaves `stream` to the initial noise and takes stream + 1 + i for step i, so one address serves both.
struct noise_address {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
  std::uint64_t first_sample = 0;
};

namespace detail {

/// f(element, z) for every element of x.
template <executor Exec, class T, std::size_t Rank, class F>
void for_each_noise(const Exec& exec, const view<T, Rank>& x, const noise_address& noise, F f) {
  const std::uint64_t first = noise.first_sample * static_cast<std::uint64_t>(sample_size(x));
  for_each_run(
      exec,
      [=](std::int64_t index, std::int64_t count, T* run) {
        float z[elements_per_item];
        random::fill_normal(basic_seq<typename Exec::arch>{}, view<float, 1>(z, count), noise.seed, noise.stream,
                            first + static_cast<std::uint64_t>(index));
        for (std::int64_t e = 0; e < count; ++e) f(run[e], static_cast<double>(z[e]));
      },
      x);
}

inline void check_sigma(double sigma, const char* function) {
  tessera::detail::expects(
      std::isfinite(sigma) && sigma >= 0, function, "sigma", [&] { return number(sigma); }, "needs a finite value of at least 0");
}

/// x += scale z, rounded once.
template <executor Exec, class T, std::size_t Rank>
void add_scaled_noise(const Exec& exec, const view<T, Rank>& x, double scale, const noise_address& noise) {
  for_each_noise(exec, x, noise,
                 [scale](T& element, double z) { element = static_cast<T>(static_cast<double>(element) + scale * z); });
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
  using T = typename State::element_type;
  const view_of<State> x(state);
  detail::check_sigma(sigma, "diffusion::initial_noise");
  detail::check_state(x, "diffusion::initial_noise", "state");
  detail::for_each_noise(exec, x, noise, [sigma](T& element, double z) { element = static_cast<T>(sigma * z); });
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
