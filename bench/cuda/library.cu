// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the bench of the GPU calls: a plain C interface over arrays that run.py owns. Each function returns 0, or puts the error into `message`.
#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <stdexcept>

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

using call_type = decltype(bench::attention_forward_of<tessera::bfloat16>);

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }

/// Runs the function of a type: 0 float16, 1 bfloat16, 2 float32, 3 float64.
int attend(std::initializer_list<call_type*> of_types, void* stream, int type, const attention_call& call) {
  return guarded([&] {
    if (type < 0 || type >= static_cast<int>(of_types.size())) throw std::invalid_argument("attention is not timed in this type");
    of_types.begin()[type](stream_of(stream), call);
  });
}

}  // namespace

extern "C" {

const char* tessera_error() { return message; }

/// q, out [batch, heads, len_q, head_dim], k, v [batch, kv_heads, len_k, head_dim].
int tessera_attention_forward(void* stream, int type, const attention_call* call) {
  using namespace tessera;
  return attend({bench::attention_forward_of<float16>, bench::attention_forward_of<bfloat16>, bench::attention_forward_of<float>,
                 bench::attention_forward_of<double>},
                stream, type, *call);
}
int tessera_attention_backward(void* stream, int type, const attention_call* call) {
  using namespace tessera;
  return attend({bench::attention_backward_of<float16>, bench::attention_backward_of<bfloat16>}, stream, type, *call);
}
/// Of bfloat16, whatever the type.
int tessera_attention_documents(void* stream, int, const attention_call* call) {
  return attend({bench::attention_documents}, stream, 0, *call);
}
int tessera_attention_ragged(void* stream, int, const attention_call* call) {
  return attend({bench::attention_ragged}, stream, 0, *call);
}
int tessera_attention_paged(void* stream, int, const attention_call* call) {
  return attend({bench::attention_paged}, stream, 0, *call);
}
int tessera_contract_values(void* stream, int type, const void* queries, const void* keys, const void* values, void* out,
                            std::int64_t n, std::int64_t m, std::int64_t depth, double scale) {
  return guarded([&] { bench::contract_values(stream_of(stream), type, queries, keys, values, out, n, m, depth, scale); });
}
int tessera_neighbours(void* stream, int type, const void* queries, const void* keys, std::int64_t n, std::int64_t m,
                       std::int64_t depth, std::int64_t k, std::int32_t* where, float* distances) {
  return guarded([&] { bench::neighbours(stream_of(stream), type, queries, keys, n, m, depth, k, where, distances); });
}
int tessera_cross_entropy(void* stream, int type, const void* hidden, const void* weight, const std::int64_t* target,
                          std::int64_t tokens, std::int64_t classes, std::int64_t width, float* loss, float* lse) {
  return guarded(
      [&] { bench::cross_entropy(stream_of(stream), type, hidden, weight, target, tokens, classes, width, loss, lse); });
}
int tessera_exact_denoiser(void* stream, int type, const void* noisy, const void* data, void* out, std::int64_t n, std::int64_t m,
                           std::int64_t width, double sigma) {
  return guarded([&] { bench::exact_denoiser(stream_of(stream), type, noisy, data, out, n, m, width, sigma); });
}
int tessera_convert(void* stream, const float* in, void* out, std::int64_t n) {
  return guarded([&] { bench::convert(stream_of(stream), in, out, n); });
}
int tessera_transform(void* stream, const float* x, const float* y, float* out, std::int64_t n) {
  return guarded([&] { bench::transform(stream_of(stream), x, y, out, n); });
}
int tessera_sum(void* stream, const float* in, std::int64_t n, float* out) {
  return guarded([&] { bench::sum(stream_of(stream), in, n, out); });
}
int tessera_sample(void* stream, int heun, float* state, std::int64_t samples, std::int64_t width, int steps) {
  return guarded([&] { bench::sample(stream_of(stream), heun != 0, state, samples, width, steps); });
}
/// where[i] = the key nearest to query i, of rows [n, depth] and [m, depth].
int tessera_nearest(void* stream, int type, const void* queries, const void* keys, std::int64_t n, std::int64_t m,
                    std::int64_t depth, std::int64_t* where) {
  return guarded([&] { bench::nearest(stream_of(stream), type, queries, keys, n, m, depth, where); });
}
int tessera_normal(void* stream, float* out, std::int64_t n, std::uint64_t seed) {
  return guarded([&] { bench::normal(stream_of(stream), out, n, seed); });
}
int tessera_uniform(void* stream, float* out, std::int64_t n, std::uint64_t seed) {
  return guarded([&] { bench::uniform(stream_of(stream), out, n, seed); });
}
/// x += sigma noise, float32.
int tessera_add_noise(void* stream, float* x, std::int64_t n, double sigma, std::uint64_t seed) {
  return guarded([&] { bench::add_noise(stream_of(stream), x, n, sigma, seed); });
}
/// gradients /= scale in place, found = whether one was not finite; bfloat16 or float32.
int tessera_unscale(void* stream, int type, void* gradients, std::int64_t n, const float* scale, float* found) {
  return guarded([&] { bench::unscale(stream_of(stream), type, gradients, n, scale, found); });
}

}  // extern "C"
