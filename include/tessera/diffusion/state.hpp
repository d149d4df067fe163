// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The state of a sampler: a batch of samples in float or double, and the loops over its elements.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/core/error.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::diffusion {

/// What samplers keep and update: [samples, ...] of float or double, rank at least 2.
///
/// The first axis counts samples and may have any stride; each sample is dense. A 16-bit state would lose small steps against
/// large noise, so it is refused: keep the state in float and convert inside the denoiser (`preconditioned<bfloat16>` does).
template <class M>
concept state_view = mdspan_like<M> && (M::rank() >= 2) &&
                     (std::same_as<typename M::element_type, float> || std::same_as<typename M::element_type, double>);

/// The tessera::view of a state.
template <mdspan_like M>
using view_of = view<typename M::element_type, M::rank()>;

namespace detail {

template <class T, std::size_t Rank>
std::int64_t sample_size(const view<T, Rank>& x) {
  std::int64_t n = 1;
  for (std::size_t r = 1; r < Rank; ++r) n *= x.extent(r);
  return n;
}

template <class T, std::size_t Rank>
void check_state(const view<T, Rank>& x, const char* function, const char* argument) {
  tessera::detail::check_operand(x, function, argument);
  std::int64_t dense = 1;
  for (std::size_t r = Rank; r-- > 1;) {
    tessera::detail::expects(
        x.extent(r) <= 1 || x.size() == 0 || x.stride(r) == dense, function, argument,
        [&] { return "stride " + std::to_string(x.stride(r)) + " of axis " + std::to_string(r); },
        "needs dense samples (only the first axis may have a stride of its own)");
    dense *= x.extent(r);
  }
  tessera::detail::expects(
      x.extent(0) <= 1 || x.size() == 0 || x.stride(0) >= dense, function, argument,
      [&] { return "stride " + std::to_string(x.stride(0)) + " between samples"; }, "needs samples that do not overlap");
}

template <class A, class B, std::size_t Rank>
void check_same_shape(const view<A, Rank>& a, const view<B, Rank>& b, const char* function, const char* argument) {
  for (std::size_t r = 0; r < Rank; ++r) {
    tessera::detail::expects(
        a.extent(r) == b.extent(r), function, argument, [&] { return "shape " + tessera::detail::shape(a); },
        "needs the shape of the state");
  }
}

/// A dense array of x's shape at `data`.
template <class S, class T, std::size_t Rank>
view<S, Rank> dense_like(const view<T, Rank>& x, S* data) {
  std::int64_t extents[Rank];
  std::int64_t strides[Rank];
  std::int64_t step = 1;
  for (std::size_t r = Rank; r-- > 0;) {
    extents[r] = x.extent(r);
    strides[r] = step;
    step *= x.extent(r);
  }
  return {data, extents, strides};
}

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
