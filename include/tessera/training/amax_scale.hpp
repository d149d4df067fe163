// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The scale that brings a tensor into the range of an 8-bit format: from its largest number now, or from those of the steps before.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/numeric/round_to.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::training {

/// The formats of the hybrid recipe: more digits for activations and weights, more range for gradients.
using forward_float8 = float8_e4m3;
using backward_float8 = float8_e5m2;

/// Slots of a history that reaches as far back as that of the field's default recipe.
inline constexpr std::int64_t usual_amax_history = 1024;

/// Which of the amaxes that are remembered makes the scale.
enum class amax_choice : std::uint8_t {
  max,         ///< the largest of the whole history
  most_recent  ///< that of the last step
};

/// How an amax, the largest magnitude of a tensor, becomes a scale. The defaults are TransformerEngine's.
struct amax_scale_options {
  amax_choice choice = amax_choice::max;
  int margin = 0;             ///< binary places left free above amax, from -16 to 16
  bool power_of_two = false;  ///< the scale is rounded down to a power of two, and scaling is exact
  bool forget_bad =
      false;  ///< an infinite amax counts as none. TransformerEngine keeps it in the history, and the scale as it was for
              ///< as long as it is there
};

/// A scale in use, beside its history in memory of the caller: plain bytes that can be saved, restored, and live in the memory of a device.
struct amax_scale_state {
  float scale = 1;           ///< what the tensor is multiplied by before it is rounded
  std::int32_t current = 0;  ///< the slot of the history that this step's amax goes to
  std::int64_t steps = 0;    ///< updates so far
};

namespace detail {

TESSERA_HD constexpr float power_of_two_margin(int margin) { return tessera::detail::power_of_two<binary32>(-margin); }

/// The largest power of two up to x, for x > 0 and finite.
TESSERA_HD constexpr float power_of_two_below(float x) {
  constexpr float smallest_normal = tessera::min_normal<float>();
  const bool subnormal = x < smallest_normal;
  const float normal = subnormal ? x * 0x1p64F : x;
  const float power = from_bits<float>(to_bits(normal) & ~binary32::mantissa_mask);
  return subnormal ? power * 0x1p-64F : power;
}

}  // namespace detail

/// The scale for a tensor whose largest magnitude is amax, in the format S: max / amax, or `otherwise` where that is none.
///
///   scale = float(max_finite<S> 2^-margin) / amax, rounded once, then down to a power of two where that is asked for
///
/// Special values  an amax of 0, infinity or NaN: `otherwise`, which is 1 for scaling a tensor by its own amax (current scaling); a quotient
///                 beyond float's range: float's largest number, or 2^127
/// Determinism     the same bits on host and device
/// Backends        host, device
/// Source          TransformerEngine, recipe_common.cuh and delayed_scaling.cu
template <tessera::detail::narrow_float S>
[[nodiscard]] TESSERA_HD constexpr float scale_of_amax(float amax, const amax_scale_options& options = {}, float otherwise = 1) {
  constexpr float most = tessera::max_finite<float>();
  if (!(amax > 0 && amax <= most)) return otherwise;
  const float target = static_cast<float>(tessera::max_finite<S>()) * detail::power_of_two_margin(options.margin);
  // Compared with a product that is exact, as a quotient that is infinite is none in a constant expression.
  const bool beyond = static_cast<double>(target) >= static_cast<double>(amax) * 0x1.ffffffp127;
  const float scale = beyond ? most : target / amax;
  return options.power_of_two ? detail::power_of_two_below(scale) : scale;
}

/// Notes an amax of this step: the largest of all that are noted before the next update counts, and a NaN more than any.
///
/// Between the last note and update_scale, processes that share a tensor take the largest of their `history[state.current]`.
TESSERA_HD constexpr void note_amax(const amax_scale_state& state, float* history, float amax) {
  float& slot = history[state.current];
  if (amax > slot || amax != amax) slot = amax;
}

/// Ends a step of delayed scaling: the scale of the next step from the history, in whose oldest slot the next step begins.
///
///   amax  = the largest of the history, or that of this step;   scale = scale_of_amax(amax, options, scale)
///
/// Shapes          history [length], in memory of the caller, zeros before the first step; length: usual_amax_history where nothing else is
///                 known, 1 for the amax of the last step
/// Special values  as scale_of_amax: an amax that is 0, infinite or NaN leaves the scale as it was. In the largest of a history NaNs do not
///                 count, as in TransformerEngine; infinities do, unless options.forget_bad
/// Cost            reads the history once
/// Determinism     the same bits on host and device
/// Errors          none: `check` says beforehand whether history, state and options belong together
/// Backends        host, device
/// Source          the update of TransformerEngine's delayed scaling (delayed_scaling.cu), whose histories roll where this one turns; same scales,
///                 as the order of slots does not matter
template <tessera::detail::narrow_float S>
TESSERA_HD constexpr void update_scale(amax_scale_state& state, float* history, std::int64_t length,
                                       const amax_scale_options& options = {}) {
  constexpr float most = tessera::max_finite<float>();
  float& slot = history[state.current];
  if (options.forget_bad && !(slot <= most)) slot = 0;
  float amax = slot;
  if (options.choice == amax_choice::max) {
    amax = 0;
    for (std::int64_t i = 0; i < length; ++i) amax = history[i] > amax ? history[i] : amax;
  }
  state.scale = scale_of_amax<S>(amax, options, state.scale);
  state.current = state.current + 1 < length ? state.current + 1 : 0;
  history[state.current] = 0;
  state.steps += 1;
}

/// Refuses options that no scale can be made by.
TESSERA_ALWAYS_INLINE void check(const amax_scale_options& options, const char* function) {
  tessera::detail::expects(
      options.margin >= -16 && options.margin <= 16, function, "options.margin", [&] { return std::to_string(options.margin); },
      "needs from -16 to 16 binary places");
}

/// Refuses a history and a state that do not belong together: null, strided or empty, a slot beyond its end, a scale that is no scale.
TESSERA_ALWAYS_INLINE void check(const amax_scale_state& state, const view<const float, 1>& history,
                                 const amax_scale_options& options, const char* function) {
  using tessera::detail::expects;
  check(options, function);
  tessera::detail::check_operand(history, function, "history");
  expects(history.size() > 0, function, "history", [] { return "no slots"; }, "needs one slot at least");
  expects(
      state.current >= 0 && state.current < history.size(), function, "state.current",
      [&] { return std::to_string(state.current); },
      ("needs one of the " + std::to_string(history.size()) + " slots of history").c_str());
  expects(
      state.scale > 0 && state.scale <= std::numeric_limits<float>::max(), function, "state.scale",
      [&] { return tessera::detail::number(static_cast<double>(state.scale)); }, "needs a positive finite scale");
  expects(state.steps >= 0, function, "state.steps", [&] { return std::to_string(state.steps); }, "needs at least 0");
}

}  // namespace tessera::training
