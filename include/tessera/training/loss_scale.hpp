// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The scale of a loss and the rule that moves it: plain bytes and one function, the same on the host and in device code.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"

namespace tessera::training {

/// When the steps that may overflow before the scale falls are granted anew.
enum class hysteresis_refill : std::uint8_t {
  clean_step,  ///< after any step without an overflow: only overflows in a row count
  growth       ///< when the scale has grown: overflows count that are far apart, too
};

/// How the scale starts and moves. The defaults are PyTorch's GradScaler to the bit.
struct loss_scale_options {
  float initial = 65536;
  double growth = 2;             ///< the scale times this, after `interval` steps without an overflow
  double backoff = 0.5;          ///< the scale times this, after an overflow
  std::int32_t interval = 2000;  ///< steps without an overflow before the scale grows
  float min = 0;                 ///< the scale falls no lower. 1 where gradients must not be lost for scales that vanish
  float max = std::numeric_limits<float>::max();
  std::int32_t hysteresis =
      1;  ///< the scale falls at this overflow, and those after it; steps of overflows before it are skipped, no more
  hysteresis_refill refill = hysteresis_refill::clean_step;
  bool dynamic = true;  ///< false: the scale stays as it is, and steps that overflow are still skipped
};

/// A scale in use: plain bytes that can be saved, restored, and live in the memory of a device.
struct loss_scale_state {
  float scale = 65536;
  std::int32_t clean = 0;      ///< steps without an overflow since the scale last moved, or last could have
  std::int32_t tolerance = 1;  ///< overflows that are left until the scale falls
  std::int32_t reserved = 0;
  std::int64_t steps = 0;  ///< that were taken or skipped
  std::int64_t skipped = 0;
};

/// The state that options begin with.
TESSERA_HD constexpr loss_scale_state initial_state(const loss_scale_options& options) {
  return {.scale = options.initial, .tolerance = options.hysteresis};
}

/// What a step that overflowed, or did not, leaves of a scale.
///
///   overflow:   clean = 0, tolerance -= 1;  at 0: scale = max(min, float(scale * backoff))
///   otherwise:  clean += 1;  at `interval`: scale = min(max, float(scale * growth)) if that is finite, clean = 0
///
/// A clean step, or growth, sets tolerance to `hysteresis`, as `refill` says. Products are made in float64 and rounded once.
///
/// Special values  a scale that has reached 0 or is NaN stays so, as in PyTorch: `min` keeps it from 0, `check` from beginning so
/// Determinism     the same bits on host and device
/// Source          the rules of PyTorch's torch.amp.GradScaler and its amp_update_scale_; hysteresis of NVIDIA's Apex (clean_step) and
///                 Megatron-LM (growth). One difference: PyTorch lets the scale grow where `clean` equals the interval, so that an interval
///                 set lower than `clean` would stop growth until the next overflow; here it grows at once
TESSERA_HD constexpr void update(loss_scale_state& state, const loss_scale_options& options, bool overflow) {
  state.steps += 1;
  state.skipped += overflow ? 1 : 0;
  if (!options.dynamic) return;
  const auto scale = static_cast<double>(state.scale);
  if (overflow) {
    state.clean = 0;
    if (state.tolerance > 0) state.tolerance -= 1;
    if (state.tolerance > 0) return;
    const auto lower = static_cast<float>(scale * options.backoff);
    state.scale = lower < options.min ? options.min : lower;
    return;
  }
  if (options.refill == hysteresis_refill::clean_step) state.tolerance = options.hysteresis;
  state.clean += 1;
  if (state.clean < options.interval) return;
  state.clean = 0;
  const double product = scale * options.growth;
  // Compared before it is rounded: what rounds to infinity is at least half a unit beyond the largest number.
  constexpr double beyond = 0x1.ffffffp127;
  if (product < beyond) {
    const auto higher = static_cast<float>(product);
    state.scale = higher > options.max ? options.max : higher;
  }
  if (options.refill == hysteresis_refill::growth) state.tolerance = options.hysteresis;
}

/// Refuses options by which no scale can move as it should.
TESSERA_ALWAYS_INLINE void check(const loss_scale_options& options, const char* function) {
  using tessera::detail::expects;
  using tessera::detail::number;
  constexpr double most = std::numeric_limits<float>::max();
  expects(
      options.initial > 0 && static_cast<double>(options.initial) <= most, function, "options.initial",
      [&] { return number(static_cast<double>(options.initial)); }, "needs a positive finite scale");
  expects(
      options.growth >= 1 && options.growth <= most, function, "options.growth", [&] { return number(options.growth); },
      "needs a finite factor of at least 1");
  expects(
      options.backoff > 0 && options.backoff <= 1, function, "options.backoff", [&] { return number(options.backoff); },
      "needs a factor above 0, and at most 1");
  expects(
      options.interval >= 1, function, "options.interval", [&] { return std::to_string(options.interval); },
      "needs at least 1 step");
  expects(
      options.min >= 0 && options.min <= options.initial, function, "options.min",
      [&] { return number(static_cast<double>(options.min)); }, "needs at least 0, and no more than options.initial");
  expects(
      options.max >= options.initial, function, "options.max", [&] { return number(static_cast<double>(options.max)); },
      "needs no less than options.initial");
  expects(
      options.hysteresis >= 1, function, "options.hysteresis", [&] { return std::to_string(options.hysteresis); },
      "needs at least 1 overflow");
}

/// Refuses a state that no step can have left: a checkpoint that is empty, or of something else.
TESSERA_ALWAYS_INLINE void check(const loss_scale_state& state, const loss_scale_options& options, const char* function) {
  using tessera::detail::expects;
  expects(
      state.scale > 0 && state.scale <= std::numeric_limits<float>::max(), function, "state.scale",
      [&] { return tessera::detail::number(static_cast<double>(state.scale)); }, "needs a positive finite scale");
  expects(state.clean >= 0, function, "state.clean", [&] { return std::to_string(state.clean); }, "needs at least 0 steps");
  expects(
      state.tolerance >= 0 && state.tolerance <= options.hysteresis, function, "state.tolerance",
      [&] { return std::to_string(state.tolerance); }, "needs from 0 to options.hysteresis overflows");
  expects(
      state.skipped >= 0 && state.skipped <= state.steps, function, "state.skipped",
      [&] { return std::to_string(state.skipped) + " of " + std::to_string(state.steps); },
      "needs no more skipped steps than there were");
}

}  // namespace tessera::training
