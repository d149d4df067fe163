// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/cuda/diffusion.cuh"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "device_array.hpp"
#include "support/error.hpp"
#include "tessera/cuda/transform.cuh"
#include "tessera/diffusion/noise.hpp"
#include "tessera/diffusion/preconditioned.hpp"
#include "tessera/diffusion/sampler.hpp"
#include "tessera/diffusion/sigma_grid.hpp"
#include "tessera/exec/seq.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace gpu = tessera::cuda;
namespace diffusion = tessera::diffusion;
using tessera::view;

namespace {

/// The posterior mean of data N(0, 0.25), element by element.
struct times {
  double factor;

  template <class T>
  TESSERA_HD T operator()(T x) const {
    return static_cast<T>(factor * static_cast<double>(x));
  }
};

double shrink(double sigma) { return 0.25 / (0.25 + sigma * sigma); }

struct gaussian_on_device {
  template <class Noisy, class Out>
  void operator()(const Noisy& noisy, double sigma, const Out& out) const {
    gpu::transform(gpu::on(), times{shrink(sigma)}, out, noisy);
  }
};

struct gaussian_on_host {
  template <class Noisy, class Out>
  void operator()(const Noisy& noisy, double sigma, const Out& out) const {
    for (std::int64_t i = 0; i < noisy.extent(0); ++i) {
      for (std::int64_t j = 0; j < noisy.extent(1); ++j) out(i, j) = times{shrink(sigma)}(noisy(i, j));
    }
  }
};

struct three_tenths {
  TESSERA_HD float operator()() const { return 0.3f; }
};

struct constant_denoiser {
  template <class Noisy, class Out>
  void operator()(const Noisy&, double, const Out& out) const {
    gpu::transform(gpu::on(), three_tenths{}, out);
  }
};

/// A state of [samples, 7] at a stride, on the device and on the CPU.
template <class T>
struct states {
  states(std::int64_t samples, std::int64_t stride)
      : device(samples * stride + 1, 1),
        host(device.get()),
        on_device(device.data(), {samples, 7}, {stride, 1}),
        on_host(host.data(), {samples, 7}, {stride, 1}) {}

  support::device_array<T> device;
  std::vector<T> host;
  view<T, 2> on_device;
  view<T, 2> on_host;
};

/// The most ulps between the states, as multiples of the unit roundoff of `scale`.
template <class T>
double difference(const states<T>& s, double scale) {
  const auto got = s.device.get();
  double worst = 0;
  for (std::int64_t i = 0; i < s.on_host.extent(0); ++i) {
    for (std::int64_t j = 0; j < 7; ++j) {
      const double a = static_cast<double>(got[static_cast<std::size_t>(&s.on_host(i, j) - s.host.data())]);
      const double d = std::fabs(a - static_cast<double>(s.on_host(i, j)));
      worst = d <= worst ? worst : d;  // and NaN stays
    }
  }
  return worst / (scale * static_cast<double>(std::numeric_limits<T>::epsilon()) / 2);
}

template <class T>
void compare_noise(std::int64_t samples, std::int64_t stride, std::uint64_t first_sample) {
  const diffusion::noise_address noise{3, 4, first_sample};
  states<T> s(samples, stride);
  diffusion::initial_noise(gpu::on(), 80, s.on_device, noise);
  diffusion::initial_noise(tessera::seq, 80, s.on_host, noise);
  BOOST_TEST_INFO(samples << " samples at " << stride << " from " << first_sample);
  BOOST_TEST(support::same_bits(s.device.get(), s.host));
  diffusion::add_noise(gpu::on(), 0.5, s.on_device, noise);
  diffusion::add_noise(tessera::seq, 0.5, s.on_host, noise);
  BOOST_TEST(difference(s, 300) <= 1);
  BOOST_TEST(s.device.borders_intact());
}

template <class T>
void compare_sampler(std::int64_t stride, double churn) {
  const auto sigmas = diffusion::sigma_grid(9);
  const diffusion::sampler_options options{.s_churn = churn, .noise = {5, 6, 2}};
  for (const bool second : {false, true}) {
    states<T> s(5, stride);
    diffusion::initial_noise(gpu::on(), sigmas.front(), s.on_device, options.noise);
    diffusion::initial_noise(tessera::seq, sigmas.front(), s.on_host, options.noise);
    std::int64_t on_device = 0;
    std::int64_t on_host = 0;
    if (second) {
      diffusion::heun(gpu::on(), gaussian_on_device{}, sigmas, s.on_device, options, [&](const auto&) { ++on_device; });
      diffusion::heun(tessera::seq, gaussian_on_host{}, sigmas, s.on_host, options, [&](const auto&) { ++on_host; });
    } else {
      diffusion::euler(gpu::on(), gaussian_on_device{}, sigmas, s.on_device, options, [&](const auto&) { ++on_device; });
      diffusion::euler(tessera::seq, gaussian_on_host{}, sigmas, s.on_host, options, [&](const auto&) { ++on_host; });
    }
    BOOST_TEST(on_device == 9);
    BOOST_TEST(on_host == 9);
    BOOST_TEST(difference(s, 4) <= 18);  // the bound of diffusion/sampler.hpp
    BOOST_TEST(s.device.borders_intact());
    BOOST_TEST(std::isfinite(static_cast<double>(s.device.get()[0])));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_diffusion)

BOOST_AUTO_TEST_CASE(noise_is_that_of_the_cpu) {
  for (const std::int64_t stride : {7, 9, 12}) {
    for (const std::uint64_t first : {0, 1, 5}) {
      compare_noise<float>(5, stride, first);
      compare_noise<double>(5, stride, first);
    }
  }
  compare_noise<float>(0, 7, 0);
  compare_noise<float>(1, 7, 3);
}

BOOST_AUTO_TEST_CASE(samplers_end_where_the_cpu_does) {
  for (const std::int64_t stride : {7, 10}) {
    for (const double churn : {0.0, 3.0}) {
      compare_sampler<float>(stride, churn);
      compare_sampler<double>(stride, churn);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_preconditioned_network_is_that_of_the_cpu) {
  const auto sigmas = diffusion::sigma_grid(5);
  for (const std::int64_t stride : {7, 10}) {
    states<float> s(5, stride);
    diffusion::initial_noise(gpu::on(), sigmas.front(), s.on_device);
    diffusion::initial_noise(tessera::seq, sigmas.front(), s.on_host);
    diffusion::heun(gpu::on(), diffusion::preconditioned<tessera::bfloat16>(gpu::on(), gaussian_on_device{}), sigmas,
                    s.on_device);
    diffusion::heun(tessera::seq, diffusion::preconditioned<tessera::bfloat16>(tessera::seq, gaussian_on_host{}), sigmas,
                    s.on_host);
    BOOST_TEST(difference(s, 4) <= 18);
    BOOST_TEST(s.device.borders_intact());
  }
  states<float> s(3, 7);
  const auto denoiser = diffusion::preconditioned(gpu::on(), gaussian_on_device{});
  states<float> other(3, 7);
  CHECK_REFUSED("diffusion::preconditioned: sigma: 0", denoiser(view<const float, 2>(other.on_device), 0, s.on_device));
  CHECK_REFUSED("diffusion::preconditioned: out: overlaps noisy", denoiser(view<const float, 2>(s.on_device), 1, s.on_device));
  CHECK_REFUSED("diffusion::preconditioned: noisy: host memory", denoiser(view<const float, 2>(s.on_host), 1, s.on_device));
}

BOOST_AUTO_TEST_CASE(a_step_to_level_0_ends_on_the_denoised_state, *boost::unit_test::label("small")) {
  const std::vector<double> sigmas{1, 0};
  states<float> s(3, 7);
  diffusion::initial_noise(gpu::on(), 1, s.on_device);
  diffusion::heun(gpu::on(), constant_denoiser{}, sigmas, s.on_device);
  const auto got = s.device.get();
  for (std::size_t i = 0; i < 21; ++i) BOOST_TEST(got[i] == 0.3f);
}

BOOST_AUTO_TEST_CASE(the_callers_workspace_serves) {
  const auto sigmas = diffusion::sigma_grid(3);
  states<float> s(3, 9);
  states<float> pooled(3, 9);
  for (auto* state : {&s, &pooled}) diffusion::initial_noise(gpu::on(), sigmas.front(), state->on_device);
  const support::device_array<std::byte> block(static_cast<std::int64_t>(diffusion::heun_workspace(s.on_device)), 3);
  const auto exec = gpu::on().workspace(block.data(), static_cast<std::size_t>(block.size()));
  diffusion::heun(exec, gaussian_on_device{}, sigmas, s.on_device);
  diffusion::heun(gpu::on(), gaussian_on_device{}, sigmas, pooled.on_device);
  BOOST_TEST(support::same_bits(s.device.get(), pooled.device.get()));
  BOOST_TEST(block.borders_intact());
  const auto small = gpu::on().workspace(block.data(), 100);
  CHECK_REFUSED("diffusion::heun: workspace: 100 bytes", diffusion::heun(small, gaussian_on_device{}, sigmas, s.on_device));
}

BOOST_AUTO_TEST_CASE(bad_input_is_named_and_nothing_written) {
  states<float> s(3, 7);
  const std::vector<double> bad{1, 2, 1};
  CHECK_REFUSED("diffusion::add_noise: sigma: -1", diffusion::add_noise(gpu::on(), -1, s.on_device));
  CHECK_REFUSED("diffusion::add_noise: state: host memory", diffusion::add_noise(gpu::on(), 1, s.on_host));
  CHECK_REFUSED("diffusion::initial_noise: state: host memory", diffusion::initial_noise(gpu::on(), 1, s.on_host));
  CHECK_REFUSED("diffusion::initial_noise: state: innermost stride 2",
                diffusion::initial_noise(gpu::on(), 1, view<float, 2>(s.device.data(), {1, 3}, {7, 2})));
  CHECK_REFUSED("diffusion::euler: sigmas: level 2 is 1", diffusion::euler(gpu::on(), gaussian_on_device{}, bad, s.on_device));
  CHECK_REFUSED("diffusion::euler: state: host memory",
                diffusion::euler(gpu::on(), gaussian_on_device{}, diffusion::sigma_grid(2), s.on_host));
  BOOST_TEST(support::same_bits(s.device.get(), s.host));
}

BOOST_AUTO_TEST_SUITE_END()
