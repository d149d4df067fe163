// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/diffusion/preconditioned.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "analytic.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace diffusion = tessera::diffusion;
namespace reference = tessera::reference;
using analytic::names;
using tessera::argument_error;
using tessera::view;

BOOST_AUTO_TEST_SUITE(diffusion_preconditioned)

// A network that answers (D - c_skip x) / c_out for a known D makes the preconditioned denoiser D again.
BOOST_AUTO_TEST_CASE(turns_a_network_into_its_denoiser) {
  const reference::mixture m{{0.2, 0.5, 0.3}, {{-1, 0.3}, {0.8, -0.4}, {0.1, 0.9}}, {0.3, 0.05, 0.2}};
  const auto exact = analytic::mixture(m);
  const auto check = [&](const auto& scheme, auto sigma_of_c_noise, double bound) {
    const auto network = analytic::per_sample([&](std::vector<double> u, double c_noise) {
      const double sigma = sigma_of_c_noise(c_noise);
      const auto c = scheme(sigma);
      for (double& e : u) e /= c.c_in;
      std::vector<double> f = exact(u, sigma);
      for (std::size_t e = 0; e < f.size(); ++e) f[e] = (f[e] - c.c_skip * u[e]) / c.c_out;
      return f;
    });
    const auto denoiser = diffusion::preconditioned(tessera::seq, network, scheme);
    for (const double sigma : {0.01, 0.4, 3.0, 60.0}) {
      const std::vector<double> noisy{0.1, -0.3, 1.5, 2.5, -40.0, 70.0};
      std::vector<double> out(6, -9.0);
      denoiser(view<const double, 2>(noisy.data(), 3, 2), sigma, view<double, 2>(out.data(), 3, 2));
      for (std::size_t i = 0; i < 6; i += 2) {
        const auto want = exact({noisy[i], noisy[i + 1]}, sigma);
        BOOST_TEST(std::abs(out[i] - want[0]) < bound);
        BOOST_TEST(std::abs(out[i + 1] - want[1]) < bound);
      }
    }
  };
  check(diffusion::edm_precondition{.sigma_data = 0.6}, [](double c) { return std::exp(4 * c); }, 1e-10);
  check(diffusion::ve_precondition{}, [](double c) { return 2 * std::exp(c); }, 1e-10);
  check(
      diffusion::vp_precondition{},
      [](double c) {
        const double t = c / 999;
        return std::sqrt(std::expm1(9.95 * t * t + 0.1 * t));
      },
      1e-10);
}

BOOST_AUTO_TEST_CASE(storage_of_the_network) {
  // F(u) = u / 2 is exact in every format, so D = (c_skip + c_out c_in / 2) x up to the rounding of u.
  const auto run = [](auto storage_tag, double bound) {
    using S = decltype(storage_tag);
    const auto network = [](view<const S, 3> in, double, view<S, 3> out) {
      BOOST_TEST(in.size() == 5000 * 4);
      for (std::int64_t i = 0; i < in.size(); ++i) {
        out.data_handle()[i] = S(static_cast<float>(in.data_handle()[i]) * 0.5F);
      }
    };
    const auto denoiser = diffusion::preconditioned<S>(tessera::par.threads(3), network);
    std::vector<float> noisy(20000);
    for (std::size_t i = 0; i < noisy.size(); ++i) noisy[i] = 0.001F * static_cast<float>(i) - 6.9995F;
    std::vector<float> out(20000, 99.0F);
    denoiser(view<const float, 3>(noisy.data(), 2, 5000, 2), 1.3, view<float, 3>(out.data(), 2, 5000, 2));
    const auto c = diffusion::edm_precondition{}(1.3);
    double worst = 0;
    for (std::size_t i = 0; i < noisy.size(); ++i) {
      const double want = (c.c_skip + c.c_out * c.c_in / 2) * static_cast<double>(noisy[i]);
      worst = std::max(worst, std::abs(static_cast<double>(out[i]) - want) / std::abs(want));
    }
    BOOST_TEST(worst < bound);
    BOOST_TEST(worst > bound / 100);
  };
  run(0.0F, 0x1p-23);
  run(tessera::bfloat16(0.0F), 0x1p-8);
}

BOOST_AUTO_TEST_CASE(strides_and_threads_change_no_bit) {
  const auto network = analytic::per_sample([](std::vector<double> u, double c_noise) {
    for (double& e : u) e = std::sin(e + c_noise);
    return u;
  });
  const std::int64_t n = 411;
  const std::int64_t dim = 37;
  std::vector<float> dense(static_cast<std::size_t>(n * dim));
  for (std::size_t i = 0; i < dense.size(); ++i) dense[i] = static_cast<float>(std::cos(static_cast<double>(i)) * 3);
  std::vector<float> want(dense.size());
  diffusion::preconditioned(tessera::seq, network)(view<const float, 2>(dense.data(), n, dim), 0.7,
                                                   view<float, 2>(want.data(), n, dim));
  for (const auto& [gap_in, gap_out] : {std::pair<std::int64_t, std::int64_t>{3, 1}, {0, 2}, {2, 0}}) {
    const std::int64_t stride_in = dim + gap_in;
    const std::int64_t stride_out = dim + gap_out;
    std::vector<float> in(static_cast<std::size_t>(n * stride_in), std::numeric_limits<float>::quiet_NaN());
    std::vector<float> out(static_cast<std::size_t>(n * stride_out), -1.0F);
    for (std::int64_t i = 0; i < n; ++i) std::copy_n(dense.begin() + i * dim, dim, in.begin() + i * stride_in);
    diffusion::preconditioned(tessera::par.threads(3), network)(view<const float, 2>(in.data(), {n, dim}, {stride_in, 1}), 0.7,
                                                                view<float, 2>(out.data(), {n, dim}, {stride_out, 1}));
    bool same = true;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto row = out.begin() + i * stride_out;
      same = same && std::equal(want.begin() + i * dim, want.begin() + (i + 1) * dim, row);
      same = same && std::count(row + dim, row + stride_out, -1.0F) == gap_out;
    }
    BOOST_TEST(same);
  }
}

BOOST_AUTO_TEST_CASE(bad_arguments) {
  int calls = 0;
  const auto denoiser = diffusion::preconditioned(tessera::seq, [&](const auto&, double, const auto&) { ++calls; });
  std::vector<double> in(12, 1.0);
  std::vector<double> out(12, -1.0);
  const view<const double, 2> x(in.data(), 3, 4);
  const view<double, 2> y(out.data(), 3, 4);
  const auto refused = [&](const view<const double, 2>& noisy, double sigma, const view<double, 2>& to, const char* argument) {
    BOOST_CHECK_EXCEPTION(denoiser(noisy, sigma, to), argument_error, names("preconditioned", argument));
  };
  for (const double sigma : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    refused(x, sigma, y, "sigma");
  }
  refused(view<const double, 2>(nullptr, 3, 4), 1, y, "noisy");
  refused(x, 1, view<double, 2>(nullptr, 3, 4), "out");
  refused(x, 1, view<double, 2>(out.data(), 4, 3), "out");
  refused(x, 1, view<double, 2>(out.data(), {3, 4}, {3, 1}), "out");
  refused(view<const double, 2>(out.data(), 3, 4), 1, y, "out");
  refused(view<const double, 2>(in.data(), {3, 4}, {4, -1}), 1, y, "noisy");
  BOOST_TEST(std::count(out.begin(), out.end(), -1.0) == 12);
  denoiser(view<const double, 2>(nullptr, 0, 4), 1, view<double, 2>(nullptr, 0, 4));
  denoiser(view<const double, 2>(nullptr, 3, 0), 1, view<double, 2>(nullptr, 3, 0));
  BOOST_TEST(calls == 0);
}

BOOST_AUTO_TEST_SUITE_END()
