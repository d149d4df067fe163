// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "calls.cuh"
#include "tessera/cuda/attention/forward.cuh"

namespace {

using tessera::view;
namespace attention = tessera::attention;
using number = tessera::bfloat16;

const number* numbers(const void* x) { return static_cast<const number*>(x); }

view<const number, 4> rows(const void* data, const attention_call& c, std::int64_t heads, std::int64_t length) {
  return view<const number, 4>(numbers(data), c.batch, heads, length, c.head_dim);
}

/// [heads, total, head_dim] of rows [total, heads, head_dim].
template <class T>
view<T, 3> heads_of(T* data, const attention_call& c, std::int64_t heads, std::int64_t total) {
  return {data, {heads, total, c.head_dim}, {c.head_dim, heads * c.head_dim, 1}};
}

view<number, 4> result(const attention_call& c) {
  return view<number, 4>(static_cast<number*>(c.out), c.batch, c.heads, c.len_q, c.head_dim);
}

}  // namespace

void bench::attention_documents(cudaStream_t stream, const attention_call& c) {
  const view<const std::int32_t, 2> of(c.document, c.batch, c.len_q);
  const auto mask = attention::causal & attention::documents<std::int32_t>{of, of};
  attention::forward(executor_of(stream, c), rows(c.q, c, c.heads, c.len_q), rows(c.k, c, c.kv_heads, c.len_k),
                     rows(c.v, c, c.kv_heads, c.len_k), result(c),
                     attention::options<std::remove_const_t<decltype(mask)>>{.mask = mask});
}

void bench::attention_ragged(cudaStream_t stream, const attention_call& c) {
  const view<const std::int32_t, 1> offsets(c.offsets, c.batch + 1);
  attention::forward(executor_of(stream, c), heads_of(numbers(c.q), c, c.heads, c.len_q),
                     heads_of(numbers(c.k), c, c.kv_heads, c.len_k), heads_of(numbers(c.v), c, c.kv_heads, c.len_k),
                     heads_of(static_cast<number*>(c.out), c, c.heads, c.len_q), attention::ragged{offsets, offsets},
                     options_of(c));
}

void bench::attention_paged(cudaStream_t stream, const attention_call& c) {
  const view<const number, 4> keys(numbers(c.k), c.pages, c.kv_heads, c.page_size, c.head_dim);
  const view<const number, 4> values(numbers(c.v), c.pages, c.kv_heads, c.page_size, c.head_dim);
  const attention::paged<const number, const number> cache{keys, values,
                                                           view<const std::int32_t, 2>(c.table, c.batch, c.len_k / c.page_size),
                                                           view<const std::int32_t, 1>(c.lengths, c.batch)};
  attention::forward(executor_of(stream, c), rows(c.q, c, c.heads, c.len_q), cache, result(c), options_of(c));
}
