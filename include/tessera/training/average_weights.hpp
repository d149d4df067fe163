// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Numbers of averages of parameters over training: how fast they forget, and how snapshots join to an average that nobody kept.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"

namespace tessera::training {

/// beta of a power-function average at step t, from 1: average = beta average + (1 - beta) weights.
///
///   beta = (1 - 1 / t)^(gamma + 1), which weighs the weights of step s by s^gamma: 0 at t = 1, so that an average begins with the first weights
///
/// Source          Karras et al. 2024, arXiv:2312.02696, equation 127
TESSERA_HD TESSERA_ALWAYS_INLINE double power_decay(double t, double gamma) { return std::pow(1 - 1 / t, gamma + 1); }

/// The width of a power-function average, as a share of the training so far: the standard deviation of the step it weighs, over t.
///
///   sigma_rel = sqrt(gamma + 1) / ((gamma + 2) sqrt(gamma + 3))
///
/// Source          Karras et al. 2024, arXiv:2312.02696, equation 123
TESSERA_HD TESSERA_ALWAYS_INLINE double relative_width(double gamma) {
  return std::sqrt(gamma + 1) / ((gamma + 2) * std::sqrt(gamma + 3));
}

/// gamma of a width, relative_width's inverse on gamma >= 0: widths in (0, 1 / sqrt(12)]; 0.05 and 0.10 give 16.97 and 6.94.
///
/// Errors          argument_error for a width out of range
TESSERA_ALWAYS_INLINE double power_of_width(double width) {
  const double widest = 1 / std::sqrt(12.0);
  tessera::detail::expects(
      width > 0 && width <= widest, "training::power_of_width", "width", [&] { return tessera::detail::number(width); },
      "needs a share of training above 0, and at most 1 / sqrt(12)");
  // (gamma + 1) - w^2 (gamma + 2)^2 (gamma + 3) falls from gamma = 0 on where it is 0: by bisection, to the last bit.
  double low = 0;
  double high = 1 / width;  // there the width is below 1 / gamma
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (relative_width(middle) > width ? low : high) = middle;
  }
  return low;
}

/// A power-function average that was kept: at which step, of which gamma.
struct snapshot {
  double t;
  double gamma;
};

namespace detail {

/// The integral over steps of the product of what two averages weigh them by.
TESSERA_ALWAYS_INLINE double overlap_of(const snapshot& a, const snapshot& b) {
  // With r = min(t) / max(t) and gamma of the later one: only steps that both have seen count.
  const bool a_first = a.t < b.t;
  const snapshot& late = a_first ? b : a;
  const snapshot& early = a_first ? a : b;
  return (a.gamma + 1) * (b.gamma + 1) * std::pow(early.t / late.t, late.gamma) / ((a.gamma + b.gamma + 1) * late.t);
}

}  // namespace detail

/// The factors by which snapshots sum to the average that is nearest to one of step `target.t` and `target.gamma`: the least squares between
/// what they weigh each step of training by.
///
/// Shapes          snapshots [n] with t > 0 and gamma > -1/2, no two the same; factors [n]
/// Accuracy        the factors solve the equations to rounding (float64, pivoted); those are ill-conditioned by nature where snapshots are
///                 many and close, but what they sum to is not: test/training/averages.cpp
/// Cost            n^3 / 3 multiplications, n^2 numbers of memory
/// Errors          argument_error: lists of different length, an empty list, steps or powers out of range, snapshots that are the same
/// Source          Karras et al. 2024, arXiv:2312.02696, section C.2
TESSERA_ALWAYS_INLINE void post_hoc_factors(std::span<const snapshot> snapshots, const snapshot& target,
                                            std::span<double> factors) {
  using tessera::detail::expects;
  constexpr const char* function = "training::post_hoc_factors";
  const std::size_t n = snapshots.size();
  expects(n > 0, function, "snapshots", [] { return "an empty list"; }, "needs one snapshot at least");
  expects(
      factors.size() == n, function, "factors", [&] { return std::to_string(factors.size()) + " numbers"; },
      ("needs as many as snapshots, " + std::to_string(n)).c_str());
  const auto check = [&](const snapshot& s, const std::string& name) {
    expects(
        s.t > 0 && s.t <= std::numeric_limits<double>::max(), function, (name + ".t").c_str(),
        [&] { return tessera::detail::number(s.t); }, "needs a positive finite step");
    expects(
        s.gamma > -0.5 && s.gamma <= std::numeric_limits<double>::max(), function, (name + ".gamma").c_str(),
        [&] { return tessera::detail::number(s.gamma); }, "needs a finite power above -1/2");
  };
  for (std::size_t i = 0; i < n; ++i) check(snapshots[i], "snapshots[" + std::to_string(i) + "]");
  check(target, "target");
  // Elimination with the largest pivot of each column, scaled so that what a snapshot weighs has the norm 1.
  const std::size_t width = n + 1;
  std::vector<double> a(n * width);
  std::vector<double> norm(n);
  for (std::size_t i = 0; i < n; ++i) norm[i] = std::sqrt(detail::overlap_of(snapshots[i], snapshots[i]));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) a[i * width + j] = detail::overlap_of(snapshots[i], snapshots[j]) / (norm[i] * norm[j]);
    a[i * width + n] = detail::overlap_of(snapshots[i], target) / norm[i];
  }
  for (std::size_t c = 0; c < n; ++c) {
    std::size_t pivot = c;
    for (std::size_t r = c + 1; r < n; ++r) {
      if (std::fabs(a[r * width + c]) > std::fabs(a[pivot * width + c])) pivot = r;
    }
    expects(
        std::fabs(a[pivot * width + c]) > 0x1p-50, function, "snapshots",
        [&] { return "number " + std::to_string(c) + " is a sum of those before it"; }, "needs snapshots that differ");
    for (std::size_t j = c; pivot != c && j < width; ++j) std::swap(a[c * width + j], a[pivot * width + j]);
    for (std::size_t r = c + 1; r < n; ++r) {
      const double f = a[r * width + c] / a[c * width + c];
      for (std::size_t j = c; j < width; ++j) a[r * width + j] -= f * a[c * width + j];
    }
  }
  for (std::size_t c = n; c-- > 0;) {
    double sum = a[c * width + n];
    for (std::size_t j = c + 1; j < n; ++j) sum -= a[c * width + j] * factors[j];
    factors[c] = sum / a[c * width + c];
  }
  for (std::size_t i = 0; i < n; ++i) factors[i] /= norm[i];
}

}  // namespace tessera::training
