// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// attention::forward on arrays of T: a translation unit for each type.
#pragma once

#include "calls.cuh"
#include "tessera/cuda/attention/forward.cuh"

namespace bench {

template <class T>
void attention_forward_of(cudaStream_t stream, const attention_call& c) {
  using namespace tessera;
  const view<const T, 4> q(static_cast<const T*>(c.q), c.batch, c.heads, c.len_q, c.head_dim);
  const view<const T, 4> k(static_cast<const T*>(c.k), c.batch, c.kv_heads, c.len_k, c.head_dim);
  const view<const T, 4> v(static_cast<const T*>(c.v), c.batch, c.kv_heads, c.len_k, c.head_dim);
  const view<T, 4> out(static_cast<T*>(c.out), c.batch, c.heads, c.len_q, c.head_dim);
  const auto options = options_of(c);
  const auto exec = executor_of(stream, c);
  if (c.lse != nullptr) {
    attention::forward(exec, q, k, v, out,
                       view<compute_t<T>, 3>(static_cast<compute_t<T>*>(static_cast<void*>(c.lse)), c.batch, c.heads, c.len_q),
                       options);
  } else {
    attention::forward(exec, q, k, v, out, options);
  }
}

}  // namespace bench
