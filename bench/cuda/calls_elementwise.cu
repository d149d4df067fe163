// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include <array>

#include "calls.cuh"
#include "tessera/cuda/diffusion/noise.cuh"
#include "tessera/cuda/random/fill.cuh"
#include "tessera/cuda/training/unscale.cuh"

void bench::normal(cudaStream_t stream, float* out, std::int64_t n, std::uint64_t seed) {
  tessera::random::fill_normal(tessera::cuda::on(stream), tessera::view<float, 1>(out, n), seed, 0);
}
void bench::uniform(cudaStream_t stream, float* out, std::int64_t n, std::uint64_t seed) {
  tessera::random::fill_uniform(tessera::cuda::on(stream), tessera::view<float, 1>(out, n), seed, 0);
}
void bench::add_noise(cudaStream_t stream, float* x, std::int64_t n, double sigma, std::uint64_t seed) {
  tessera::diffusion::add_noise(tessera::cuda::on(stream), sigma, tessera::view<float, 2>(x, std::int64_t{1}, n), {.seed = seed});
}
void bench::unscale(cudaStream_t stream, int type, void* gradients, std::int64_t n, const float* scale, float* found) {
  const tessera::view<const float, 1> by(scale, 1);
  const tessera::view<float, 1> flag(found, 1);
  const auto run = [&]<class T>(T) {
    const std::array out{tessera::view<T, 1>(static_cast<T*>(gradients), n)};
    const std::array in{tessera::view<const T, 1>(static_cast<const T*>(gradients), n)};
    tessera::training::unscale(tessera::cuda::on(stream), in, out, by, flag);
  };
  type == 1 ? run(tessera::bfloat16{}) : run(float{});
}
