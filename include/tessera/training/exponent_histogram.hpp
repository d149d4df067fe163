// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The binary exponents of all elements of a list of tensors, counted in one pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/tile/detail/tensor_chunks.hpp"
#include "tessera/tile/tensor_list.hpp"
#include "tessera/training/detail/exponent_fields.hpp"
#include "tessera/training/exponent_counts.hpp"

namespace tessera::training {

/// How many elements of the tensors have each binary exponent; zeros, infinities and NaNs apart. What the counts say of a scale, outlook and
/// proposed_scale tell.
///
/// Shapes          a list of one-dimensional views (tensor_list), contiguous
/// Types           any storage type
/// Special values  subnormal numbers have the exponents of their values. Numbers of double beyond float's range are counted together
/// Accuracy        exact
/// Cost            reads the tensors once, and adds 1 in the nearest cache for each element: on one core float takes no longer than a copy of it,
///                 16 bits twice as long. 12 KB of scratch for every thread (double: 70 KB)
/// Determinism     the same counts for any executor and number of threads
/// Errors          argument_error: an empty list, null data, strides; the tensor is named by its number
template <executor Exec, tensor_list Tensors>
[[nodiscard]] exponent_counts exponent_histogram(const Exec& exec, const Tensors& tensors) {
  using From = tessera::detail::tensor_element<Tensors>;
  using In = std::remove_const_t<From>;
  using counter = detail::exponent_counter<typename Exec::arch, In>;
  constexpr const char* function = "training::exponent_histogram";
  const std::span<const view<From, 1>> list(tensors);
  tessera::detail::expects(!list.empty(), function, "tensors", [] { return "an empty list"; }, "needs one tensor at least");
  tessera::detail::check_tensors(list, list, function, "tensors", "tensors");
  tessera::detail::scratch places(exec.memory(), (list.size() + 1) * sizeof(std::int64_t));
  const tessera::detail::tensor_chunks chunks(list, reinterpret_cast<std::int64_t*>(places.data()));
  const auto workers = static_cast<std::size_t>(exec.workers());
  tessera::detail::scratch memory(exec.memory(), workers * sizeof(counter));
  auto* const counters = reinterpret_cast<counter*>(memory.data());
  for (std::size_t w = 0; w < workers; ++w) counters[w].clear();
  tessera::detail::for_each_tensor_chunk(exec, chunks, list, sizeof(In) + 2,
                                         [&](int worker, std::int64_t, std::int64_t t, std::int64_t begin, std::int64_t n) {
                                           counters[worker].count(list[static_cast<std::size_t>(t)].data_handle() + begin, n);
                                         });
  exponent_counts result;
  for (std::size_t w = 0; w < workers; ++w) {
    counters[w].flush();
    result.add(counters[w].counted());
  }
  return result;
}

}  // namespace tessera::training
