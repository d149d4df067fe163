// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "calls.cuh"
#include "tessera/cuda/attention/forward.cuh"

void bench::attention_forward(cudaStream_t stream, int type, const attention_call& c) {
  using namespace tessera;
  with_type(type, [&]<class T>(T) {
    const view<const T, 4> q(static_cast<const T*>(c.q), c.batch, c.heads, c.len_q, c.head_dim);
    const view<const T, 4> k(static_cast<const T*>(c.k), c.batch, c.kv_heads, c.len_k, c.head_dim);
    const view<const T, 4> v(static_cast<const T*>(c.v), c.batch, c.kv_heads, c.len_k, c.head_dim);
    const view<T, 4> out(static_cast<T*>(c.out), c.batch, c.heads, c.len_q, c.head_dim);
    const attention::options<> options{.mask = c.causal != 0 ? attention::causal : attention::everything};
    if (c.lse != nullptr) {
      attention::forward(cuda::on(stream), q, k, v, out, view<float, 3>(c.lse, c.batch, c.heads, c.len_q), options);
    } else {
      attention::forward(cuda::on(stream), q, k, v, out, options);
    }
  });
}
