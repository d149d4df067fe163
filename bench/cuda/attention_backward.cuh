// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// attention::backward on arrays of T: a translation unit for each type.
#pragma once

#include "calls.cuh"
#include "tessera/cuda/attention/backward.cuh"

namespace bench {

template <class T>
void attention_backward_of(cudaStream_t stream, const attention_call& c) {
  using namespace tessera;
  const auto rows = [&](const void* data, std::int64_t heads, std::int64_t length) {
    return view<const T, 4>(static_cast<const T*>(data), c.batch, heads, length, c.head_dim);
  };
  const auto result = [&](void* data, std::int64_t heads, std::int64_t length) {
    return view<T, 4>(static_cast<T*>(data), c.batch, heads, length, c.head_dim);
  };
  attention::backward(
      executor_of(stream, c), rows(c.q, c.heads, c.len_q), rows(c.k, c.kv_heads, c.len_k), rows(c.v, c.kv_heads, c.len_k),
      rows(c.out, c.heads, c.len_q), view<const float, 3>(c.lse, c.batch, c.heads, c.len_q), rows(c.dout, c.heads, c.len_q),
      result(c.dq, c.heads, c.len_q), result(c.dk, c.kv_heads, c.len_k), result(c.dv, c.kv_heads, c.len_k), options_of(c));
}

}  // namespace bench
