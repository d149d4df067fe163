// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Loss scaling's pass over the gradients: unscale them, find what is not finite, take their norm, count what vanished; and clipping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/tile/detail/streaming.hpp"
#include "tessera/tile/detail/tensor_chunks.hpp"
#include "tessera/tile/tensor_list.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/detail/unscale_block.hpp"
#include "tessera/training/detail/unscaled.hpp"
#include "tessera/training/gradient_report.hpp"

namespace tessera::training {
namespace detail {

template <class Exec, class From, class Out>
gradient_report unscale_list(const Exec& exec, std::span<const view<From, 1>> in, std::span<const view<Out, 1>> out,
                             float scale) {
  using In = std::remove_const_t<From>;
  using number = std::conditional_t<std::is_same_v<In, double>, double, unscaled_in<Out>>;
  using arch = typename Exec::arch;
  const auto tensors = static_cast<std::int64_t>(in.size());
  tessera::detail::scratch places(exec.memory(), static_cast<std::size_t>(tensors + 1) * sizeof(std::int64_t));
  const tessera::detail::tensor_chunks chunks(in, reinterpret_cast<std::int64_t*>(places.data()));
  tessera::detail::scratch memory(exec.memory(), static_cast<std::size_t>(chunks.count()) * sizeof(unscaled_chunk));
  auto* const found = reinterpret_cast<unscaled_chunk*>(memory.data());
  const auto rule = unscale_rule<number>::template of<In, Out>(scale);
  std::int64_t elements = 0;
  for (const auto& v : in) elements += v.size();
  const bool large = elements * static_cast<std::int64_t>(sizeof(Out)) >= tessera::detail::smallest_streamed_output;
  constexpr double operations = sizeof(In) + sizeof(Out);
  tessera::detail::for_each_tensor_chunk(exec, chunks, in, operations,
                                         [&](std::int64_t chunk, std::int64_t t, std::int64_t begin, std::int64_t n) {
                                           const In* const from = in[static_cast<std::size_t>(t)].data_handle() + begin;
                                           Out* const to = out[static_cast<std::size_t>(t)].data_handle() + begin;
                                           const bool in_place = static_cast<const void*>(from) == static_cast<const void*>(to);
                                           found[chunk] = unscale_chunk<arch>(from, to, n, begin, rule, large && !in_place);
                                         });
  gradient_report report{.elements = elements};
  for (std::int64_t t = 0; t < tensors; ++t) {
    for (std::int64_t chunk = chunks.first_of(t); chunk < chunks.first_of(t + 1); ++chunk) {
      report.squares += found[chunk].squares;
      report.zeros += found[chunk].zeros;
      report.underflows += found[chunk].underflows;
      if (report.bad_tensor < 0 && found[chunk].bad_index >= 0) {
        report.bad_tensor = t;
        report.bad_index = found[chunk].bad_index;
      }
    }
  }
  return report;
}

}  // namespace detail

/// out[t][i] = scaled[t][i] / scale for all tensors, and what was found on the way: in one pass over memory.
///
///   inverse = float(1 / double(scale));   out = scaled * inverse, in float32, rounded once to out's type
///
/// The pass of a loss scaler between the backward pass and the optimiser: it replaces an unscaling, a check, a norm and a count of gradients
/// that vanished.
///
/// Shapes          lists of one-dimensional views (tensor_list); scaled[t], out[t]: contiguous, of one size for each t; out[t] may be
///                 scaled[t] itself where the types are one
/// Types           scaled: float16, bfloat16, float or double; out: bfloat16, float or double. Not float16: a gradient divided by 2^16
///                 would vanish there, which scaling was to prevent
/// Special values  infinity and NaN are written as they come out, and reported: also those that a scale below 1, or a narrower type, makes of
///                 finite numbers. Empty tensors add nothing
/// Accuracy        out: two roundings (the inverse, the product) and that of its type; exact for a scale that is a power of two while
///                 results are normal. squares: 40 u relative, of any magnitude, with the u of float (of double where it computes in double):
///                 test/training/unscale.cpp
/// Cost            one read and one write; 48 bytes of scratch for every 16384 elements. Outputs too large for the caches are written past them
/// Determinism     the same bits for any executor, number of threads and, where packs have fma, any instruction set: sums are those of
///                 blocks of 2048 in float, in double over blocks, chunks and tensors in their order
/// Errors          argument_error, nothing written: a scale that is not positive and finite, an empty list, lists of different length or sizes, null data,
///                 strides, arrays that overlap in part; the tensor is named by its number
/// Source          Micikevicius et al. 2018, arXiv:1710.03740, section 3.2; the order of operations of PyTorch's
///                 _amp_foreach_non_finite_check_and_unscale_, which does not look at what it writes
template <executor Exec, tensor_list Scaled, tensor_list Unscaled>
gradient_report unscale(const Exec& exec, const Scaled& scaled, const Unscaled& out, float scale) {
  using From = tessera::detail::tensor_element<Scaled>;
  using In = std::remove_const_t<From>;
  using Out = tessera::detail::tensor_element<Unscaled>;
  static_assert(!std::is_const_v<Out>, "training::unscale: needs tensors that can be written");
  static_assert(!std::is_same_v<Out, float16>, "training::unscale: float16 is too narrow for gradients that are not scaled");
  constexpr const char* function = "training::unscale";
  const std::span<const view<From, 1>> inputs(scaled);
  const std::span<const view<Out, 1>> outputs(out);
  tessera::detail::expects(
      scale > 0 && detail::finite(scale), function, "scale", [&] { return tessera::detail::number(static_cast<double>(scale)); },
      "needs a positive finite number");
  tessera::detail::expects(!inputs.empty(), function, "scaled", [] { return "an empty list"; }, "needs one tensor at least");
  tessera::detail::check_tensors(inputs, inputs, function, "scaled", "scaled");
  tessera::detail::check_tensors(outputs, inputs, function, "out", "scaled");
  for (std::size_t t = 0; t < outputs.size(); ++t) {
    const bool same = std::is_same_v<In, Out> && static_cast<const void*>(inputs[t].data_handle()) == outputs[t].data_handle();
    if (same || !tessera::detail::overlap(outputs[t], inputs[t])) continue;
    tessera::detail::fail(function, tessera::detail::tensor_name("out", t).c_str(), "overlaps scaled in part",
                          "needs memory of its own, or to be scaled itself");
  }
  return detail::unscale_list<Exec, From, Out>(exec, inputs, outputs, scale);
}

}  // namespace tessera::training
