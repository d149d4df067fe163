// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/diffusion/exact_denoiser.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/memory.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/contraction.hpp"
#include "tessera/reference/nearest.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::seq
#define TESSERA_TESTED_ON_CPU 1
#endif

namespace {

using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;
using tessera::diffusion::exact_denoiser;
namespace reference = tessera::reference;

const auto exec = TESSERA_TESTED_EXECUTOR;

template <class X, class Y>
struct problem {
  matrix<X> noisy;
  matrix<Y> data;
  problem(std::int64_t n, std::int64_t m, std::int64_t dim, double sigma, double offset = 0)
      : noisy({n, dim}, {1}), data({m, dim}, {2}) {
    data.fill([=](std::uint64_t e) { return offset + support::normal(1, e); });
    noisy.fill([&](std::uint64_t e) {  // rows of the data set with noise on top
      const auto row = static_cast<std::int64_t>(e) / dim;
      return static_cast<double>(data(row % m, static_cast<std::int64_t>(e) % dim)) + sigma * support::normal(2, e);
    });
  }
};

/// |error| <= (2^(2 e) - 1) sum p |y|, where e is the error of an exponent in base 2: that of the differences, or 2^-5.
template <class X, class Y, class O>
void check(support::worst& errors, const problem<X, Y>& p, double sigma) {
  using T = std::common_type_t<tessera::compute_t<X>, tessera::compute_t<Y>>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  const std::int64_t n = p.noisy.view().extent(0);
  const std::int64_t dim = p.noisy.view().extent(1);
  matrix<O> out({n, dim}, {3});
  exact_denoiser(exec, p.noisy.view(), p.data.view(), sigma, out.view());
  BOOST_TEST((out.gaps_untouched() && p.noisy.untouched() && p.data.untouched()));
  const auto rows = reference::rows<Real>(p.data.view());
  reference::score_rows<Real>(p.noisy.view(), p.data.view(), reference::gaussian{sigma}, [&](std::int64_t i, const auto& row) {
    const auto mean = reference::weighted_mean(row, rows, static_cast<std::size_t>(dim));
    const std::vector<Real> weights = reference::softmax_weights(row);
    const double u = tessera::unit_roundoff<T>;
    const double exponent = (static_cast<double>(dim) + 6) * u * (std::fabs(static_cast<double>(reference::largest(row))) + 40);
    const double error = std::fmax(exponent, std::log(2.0) / 32) + 4 * u;
    for (std::size_t c = 0; c < mean.size(); ++c) {
      Real size = 0;
      Real mass = 0;
      for (std::size_t j = 0; j < row.size(); ++j) {
        size += weights[j] * std::fabs(rows[j][c]);
        mass += weights[j];
      }
      const double sums = 2 * (192 + static_cast<double>(row.size()) / 192);
      const double bound = (std::expm1(2 * error) + sums * u) * static_cast<double>(size / mass) + support::rounding<O>(mean[c]);
      errors(static_cast<double>(out(i, static_cast<std::int64_t>(c))), mean[c], bound, "row", i, "column", c);
    }
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(diffusion_exact_denoiser)

BOOST_AUTO_TEST_CASE(posterior_means_are_within_their_bound) {
  support::worst errors;
  for (const double sigma : {0.01, 0.3, 1.0, 5.0, 80.0}) {
    check<float, float, float>(errors, problem<float, float>(70, 400, 12, sigma), sigma);
    check<float, float, float>(errors, problem<float, float>(33, 193, 100, sigma, 50), sigma);
    check<bfloat16, float16, bfloat16>(errors, problem<bfloat16, float16>(20, 150, 9, sigma), sigma);
    check<double, double, double>(errors, problem<double, double>(20, 150, 9, sigma), sigma);
  }
  CHECK_WITHIN_BOUND(errors);
}

// Two points: D(x) = tanh(x a / sigma^2) a, in closed form.
BOOST_AUTO_TEST_CASE(two_points_on_a_line) {
  matrix<double> data({2, 1});
  data.fill([](std::uint64_t n) { return n == 0 ? -1.5 : 1.5; });
  matrix<double> noisy({41, 1});
  noisy.fill([](std::uint64_t n) { return 0.1 * static_cast<double>(n) - 2; });
  matrix<double> out({41, 1});
  for (const double sigma : {0.3, 1.0, 4.0}) {
    exact_denoiser(exec, noisy.view(), data.view(), sigma, out.view());
    for (std::int64_t i = 0; i < 41; ++i) {
      BOOST_TEST(std::fabs(out(i, 0) - 1.5 * std::tanh(noisy(i, 0) * 1.5 / (sigma * sigma))) < 1e-14);
    }
  }
}

BOOST_AUTO_TEST_CASE(small_sigma_gives_the_nearest_row_and_ties_share) {
  problem<float, float> p(50, 300, 20, 0.1, 100);
  for (std::int64_t c = 0; c < 20; ++c) p.data(299, c) = p.data(0, c);  // twice: the same mean
  matrix<float> out({50, 20});
  for (const double sigma : {1e-3, 1e-9, 1e-15}) {
    exact_denoiser(exec, p.noisy.view(), p.data.view(), sigma, out.view());
    for (std::int64_t i = 0; i < 50; ++i) BOOST_TEST(std::memcmp(&out(i, 0), &p.data(i, 0), 20 * sizeof(float)) == 0);
  }
  matrix<float> corners({2, 2});
  corners.fill([](std::uint64_t n) { return n % 3 == 0 ? 1 : 0; });
  matrix<float> middle({1, 2});
  middle.fill([](std::uint64_t) { return 0.25; });
  matrix<float> half({1, 2});
  exact_denoiser(exec, middle.view(), corners.view(), 1e-6, half.view());
  BOOST_TEST((half(0, 0) == 0.5f && half(0, 1) == 0.5f));
}

BOOST_AUTO_TEST_CASE(large_sigma_gives_the_mean_of_the_data) {
  const problem<float, float> p(5, 500, 3, 1.0);
  matrix<float> out({5, 3});
  exact_denoiser(exec, p.noisy.view(), p.data.view(), 1e9, out.view());
  for (std::int64_t c = 0; c < 3; ++c) {
    double mean = 0;
    for (std::int64_t j = 0; j < 500; ++j) mean += static_cast<double>(p.data(j, c)) / 500;
    for (std::int64_t i = 0; i < 5; ++i) BOOST_TEST(std::fabs(static_cast<double>(out(i, c)) - mean) < 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(distances_and_means_may_be_of_different_rows, *boost::unit_test::label("small")) {
  const problem<float, float> p(30, 200, 6, 0.5);
  matrix<float> values({200, 17});
  values.fill([](std::uint64_t n) { return static_cast<double>(n / 17); });  // the number of the row
  matrix<float> out({30, 17});
  exact_denoiser(exec, p.noisy.view(), p.data.view(), values.view(), 1e-3, out.view());
  for (std::int64_t i = 0; i < 30; ++i) {
    float nearest = -1;
    reference::nearest(view<const float, 2>(&p.noisy(i, 0), 1, 6), p.data.view(), 1, reference::squared_distance{},
                       [&](std::int64_t, const auto& best) { nearest = static_cast<float>(best[0].key); });
    for (std::int64_t c = 0; c < 17; ++c) BOOST_TEST(out(i, c) == nearest);
  }
}

BOOST_AUTO_TEST_CASE(no_data_gives_zeros_and_nan_stays_in_its_row) {
  problem<float, float> p(40, 100, 5, 0.5);
  matrix<float> out({40, 5});
  exact_denoiser(exec, p.noisy.view(), view<float, 2>(nullptr, 0, 5), 1.0, out.view());
  for (const float x : out.elements()) BOOST_TEST(x == 0);
  p.noisy(7, 2) = std::numeric_limits<float>::quiet_NaN();
  exact_denoiser(exec, p.noisy.view(), p.data.view(), 1.0, out.view());
  for (std::int64_t i = 0; i < 40; ++i) BOOST_TEST(std::isnan(out(i, 0)) == (i == 7));
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_team_and_a_row_alone) {
  const problem<float, float> p(200, 700, 30, 0.3, 10);
  matrix<float> out({200, 30});
  matrix<float> other({200, 30});
#if defined(TESSERA_TESTED_ON_CPU)
  support::counting_resource memory;
  exact_denoiser(exec.scratch(&memory), p.noisy.view(), p.data.view(), 0.3, out.view());
  BOOST_TEST((memory.allocations() == 1 && memory.all_returned()));
  exact_denoiser(tessera::par.threads(3), p.noisy.view(), p.data.view(), 0.3, other.view());
#else
  exact_denoiser(exec, p.noisy.view(), p.data.view(), 0.3, out.view());
  exact_denoiser(exec, p.noisy.view(), p.data.view(), 0.3, other.view());
#endif
  BOOST_TEST(other.same_elements(out));
  for (std::int64_t i = 0; i < 200; i += 13) {
    matrix<float> alone({1, 30});
    exact_denoiser(exec, view<const float, 2>(&p.noisy(i, 0), 1, 30), p.data.view(), 0.3, alone.view());
    BOOST_TEST(std::memcmp(&alone(0, 0), &out(i, 0), 30 * sizeof(float)) == 0);
  }
}

#if defined(TESSERA_TESTED_ON_CPU)
BOOST_AUTO_TEST_CASE(refuses_bad_arguments_by_their_names) {
  problem<float, float> p(4, 6, 3, 0.5);
  matrix<float> out({4, 3});
  const auto noisy = p.noisy.view();
  const auto data = p.data.view();
  const double not_a_number = std::numeric_limits<double>::quiet_NaN();
  for (const double sigma : {0.0, -1.0, not_a_number, std::numeric_limits<double>::infinity()}) {
    CHECK_REFUSED("diffusion::exact_denoiser: sigma: ", exact_denoiser(exec, noisy, data, sigma, out.view()));
    CHECK_REFUSED("diffusion::exact_denoiser: sigma: ", exact_denoiser(exec, noisy, data, data, sigma, out.view()));
  }
  const auto run = [&](const view<float, 2>& x, const view<float, 2>& y, const view<float, 2>& o) {
    exact_denoiser(exec, x, y, 1.0, o);
  };
  CHECK_REFUSED("diffusion::exact_denoiser: noisy: null data", run(view<float, 2>(nullptr, 4, 3), data, out.view()));
  CHECK_REFUSED("diffusion::exact_denoiser: data: null data", run(noisy, view<float, 2>(nullptr, 6, 3), out.view()));
  CHECK_REFUSED("diffusion::exact_denoiser: data: depth 2", run(noisy, view<float, 2>(&p.data(0, 0), 6, 2), out.view()));
  CHECK_REFUSED("diffusion::exact_denoiser: out: shape [3, 3]", run(noisy, data, view<float, 2>(&out(0, 0), 3, 3)));
  CHECK_REFUSED("diffusion::exact_denoiser: out: overlaps noisy", run(noisy, data, noisy));
  CHECK_REFUSED("diffusion::exact_denoiser: out: overlaps data", run(noisy, data, view<float, 2>(&p.data(0, 0), 4, 3)));
  matrix<float> values({5, 3});
  CHECK_REFUSED("diffusion::exact_denoiser: values: 5 rows", exact_denoiser(exec, noisy, data, values.view(), 1.0, out.view()));
  BOOST_TEST((out.untouched() && p.noisy.untouched() && p.data.untouched()));
}
#endif

BOOST_AUTO_TEST_SUITE_END()
