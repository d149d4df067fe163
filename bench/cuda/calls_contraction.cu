// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "calls.cuh"
#include "tessera/cuda/diffusion/exact_denoiser.cuh"
#include "tessera/cuda/tile/contraction.cuh"
#include "tessera/cuda/tile/nearest.cuh"
#include "tessera/cuda/training/linear_cross_entropy.cuh"
#include "tessera/online/softmax.hpp"

namespace {

template <class T>
tessera::view<const T, 2> rows(const void* data, std::int64_t n, std::int64_t width) {
  return tessera::view<const T, 2>(static_cast<const T*>(data), n, width);
}

}  // namespace

void bench::contract_values(cudaStream_t stream, int type, const void* queries, const void* keys, const void* values, void* out,
                            std::int64_t n, std::int64_t m, std::int64_t depth, double scale) {
  with_type(type, [&]<class T>(T) {
    tessera::contract(tessera::cuda::on(stream), rows<T>(queries, n, depth), rows<T>(keys, m, depth), rows<T>(values, m, depth),
                      tessera::scaled_dot{scale}, tessera::softmax{}, tessera::view<T, 2>(static_cast<T*>(out), n, depth));
  });
}

void bench::neighbours(cudaStream_t stream, int type, const void* queries, const void* keys, std::int64_t n, std::int64_t m,
                       std::int64_t depth, std::int64_t k, std::int32_t* where, float* distances) {
  with_type(type, [&]<class T>(T) {
    tessera::nearest(tessera::cuda::on(stream), rows<T>(queries, n, depth), rows<T>(keys, m, depth), k,
                     tessera::view<std::int32_t, 2>(where, n, k), tessera::view<float, 2>(distances, n, k));
  });
}

void bench::cross_entropy(cudaStream_t stream, int type, const void* hidden, const void* weight, const std::int64_t* target,
                          std::int64_t tokens, std::int64_t classes, std::int64_t width, float* loss, float* lse) {
  with_type(type, [&]<class T>(T) {
    tessera::training::linear_cross_entropy(tessera::cuda::on(stream), rows<T>(hidden, tokens, width),
                                            rows<T>(weight, classes, width), tessera::view<const std::int64_t, 1>(target, tokens),
                                            tessera::view<float, 1>(loss, tokens), tessera::view<float, 1>(lse, tokens));
  });
}

void bench::exact_denoiser(cudaStream_t stream, int type, const void* noisy, const void* data, void* out, std::int64_t n,
                           std::int64_t m, std::int64_t width, double sigma) {
  with_type(type, [&]<class T>(T) {
    tessera::diffusion::exact_denoiser(tessera::cuda::on(stream), rows<T>(noisy, n, width), rows<T>(data, m, width), sigma,
                                       tessera::view<T, 2>(static_cast<T*>(out), n, width));
  });
}
