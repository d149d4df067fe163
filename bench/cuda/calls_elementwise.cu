// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include <array>
#include <vector>

#include "calls.cuh"
#include "tessera/cuda/diffusion/noise.cuh"
#include "tessera/cuda/diffusion/sampler.cuh"
#include "tessera/cuda/random/fill.cuh"
#include "tessera/cuda/reduce.cuh"
#include "tessera/cuda/tile/convert.cuh"
#include "tessera/cuda/training/unscale.cuh"
#include "tessera/cuda/transform.cuh"

namespace {

struct axpy {
  TESSERA_HD float operator()(float x, float y) const { return x + 3 * y; }
};
struct halved {
  TESSERA_HD float operator()(float x) const { return x / 2; }
};

}  // namespace

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
void bench::convert(cudaStream_t stream, const float* in, void* out, std::int64_t n) {
  tessera::convert(tessera::cuda::on(stream), tessera::view<const float, 1>(in, n),
                   tessera::view<tessera::bfloat16, 1>(static_cast<tessera::bfloat16*>(out), n));
}
void bench::transform(cudaStream_t stream, const float* x, const float* y, float* out, std::int64_t n) {
  tessera::cuda::transform(tessera::cuda::on(stream), axpy{}, tessera::view<float, 1>(out, n),
                           tessera::view<const float, 1>(x, n), tessera::view<const float, 1>(y, n));
}
void bench::sum(cudaStream_t stream, const float* in, std::int64_t n, float* out) {
  tessera::cuda::sum(tessera::cuda::on(stream), tessera::view<const float, 1>(in, n), tessera::view<float, 1>(out, 1));
}
void bench::sample(cudaStream_t stream, bool heun, float* state, std::int64_t samples, std::int64_t width, int steps) {
  const auto exec = tessera::cuda::on(stream);
  const tessera::view<float, 2> x(state, samples, width);
  std::vector<double> sigmas;
  for (int i = 0; i <= steps; ++i) sigmas.push_back(1 + steps - i);
  const auto denoiser = [&](const auto& noisy, double, const auto& out) { tessera::cuda::transform(exec, halved{}, out, noisy); };
  heun ? tessera::diffusion::heun(exec, denoiser, sigmas, x) : tessera::diffusion::euler(exec, denoiser, sigmas, x);
}
