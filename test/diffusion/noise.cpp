// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/diffusion/noise.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "analytic.hpp"
#include "tessera/random/normal.hpp"

namespace diffusion = tessera::diffusion;
using analytic::names;
using tessera::argument_error;
using tessera::view;

namespace {

double z(const diffusion::noise_address& at, std::int64_t sample, std::int64_t size, std::int64_t element) {
  const std::uint64_t index = (at.first_sample + static_cast<std::uint64_t>(sample)) * static_cast<std::uint64_t>(size) +
                              static_cast<std::uint64_t>(element);
  return static_cast<double>(tessera::random::normal<float>(at.seed, at.stream, index));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(diffusion_noise)

BOOST_AUTO_TEST_CASE(every_element_has_its_address) {
  const diffusion::noise_address at{.seed = 0x123456789abcdef0, .stream = 5, .first_sample = 1000003};
  for (const std::int64_t size : {1, 2, 3, 5, 64, 4095, 4097}) {
    for (const std::int64_t n : {1, 2, 3, 7}) {
      const std::int64_t stride = size + 3;
      std::vector<float> gaps(static_cast<std::size_t>(n * stride), -1.0F);
      std::vector<double> dense(static_cast<std::size_t>(n * size), 0.25);
      diffusion::initial_noise(tessera::par.threads(3), 80, view<float, 2>(gaps.data(), {n, size}, {stride, 1}), at);
      diffusion::add_noise(tessera::seq, 80, view<double, 2>(dense.data(), n, size), at);
      bool same = true;
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t e = 0; e < size; ++e) {
          same = same && gaps[static_cast<std::size_t>(i * stride + e)] == static_cast<float>(80 * z(at, i, size, e));
          same = same && std::abs(dense[static_cast<std::size_t>(i * size + e)] - (0.25 + 80 * z(at, i, size, e))) < 1e-13;
        }
        for (std::int64_t e = size; e < stride; ++e) same = same && gaps[static_cast<std::size_t>(i * stride + e)] == -1.0F;
      }
      BOOST_TEST(same);
    }
  }
}

BOOST_AUTO_TEST_CASE(addresses_differ) {
  const auto draw = [](const diffusion::noise_address& at) {
    std::vector<float> x(64);
    diffusion::initial_noise(tessera::seq, 1, view<float, 4>(x.data(), 2, 2, 4, 4), at);
    return x;
  };
  const auto base = draw({.seed = 1, .stream = 1, .first_sample = 1});
  BOOST_TEST((base != draw({.seed = 2, .stream = 1, .first_sample = 1})));
  BOOST_TEST((base != draw({.seed = 1, .stream = 2, .first_sample = 1})));
  const auto next = draw({.seed = 1, .stream = 1, .first_sample = 2});
  BOOST_TEST(std::equal(next.begin(), next.begin() + 32, base.begin() + 32));
  BOOST_TEST(!std::equal(next.begin(), next.begin() + 32, base.begin()));
}

BOOST_AUTO_TEST_CASE(moments) {
  std::vector<double> x(400000);
  diffusion::initial_noise(tessera::par, 80, view<double, 2>(x.data(), 1000, 400), {.seed = 11});
  double mean = 0;
  double square = 0;
  double fourth = 0;
  for (const double v : x) {
    mean += v / 80;
    square += v * v / 6400;
    fourth += v * v / 6400 * v * v / 6400;
  }
  const double n = 400000;
  BOOST_TEST(std::abs(mean / n) < 5 / std::sqrt(n));
  BOOST_TEST(std::abs(square / n - 1) < 5 * std::sqrt(2 / n));
  BOOST_TEST(std::abs(fourth / n - 3) < 5 * std::sqrt(96 / n));
}

BOOST_AUTO_TEST_CASE(bad_arguments) {
  std::vector<float> x(12, -1.0F);
  const view<float, 2> state(x.data(), 3, 4);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double sigma : {-1.0, nan, std::numeric_limits<double>::infinity()}) {
    BOOST_CHECK_EXCEPTION(diffusion::initial_noise(tessera::seq, sigma, state), argument_error, names("initial_noise", "sigma"));
    BOOST_CHECK_EXCEPTION(diffusion::add_noise(tessera::seq, sigma, state), argument_error, names("add_noise", "sigma"));
  }
  const auto refused = [](const auto& bad) {
    BOOST_CHECK_EXCEPTION(diffusion::initial_noise(tessera::seq, 1, bad), argument_error, names("initial_noise", "state"));
    BOOST_CHECK_EXCEPTION(diffusion::add_noise(tessera::seq, 1, bad), argument_error, names("add_noise", "state"));
  };
  refused(view<float, 2>(nullptr, 3, 4));
  refused(view<float, 2>(x.data(), -3, 4));
  refused(view<float, 2>(x.data(), {3, 4}, {3, 1}));         // samples overlap
  refused(view<float, 2>(x.data(), {3, 4}, {0, 1}));         // one sample three times
  refused(view<float, 2>(x.data(), {3, 4}, {1, 3}));         // column by column
  refused(view<float, 3>(x.data(), {1, 3, 2}, {12, 4, 1}));  // gaps inside a sample
  BOOST_TEST(std::count(x.begin(), x.end(), -1.0F) == 12);
  diffusion::initial_noise(tessera::seq, 1, view<float, 2>(nullptr, 0, 4));
  diffusion::initial_noise(tessera::seq, 1, view<float, 2>(nullptr, 4, 0));
  diffusion::add_noise(tessera::seq, 0, state);
  BOOST_TEST(std::count(x.begin(), x.end(), -1.0F) == 12);
}

BOOST_AUTO_TEST_SUITE_END()
