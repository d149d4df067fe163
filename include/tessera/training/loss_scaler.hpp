// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Loss scaling from the loss to the optimisers: what is asked in which order, and what a step reports.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/tile/tensor_list.hpp"
#include "tessera/training/gradient_report.hpp"
#include "tessera/training/loss_scale.hpp"
#include "tessera/training/unscale.hpp"

namespace tessera::training {

/// What became of one step.
struct step_report {
  bool skipped = false;  ///< some gradient was not finite: whose optimiser was left out
  float scale = 0;       ///< that the losses of the step were multiplied by
  float next_scale = 0;  ///< that those of the next step are to be multiplied by
  std::int64_t bad_optimizer =
      -1;                     ///< the first with a gradient that is not finite here; -1 too where only another rank's was not
  gradient_report gradients;  ///< of all optimisers; bad_tensor counts in the list of bad_optimizer
};

/// Keeps gradients of 16 bits from vanishing: multiply the loss by scale(), unscale the gradients, step where they are finite, update.
///
///     training::loss_scaler scaler;
///     for (;;) {
///       … backward of scaler.scale() * loss, to float16 gradients …
///       scaler.unscale(par, scaled, gradients);
///       scaler.step([&] { training::adamw(par, …); });
///       const auto report = scaler.update();
///     }
///
/// Several optimisers have numbers: each is unscaled and stepped by its own, and left out only if its own gradients are not finite; update()
/// lowers the scale if those of any are not. Out of order, as unscaling twice, is an argument_error that names the optimiser.
///
/// Distributed      `agree` between unscale and step: every rank then steps, or none does
/// Checkpoints      state() is plain bytes; `restore` them between steps
/// Determinism      that of unscale; the same scales as PyTorch's GradScaler, with default options
/// Backends         host. On a device: training::unscale(cuda::on(stream), …) and the function `update` of loss_scale.hpp, in device memory
class loss_scaler {
 public:
  TESSERA_ALWAYS_INLINE explicit loss_scaler(const loss_scale_options& options = {})
      : options_(options), state_(initial_state(options)) {
    check(options, "training::loss_scaler");
  }

  /// What to multiply losses by.
  [[nodiscard]] TESSERA_ALWAYS_INLINE float scale() const { return state_.scale; }
  [[nodiscard]] TESSERA_ALWAYS_INLINE const loss_scale_options& options() const { return options_; }
  [[nodiscard]] TESSERA_ALWAYS_INLINE const loss_scale_state& state() const { return state_; }

  /// Goes on from a state of a scaler with the same options. Between update and unscale only.
  TESSERA_ALWAYS_INLINE void restore(const loss_scale_state& state) {
    constexpr const char* function = "training::loss_scaler.restore";
    for (std::size_t i = 0; i < optimizers_.size(); ++i) expect_stage(i, stage::ready, function, "needs to come after update()");
    check(state, options_, function);
    state_ = state;
  }

  /// training::unscale by the scale, for one optimiser.
  template <executor Exec, tensor_list Scaled, tensor_list Unscaled>
  gradient_report unscale(const Exec& exec, const Scaled& scaled, const Unscaled& out, std::int64_t optimizer = 0) {
    expect_stage(place(optimizer, "training::loss_scaler.unscale"), stage::ready, "training::loss_scaler.unscale",
                 "needs update() first");
    const gradient_report found = training::unscale(exec, scaled, out, state_.scale);
    record(found, optimizer);
    return found;
  }

  /// In place of unscale where the caller's own pass has looked at the gradients: a fused backward, or part of a model elsewhere.
  TESSERA_ALWAYS_INLINE void record(const gradient_report& found, std::int64_t optimizer = 0) {
    constexpr const char* function = "training::loss_scaler.record";
    const std::size_t at = place(optimizer, function);
    expect_stage(at, stage::ready, function, "needs update() first");
    optimizers_[at] = {stage::unscaled, !found.finite(), found};
  }

  /// found = all_reduce(found), the largest over all ranks of 1 for gradients that are not finite and 0 for others: between unscale and step.
  template <class AllReduce>
  void agree(AllReduce&& all_reduce, std::int64_t optimizer = 0) {
    const std::size_t at = place(optimizer, "training::loss_scaler.agree");
    expect_stage(at, stage::unscaled, "training::loss_scaler.agree", "needs to come between unscale() and step()");
    optimizers_[at].overflow = std::forward<AllReduce>(all_reduce)(optimizers_[at].overflow ? 1.0f : 0.0f) != 0.0f;
  }

  /// Calls take() if the optimiser's gradients are finite, and says whether it did.
  template <class Take>
  bool step(Take&& take, std::int64_t optimizer = 0) {
    const std::size_t at = place(optimizer, "training::loss_scaler.step");
    expect_stage(at, stage::unscaled, "training::loss_scaler.step", "needs unscale() first, and one step of an optimiser");
    if (!optimizers_[at].overflow) std::forward<Take>(take)();
    optimizers_[at].at = stage::stepped;
    return !optimizers_[at].overflow;
  }

  /// Ends the step: moves the scale, and makes all optimisers ready for the next.
  TESSERA_ALWAYS_INLINE step_report update() {
    step_report report;
    report.scale = state_.scale;
    bool any = false;
    for (std::size_t i = 0; i < optimizers_.size(); ++i) {
      optimizer_state& mine = optimizers_[i];
      if (mine.at == stage::ready) continue;
      any = true;
      report.skipped = report.skipped || mine.overflow;
      if (report.bad_optimizer < 0 && !mine.found.finite()) report.bad_optimizer = static_cast<std::int64_t>(i);
      report.gradients.add(mine.found);
      mine = {};
    }
    tessera::detail::expects(
        any, "training::loss_scaler.update", "optimizer", [] { return "none unscaled"; }, "needs unscale() or record() first");
    training::update(state_, options_, report.skipped);
    report.next_scale = state_.scale;
    return report;
  }

 private:
  enum class stage : std::uint8_t { ready, unscaled, stepped };
  struct optimizer_state {
    stage at = stage::ready;
    bool overflow = false;
    gradient_report found;
  };

  TESSERA_ALWAYS_INLINE std::size_t place(std::int64_t optimizer, const char* function) {
    constexpr std::int64_t most = 1 << 20;
    tessera::detail::expects(
        optimizer >= 0 && optimizer < most, function, "optimizer", [&] { return std::to_string(optimizer); },
        "needs a number from 0 to below 2^20");
    const auto at = static_cast<std::size_t>(optimizer);
    if (at >= optimizers_.size()) optimizers_.resize(at + 1);
    return at;
  }

  TESSERA_ALWAYS_INLINE void expect_stage(std::size_t at, stage needed, const char* function, const char* needs) const {
    tessera::detail::expects(
        optimizers_[at].at == needed, function, "optimizer",
        [&] {
          constexpr const char* names[] = {"not unscaled", "unscaled", "stepped"};
          return std::to_string(at) + " is " + names[static_cast<int>(optimizers_[at].at)];
        },
        needs);
  }

  loss_scale_options options_;
  loss_scale_state state_;
  std::vector<optimizer_state> optimizers_;
};

}  // namespace tessera::training
