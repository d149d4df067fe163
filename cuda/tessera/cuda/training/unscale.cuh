// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Loss scaling's pass over the gradients: unscale all tensors, and find out whether one is not finite, in one launch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/memory/vector.cuh"
#include "tessera/cuda/multi_tensor.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/numeric/float16.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/detail/unscaled.hpp"

namespace tessera::training {
namespace detail {

/// What a thread carries through its chunks.
template <class Number>
struct unscale_worker {
  Number inverse;
  float* found;
  mutable bool bad = false;

  template <class Out, class In, int N>
  TESSERA_DEVICE void operator()(std::uint64_t, cuda::packed<Out, N>& out, const cuda::packed<In, N>& in) const {
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < N; ++i) {
      const auto scaled = static_cast<Number>(cuda::widen(in[i]));
      const Out y = cuda::convert<Out>(unscaled(scaled, inverse));
      // What is stored may be infinite where what was read was not: with a scale below 1, or in a narrower type. Elements that are not
      // of the tensor are 0, and finite.
      bad = static_cast<bool>(bad | !finite(scaled) | !finite(static_cast<Number>(cuda::widen(y))));
      out[i] = y;
    }
  }

  TESSERA_DEVICE void end() const {
    // Every thread that stores would store the same: one of a warp is enough, and none where all is well.
    if (__any_sync(0xFFFFFFFFu, bad) && threadIdx.x % 32u == 0) *found = 1.0f;
  }
};

template <class Number>
struct unscale_pass {
  const float* scale;
  float* found;

  TESSERA_DEVICE unscale_worker<Number> begin() const { return {static_cast<Number>(inverse_of_scale(*scale)), found}; }
};

}  // namespace detail

/// out[t][i] = scaled[t][i] / scale for all tensors, and found = 1 if any number read or written is infinite or NaN.
///
///   inverse = float(1 / double(scale));   out = inverse == 1 ? scaled : scaled * inverse, in float32, rounded once to out's type
///
/// The pass of a loss scaler between the backward pass and the optimiser. `scale` and `found` are numbers in the memory of the device, so that
/// the host never waits: the next step's scale is computed there from found. found is only ever set to 1: clear it once, before the first
/// of the calls whose gradients belong together.
///
/// Shapes          lists of one-dimensional views (tensor_list); scaled[t], out[t]: contiguous, of one size for each t, in the memory of the device; out[t] may be scaled[t] itself where the
///                 types are one. scale and found [1], float
/// Types           scaled: float16, bfloat16, float or double; out: bfloat16, float or double. Not float16: a gradient divided by 2^16
///                 would vanish there, which scaling was to prevent
/// Special values  infinity and NaN are written as they come out. Of empty tensors, found stays. A scale of 0 or NaN sets found by what it makes
///                 of the gradients; an infinite one makes zeros
/// Accuracy        two roundings (the inverse, the product) and that of out's type; exact for a scale that is a power of two, while results
///                 are normal
/// Cost            one read and one write of the gradients; one launch for about a hundred tensors, for about a thousand at most: their
///                 addresses travel with the launch, nothing is allocated or copied. A warp that meets no infinity stores no flag
/// Determinism     the same bits for any launch shape
/// Errors          argument_error, nothing written: an empty list, lists of different length or sizes, null data, host memory, arrays that overlap in
///                 part; the tensor is named by its number
/// Source          Micikevicius et al. 2018, arXiv:1710.03740, section 3.2; the order of operations is that of PyTorch's
///                 _amp_foreach_non_finite_check_and_unscale_, which does not look at what it writes
template <cuda::tensor_list Scaled, cuda::tensor_list Unscaled>
TESSERA_HIDDEN void unscale(const cuda::executor& exec, const Scaled& scaled, const Unscaled& out,
                            const view<const float, 1>& scale, const view<float, 1>& found) {
  using From = cuda::detail::tensor_element<Scaled>;
  using In = std::remove_const_t<From>;
  using Out = cuda::detail::tensor_element<Unscaled>;
  static_assert(!std::is_const_v<Out>, "training::unscale: needs tensors that can be written");
  static_assert(!std::is_same_v<Out, float16>, "training::unscale: float16 is too narrow for gradients that are not scaled");
  constexpr const char* function = "training::unscale";
  const std::span<const view<From, 1>> inputs(scaled);
  const std::span<const view<Out, 1>> outputs(out);
  tessera::detail::expects(!inputs.empty(), function, "scaled", [] { return "an empty list"; }, "needs one tensor at least");
  cuda::detail::check_tensors(exec, inputs, inputs, function, "scaled", "scaled");
  cuda::detail::check_tensors(exec, outputs, inputs, function, "out", "scaled");
  for (std::size_t t = 0; t < outputs.size(); ++t) {
    const bool same = std::is_same_v<In, Out> && static_cast<const void*>(inputs[t].data_handle()) == outputs[t].data_handle();
    if (same || !tessera::detail::overlap(outputs[t], inputs[t])) continue;
    tessera::detail::fail(function, cuda::detail::tensor_name("out", t).c_str(), "overlaps scaled in part",
                          "needs memory of its own, or to be scaled itself");
  }
  const auto check_number = [&](const auto& number, const char* argument) {
    tessera::detail::check_readable(number, function, argument);
    tessera::detail::expects(
        number.extent(0) == 1, function, argument, [&] { return "shape " + tessera::detail::shape(number); }, "needs one number");
    cuda::detail::check_memory(exec, number, function, argument);
  };
  check_number(scale, "scale");
  check_number(found, "found");
  using number = std::conditional_t<std::is_same_v<In, double>, double, detail::unscaled_in<Out>>;
  constexpr int chunk = std::min(cuda::vector_elements<In>, cuda::vector_elements<Out>);
  cuda::detail::for_each_tensor<chunk>(exec, function, detail::unscale_pass<number>{scale.data_handle(), found.data_handle()},
                                       cuda::detail::elements_are<Out, const In>{}, outputs, inputs);
}

}  // namespace tessera::training
