// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/diffusion/precondition.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <limits>

#include "tessera/reference/diffusion.hpp"

namespace diffusion = tessera::diffusion;
namespace reference = tessera::reference;

namespace {

double relative(double got, double want) { return std::abs(got - want) / std::max(std::abs(want), 1e-300); }

void agree(const diffusion::preconditioning& got, const reference::preconditioning& want, double bound) {
  BOOST_TEST(relative(got.c_skip, want.c_skip) < bound);
  BOOST_TEST(relative(got.c_out, want.c_out) < bound);
  BOOST_TEST(relative(got.c_in, want.c_in) < bound);
  BOOST_TEST(std::abs(got.c_noise - want.c_noise) < bound * std::max(1.0, std::abs(want.c_noise)));
  BOOST_TEST(relative(got.loss_weight, want.loss_weight) < bound);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(diffusion_precondition)

BOOST_AUTO_TEST_CASE(agrees_with_the_formulas) {
  for (const double sigma : {1e-4, 0.002, 0.3, 0.5, 1.0, 7.5, 80.0, 1e4}) {
    for (const double sigma_data : {0.5, 1.0, 0.01, 30.0}) {
      agree(diffusion::edm_precondition{.sigma_data = sigma_data}(sigma), reference::edm_precondition(sigma, sigma_data), 4e-15);
    }
    agree(diffusion::ve_precondition{}(sigma), reference::ve_precondition(sigma), 1e-15);
    // The formula's own cancellation at small sigma is the reference's: at 1e-4 it has lost 1e-11.
    agree(diffusion::vp_precondition{}(sigma), reference::vp_precondition(sigma, 19.9, 0.1, 1000), 1e-11);
    agree(diffusion::iddpm_precondition{}(sigma), reference::iddpm_precondition(sigma, 1000, 0.001, 0.008), 1e-15);
  }
}

BOOST_AUTO_TEST_CASE(golden_values) {
  const auto edm = diffusion::edm_precondition{}(0.5);
  BOOST_TEST(relative(edm.c_skip, 0.5) < 1e-15);
  BOOST_TEST(relative(edm.c_out, 0.35355339059327376) < 1e-15);
  BOOST_TEST(relative(edm.c_in, 1.4142135623730951) < 1e-15);
  BOOST_TEST(relative(edm.c_noise, -0.17328679513998633) < 1e-15);
  BOOST_TEST(relative(edm.loss_weight, 8.0) < 1e-15);
  // VP: sigma(t) = sqrt(exp(9.95 t^2 + 0.1 t) - 1) at t = 1, 1e-3, 1e-5.
  const diffusion::vp_precondition vp;
  BOOST_TEST(relative(vp(152.16697).c_noise, 999.0) < 1e-8);
  BOOST_TEST(relative(vp(0.010485993).c_noise, 0.999) < 1e-6);
  BOOST_TEST(relative(vp(std::sqrt(std::expm1(9.95e-10 + 1e-6))).c_noise, 999e-5) < 1e-12);
  // iDDPM: pure noise is time 999, the last level time 0, and the highest level is that of the cosine schedule.
  const diffusion::iddpm_precondition iddpm;
  BOOST_TEST(iddpm(1e9).c_noise == 999.0);
  BOOST_TEST(iddpm(1e-9).c_noise == 0.0);
  BOOST_TEST(relative(iddpm.level(0), 20291.0) < 1e-4);
}

// Half way between two levels the one with more noise counts.
BOOST_AUTO_TEST_CASE(iddpm_levels) {
  const auto want = reference::iddpm_levels(1000, 0.001, 0.008);
  const diffusion::iddpm_precondition iddpm;
  BOOST_TEST(iddpm.level(1000) == 0.0);
  int ties = 0;
  for (int j = 0; j < 999; ++j) {
    const double more = iddpm.level(j);
    const double less = iddpm.level(j + 1);
    BOOST_TEST(relative(more, want[static_cast<std::size_t>(j)]) < 1e-10);
    BOOST_TEST(iddpm.nearest_level(more) == j);
    const double middle = (more + less) / 2;
    if (more - middle != middle - less) continue;  // the middle was rounded
    ++ties;
    BOOST_TEST(iddpm.nearest_level(middle) == j);
  }
  BOOST_TEST(ties > 100);
}

BOOST_AUTO_TEST_CASE(edm_keeps_unit_variance) {
  for (const double sigma : {1e-200, 1e-9, 0.002, 0.5, 80.0, 1e9, 1e200}) {
    const double sigma_data = 0.7;
    const auto c = diffusion::edm_precondition{.sigma_data = sigma_data}(sigma);
    const double h = std::hypot(sigma, sigma_data);
    BOOST_TEST(relative(c.c_in * h, 1.0) < 1e-15);  // the network's input
    // its target (x0 - c_skip x) / c_out: variance ((1 - c_skip)^2 sigma_data^2 + c_skip^2 sigma^2) / c_out^2
    const double signal = (sigma / h) * (sigma / h) * sigma_data / c.c_out;
    const double noise = c.c_skip * sigma / c.c_out;
    BOOST_TEST(relative(signal * signal + noise * noise, 1.0) < 4e-15);
    if (sigma > 1e-100) BOOST_TEST(relative(c.loss_weight * c.c_out * c.c_out, 1.0) < 4e-15);
    BOOST_TEST(std::isfinite(c.c_noise));
  }
}

BOOST_AUTO_TEST_SUITE_END()
