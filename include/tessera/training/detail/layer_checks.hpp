// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What layers ask of their arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::training::detail {

using tessera::detail::check_disjoint;
using tessera::detail::check_operand;
using tessera::detail::check_output;
using tessera::detail::check_readable;
using tessera::detail::expects;
using tessera::detail::number;
using tessera::detail::shape;

/// Whether every element of `out` lies on the same of `in`.
template <class In, class Out, std::size_t Rank>
[[nodiscard]] TESSERA_ALWAYS_INLINE bool is_same_place(const view<In, Rank>& in, const view<Out, Rank>& out) {
  bool same =
      sizeof(In) == sizeof(Out) && static_cast<const void*>(in.data_handle()) == static_cast<const void*>(out.data_handle());
  for (std::size_t r = 0; r < Rank; ++r) same = same && (out.extent(r) <= 1 || in.stride(r) == out.stride(r));
  return same;
}

/// Refuses another shape than that of `like`.
template <class T, class Like, std::size_t Rank>
TESSERA_ALWAYS_INLINE void check_shape(const view<T, Rank>& v, const view<Like, Rank>& like, const char* function,
                                       const char* argument, const char* like_name) {
  bool same = true;
  for (std::size_t r = 0; r < Rank; ++r) same = same && v.extent(r) == like.extent(r);
  expects(
      same, function, argument, [&] { return "shape " + shape(v) + " beside " + like_name + " of shape " + shape(like); },
      "needs the same shape");
}

/// Refuses an output that lies on an input in part; on all of it is allowed.
template <class Out, class In, std::size_t Rank>
TESSERA_ALWAYS_INLINE void check_in_place_or_apart(const view<Out, Rank>& out, const view<In, Rank>& in, const char* function,
                                                   const char* argument, const char* other) {
  if (!is_same_place(in, out)) check_disjoint(out, in, function, argument, other);
}

/// Refuses a vector that has not `n` contiguous numbers.
template <class T>
TESSERA_ALWAYS_INLINE void check_numbers(const view<T, 1>& v, std::int64_t n, const char* function, const char* argument,
                                         const char* needs) {
  check_operand(v, function, argument);
  expects(v.extent(0) == n, function, argument, [&] { return "shape " + shape(v); }, needs);
}

}  // namespace tessera::training::detail
