// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Noise and samplers in device code.
#include <vector>

#include "tessera/cuda/diffusion.cuh"
#include "tessera/numeric/bfloat16.hpp"

namespace diffusion_device {

template <class T>
void all(const tessera::cuda::executor& exec, const tessera::view<T, 3>& state) {
  namespace diffusion = tessera::diffusion;
  const auto denoiser = [](const tessera::view<const T, 3>&, double, const tessera::view<T, 3>&) {};
  const std::vector<double> sigmas{80, 1, 0};
  const auto network = [](const auto&, double, const auto&) {};
  diffusion::heun(exec, diffusion::preconditioned<tessera::bfloat16>(exec, network), sigmas, state);
  diffusion::initial_noise(exec, 80, state);
  diffusion::add_noise(exec, 1, state);
  diffusion::euler(exec, denoiser, sigmas, state, {.s_churn = 1});
  diffusion::heun(exec, denoiser, sigmas, state, {.s_churn = 1});
}

void all_types(const tessera::cuda::executor& exec) {
  all(exec, tessera::view<float, 3>());
  all(exec, tessera::view<double, 3>());
}

}  // namespace diffusion_device
