// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the bench of the GPU calls: a plain C interface over arrays that run.py owns. Each function returns 0, or puts the error into `message`.
#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstring>
#include <exception>

#include "calls.cuh"

namespace {

thread_local char message[512];

template <class F>
int guarded(const F& f) {
  try {
    f();
    return 0;
  } catch (const std::exception& e) {
    std::strncpy(message, e.what(), sizeof message - 1);
    return 1;
  }
}

}  // namespace

extern "C" {

const char* tessera_error() { return message; }

/// q, out [batch, heads, len_q, head_dim], k, v [batch, kv_heads, len_k, head_dim]; type: 0 float16, 1 bfloat16, 2 float32.
int tessera_attention_forward(void* stream, int type, const attention_call* call) {
  return guarded([&] { bench::attention_forward(static_cast<cudaStream_t>(stream), type, *call); });
}
int tessera_attention_backward(void* stream, int type, const attention_call* call) {
  return guarded([&] { bench::attention_backward(static_cast<cudaStream_t>(stream), type, *call); });
}
/// where[i] = the key nearest to query i, of rows [n, depth] and [m, depth].
int tessera_nearest(void* stream, int type, const void* queries, const void* keys, std::int64_t n, std::int64_t m,
                    std::int64_t depth, std::int64_t* where) {
  return guarded([&] { bench::nearest(static_cast<cudaStream_t>(stream), type, queries, keys, n, m, depth, where); });
}
int tessera_normal(void* stream, float* out, std::int64_t n, std::uint64_t seed) {
  return guarded([&] { bench::normal(static_cast<cudaStream_t>(stream), out, n, seed); });
}
int tessera_uniform(void* stream, float* out, std::int64_t n, std::uint64_t seed) {
  return guarded([&] { bench::uniform(static_cast<cudaStream_t>(stream), out, n, seed); });
}
/// x += sigma noise, float32.
int tessera_add_noise(void* stream, float* x, std::int64_t n, double sigma, std::uint64_t seed) {
  return guarded([&] { bench::add_noise(static_cast<cudaStream_t>(stream), x, n, sigma, seed); });
}
/// gradients /= scale in place, found = whether one was not finite; bfloat16 or float32.
int tessera_unscale(void* stream, int type, void* gradients, std::int64_t n, const float* scale, float* found) {
  return guarded([&] { bench::unscale(static_cast<cudaStream_t>(stream), type, gradients, n, scale, found); });
}

}  // extern "C"
