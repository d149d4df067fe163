// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/diffusion/sigma_grid.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "analytic.hpp"

namespace diffusion = tessera::diffusion;
using analytic::names;

BOOST_AUTO_TEST_SUITE(diffusion_sigma_grid)

BOOST_AUTO_TEST_CASE(eighteen_steps_of_edm) {
  const double golden[] = {80,          57.5859847,  40.7855738,   28.3745846, 19.352453,  12.9100824, 8.40093531,
                           5.31519452,  3.25682152,  1.92333984,   1.08817064, .585348123, .296442284, .139516469,
                           .0599473112, .0229345184, .00752801996, .002,       0};
  const std::vector<double> sigmas = diffusion::sigma_grid(18);
  BOOST_TEST_REQUIRE(sigmas.size() == std::size(golden));
  for (std::size_t i = 0; i < sigmas.size(); ++i) BOOST_TEST(std::abs(sigmas[i] - golden[i]) <= 5e-9 * golden[i]);
}

BOOST_AUTO_TEST_CASE(one_step) {
  BOOST_TEST(diffusion::sigma_grid(1) == (std::vector<double>{80, 0}), boost::test_tools::per_element());
  BOOST_TEST(diffusion::sigma_grid(1, {.final_zero = false}) == (std::vector<double>{80, 0.002}),
             boost::test_tools::per_element());
  BOOST_TEST(diffusion::sigma_grid(2) == (std::vector<double>{80, 0.002, 0}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(ends_are_exact_and_levels_fall) {
  for (const double rho : {0.01, 1.0, 7.0, 13.7, 1e12}) {
    for (const bool final_zero : {true, false}) {
      for (const int steps : {1, 2, 3, 18, 1000}) {
        const std::vector<double> sigmas =
            diffusion::sigma_grid(steps, {.sigma_min = 0.03, .sigma_max = 77.7, .rho = rho, .final_zero = final_zero});
        BOOST_TEST_REQUIRE(sigmas.size() == static_cast<std::size_t>(steps) + 1);
        BOOST_TEST(sigmas.front() == 77.7);
        BOOST_TEST(sigmas.back() == (final_zero ? 0.0 : 0.03));
        if (final_zero && steps > 1) BOOST_TEST(sigmas[sigmas.size() - 2] == 0.03);
        BOOST_TEST(std::is_sorted(sigmas.begin(), sigmas.end(), std::greater_equal<>()));
      }
    }
  }
}

// The formula in long double: relative error below 6e-15 for rho <= 10 and six decades.
BOOST_AUTO_TEST_CASE(accuracy) {
  double worst = 0;
  for (const long double rho : {0.5L, 1.0L, 3.0L, 7.0L, 10.0L}) {
    for (const double sigma_min : {1e-4, 0.002, 5.0, 79.0}) {
      for (const double sigma_max : {80.0, 100.0}) {
        for (const int n : {3, 17, 255, 1001}) {
          const auto sigmas = diffusion::sigma_grid(
              n, {.sigma_min = sigma_min, .sigma_max = sigma_max, .rho = static_cast<double>(rho), .final_zero = false});
          const long double from = std::pow(static_cast<long double>(sigma_max), 1 / rho);
          const long double to = std::pow(static_cast<long double>(sigma_min), 1 / rho);
          for (int i = 0; i <= n; ++i) {
            const long double want = std::pow((from * (n - i) + to * i) / n, rho);
            const long double got = static_cast<long double>(sigmas[static_cast<std::size_t>(i)]);
            worst = std::max(worst, static_cast<double>(std::abs(got - want) / want));
          }
        }
      }
    }
  }
  BOOST_TEST_MESSAGE("sigma_grid: worst relative error " << worst);
  BOOST_TEST(worst < 6e-15);
}

BOOST_AUTO_TEST_CASE(limits_of_rho) {
  // Evenly spaced at rho = 1, geometric towards infinity, and no power overflows on the way down.
  const auto even = diffusion::sigma_grid(10, {.sigma_min = 1, .sigma_max = 11, .rho = 1, .final_zero = false});
  for (int i = 0; i <= 10; ++i) BOOST_TEST(std::abs(even[static_cast<std::size_t>(i)] - (11 - i)) < 1e-13);
  const auto geometric = diffusion::sigma_grid(5, {.sigma_min = 1e-3, .sigma_max = 1e2, .rho = 1e13, .final_zero = false});
  for (int i = 0; i <= 5; ++i) {
    BOOST_TEST(std::abs(geometric[static_cast<std::size_t>(i)] * std::pow(10.0, i - 2) - 1) < 1e-10);
  }
  for (const double sigma : diffusion::sigma_grid(9, {.sigma_min = 1e-200, .sigma_max = 1e200, .rho = 0.01})) {
    BOOST_TEST(std::isfinite(sigma));
  }
}

BOOST_AUTO_TEST_CASE(reference_agrees) {
  for (const bool final_zero : {true, false}) {
    for (const int steps : {1, 2, 18, 256}) {
      const auto got = diffusion::sigma_grid(steps, {.final_zero = final_zero});
      const auto want = tessera::reference::sigma_grid(steps, 0.002, 80, 7, final_zero);
      BOOST_TEST_REQUIRE(got.size() == want.size());
      for (std::size_t i = 0; i < got.size(); ++i) BOOST_TEST(std::abs(got[i] - want[i]) <= 2e-14 * want[i]);
    }
  }
}

BOOST_AUTO_TEST_CASE(fills_memory_of_the_caller) {
  std::vector<double> memory(22, -1.0);
  diffusion::sigma_grid(std::span<double>(memory).subspan(1, 19));
  BOOST_TEST(memory.front() == -1.0);
  BOOST_TEST(memory[20] == -1.0);
  const auto want = diffusion::sigma_grid(18);
  BOOST_TEST(std::equal(want.begin(), want.end(), memory.begin() + 1));
}

BOOST_AUTO_TEST_CASE(bad_arguments) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  using tessera::argument_error;
  for (const std::int64_t steps : {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min()}) {
    BOOST_CHECK_EXCEPTION((void)diffusion::sigma_grid(steps), argument_error, names("sigma_grid", "steps"));
  }
  std::vector<double> memory(5, -1.0);
  const auto refused = [&](const diffusion::sigma_grid_options& options, const char* argument) {
    BOOST_CHECK_EXCEPTION(diffusion::sigma_grid(memory, options), argument_error, names("sigma_grid", argument));
    BOOST_TEST(std::count(memory.begin(), memory.end(), -1.0) == 5);
  };
  for (const double bad : {0.0, -0.002, nan, inf}) refused({.sigma_min = bad}, "sigma_min");
  for (const double bad : {0.0, 0.002, -80.0, nan, inf}) refused({.sigma_max = bad}, "sigma_max");
  for (const double bad : {0.0, -7.0, nan, inf}) refused({.rho = bad}, "rho");
  BOOST_CHECK_EXCEPTION(diffusion::sigma_grid(std::span<double>()), argument_error, names("sigma_grid", "steps"));
  BOOST_CHECK_EXCEPTION(diffusion::sigma_grid(std::span<double>(memory).first(1)), argument_error, names("sigma_grid", "steps"));
  BOOST_TEST(memory[0] == -1.0);
}

BOOST_AUTO_TEST_SUITE_END()
