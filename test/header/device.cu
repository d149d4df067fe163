// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The light headers in device code, beside CUDA's own half types: kernels that use each of them.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "light_headers.hpp"

namespace {

/// Noise in any storage type, converted to CUDA's half and back.
template <class T>
__global__ void draw(tessera::view<T, 1> out, std::uint64_t seed) {
  const std::int64_t i = threadIdx.x;
  const double z = tessera::random::normal<double>(seed, 0, i) + tessera::random::uniform_open<double>(seed, 1, i);
  const T x(tessera::random::normal<float>(seed, 2, i) * tessera::random::uniform<float>(seed, 3, i) + static_cast<float>(z));
  const __half half = __ushort_as_half(tessera::float16(static_cast<float>(x)).bits);
  const __nv_bfloat16 brain = __ushort_as_bfloat16(tessera::bfloat16(z).bits);
  out(i) = T(__half2float(half) + __bfloat162float(brain));
}

/// One row of scores a thread, folded in two halves that are merged.
template <class Reducer, class Result>
__global__ void fold(tessera::view<float, 2> scores, Reducer reducer, tessera::view<Result, 1> out) {
  const std::int64_t row = threadIdx.x;
  const int half = static_cast<int>(scores.extent(1) / 2);
  auto left = reducer.template identity<float>();
  auto right = left;
  reducer.absorb(left, tessera::score_tile<float>(&scores(row, 0), 1, half, 0));
  reducer.absorb(right, tessera::score_tile<float>(&scores(row, half), 1, half, half));
  out(row) = reducer.finish(reducer.merge(left, right));
}

struct root {
  TESSERA_HD float operator()(float x) const { return tessera::sqrt(x); }
};

template <class Result, class Reducer>
void launch(Reducer reducer) {
  fold<<<1, 32>>>(tessera::view<float, 2>(), reducer, tessera::view<Result, 1>());
}

}  // namespace

void launch_all() {
  draw<<<1, 32>>>(tessera::view<tessera::float16, 1>(), 1);
  draw<<<1, 32>>>(tessera::view<tessera::bfloat16, 1>(), 1);
  draw<<<1, 32>>>(tessera::view<double, 1>(), 1);
  launch<tessera::extremum<float>>(tessera::argmin{});
  launch<tessera::extremum<float>>(tessera::argmax{});
  launch<tessera::top_k<4>::state<float>>(tessera::top_k<4>{});
  launch<tessera::row_moments<float>>(tessera::moments{});
  launch<float>(tessera::softmax{});
  launch<float>(tessera::kernel_sum{root{}});
}
