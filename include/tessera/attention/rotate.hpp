// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rotary position embedding of whole arrays, and the way back: for keys on their way into a cache, and for who wants to see them.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/rotate_rows.hpp"
#include "tessera/attention/detail/rotation.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/pack.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {
namespace detail {

template <class Exec, class In, class Out>
void rotate(const char* function, const Exec& exec, const view<const In, 4>& in, const view<Out, 4>& out, const rotary& by,
            std::int64_t first_position, direction way) {
  using P = simd::pack<std::common_type_t<compute_t<In>, compute_t<Out>>, typename Exec::arch>;
  check_rotate(function, in, out, by, first_position);
  constexpr std::int64_t most = 64;  // rows that are one piece of work
  const std::int64_t len = in.extent(2);
  const std::int64_t pieces = (len + most - 1) / most;
  const rotation tables{by.cos, by.sin, by.layout, by.first_dim, first_position};
  tessera::detail::for_each_worth(
      exec, static_cast<double>(in.size()), in.extent(0) * in.extent(1) * pieces, [&](int, std::int64_t item) {
        const std::int64_t b = item / pieces / in.extent(1);
        const std::int64_t h = item / pieces % in.extent(1);
        const std::int64_t row = item % pieces * most;
        const view<const In, 2> from = in[b][h];
        const view<const In, 2> some(from.data_handle() + row * from.stride(0),
                                     {len - row < most ? len - row : most, from.extent(1)}, {from.stride(0), 1});
        const view<Out, 2> to = out[b][h];
        rotate_rows<P>(to.data_handle() + row * to.stride(0), to.stride(0), some, row, tables, way);
      });
}

}  // namespace detail

/// out = in, row i of every head rotated as rotary position embedding does at position first_position + i.
///
/// Shapes          in, out [batch, heads, len, head_dim]; any stride but the innermost. Of `by` the tables, layout and first_dim count,
///                 nothing else. Elements of a row that are not rotated are converted
/// Types           any storage type to any other, computed in float32, in float64 if one of both is float64
/// Special values  a NaN reaches its pair; infinity times a sine of 0 is NaN
/// Accuracy        |out - exact| <= 2 u (|a cos| + |b sin|) + u_out |out| for elements a and b of a pair and the cosines and sines that stand
///                 in the tables: test/attention/rotary.cpp. attention::forward and the others with options.rotary have the bits of a
///                 call on arrays that were rotated here into the compute type
/// Cost            3 flops an element; in read once, out written once; nothing is allocated
/// Determinism     the same bits for any executor and number of threads
/// Errors          argument_error before out is written: shapes, null data, strides, positions that the tables do not have, elements of out
///                 that share memory, out overlaps in or a table. In place is allowed where both types are equally large: the same
///                 pointer and strides
/// Source          Su et al. 2021, arXiv:2104.09864, equation 34
template <executor Exec, mdspan_like In, mdspan_like Out>
  requires(In::rank() == 4 && Out::rank() == 4)
void rotate(const Exec& exec, const In& in, const Out& out, const rotary& by, std::int64_t first_position = 0) {
  detail::rotate<Exec, value_type_of<In>, value_type_of<Out>>("attention::rotate", exec, in, out, by, first_position,
                                                              detail::direction::forth);
}

/// out = in, rotated back: what `rotate` gave becomes what it was, but for roundings (the tables', too: u |x| of float32). It is also what a
/// gradient with respect to what rotate gave becomes: that with respect to what rotate was given. All else is as for rotate.
template <executor Exec, mdspan_like In, mdspan_like Out>
  requires(In::rank() == 4 && Out::rank() == 4)
void rotate_back(const Exec& exec, const In& in, const Out& out, const rotary& by, std::int64_t first_position = 0) {
  detail::rotate<Exec, value_type_of<In>, value_type_of<Out>>("attention::rotate_back", exec, in, out, by, first_position,
                                                              detail::direction::back);
}

}  // namespace tessera::attention
