// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "calls.cuh"
#include "tessera/cuda/attention/backward.cuh"

void bench::attention_backward(cudaStream_t stream, int type, const attention_call& c) {
  using namespace tessera;
  with_type(type, [&]<class T>(T) {
    const auto rows = [&](const void* data, std::int64_t heads, std::int64_t length) {
      return view<const T, 4>(static_cast<const T*>(data), c.batch, heads, length, c.head_dim);
    };
    const auto result = [&](void* data, std::int64_t heads, std::int64_t length) {
      return view<T, 4>(static_cast<T*>(data), c.batch, heads, length, c.head_dim);
    };
    const attention::options<> options{.mask = c.causal != 0 ? attention::causal : attention::everything};
    attention::backward(
        cuda::on(stream), rows(c.q, c.heads, c.len_q), rows(c.k, c.kv_heads, c.len_k), rows(c.v, c.kv_heads, c.len_k),
        rows(c.out, c.heads, c.len_q), view<const float, 3>(c.lse, c.batch, c.heads, c.len_q), rows(c.dout, c.heads, c.len_q),
        result(c.dq, c.heads, c.len_q), result(c.dk, c.kv_heads, c.len_k), result(c.dv, c.kv_heads, c.len_k), options);
  });
}
