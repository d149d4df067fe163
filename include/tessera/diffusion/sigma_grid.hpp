// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The noise levels that a sampler visits: the rho grid of EDM.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/diffusion/detail/number.hpp"

namespace tessera::diffusion {

/// EDM's values. sigma is the standard deviation of the noise, in units of the data.
struct sigma_grid_options {
  double sigma_min = 0.002;
  double sigma_max = 80;
  /// 1 spaces the levels evenly; towards infinity their ratios become equal. Larger is denser near sigma_min.
  double rho = 7;
  /// true: the last level is 0 and sigma_min the one before it. false: the last level is sigma_min.
  bool final_zero = true;
};

/// Fills `sigmas` with the steps + 1 levels of `steps = sigmas.size() - 1` sampler steps, falling from sigma_max.
///
///   sigma_i = (sigma_max^(1/rho) + i/n (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho
///
/// with n = steps - 1 and sigma_steps = 0, or n = steps where final_zero is false.
///
/// Special values  one step: {sigma_max, 0}, or {sigma_max, sigma_min}. Both ends are exact.
/// Accuracy        relative error below 6e-15 for rho <= 10 and sigma_max / sigma_min <= 1e6 (test/diffusion/sigma_grid.cpp)
/// Errors          argument_error for fewer than 2 levels, sigma_min <= 0, sigma_max <= sigma_min, rho <= 0, or a value that is
///                 not finite
/// Source          Karras et al. 2022, arXiv:2206.00364, equation 5
inline void sigma_grid(std::span<double> sigmas, const sigma_grid_options& options = {}) {
  constexpr const char* function = "diffusion::sigma_grid";
  tessera::detail::expects(
      sigmas.size() >= 2, function, "steps", [&] { return std::to_string(static_cast<std::int64_t>(sigmas.size()) - 1); },
      "needs at least 1");
  tessera::detail::expects(
      std::isfinite(options.sigma_min) && options.sigma_min > 0, function, "sigma_min",
      [&] { return detail::number(options.sigma_min); }, "needs a finite value above 0");
  tessera::detail::expects(
      std::isfinite(options.sigma_max) && options.sigma_max > options.sigma_min, function, "sigma_max",
      [&] { return detail::number(options.sigma_max); }, "needs a finite value above sigma_min");
  tessera::detail::expects(
      std::isfinite(options.rho) && options.rho > 0, function, "rho", [&] { return detail::number(options.rho); },
      "needs a finite value above 0");

  const std::size_t last = sigmas.size() - (options.final_zero ? 2 : 1);  // the index of sigma_min
  // In units of sigma_max, so that no power overflows: sigma_i = sigma_max (1 - w + w q)^rho, q^rho = sigma_min / sigma_max.
  // The two logarithms are the two ways of not cancelling: q near 1 (large rho) and q near 0 (small rho).
  const double exponent = (std::log(options.sigma_min) - std::log(options.sigma_max)) / options.rho;
  const double q = std::exp(exponent);
  const double q_less_1 = std::expm1(exponent);
  for (std::size_t i = 1; i < last; ++i) {
    const double w = static_cast<double>(i) / static_cast<double>(last);
    const double rest = static_cast<double>(last - i) / static_cast<double>(last);
    const double log_base = w * q_less_1 > -0.5 ? std::log1p(w * q_less_1) : std::log(rest + w * q);
    sigmas[i] = options.sigma_max * std::exp(options.rho * log_base);
  }
  if (options.final_zero) sigmas.back() = 0;
  sigmas[last] = options.sigma_min;
  sigmas[0] = options.sigma_max;  // after sigma_min: with one step and a final zero both are level 0
}

/// The same levels in a vector of steps + 1 values: `sigma_grid(18)` is EDM's grid of 18 steps, 80 … 0.002, 0.
[[nodiscard]] inline std::vector<double> sigma_grid(std::int64_t steps, const sigma_grid_options& options = {}) {
  tessera::detail::expects(
      steps >= 1, "diffusion::sigma_grid", "steps", [&] { return std::to_string(steps); }, "needs at least 1");
  std::vector<double> sigmas(static_cast<std::size_t>(steps) + 1);
  sigma_grid(std::span<double>(sigmas), options);
  return sigmas;
}

}  // namespace tessera::diffusion
