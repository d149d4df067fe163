// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Two views of one shape walked in blocks of elements side by side, whatever their strides, and written past the caches where they are large.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/exec/exec.hpp"
#include "tessera/simd/pack.hpp"
#include "tessera/tile/detail/elementwise.hpp"
#include "tessera/tile/detail/streaming.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::training::detail {

/// Elements of a block, which lie in the nearest cache.
inline constexpr std::int64_t element_block = 2048;
/// Elements of a chunk, which one thread takes at a time.
inline constexpr std::int64_t element_chunk = 1 << 16;

/// f(in, out, n) for blocks of a run. Not inlined: it is the code of a pair of types, whatever the rank.
template <class Arch, class In, class Out, class F>
TESSERA_NOINLINE void run_blocks(const In* in, std::int64_t in_step, Out* out, std::int64_t out_step, std::int64_t n,
                                 bool streamed, F& f) {
  using P = simd::pack<float, Arch>;
  constexpr std::int64_t words = element_block * static_cast<std::int64_t>(sizeof(Out)) / 4;
  const bool side_by_side = n == 1 || (in_step == 1 && out_step == 1);
  alignas(64) In from[element_block];
  alignas(64) Out to[element_block];
  for (std::int64_t done = 0; done < n; done += element_block) {
    const std::int64_t length = n - done < element_block ? n - done : element_block;
    if (!side_by_side) {
      for (std::int64_t i = 0; i < length; ++i) from[i] = in[(done + i) * in_step];
      f(static_cast<const In*>(from), static_cast<Out*>(to), length);
      for (std::int64_t i = 0; i < length; ++i) out[(done + i) * out_step] = to[i];
    } else if (streamed && length == element_block && reinterpret_cast<std::uintptr_t>(out + done) % P::alignment == 0) {
      f(in + done, static_cast<Out*>(to), length);
      const auto* const made = reinterpret_cast<const float*>(to);
      auto* const target = reinterpret_cast<float*>(out + done);
      for (std::int64_t w = 0; w < words; w += P::lanes) P::load(made + w).stream(target + w);
    } else {
      f(in + done, out + done, length);
    }
  }
  if (streamed) simd::stream_fence();
}

/// The chunks of a view, for results of each.
template <class Out, std::size_t Rank>
std::int64_t element_chunks(const view<Out, Rank>& out) {
  return out.size() == 0 ? 0 : (out.size() - 1) / element_chunk + 1;
}

/// f(chunk, in, out, n) for all elements of two views of one shape, each once, those of a chunk by one thread.
template <class Exec, class In, class Out, std::size_t Rank, class F>
void for_each_element_block(const Exec& exec, const view<const In, Rank>& in, const view<Out, Rank>& out, F f) {
  const std::int64_t size = out.size();
  if (size == 0) return;
  const auto axes = tessera::detail::merged_axes(in, out, true);
  const std::int64_t in_step = axes.in_stride[Rank - 1];
  const std::int64_t out_step = axes.out_stride[Rank - 1];
  const bool streamed = in_step == 1 && out_step == 1 && tessera::detail::worth_streaming<Out>(size, axes.extent[Rank - 1]);
  constexpr auto bytes = static_cast<std::int64_t>(sizeof(In) + sizeof(Out));
  tessera::detail::for_each_worth(exec, static_cast<double>(size * bytes), element_chunks(out), [&](int, std::int64_t chunk) {
    const std::int64_t begin = chunk * element_chunk;
    const std::int64_t end = size - begin < element_chunk ? size : begin + element_chunk;
    const auto block = [&](const In* from, Out* to, std::int64_t n) { f(chunk, from, to, n); };
    tessera::detail::for_each_run(axes, begin, end, [&](std::int64_t, std::int64_t in_at, std::int64_t out_at, std::int64_t n) {
      run_blocks<typename Exec::arch>(in.data_handle() + in_at, in_step, out.data_handle() + out_at, out_step, n, streamed,
                                      block);
    });
  });
}

}  // namespace tessera::training::detail
