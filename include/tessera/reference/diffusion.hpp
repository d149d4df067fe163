// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The diffusion family as plain float64 loops, one sample at a time: what tests compare against.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace tessera::reference {

/// diffusion::sigma_grid, the formula as it is written.
inline std::vector<double> sigma_grid(int steps, double sigma_min, double sigma_max, double rho, bool final_zero) {
  const int n = final_zero ? steps - 1 : steps;
  const double from = std::pow(sigma_max, 1 / rho);
  const double to = std::pow(sigma_min, 1 / rho);
  std::vector<double> sigmas;
  for (int i = 0; i <= n; ++i) sigmas.push_back(n == 0 ? sigma_max : std::pow(from + i * (to - from) / n, rho));
  if (final_zero) sigmas.push_back(0);
  return sigmas;
}

/// D(x; sigma) = c_skip x + c_out F(c_in x, c_noise).
struct preconditioning {
  double c_skip;
  double c_out;
  double c_in;
  double c_noise;
  double loss_weight;
};

inline preconditioning edm_precondition(double sigma, double sigma_data) {
  const double s2 = sigma * sigma;
  const double d2 = sigma_data * sigma_data;
  return {d2 / (s2 + d2), sigma * sigma_data / std::sqrt(s2 + d2), 1 / std::sqrt(s2 + d2), std::log(sigma) / 4,
          (s2 + d2) / (s2 * d2)};
}

inline preconditioning vp_precondition(double sigma, double beta_d, double beta_min, double steps) {
  const double s2 = sigma * sigma;
  const double t = (std::sqrt(beta_min * beta_min + 2 * beta_d * std::log1p(s2)) - beta_min) / beta_d;
  return {1, -sigma, 1 / std::sqrt(1 + s2), (steps - 1) * t, 1 / s2};
}

inline preconditioning ve_precondition(double sigma) { return {1, sigma, 1, std::log(sigma / 2), 1 / (sigma * sigma)}; }

/// The noise levels u_0 > u_1 > ... > u_steps = 0 that improved DDPM was trained on.
inline std::vector<double> iddpm_levels(int steps, double c_1, double c_2) {
  const auto alpha_bar = [&](int j) { return std::pow(std::sin(std::acos(-1.0) * j / (2 * steps * (1 + c_2))), 2); };
  std::vector<double> u(static_cast<std::size_t>(steps) + 1, 0.0);
  for (int j = steps; j > 0; --j) {
    const auto at = static_cast<std::size_t>(j);
    u[at - 1] = std::sqrt((u[at] * u[at] + 1) / std::max(alpha_bar(j - 1) / alpha_bar(j), c_1) - 1);
  }
  return u;
}

inline preconditioning iddpm_precondition(double sigma, int steps, double c_1, double c_2) {
  const std::vector<double> u = iddpm_levels(steps, c_1, c_2);
  int nearest = 0;
  for (int j = 1; j < steps; ++j) {
    if (std::abs(u[static_cast<std::size_t>(j)] - sigma) < std::abs(u[static_cast<std::size_t>(nearest)] - sigma)) nearest = j;
  }
  return {1, -sigma, 1 / std::sqrt(1 + sigma * sigma), static_cast<double>(steps - 1 - nearest), 1 / (sigma * sigma)};
}

/// Isotropic Gaussians: component k has weight[k], mean[k] (one value an axis) and standard deviation[k].
struct mixture {
  std::vector<double> weight;
  std::vector<std::vector<double>> mean;
  std::vector<double> deviation;
};

/// E[x0 | x] of a mixture seen through noise of standard deviation sigma > 0:
///
///   D(x) = sum_k r_k (x s_k^2 + mu_k sigma^2) / (s_k^2 + sigma^2),   r_k ~ w_k N(x; mu_k, s_k^2 + sigma^2)
inline std::vector<double> mixture_denoiser(const mixture& m, const std::vector<double>& x, double sigma) {
  const std::size_t d = x.size();
  std::vector<double> log_r;
  for (std::size_t k = 0; k < m.weight.size(); ++k) {
    const double variance = m.deviation[k] * m.deviation[k] + sigma * sigma;
    double distance = 0;
    for (std::size_t e = 0; e < d; ++e) distance += (x[e] - m.mean[k][e]) * (x[e] - m.mean[k][e]);
    log_r.push_back(std::log(m.weight[k]) - distance / (2 * variance) - static_cast<double>(d) / 2 * std::log(variance));
  }
  const double peak = *std::max_element(log_r.begin(), log_r.end());
  double total = 0;
  for (const double l : log_r) total += std::exp(l - peak);
  std::vector<double> out(d, 0.0);
  for (std::size_t k = 0; k < m.weight.size(); ++k) {
    const double r = std::exp(log_r[k] - peak) / total;
    const double s2 = m.deviation[k] * m.deviation[k];
    for (std::size_t e = 0; e < d; ++e) {
      out[e] += r * (x[e] * s2 + m.mean[k][e] * sigma * sigma) / (s2 + sigma * sigma);
    }
  }
  return out;
}

/// D(x) = sum_i softmax_i(-|x - y_i|^2 / (2 sigma^2)) y_i over the rows y_i of data.
inline std::vector<double> exact_denoiser(const std::vector<std::vector<double>>& data, const std::vector<double>& x,
                                          double sigma) {
  return mixture_denoiser({std::vector<double>(data.size(), 1.0), data, std::vector<double>(data.size(), 0.0)}, x, sigma);
}

/// Where the probability-flow ODE takes x from noise level `from` to level `to` when the data is N(mean, deviation^2).
inline double gaussian_flow(double mean, double deviation, double x, double from, double to) {
  const double s2 = deviation * deviation;
  return mean + (x - mean) * std::sqrt((s2 + to * to) / (s2 + from * from));
}

/// s_churn, s_min, s_max, s_noise of EDM's sampler.
struct churn {
  double amount = 0;
  double sigma_min = 0;
  double sigma_max = std::numeric_limits<double>::infinity();
  double noise = 1;
};

/// EDM's algorithm 2 on one sample; heun = false leaves out the second half of every step.
///
/// denoiser(x, sigma) returns D; normal(i, e) is the noise of step i and element e.
template <class Denoiser, class Normal>
std::vector<double> edm_sampler(const Denoiser& denoiser, const std::vector<double>& sigmas, std::vector<double> x, bool heun,
                                const churn& c, const Normal& normal) {
  const std::size_t steps = sigmas.size() - 1;
  for (std::size_t i = 0; i < steps; ++i) {
    const double sigma = sigmas[i];
    const double next = sigmas[i + 1];
    const bool churned = c.sigma_min <= sigma && sigma <= c.sigma_max;
    const double gamma = churned ? std::min(c.amount / static_cast<double>(steps), std::sqrt(2.0) - 1) : 0;
    const double hat = sigma + gamma * sigma;
    if (gamma > 0) {
      for (std::size_t e = 0; e < x.size(); ++e) x[e] += std::sqrt(hat * hat - sigma * sigma) * c.noise * normal(i, e);
    }
    const std::vector<double> denoised = denoiser(x, hat);
    std::vector<double> slope(x.size());
    std::vector<double> euler(x.size());
    for (std::size_t e = 0; e < x.size(); ++e) {
      slope[e] = (x[e] - denoised[e]) / hat;
      euler[e] = x[e] + (next - hat) * slope[e];
    }
    if (heun && next != 0) {
      const std::vector<double> denoised_end = denoiser(euler, next);
      for (std::size_t e = 0; e < x.size(); ++e) {
        x[e] += (next - hat) * (slope[e] / 2 + (euler[e] - denoised_end[e]) / next / 2);
      }
    } else {
      x = euler;
    }
  }
  return x;
}

}  // namespace tessera::reference
