// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Runs of elements written past the caches.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/simd/pack.hpp"

namespace tessera::detail {

/// Outputs from this many bytes on are streamed: they would not stay in the caches, and a line that is written whole need not be read.
inline constexpr std::int64_t smallest_streamed_output = std::int64_t{4} << 20;

/// True where `size` elements, in runs of `run`, are better written past the caches.
template <class Out>
TESSERA_ALWAYS_INLINE bool worth_streaming(std::int64_t size, std::int64_t run) {
  constexpr std::int64_t longest_broken = 4096;  // bytes; the lines at both ends of a run are written in part
  constexpr auto bytes = static_cast<std::int64_t>(sizeof(Out));
  return size * bytes >= smallest_streamed_output && run * bytes >= longest_broken;
}

/// Rule::run(in, out, n) with out's whole cache lines streamed, made in a buffer of a few lines. Call stream_fence afterwards.
template <class Arch, class Rule, class In, class Out>
TESSERA_ALWAYS_INLINE void stream_run(const In* in, Out* out, std::int64_t n) {
  using P = simd::pack<float, Arch>;
  constexpr std::int64_t line = 64;
  constexpr std::int64_t block = 2048 / static_cast<std::int64_t>(sizeof(Out));
  constexpr std::int64_t words = 2048 / 4;
  const auto beyond = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(out) % static_cast<std::uintptr_t>(line));
  const std::int64_t to_line = beyond != 0 ? (line - beyond) / static_cast<std::int64_t>(sizeof(Out)) : 0;
  const std::int64_t head = to_line < n ? to_line : n;
  Rule::run(in, out, head);
  alignas(64) Out buffer[block];
  std::int64_t i = head;
  for (; i + block <= n; i += block) {
    Rule::run(in + i, static_cast<Out*>(buffer), block);
    const auto* const made = reinterpret_cast<const float*>(buffer);
    auto* const target = reinterpret_cast<float*>(out + i);
    for (std::int64_t w = 0; w < words; w += P::lanes) P::load(made + w).stream(target + w);
  }
  Rule::run(in + i, out + i, n - i);
}

}  // namespace tessera::detail
