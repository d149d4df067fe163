// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rotary position embedding of whole arrays, and the way back, on a CUDA device.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/rotation.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/cuda/attention/detail/rotate_kernel.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

template <class In, class Out>
TESSERA_HIDDEN void rotate(const char* function, const executor& exec, const view<const In, 4>& in, const view<Out, 4>& out,
                           const tessera::attention::rotary& by, std::int64_t first_position,
                           tessera::attention::detail::direction way) {
  tessera::attention::detail::check_rotate(function, in, out, by, first_position);
  cuda::detail::check_memory(exec, in, function, "in");
  cuda::detail::check_memory(exec, out, function, "out");
  cuda::detail::check_memory(exec, by.cos, function, "by.cos");
  cuda::detail::check_memory(exec, by.sin, function, "by.sin");
  const rotation_problem<In, Out> p{.in = {.rows = tessera::attention::detail::sequence_rows<const In>(in)},
                                    .out = {.rows = tessera::attention::detail::sequence_rows<Out>(out)},
                                    .batch = in.extent(0),
                                    .heads = in.extent(1),
                                    .columns = in.extent(3),
                                    .rows = {.most = in.extent(2)},
                                    .by = {by.cos, by.sin, by.layout, by.first_dim, first_position},
                                    .way = way};
  launch_rotation<std::common_type_t<compute_t<In>, compute_t<Out>>>(exec, p, function, "in");
}

}  // namespace tessera::cuda::attention::detail

namespace tessera::attention {

/// rotate (tessera/attention/rotate.hpp) on a CUDA device: same arguments, same meaning, the same bits where the CPU has fused multiply-adds.
/// Views are of device memory, those of the tables, too.
///
/// Cost            in read once, out written once, 16 bytes at a time where rows lie so (8-bit types: 8); nothing is allocated
/// Determinism     the same bits for any strides
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses, memory that is not the device's, 2^31 blocks of
///                 rows; cuda::error. In place is allowed as on the CPU
template <mdspan_like In, mdspan_like Out>
  requires(In::rank() == 4 && Out::rank() == 4)
TESSERA_HIDDEN void rotate(const cuda::executor& exec, const In& in, const Out& out, const rotary& by,
                           std::int64_t first_position = 0) {
  cuda::attention::detail::rotate<value_type_of<In>, value_type_of<Out>>("attention::rotate", exec, in, out, by, first_position,
                                                                         detail::direction::forth);
}

/// rotate_back (tessera/attention/rotate.hpp) on a CUDA device. All else is as for rotate.
template <mdspan_like In, mdspan_like Out>
  requires(In::rank() == 4 && Out::rank() == 4)
TESSERA_HIDDEN void rotate_back(const cuda::executor& exec, const In& in, const Out& out, const rotary& by,
                                std::int64_t first_position = 0) {
  cuda::attention::detail::rotate<value_type_of<In>, value_type_of<Out>>("attention::rotate_back", exec, in, out, by,
                                                                         first_position, detail::direction::back);
}

}  // namespace tessera::attention
