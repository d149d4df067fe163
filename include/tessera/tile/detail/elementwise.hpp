// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Two views of one shape walked together, as few and as long runs as their strides allow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::detail {

/// What an element-by-element function of `in` needs to write `out`: equal shapes, data, and elements of out that do not lie on one
/// another, nor on elements of in, unless each lies on its own and is as large.
template <class In, class Out, std::size_t Rank>
TESSERA_ALWAYS_INLINE void check_elementwise(const view<const In, Rank>& in, const view<Out, Rank>& out, const char* function) {
  check_readable(in, function, "in");
  check_readable(out, function, "out");
  bool in_place =
      sizeof(In) == sizeof(Out) && static_cast<const void*>(in.data_handle()) == static_cast<const void*>(out.data_handle());
  for (std::size_t r = 0; r < Rank; ++r) {
    expects(
        in.extent(r) == out.extent(r), function, "out", [&] { return "shape " + shape(out) + " for in of shape " + shape(in); },
        "needs the shape of in");
    in_place = in_place && (in.extent(r) == 1 || in.stride(r) == out.stride(r));
  }
  check_distinct(out, function, "out");
  if (!in_place) check_disjoint(out, in, function, "out", "in");
}

/// The axes of two views of one shape, those merged that step as one in both. The last is the innermost; in the place of those that are
/// merged, axes of length 1 stand before the others.
template <std::size_t Rank>
struct element_axes {
  std::int64_t extent[Rank];
  std::int64_t in_stride[Rank] = {};
  std::int64_t out_stride[Rank] = {};
  std::int64_t in_offset = 0;  ///< of the first element
  std::int64_t out_offset = 0;
};

/// The axes in row-major order; or, where `any_order`, so that `out` is written from low to high addresses.
template <class In, class Out, std::size_t Rank>
TESSERA_ALWAYS_INLINE element_axes<Rank> merged_axes(const view<const In, Rank>& in, const view<Out, Rank>& out, bool any_order) {
  element_axes<Rank> axes;
  std::size_t order[Rank];  // innermost first
  for (std::size_t r = 0; r < Rank; ++r) {
    axes.extent[r] = 1;
    const std::size_t axis = Rank - 1 - r;
    std::size_t at = r;
    if (any_order) {
      for (; at > 0 && distance(out.stride(order[at - 1])) > distance(out.stride(axis)); --at) order[at] = order[at - 1];
    }
    order[at] = axis;
  }
  std::size_t place = Rank - 1;
  for (const std::size_t axis : order) {
    const std::int64_t extent = out.extent(axis);
    if (extent == 1) continue;
    std::int64_t in_stride = in.stride(axis);
    std::int64_t out_stride = out.stride(axis);
    if (any_order && out_stride < 0) {
      axes.in_offset += (extent - 1) * in_stride;
      axes.out_offset += (extent - 1) * out_stride;
      in_stride = -in_stride;
      out_stride = -out_stride;
    }
    if (axes.extent[place] == 1) {
      axes.in_stride[place] = in_stride;
      axes.out_stride[place] = out_stride;
    } else if (in_stride != axes.extent[place] * axes.in_stride[place] ||
               out_stride != axes.extent[place] * axes.out_stride[place]) {
      --place;
      axes.in_stride[place] = in_stride;
      axes.out_stride[place] = out_stride;
    }
    axes.extent[place] *= extent;
  }
  return axes;
}

/// f(position, in offset, out offset, length) for the runs, and parts of runs, that hold the elements from `begin` up to `end`.
template <std::size_t Rank, class F>
TESSERA_ALWAYS_INLINE void for_each_run(const element_axes<Rank>& axes, std::int64_t begin, std::int64_t end, F f) {
  std::int64_t index[Rank] = {};
  std::int64_t in = axes.in_offset;
  std::int64_t out = axes.out_offset;
  if (begin != 0) {
    std::int64_t rest = begin;
    for (std::size_t r = Rank; r-- > 0;) {
      index[r] = rest % axes.extent[r];
      rest /= axes.extent[r];
      in += index[r] * axes.in_stride[r];
      out += index[r] * axes.out_stride[r];
    }
  }
  while (begin < end) {
    const std::int64_t left = axes.extent[Rank - 1] - index[Rank - 1];
    const std::int64_t length = left < end - begin ? left : end - begin;
    f(begin, in, out, length);
    begin += length;
    index[Rank - 1] += length;
    in += length * axes.in_stride[Rank - 1];
    out += length * axes.out_stride[Rank - 1];
    for (std::size_t r = Rank - 1; r > 0 && index[r] == axes.extent[r]; --r) {
      index[r] = 0;
      index[r - 1] += 1;
      in += axes.in_stride[r - 1] - axes.extent[r] * axes.in_stride[r];
      out += axes.out_stride[r - 1] - axes.extent[r] * axes.out_stride[r];
    }
  }
}

}  // namespace tessera::detail
