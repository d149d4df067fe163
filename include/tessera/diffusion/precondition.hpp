// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The scalings around a raw network: EDM's, and those of VP, VE and iDDPM in EDM's form.
#pragma once

#include <cmath>

#include "tessera/core/config.hpp"

namespace tessera::diffusion {

/// D(x; sigma) = c_skip x + c_out F(c_in x, c_noise), and the weight of |D - x0|^2 in the training loss.
struct preconditioning {
  double c_skip = 0;
  double c_out = 0;
  double c_in = 0;
  double c_noise = 0;
  double loss_weight = 0;
};

/// EDM: the network sees and is asked for unit variance at every noise level, and its errors are amplified least.
///
///   h = sqrt(sigma^2 + sigma_data^2)
///   c_skip = (sigma_data / h)^2    c_out = sigma sigma_data / h    c_in = 1 / h    c_noise = ln(sigma) / 4
///   loss_weight = 1 / c_out^2
///
/// Range           sigma > 0, sigma_data > 0; no overflow for any such pair
/// Backends        host, device
/// Source          Karras et al. 2022, arXiv:2206.00364, table 1
struct edm_precondition {
  /// The standard deviation of the data.
  double sigma_data = 0.5;

  TESSERA_HD preconditioning operator()(double sigma) const {
    const double h = ::hypot(sigma, sigma_data);
    const double skip = sigma_data / h;
    const double out = sigma * skip;
    return {.c_skip = skip * skip, .c_out = out, .c_in = 1 / h, .c_noise = ::log(sigma) / 4, .loss_weight = 1 / out / out};
  }
};

/// A network trained to predict the noise under the variance-preserving SDE, beta(t) = beta_min + beta_d t.
///
///   c_skip = 1    c_out = -sigma    c_in = 1 / sqrt(1 + sigma^2)    c_noise = (steps - 1) t(sigma)    loss_weight = 1 / sigma^2
///   t(sigma) = (sqrt(beta_min^2 + 2 beta_d ln(1 + sigma^2)) - beta_min) / beta_d
///
/// Backends        host, device
/// Source          Karras et al. 2022, arXiv:2206.00364, table 1 and appendix C
struct vp_precondition {
  double beta_d = 19.9;
  double beta_min = 0.1;
  /// Time steps of the training schedule.
  double steps = 1000;

  TESSERA_HD preconditioning operator()(double sigma) const {
    const double h = ::hypot(1.0, sigma);
    // ln(1 + sigma^2): the square may vanish or overflow where the logarithm does neither. The difference of the root and
    // beta_min is written as a quotient, which does not cancel for small sigma.
    const double log_h2 = sigma < 1 ? ::log1p(sigma * sigma) : 2 * ::log(h);
    const double t = 2 * log_h2 / (::sqrt(beta_min * beta_min + 2 * beta_d * log_h2) + beta_min);
    return {.c_skip = 1, .c_out = -sigma, .c_in = 1 / h, .c_noise = (steps - 1) * t, .loss_weight = 1 / sigma / sigma};
  }
};

/// A network trained to predict the noise under the variance-exploding SDE.
///
///   c_skip = 1    c_out = sigma    c_in = 1    c_noise = ln(sigma / 2)    loss_weight = 1 / sigma^2
///
/// Backends        host, device
/// Source          Karras et al. 2022, arXiv:2206.00364, table 1
struct ve_precondition {
  TESSERA_HD preconditioning operator()(double sigma) const {
    return {.c_skip = 1, .c_out = sigma, .c_in = 1, .c_noise = ::log(sigma / 2), .loss_weight = 1 / sigma / sigma};
  }
};

/// A network trained to predict the noise at the discrete levels of improved DDPM's cosine schedule.
///
///   c_skip = 1    c_out = -sigma    c_in = 1 / sqrt(1 + sigma^2)    loss_weight = 1 / sigma^2
///   c_noise = steps - 1 - argmin_j |u_j - sigma|, 0 <= j < steps
///   u_steps = 0    u_{j-1} = sqrt((u_j^2 + 1) / max(abar_{j-1} / abar_j, c_1) - 1)    abar_j = sin^2(pi j / (2 steps (1 + c_2)))
///
/// Of two levels at the same distance, the one with more noise counts.
///
/// Cost            `steps` square roots a call; a denoiser calls it once a batch
/// Backends        host, device
/// Source          Karras et al. 2022, arXiv:2206.00364, table 1; Nichol and Dhariwal 2021, arXiv:2102.09672
struct iddpm_precondition {
  int steps = 1000;
  double c_1 = 0.001;
  double c_2 = 0.008;

  TESSERA_HD preconditioning operator()(double sigma) const {
    return {.c_skip = 1,
            .c_out = -sigma,
            .c_in = 1 / ::hypot(1.0, sigma),
            .c_noise = static_cast<double>(steps - 1 - nearest_level(sigma)),
            .loss_weight = 1 / sigma / sigma};
  }

  /// u_j, 0 <= j <= steps, in `steps` - j square roots: 0 is the level with most noise.
  TESSERA_HD double level(int j) const {
    double u = 0;
    for (int k = steps; k > j; --k) u = next_level(u, k);
    return u;
  }

  /// argmin_j |u_j - sigma|.
  TESSERA_HD int nearest_level(double sigma) const {
    int nearest = steps - 1;
    double distance = -1;
    double u = 0;
    for (int j = steps; j > 0; --j) {  // u grows as j falls
      u = next_level(u, j);
      const double d = u > sigma ? u - sigma : sigma - u;
      if (distance >= 0 && d > distance) break;
      distance = d;
      nearest = j - 1;
    }
    return nearest;
  }

 private:
  /// u_{j-1} from u_j.
  TESSERA_HD double next_level(double u, int j) const {
    const double ratio = alpha_bar(j - 1) / alpha_bar(j);
    return ::sqrt((u * u + 1) / (ratio > c_1 ? ratio : c_1) - 1);
  }

  TESSERA_HD double alpha_bar(int j) const {
    const double s = ::sin(1.5707963267948966 * j / (steps * (1 + c_2)));
    return s * s;
  }
};

}  // namespace tessera::diffusion
