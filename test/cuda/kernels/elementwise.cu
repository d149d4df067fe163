// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// target sm_80: 64 registers, of which 1024 threads share a multiprocessor's 65536: with 32 bytes each under way, what hides the latency of memory
// target sm_90: 64 registers
/// \file
/// The kernels that walk arrays, as users get them: noise, samplers, gradients.
#include <vector>

#include "tessera/cuda/diffusion.cuh"
#include "tessera/cuda/random/fill.cuh"
#include "tessera/cuda/training/unscale.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

namespace {

template <class In, class Out>
void unscale(const tessera::cuda::executor& exec) {
  const std::vector<tessera::view<In, 1>> scaled;
  const std::vector<tessera::view<Out, 1>> out;
  tessera::training::unscale(exec, scaled, out, tessera::view<const float, 1>(), tessera::view<float, 1>());
}

}  // namespace

void launch_all(const tessera::cuda::executor& exec) {
  const tessera::view<float, 2> state;
  tessera::random::fill_normal(exec, state, 1, 2);
  tessera::random::fill_normal(exec, tessera::view<tessera::bfloat16, 1>(), 1, 2);
  tessera::random::fill_gumbel(exec, state, 1, 2);
  tessera::diffusion::add_noise(exec, 1, state);
  tessera::diffusion::heun(exec, [](const auto&, double, const auto&) {}, std::vector<double>{1, 0}, state);
  unscale<float, float>(exec);
  unscale<tessera::float16, float>(exec);
}
