// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Gaussian noise on a batch of samples in the memory of a GPU: made where it is added, never stored.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/cuda/elementwise.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/diffusion/noise_address.hpp"
#include "tessera/diffusion/state_view.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/normal.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::diffusion {
namespace detail {

/// out = f(x, z) for the elements whose normal numbers one Philox block makes.
template <class F>
struct chunk_of_noise {
  F f;
  std::uint64_t seed;
  std::uint64_t stream;

  template <class T>
  TESSERA_DEVICE void operator()(std::uint64_t first, cuda::packed<T, 4>& out) const {
    (*this)(first, out, out);
  }
  template <class T>
  TESSERA_DEVICE void operator()(std::uint64_t first, cuda::packed<T, 4>& out, const cuda::packed<T, 4>& x) const {
    const random::philox_block bits = random::philox(seed, stream, first / 4);
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float z = random::detail::number_of<float>(random::detail::normal_law<float>{}, bits, i, {seed, stream, first / 4});
      out[i] = f(x[i], static_cast<double>(z));
    }
  }
};

/// The number of the state's first element in the stream.
template <class T, std::size_t Rank>
std::uint64_t first_number(const view<T, Rank>& x, const noise_address& noise) {
  return noise.first_sample * static_cast<std::uint64_t>(sample_size(x));
}

/// x += scale z, rounded once.
template <class T, std::size_t Rank>
TESSERA_HIDDEN void add_scaled_noise(const cuda::executor& exec, const view<T, Rank>& x, double scale, const noise_address& noise,
                                     const char* function) {
  cuda::detail::elementwise<4, false>(exec, function, chunk_of_noise<noise_added>{{scale}, noise.seed, noise.stream},
                                      first_number(x, noise), x, view<const T, Rank>(x));
}

}  // namespace detail

/// Where a sampler starts: state = sigma z, z ~ N(0, 1), on a GPU.
///
/// Shapes          state [samples, ...], float or double, in the memory of the device
/// Cost            one write of the state: the noise of four elements is a Philox block of the thread that stores them. No scratch
/// Determinism     z has the bits of the CPU's initial_noise: of the place of the element alone (noise_address). sigma z is computed in
///                 float64 and rounded once, so that a float state has the CPU's bits, too
/// Errors          argument_error for null data, host memory, samples that are not dense, or a sigma that is negative or not finite; cuda::error
template <state_view State>
TESSERA_HIDDEN void initial_noise(const cuda::executor& exec, double sigma, const State& state, const noise_address& noise = {}) {
  constexpr const char* function = "diffusion::initial_noise";
  const view_of<State> x(state);
  detail::check_sigma(sigma, function);
  detail::check_state(x, function, "state");
  cuda::detail::check_memory(exec, x, function, "state");
  cuda::detail::elementwise<4, false>(exec, function,
                                      detail::chunk_of_noise<detail::noise_alone>{{sigma}, noise.seed, noise.stream},
                                      detail::first_number(x, noise), x);
}

/// The forward process on a GPU: state += sigma z, z ~ N(0, 1), in one read and one write of the state. At one address z is that of
/// initial_noise; the rest is as there, but that a compiler may round state + sigma z, which is computed in float64, once or twice:
/// a float state agrees with the CPU's but where float64's last bit decides.
template <state_view State>
TESSERA_HIDDEN void add_noise(const cuda::executor& exec, double sigma, const State& state, const noise_address& noise = {}) {
  constexpr const char* function = "diffusion::add_noise";
  const view_of<State> x(state);
  detail::check_sigma(sigma, function);
  detail::check_state(x, function, "state");
  cuda::detail::check_memory(exec, x, function, "state");
  detail::add_scaled_noise(exec, x, sigma, noise, function);
}

}  // namespace tessera::diffusion
