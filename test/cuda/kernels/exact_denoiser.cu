// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// target sm_80: 255 registers, of which two blocks of 128 threads share a multiprocessor's 65536
/// \file
/// The exact denoiser, as users get it: products that go through memory among its kernels.
#include "tessera/cuda/diffusion/exact_denoiser.cuh"

void denoise(const tessera::cuda::executor& exec, const tessera::view<const float, 2>& noisy,
             const tessera::view<const float, 2>& data, double sigma, const tessera::view<float, 2>& out) {
  tessera::diffusion::exact_denoiser(exec, noisy, data, sigma, out);
}
