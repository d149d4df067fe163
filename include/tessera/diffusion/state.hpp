// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The loops over the elements of a sampler's state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/diffusion/state_view.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::diffusion {

namespace detail {

/// Elements of one work item: some microseconds of noise, and the arrays of one item stay in the L2 cache.
inline constexpr std::int64_t elements_per_item = 4096;

/// f(index, count, pointers...) over runs of neighbouring elements that together cover views of one shape: `index` is the number
/// of the run's first element, sample * sample_size + element; each pointer is that element's place in one view.
template <executor Exec, class F, class T, std::size_t Rank, class... Others>
void for_each_run(const Exec& exec, F f, const view<T, Rank>& x, const view<Others, Rank>&... others) {
  const std::int64_t total = x.size();
  if (total == 0) return;
  const std::int64_t size = sample_size(x);
  // Without gaps between the samples of any view, the batch is one long sample: no run is cut short.
  const bool gapless = x.extent(0) == 1 || ((x.stride(0) == size) && ... && (others.stride(0) == size));
  const std::int64_t row = gapless ? total : size;
  exec.for_each((total + elements_per_item - 1) / elements_per_item, [&](int, std::int64_t item) {
    std::int64_t at = item * elements_per_item;
    const std::int64_t end = at + elements_per_item < total ? at + elements_per_item : total;
    while (at < end) {
      const std::int64_t sample = at / row;
      const std::int64_t first = at - sample * row;
      const std::int64_t count = end - at < row - first ? end - at : row - first;
      f(at, count, x.data_handle() + sample * x.stride(0) + first, (others.data_handle() + sample * others.stride(0) + first)...);
      at += count;
    }
  });
}

}  // namespace detail
}  // namespace tessera::diffusion
