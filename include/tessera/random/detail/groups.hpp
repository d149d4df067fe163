// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Views filled by whole groups of indices, for distributions that work on many addresses at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/fill.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random::detail {

/// Fills a view, checked before, with the numbers at first, first + 1 … (modulo 2^64). `make(index, values)` writes the Group numbers
/// from `index` on, a multiple of Group; of the first and the last group only a part may be used. Group divides fill_chunk.
template <std::int64_t Group, class Executor, class T, std::size_t Rank, class Make>
void fill_groups(const Executor& exec, const view<T, Rank>& out, std::uint64_t first, Make make) {
  static_assert(fill_chunk % Group == 0);
  const std::int64_t size = out.size();
  if (size == 0) return;
  T* const flat = contiguous(out) ? out.data_handle() : nullptr;
  const auto lead = static_cast<std::int64_t>(first % static_cast<std::uint64_t>(fill_chunk));
  const std::int64_t chunks = (lead + (size - 1)) / fill_chunk + 1;
  exec.for_each(chunks, [&](int, std::int64_t chunk) {
    const std::int64_t begin = chunk == 0 ? 0 : chunk * fill_chunk - lead;
    const std::int64_t end = size - begin < fill_chunk ? size : (chunk + 1) * fill_chunk - lead;
    alignas(64) T buffer[static_cast<std::size_t>(Group)];
    for (std::int64_t at = begin; at < end;) {
      const std::uint64_t index = first + static_cast<std::uint64_t>(at);
      const auto skip = static_cast<std::int64_t>(index % static_cast<std::uint64_t>(Group));
      const std::int64_t take = Group - skip < end - at ? Group - skip : end - at;
      if (take == Group && flat != nullptr) {
        make(index, flat + at);
      } else {
        make(index - static_cast<std::uint64_t>(skip), static_cast<T*>(buffer));
        if (flat == nullptr) {
          scatter(out, at, static_cast<const T*>(buffer + skip), take);
        } else {
          for (std::int64_t i = 0; i < take; ++i) flat[at + i] = buffer[skip + i];
        }
      }
      at += take;
    }
  });
}

}  // namespace tessera::random::detail
