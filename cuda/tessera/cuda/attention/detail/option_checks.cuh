// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What calls on a device ask of the options of attention besides what every call asks.
#pragma once

#include <cstdint>

#include "tessera/attention/detail/checks.hpp"
#include "tessera/attention/mapped.hpp"
#include "tessera/attention/mask.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/attention/score.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/pointers.cuh"

namespace tessera::cuda::attention::detail {

/// Masks and scores of the library that hold arrays: theirs are to be on the device, too.
template <class X>
void check_part_memory(const executor&, const X&, const char*) {}
template <class Id>
void check_part_memory(const executor& exec, const tessera::attention::documents<Id>& x, const char* function) {
  cuda::detail::check_memory(exec, x.of_query, function, "options.mask.of_query");
  cuda::detail::check_memory(exec, x.of_key, function, "options.mask.of_key");
}
inline void check_part_memory(const executor& exec, const tessera::attention::tree& x, const char* function) {
  cuda::detail::check_memory(exec, x.rows, function, "options.mask.rows");
}
template <class B>
void check_part_memory(const executor& exec, const tessera::attention::dense_mask<B>& x, const char* function) {
  cuda::detail::check_memory(exec, x.seen, function, "options.mask.seen");
}
inline void check_part_memory(const executor& exec, const tessera::attention::alibi& x, const char* function) {
  cuda::detail::check_memory(exec, x.slopes, function, "options.score.slopes");
}
template <class B>
void check_part_memory(const executor& exec, const tessera::attention::additive_bias<B>& x, const char* function) {
  cuda::detail::check_memory(exec, x.bias, function, "options.score.bias");
}
// Named ahead: a mask of masks finds those that come after it by no other way.
template <class A>
void check_part_memory(const executor& exec, const tessera::attention::inverted<A>& x, const char* function);
template <class A>
void check_part_memory(const executor& exec, const tessera::attention::mapped<A>& x, const char* function);
template <tessera::attention::detail::join How, class A, class B>
void check_part_memory(const executor& exec, const tessera::attention::joined<How, A, B>& x, const char* function) {
  check_part_memory(exec, x.a, function);
  check_part_memory(exec, x.b, function);
}
template <class A>
void check_part_memory(const executor& exec, const tessera::attention::inverted<A>& x, const char* function) {
  check_part_memory(exec, x.a, function);
}
template <class A>
void check_part_memory(const executor& exec, const tessera::attention::mapped<A>& x, const char* function) {
  check_part_memory(exec, x.mask, function);
  cuda::detail::check_memory(exec, x.blocks, function, "options.mask.blocks");
}
template <class A, class B>
void check_part_memory(const executor& exec, const tessera::attention::chained_scores<A, B>& x, const char* function) {
  check_part_memory(exec, x.first, function);
  check_part_memory(exec, x.second, function);
}

template <class Mask, class Score, class Accumulation>
void check_option_memory(const executor& exec, const tessera::attention::options<Mask, Score, Accumulation>& options,
                         const char* function) {
  cuda::detail::check_memory(exec, options.sinks, function, "options.sinks");
  cuda::detail::check_memory(exec, options.key_scales, function, "options.key_scales");
  cuda::detail::check_memory(exec, options.value_scales, function, "options.value_scales");
  cuda::detail::check_memory(exec, options.rotary.cos, function, "options.rotary.cos");
  cuda::detail::check_memory(exec, options.rotary.sin, function, "options.rotary.sin");
  check_part_memory(exec, options.mask, function);
  check_part_memory(exec, options.score, function);
}

/// Refuses masks and scores that fit no sequence, of lengths that only the device can read: what a check asks of lengths is not asked. `heads` as in
/// the call.
template <class X>
void check_part_of_any_length(const X&, const char*, std::int64_t) {}
inline void check_part_of_any_length(const tessera::attention::band& x, const char* function, std::int64_t heads) {
  x.check(function, {1, heads, 1, 1});
}
inline void check_part_of_any_length(const tessera::attention::softcap& x, const char* function, std::int64_t heads) {
  x.check(function, {1, heads, 1, 1});
}
inline void check_part_of_any_length(const tessera::attention::alibi& x, const char* function, std::int64_t heads) {
  x.check(function, {1, heads, 1, 1});
}
template <class A>
void check_part_of_any_length(const tessera::attention::inverted<A>& x, const char* function, std::int64_t heads);
template <class A>
void check_part_of_any_length(const tessera::attention::mapped<A>& x, const char* function, std::int64_t heads);
template <tessera::attention::detail::join How, class A, class B>
void check_part_of_any_length(const tessera::attention::joined<How, A, B>& x, const char* function, std::int64_t heads) {
  check_part_of_any_length(x.a, function, heads);
  check_part_of_any_length(x.b, function, heads);
}
template <class A>
void check_part_of_any_length(const tessera::attention::inverted<A>& x, const char* function, std::int64_t heads) {
  check_part_of_any_length(x.a, function, heads);
}
template <class A>
void check_part_of_any_length(const tessera::attention::mapped<A>& x, const char* function, std::int64_t heads) {
  check_part_of_any_length(x.mask, function, heads);
}
template <class A, class B>
void check_part_of_any_length(const tessera::attention::chained_scores<A, B>& x, const char* function, std::int64_t heads) {
  check_part_of_any_length(x.first, function, heads);
  check_part_of_any_length(x.second, function, heads);
}

/// Refuses first positions that the tables do not have; where a sequence ends only the device can read.
inline void check_first_positions(const char* function, const tessera::attention::rotary& by, std::int64_t total_q,
                                  std::int64_t total_k) {
  using tessera::attention::detail::check_positions;
  if (!by.rotates()) return;
  if (by.keys) check_positions(function, by, "options.rotary.first_key", by.first_key, total_k > 0 ? 1 : 0);
  if (by.queries && by.first_query) {
    check_positions(function, by, "options.rotary.first_query", *by.first_query, total_q > 0 ? 1 : 0);
  }
}

/// Refuses options that belong to no ragged batch of [heads, total_q, head_dim] beside [kv_heads, total_k, head_dim], computed in T; the factor of
/// q . k.
template <class T, class Mask, class Score, class Accumulation>
double check_ragged_options(const char* function, std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim,
                            std::int64_t total_q, std::int64_t total_k,
                            const tessera::attention::options<Mask, Score, Accumulation>& options) {
  const double scale = tessera::attention::detail::check_head_options<T>(function, heads, kv_heads, head_dim, options);
  check_part_of_any_length(options.mask, function, heads);
  check_part_of_any_length(options.score, function, heads);
  check_first_positions(function, options.rotary, total_q, total_k);
  tessera::attention::detail::check_dropout(function, options, heads, total_q, total_k);
  return scale;
}

/// Refuses to rotate rows of 8 bits: their copies have their type, and would be rounded to it once more.
template <class Q, class K, class Options>
void check_rotated_types(const Options& options, const char* function) {
  const auto& by = options.rotary;
  tessera::detail::expects(
      sizeof(Q) > 1 || !by.rotates() || !by.queries, function, "options.rotary.queries", [] { return "true"; },
      "needs false where queries have 8 bits, on a CUDA device: rotate them before they are rounded");
  tessera::detail::expects(
      sizeof(K) > 1 || !by.rotates() || !by.keys, function, "options.rotary.keys", [] { return "true"; },
      "needs false where keys have 8 bits, on a CUDA device: rotate them before they are rounded");
}

}  // namespace tessera::cuda::attention::detail
