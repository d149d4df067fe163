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
  bool in_place = sizeof(In) == sizeof(Out) && static_cast<const void*>(in.data_handle()) == static_cast<const void*>(out.data_handle());
  for (std::size_t r = 0; r < Rank; ++r) {
    expects(
        in.extent(r) == out.extent(r), function, "out", [&] { return "shape " + shape(out) + " for in of shape " + shape(in); },
        "needs the shape of in");
    in_place = in_place && (in.extent(r) == 1 || in.stride(r) == out.stride(r));
  }
  check_distinct(out, function, "out");
  if (!in_place) check_disjoint(out, in, function, "out", "in");
}

/// The axes of two views of one shape, those merged that step as one in both.
template <std::size_t Rank>
struct element_axes {
  std::size_t count = 0;
  std::int64_t extent[Rank] = {};
  std::int64_t in_stride[Rank] = {};
  std::int64_t out_stride[Rank] = {};
  std::int64_t in_offset = 0;  ///< of the first element
  std::int64_t out_offset = 0;

  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t run() const { return extent[count - 1]; }
  /// True where both views have the elements of a run side by side.
  [[nodiscard]] TESSERA_ALWAYS_INLINE bool side_by_side() const {
    return run() == 1 || (in_stride[count - 1] == 1 && out_stride[count - 1] == 1);
  }
};

/// The axes in row-major order; or, where `any_order`, sorted so that `out` is written from low to high addresses.
template <class In, class Out, std::size_t Rank>
TESSERA_ALWAYS_INLINE element_axes<Rank> merged_axes(const view<const In, Rank>& in, const view<Out, Rank>& out, bool any_order) {
  element_axes<Rank> axes;
  std::size_t order[Rank];
  for (std::size_t r = 0; r < Rank; ++r) {
    std::size_t at = r;
    if (any_order) {
      for (; at > 0 && distance(out.stride(order[at - 1])) < distance(out.stride(r)); --at) order[at] = order[at - 1];
    }
    order[at] = r;
  }
  for (const std::size_t r : order) {
    const std::int64_t extent = out.extent(r);
    if (extent == 1) continue;
    std::int64_t in_stride = in.stride(r);
    std::int64_t out_stride = out.stride(r);
    if (any_order && out_stride < 0) {
      axes.in_offset += (extent - 1) * in_stride;
      axes.out_offset += (extent - 1) * out_stride;
      in_stride = -in_stride;
      out_stride = -out_stride;
    }
    const std::size_t last = axes.count;
    if (last > 0 && axes.in_stride[last - 1] == extent * in_stride && axes.out_stride[last - 1] == extent * out_stride) {
      axes.extent[last - 1] *= extent;
      axes.in_stride[last - 1] = in_stride;
      axes.out_stride[last - 1] = out_stride;
    } else {
      axes.extent[last] = extent;
      axes.in_stride[last] = in_stride;
      axes.out_stride[last] = out_stride;
      ++axes.count;
    }
  }
  if (axes.count == 0) axes.extent[axes.count++] = 1;
  return axes;
}

/// f(position, in offset, out offset, length) for the runs, and parts of runs, that hold the elements from `begin` up to `end`.
template <std::size_t Rank, class F>
TESSERA_ALWAYS_INLINE void for_each_run(const element_axes<Rank>& axes, std::int64_t begin, std::int64_t end, F f) {
  const std::size_t inner = axes.count - 1;
  std::int64_t index[Rank] = {};
  std::int64_t in = axes.in_offset;
  std::int64_t out = axes.out_offset;
  std::int64_t rest = begin;
  for (std::size_t r = axes.count; r-- > 0;) {
    index[r] = rest % axes.extent[r];
    rest /= axes.extent[r];
    in += index[r] * axes.in_stride[r];
    out += index[r] * axes.out_stride[r];
  }
  while (begin < end) {
    const std::int64_t left = axes.run() - index[inner];
    const std::int64_t length = left < end - begin ? left : end - begin;
    f(begin, in, out, length);
    begin += length;
    index[inner] += length;
    in += length * axes.in_stride[inner];
    out += length * axes.out_stride[inner];
    for (std::size_t r = inner; r > 0 && index[r] == axes.extent[r]; --r) {
      index[r] = 0;
      index[r - 1] += 1;
      in += axes.in_stride[r - 1] - axes.extent[r] * axes.in_stride[r];
      out += axes.out_stride[r - 1] - axes.extent[r] * axes.out_stride[r];
    }
  }
}

}  // namespace tessera::detail
