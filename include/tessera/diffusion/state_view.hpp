// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The state of a sampler: what it may be, on any device.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/core/error.hpp"
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

}  // namespace detail
}  // namespace tessera::diffusion
