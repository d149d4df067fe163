// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The calls of library.cu, each a translation unit's worth of kernels: calls_<name>.cu defines them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <stdexcept>

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
  int causal;
};

namespace bench {

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

void attention_forward(cudaStream_t stream, int type, const attention_call& call);
void attention_backward(cudaStream_t stream, int type, const attention_call& call);
void nearest(cudaStream_t stream, int type, const void* queries, const void* keys, std::int64_t n, std::int64_t m,
             std::int64_t depth, std::int64_t* where);
void normal(cudaStream_t stream, float* out, std::int64_t n, std::uint64_t seed);
void uniform(cudaStream_t stream, float* out, std::int64_t n, std::uint64_t seed);
void add_noise(cudaStream_t stream, float* x, std::int64_t n, double sigma, std::uint64_t seed);
void unscale(cudaStream_t stream, int type, void* gradients, std::int64_t n, const float* scale, float* found);

}  // namespace bench
