// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Denoisers whose answer is known, for the tests of this folder.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/diffusion/sigma_grid.hpp"
#include "tessera/reference/diffusion.hpp"
#include "tessera/tile/view.hpp"

namespace analytic {

/// Two Gaussians on the line.
inline const tessera::reference::mixture problem_a{{0.3, 0.7}, {{-1.0}, {0.8}}, {0.5, 0.4}};

/// The grid of problem A: 5 -> 0.05, no zero.
inline std::vector<double> grid_a(int steps) {
  return tessera::diffusion::sigma_grid(steps, {.sigma_min = 0.05, .sigma_max = 5, .final_zero = false});
}

/// A denoiser over views [samples, dim] from f(sample, sigma) -> sample in float64.
template <class F>
auto per_sample(F f) {
  return [f](const auto& noisy, double sigma, const auto& out) {
    for (std::int64_t i = 0; i < noisy.extent(0); ++i) {
      std::vector<double> x;
      for (std::int64_t e = 0; e < noisy.extent(1); ++e) x.push_back(static_cast<double>(noisy(i, e)));
      const std::vector<double> d = f(x, sigma);
      for (std::int64_t e = 0; e < noisy.extent(1); ++e) {
        using T = tessera::value_type_of<std::remove_cvref_t<decltype(out)>>;
        out(i, e) = static_cast<T>(d[static_cast<std::size_t>(e)]);
      }
    }
  };
}

inline auto mixture(const tessera::reference::mixture& m) {
  return [m](const std::vector<double>& x, double sigma) { return tessera::reference::mixture_denoiser(m, x, sigma); };
}

/// Data N(mean, deviation^2) on every axis.
inline auto gaussian(double mean, double deviation) {
  return [=](std::vector<double> x, double sigma) {
    for (double& e : x) e = mean + deviation * deviation / (deviation * deviation + sigma * sigma) * (e - mean);
    return x;
  };
}

/// True when the error names the function and the argument.
inline auto names(std::string function, std::string argument) {
  return [=](const tessera::argument_error& e) {
    return std::string(e.what()).rfind("diffusion::" + function + ": " + argument + ": ", 0) == 0;
  };
}

}  // namespace analytic
