// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The calls of library.cu; their kernels are spread over translation units.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <stdexcept>

#include "tessera/attention/mask.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

/// Arrays [batch, heads, length, head_dim], contiguous; lse [batch, heads, len_q], float32. Null lse: not wanted.
struct attention_call {
  const void* q;
  const void* k;
  const void* v;
  void* out;
  float* lse;
  const void* dout;
  void* dq;
  void* dk;
  void* dv;
  std::int64_t batch;
  std::int64_t heads;
  std::int64_t kv_heads;
  std::int64_t len_q;
  std::int64_t len_k;
  std::int64_t head_dim;
  /// The keys that a causal query sees beside its own; negative: all.
  std::int64_t window;
  /// [batch, len_q], of documents.
  const std::int32_t* document;
  /// [batch + 1], of ragged batches; rows then are [total, heads, head_dim], and len_q counts all of them.
  const std::int32_t* offsets;
  /// [batch, len_k / page_size], of caches; k and v then are pages [pages, kv_heads, page_size, head_dim].
  const std::int32_t* table;
  /// [batch]
  const std::int32_t* lengths;
  std::int64_t pages;
  std::int64_t page_size;
  int causal;
  int tf32;
  /// 8: without the kernels that only Hopper has.
  int generation;
};

namespace bench {

/// The executor that a call asks for.
inline tessera::cuda::executor executor_of(cudaStream_t stream, const attention_call& c) {
  const auto exec = tessera::cuda::on(stream);
  auto device = exec.device();
  if (c.generation == 8 && device.capability >= 90) device.capability = 80;
  return tessera::cuda::executor(stream, device).tf32(c.tf32 != 0);
}

inline tessera::attention::options<> options_of(const attention_call& c) {
  using namespace tessera::attention;
  if (c.causal == 0) return {};
  return {.mask = c.window < 0 ? causal : sliding_window(c.window, 0)};
}

/// f(T{}) for the type of a number: 0 float16, 1 bfloat16, 2 float32.
template <class F>
void with_type(int type, const F& f) {
  switch (type) {
    case 0:
      return f(tessera::float16{});
    case 1:
      return f(tessera::bfloat16{});
    case 2:
      return f(float{});
    default:
      throw std::invalid_argument("no such type");
  }
}

template <class T>
void attention_forward_of(cudaStream_t stream, const attention_call& call);
template <class T>
void attention_backward_of(cudaStream_t stream, const attention_call& call);
/// Of bfloat16: causal within documents, ragged and causal, and over a cache in pages.
void attention_documents(cudaStream_t stream, const attention_call& call);
void attention_ragged(cudaStream_t stream, const attention_call& call);
void attention_paged(cudaStream_t stream, const attention_call& call);
/// out = softmax(scale queries keys^T) values, of rows [n, depth], [m, depth], [m, depth].
void contract_values(cudaStream_t stream, int type, const void* queries, const void* keys, const void* values, void* out,
                     std::int64_t n, std::int64_t m, std::int64_t depth, double scale);
void neighbours(cudaStream_t stream, int type, const void* queries, const void* keys, std::int64_t n, std::int64_t m,
                std::int64_t depth, std::int64_t k, std::int32_t* where, float* distances);
void cross_entropy(cudaStream_t stream, int type, const void* hidden, const void* weight, const std::int64_t* target,
                   std::int64_t tokens, std::int64_t classes, std::int64_t width, float* loss, float* lse);
void exact_denoiser(cudaStream_t stream, int type, const void* noisy, const void* data, void* out, std::int64_t n, std::int64_t m,
                    std::int64_t width, double sigma);
/// From float32 to bfloat16.
void convert(cudaStream_t stream, const float* in, void* out, std::int64_t n);
/// out = x + 3 y
void transform(cudaStream_t stream, const float* x, const float* y, float* out, std::int64_t n);
void sum(cudaStream_t stream, const float* in, std::int64_t n, float* out);
/// Steps between as many levels, with a denoiser that copies half of its input.
void sample(cudaStream_t stream, bool heun, float* state, std::int64_t samples, std::int64_t width, int steps);
void nearest(cudaStream_t stream, int type, const void* queries, const void* keys, std::int64_t n, std::int64_t m,
             std::int64_t depth, std::int64_t* where);
void normal(cudaStream_t stream, float* out, std::int64_t n, std::uint64_t seed);
void uniform(cudaStream_t stream, float* out, std::int64_t n, std::uint64_t seed);
void add_noise(cudaStream_t stream, float* x, std::int64_t n, double sigma, std::uint64_t seed);
void unscale(cudaStream_t stream, int type, void* gradients, std::int64_t n, const float* scale, float* found);

}  // namespace bench
