// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The scale of a loss in the memory of the device: moved there, so that the host never waits for what a step found.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/tile/view.hpp"
#include "tessera/training/loss_scale.hpp"

namespace tessera::training {

/// Where an optimiser on a device finds out what its step is, and whether to take it.
struct device_step {
  view<const loss_scale_state, 1> state;  ///< [1]: the steps that were taken so far, and the scale
  view<const float, 1> found;  ///< [1]: 0 for a step that is taken; else nothing is written. What training::unscale leaves
  bool scaled = false;         ///< gradients still carry the scale, and are divided by it
};

namespace detail {

/// One thread's work; a template, so that it may be defined in a header.
template <class Found>
TESSERA_KERNEL void update_loss_scale_kernel(loss_scale_state* state, Found* found, const loss_scale_options options) {
  training::update(*state, options, *found != Found(0));
  *found = Found(0);
}

/// Refuses what is not one number in the memory of the device.
template <class T>
void check_number(const cuda::executor& exec, const view<T, 1>& number, const char* function, const char* argument) {
  tessera::detail::check_readable(number, function, argument);
  tessera::detail::expects(
      number.extent(0) == 1, function, argument, [&] { return "shape " + tessera::detail::shape(number); }, "needs one number");
  cuda::detail::check_memory(exec, number, function, argument);
}

}  // namespace detail

/// What the step that `found` tells of leaves of a scale, by the rule of the CPU's `update`; then found is 0 again, for the next step.
///
/// A step is, without the host's waiting: unscale (sets found), an optimiser with a device_step (skips where it is set), update.
///
/// Shapes          state, found [1], in the memory of the device
/// Cost            one thread
/// Determinism     the bits of the CPU
/// Errors          argument_error: options that the CPU's `check` refuses, shapes, host memory
inline TESSERA_HIDDEN void update(const cuda::executor& exec, const view<loss_scale_state, 1>& state, const view<float, 1>& found,
                                  const loss_scale_options& options = {}) {
  constexpr const char* function = "training::update";
  check(options, function);
  detail::check_number(exec, state, function, "state");
  detail::check_number(exec, found, function, "found");
  cuda::launch(exec, {.function = function}, detail::update_loss_scale_kernel<float>, state.data_handle(), found.data_handle(),
               options);
}

}  // namespace tessera::training
