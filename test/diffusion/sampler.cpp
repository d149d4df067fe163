// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/diffusion/sampler.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <memory_resource>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "analytic.hpp"
#include "tessera/diffusion/preconditioned.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/random/normal.hpp"

namespace diffusion = tessera::diffusion;
namespace reference = tessera::reference;
using analytic::names;
using tessera::argument_error;
using tessera::par;
using tessera::seq;
using tessera::view;

namespace {

template <class T, class Denoiser>
T run_one(bool heun, const Denoiser& denoiser, const std::vector<double>& sigmas, T x,
          const diffusion::sampler_options& options = {}) {
  const view<T, 2> state(&x, 1, 1);
  if (heun) {
    diffusion::heun(seq, denoiser, sigmas, state, options);
  } else {
    diffusion::euler(seq, denoiser, sigmas, state, options);
  }
  return x;
}

/// A pool that runs its parts last to first.
struct backwards {
  [[nodiscard]] int threads() const { return 5; }
  template <class F>
  void run(int n, F&& f) const {
    for (int i = n; i-- > 0;) f(i);
  }
};

/// A matrix of another library.
struct foreign_matrix {
  using element_type = double;
  double* data;
  int extents[2];
  int strides[2];
  [[nodiscard]] double* data_handle() const { return data; }
  static constexpr std::size_t rank() { return 2; }
  [[nodiscard]] int extent(std::size_t r) const { return extents[r]; }
  [[nodiscard]] int stride(std::size_t r) const { return strides[r]; }
};

/// Counts what is taken and given back.
class counting_resource : public std::pmr::memory_resource {
 public:
  int taken = 0;
  std::size_t bytes = 0;
  std::size_t live = 0;

 private:
  void* do_allocate(std::size_t n, std::size_t alignment) override {
    ++taken;
    bytes += n;
    live += n;
    return std::pmr::new_delete_resource()->allocate(n, alignment);
  }
  void do_deallocate(void* p, std::size_t n, std::size_t alignment) override {
    live -= n;
    std::pmr::new_delete_resource()->deallocate(p, n, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

double normal(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return static_cast<double>(tessera::random::normal<float>(seed, stream, index));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(diffusion_sampler)

BOOST_AUTO_TEST_CASE(golden_values_of_problem_a) {
  const auto denoiser = analytic::per_sample(analytic::mixture(analytic::problem_a));
  BOOST_TEST(std::abs(run_one(false, denoiser, analytic::grid_a(10), 0.5) - 0.577991346769) < 1e-12);
  BOOST_TEST(std::abs(run_one(true, denoiser, analytic::grid_a(10), 0.5) - 0.608777950792) < 1e-12);
}

// Error against the exact end points at 20 ... 640 steps: the order, and the size known for this problem.
BOOST_AUTO_TEST_CASE(orders_on_problem_a) {
  const auto denoiser = analytic::per_sample(analytic::mixture(analytic::problem_a));
  const auto error = [&](bool heun, int steps) {
    const auto sigmas = analytic::grid_a(steps);
    return std::max(std::abs(run_one(heun, denoiser, sigmas, 0.5) - 0.602926011365),
                    std::abs(run_one(heun, denoiser, sigmas, -6.0) - -1.174408632448));
  };
  for (const bool heun : {false, true}) {
    const double coarse = error(heun, 80);
    const double fine = error(heun, 640);
    const double order = std::log2(coarse / fine) / 3;
    BOOST_TEST_MESSAGE((heun ? "heun" : "euler") << ": order " << order << ", error " << error(heun, 20) << " ... " << fine);
    BOOST_TEST(std::abs(order - (heun ? 2 : 1)) < 0.05);
    BOOST_TEST(error(heun, 20) < (heun ? 6.2e-3 : 6.3e-2));
    BOOST_TEST(fine < (heun ? 5.7e-6 : 2e-3));
  }
}

BOOST_AUTO_TEST_CASE(flow_of_a_gaussian) {
  for (const double deviation : {0.05, 0.6, 3.0}) {
    const auto denoiser = analytic::per_sample(analytic::gaussian(0.5, deviation));
    for (const double z : {-3.0, -0.01, 0.0, 1.0, 2.5}) {
      const double start = 0.5 + z * std::sqrt(deviation * deviation + 6400);
      const double want = reference::gaussian_flow(0.5, deviation, start, 80, 0.002);
      const auto error = [&](bool heun, int steps) {
        const auto sigmas = diffusion::sigma_grid(steps, {.final_zero = false});
        return std::abs(run_one(heun, denoiser, sigmas, start) - want);
      };
      const double scale = std::abs(z) * deviation;
      BOOST_TEST(error(true, 64) <= 0.02 * scale + 1e-14);
      BOOST_TEST(error(true, 1024) <= 1e-4 * scale + 1e-14);
      BOOST_TEST(error(false, 1024) <= 3e-2 * scale + 1e-14);
      if (z != 0) {
        BOOST_TEST(std::abs(std::log2(error(true, 512) / error(true, 1024)) - 2) < 0.1);
        BOOST_TEST(std::abs(std::log2(error(false, 512) / error(false, 1024)) - 1) < 0.1);
      }
    }
  }
}

// The step to level 0 is D of what came before, bit for bit, is never asked for D at 0, and costs Heun one call less.
BOOST_AUTO_TEST_CASE(last_step_to_zero) {
  const auto d = analytic::mixture(analytic::problem_a);
  for (const int steps : {1, 2, 18}) {
    for (const bool heun : {false, true}) {
      int calls = 0;
      std::vector<double> asked;
      double last_x = 0;
      const auto denoiser = [&](const auto& noisy, double sigma, const auto& out) {
        ++calls;
        asked.push_back(sigma);
        last_x = noisy(0, 0);
        analytic::per_sample(d)(noisy, sigma, out);
      };
      const auto sigmas = diffusion::sigma_grid(steps);
      const double got = run_one(heun, denoiser, sigmas, 93.0);
      BOOST_TEST(calls == (heun ? 2 * steps - 1 : steps));
      BOOST_TEST(*std::min_element(asked.begin(), asked.end()) > 0.0);
      BOOST_TEST(got == d({last_x}, sigmas[static_cast<std::size_t>(steps) - 1])[0]);
      calls = 0;
      run_one(heun, denoiser, diffusion::sigma_grid(steps, {.final_zero = false}), 93.0);
      BOOST_TEST(calls == (heun ? 2 * steps : steps));
    }
  }
}

// Every element of a batch follows the plain loops with the noise of its address.
BOOST_AUTO_TEST_CASE(agrees_with_the_reference) {
  const reference::mixture m{{0.2, 0.5, 0.3}, {{-1, 0.3, 0}, {0.8, -0.4, 0.2}, {0.1, 0.9, -0.7}}, {0.3, 0.05, 0.2}};
  const auto d = analytic::mixture(m);
  const std::int64_t n = 9;
  for (const bool heun : {false, true}) {
    for (const reference::churn& c :
         {reference::churn{}, reference::churn{.amount = 40, .sigma_min = 0.05, .sigma_max = 50, .noise = 1.003},
          reference::churn{.amount = 3, .noise = 0.5},
          reference::churn{.amount = std::numeric_limits<double>::infinity(), .sigma_min = 0.1}}) {
      for (const int steps : {1, 5, 18, 40}) {
        const auto sigmas = diffusion::sigma_grid(steps);
        const diffusion::noise_address address{.seed = 77, .stream = 9, .first_sample = 4};
        std::vector<double> x(static_cast<std::size_t>(n * 3));
        const view<double, 2> state(x.data(), n, 3);
        diffusion::initial_noise(seq, sigmas[0], state, address);
        const std::vector<double> start = x;
        const diffusion::sampler_options options{
            .s_churn = c.amount, .s_min = c.sigma_min, .s_max = c.sigma_max, .s_noise = c.noise, .noise = address};
        if (heun) {
          diffusion::heun(par, analytic::per_sample(d), sigmas, state, options);
        } else {
          diffusion::euler(par, analytic::per_sample(d), sigmas, state, options);
        }
        double worst = 0;
        for (std::int64_t i = 0; i < n; ++i) {
          const auto z = [&](std::size_t step, std::size_t e) {
            return normal(77, 10 + step, (4 + static_cast<std::uint64_t>(i)) * 3 + e);
          };
          const std::vector<double> want =
              reference::edm_sampler(d, sigmas, {start.begin() + i * 3, start.begin() + i * 3 + 3}, heun, c, z);
          for (std::int64_t e = 0; e < 3; ++e) {
            worst = std::max(worst, std::abs(state(i, e) - want[static_cast<std::size_t>(e)]));
          }
        }
        BOOST_TEST(worst < 1e-11, "steps " << steps << " churn " << c.amount << ": " << worst);
      }
    }
  }
}

// On Gaussian data a churned run is affine in its start and its noise, so the spread of the end is a sum of squares. It is
// computed without sampling from the reference (which the library equals, above), and the library's own samples have it.
BOOST_AUTO_TEST_CASE(weak_order_of_churn) {
  const auto d = analytic::gaussian(0.5, 0.6);
  const auto spread = [&](int steps, double start_variance, double churn) {
    const auto sigmas = diffusion::sigma_grid(steps, {.sigma_min = 0.02, .sigma_max = 10, .final_zero = false});
    const auto end = [&](double x, std::size_t noisy_step) {
      const auto unit = [&](std::size_t step, std::size_t) { return step == noisy_step ? 1.0 : 0.0; };
      return reference::edm_sampler(d, sigmas, {x}, true, {.amount = churn}, unit)[0];
    };
    const std::size_t none = sigmas.size();
    const double centre = end(0.5, none);
    BOOST_TEST(std::abs(centre - 0.5) < 1e-14);  // the mean has no error
    double variance = std::pow(end(1.5, none) - centre, 2) * start_variance;
    for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) variance += std::pow(end(0.5, i) - centre, 2);
    return std::sqrt(variance);
  };
  const double want = std::sqrt(0.36 + 0.0004);
  const double coarse = spread(20, 100.36, 10) / want - 1;
  const double middle = spread(80, 100.36, 10) / want - 1;
  const double fine = spread(640, 100.36, 10) / want - 1;
  BOOST_TEST_MESSAGE("churn 10: relative error of the spread " << coarse << ", " << middle << ", " << fine);
  BOOST_TEST(std::abs(coarse - 4.03e-2) < 1e-4);
  BOOST_TEST(std::abs(fine - 4.70e-5) < 1e-7);
  BOOST_TEST(std::abs(std::log2(middle / fine) / 3 - 2) < 0.05);

  const std::int64_t n = 40000;
  std::vector<float> x(static_cast<std::size_t>(n));
  const view<float, 2> state(x.data(), n, 1);
  const auto sigmas = diffusion::sigma_grid(20, {.sigma_min = 0.02, .sigma_max = 10, .final_zero = false});
  diffusion::initial_noise(par, 10, state, {.seed = 5});
  const auto denoiser = [](const view<const float, 2>& noisy, double sigma, const view<float, 2>& out) {
    const double shrink = 0.36 / (0.36 + sigma * sigma);
    for (std::int64_t i = 0; i < noisy.extent(0); ++i) {
      out(i, 0) = static_cast<float>(0.5 + shrink * (static_cast<double>(noisy(i, 0)) - 0.5));
    }
  };
  diffusion::heun(par, denoiser, sigmas, state, {.s_churn = 10, .noise = {.seed = 5}});
  // This start has mean 0, not 0.5: the end's mean is what the affine map makes of it.
  const auto without_noise = [](std::size_t, std::size_t) { return 0.0; };
  const double expected_mean = reference::edm_sampler(d, sigmas, {0.0}, true, {.amount = 10}, without_noise)[0];
  const double expected = spread(20, 100, 10);
  double mean = 0;
  double square = 0;
  for (const float v : x) mean += static_cast<double>(v) / static_cast<double>(n);
  for (const float v : x) square += std::pow(static_cast<double>(v) - mean, 2) / static_cast<double>(n);
  BOOST_TEST(std::abs(mean - expected_mean) < 4 * expected / std::sqrt(static_cast<double>(n)));
  BOOST_TEST(std::abs(std::sqrt(square) / expected - 1) < 4 / std::sqrt(2 * static_cast<double>(n)));
}

// EDM2's rule. Where gamma = 0 the seed changes nothing, and the run is the deterministic one.
BOOST_AUTO_TEST_CASE(no_noise_where_gamma_is_zero) {
  const auto denoiser = analytic::per_sample(analytic::mixture(analytic::problem_a));
  const auto sigmas = diffusion::sigma_grid(18);
  const double plain = run_one(true, denoiser, sigmas, 31.0);
  BOOST_TEST(run_one(true, denoiser, sigmas, 31.0, {.s_churn = 0, .noise = {.seed = 1}}) == plain);
  BOOST_TEST(run_one(true, denoiser, sigmas, 31.0, {.s_churn = 40, .s_min = 81, .noise = {.seed = 2}}) == plain);
  BOOST_TEST(run_one(true, denoiser, sigmas, 31.0, {.s_churn = 40, .s_max = 0.001, .noise = {.seed = 3}}) == plain);
  BOOST_TEST(run_one(true, denoiser, sigmas, 31.0, {.s_churn = 40, .noise = {.seed = 1}}) != plain);
  // Both ends of [s_min, s_max] belong to it, and step 4 takes its own noise, whatever the steps before it did.
  const double only_4 = run_one(true, denoiser, sigmas, 31.0, {.s_churn = 4, .s_min = sigmas[4], .s_max = sigmas[4]});
  const auto z = [](std::size_t step, std::size_t) { return step == 4 ? normal(0, 5, 0) : 1e9; };
  const double want = reference::edm_sampler(analytic::mixture(analytic::problem_a), sigmas, {31.0}, true,
                                             {.amount = 4, .sigma_min = sigmas[4], .sigma_max = sigmas[4]}, z)[0];
  BOOST_TEST(only_4 != plain);
  BOOST_TEST(std::abs(only_4 - want) < 1e-12);
}

// A float state against float64, same noise: 2^-24 (steps + 2 max_i sigma_i / sigma_{i+1}) max(1, |x|).
BOOST_AUTO_TEST_CASE(float_state) {
  const std::vector<reference::mixture> data{
      {{1}, {{0.3}}, {0.5}}, {{1}, {{-0.9}}, {1e-3}}, analytic::problem_a, {{0.5, 0.5}, {{-1}, {1}}, {0.01, 0.01}}};
  double worst = 0;
  for (const auto& m : data) {
    const auto d = analytic::mixture(m);
    for (const int steps : {1, 2, 5, 18, 64, 256}) {
      const auto sigmas = diffusion::sigma_grid(steps);
      double ratio = 1;
      for (std::size_t i = 1; i + 1 < sigmas.size(); ++i) ratio = std::max(ratio, sigmas[i - 1] / sigmas[i]);
      for (const double churn : {0.0, 40.0}) {
        for (const bool heun : {false, true}) {
          for (int k = -20; k <= 20; k += 4) {
            const float start = static_cast<float>(12.1 * k + 0.37);
            const auto z = [](std::size_t step, std::size_t e) { return normal(0, step + 1, e); };
            const double want = reference::edm_sampler(d, sigmas, {static_cast<double>(start)}, heun, {.amount = churn}, z)[0];
            const float got = run_one(heun, analytic::per_sample(d), sigmas, start, {.s_churn = churn});
            const double bound = 0x1p-24 * (steps + (heun ? 2 * ratio : 0)) * std::max(1.0, std::abs(want));
            worst = std::max(worst, std::abs(static_cast<double>(got) - want) / bound);
          }
        }
      }
    }
  }
  BOOST_TEST_MESSAGE("float state: worst error / bound " << worst);
  BOOST_TEST(worst < 1);
  BOOST_TEST(worst > 0.01);
}

BOOST_AUTO_TEST_CASE(same_bits_for_any_batch_stride_and_thread) {
  const std::int64_t n = 301;
  const std::int64_t dim = 37;
  const auto d = analytic::mixture(analytic::problem_a);
  const auto denoiser = analytic::per_sample([&](std::vector<double> x, double sigma) {
    for (double& e : x) e = d({e}, sigma)[0];
    return x;
  });
  const auto sigmas = diffusion::sigma_grid(4, {.sigma_max = 5});
  const auto run = [&](const auto& exec, const view<float, 2>& state, bool heun, std::uint64_t first) {
    const diffusion::noise_address address{.seed = 3, .first_sample = first};
    diffusion::initial_noise(exec, sigmas[0], state, address);
    const diffusion::sampler_options options{.s_churn = 2, .noise = address};
    if (heun) {
      diffusion::heun(exec, denoiser, sigmas, state, options);
    } else {
      diffusion::euler(exec, denoiser, sigmas, state, options);
    }
  };
  for (const bool heun : {false, true}) {
    const auto whole = [&](const auto& exec) {
      std::vector<float> x(static_cast<std::size_t>(n * dim));
      run(exec, view<float, 2>(x.data(), n, dim), heun, 0);
      return x;
    };
    const std::vector<float> want = whole(seq);
    BOOST_TEST((whole(par) == want));
    BOOST_TEST((whole(par.threads(2)) == want));
    BOOST_TEST((whole(par.threads(3)) == want));
    BOOST_TEST((whole(par.on(backwards{})) == want));

    std::vector<float> parts(want.size());
    for (const auto& [from, to] : {std::pair<std::int64_t, std::int64_t>{0, 113}, {113, 114}, {114, n}}) {
      run(par, view<float, 2>(parts.data() + from * dim, to - from, dim), heun, static_cast<std::uint64_t>(from));
    }
    BOOST_TEST((parts == want));

    const std::int64_t stride = dim + 5;
    std::vector<float> gaps(static_cast<std::size_t>(n * stride), -1.0F);
    run(par.threads(2), view<float, 2>(gaps.data(), {n, dim}, {stride, 1}), heun, 0);
    bool same = true;
    for (std::int64_t i = 0; i < n; ++i) {
      same = same && std::equal(want.begin() + i * dim, want.begin() + (i + 1) * dim, gaps.begin() + i * stride);
      same = same && std::count(gaps.begin() + i * stride + dim, gaps.begin() + (i + 1) * stride, -1.0F) == 5;
    }
    BOOST_TEST(same);
  }
}

BOOST_AUTO_TEST_CASE(float_and_double_states_see_the_same_noise) {
  const auto denoiser = analytic::per_sample(analytic::gaussian(0.1, 0.5));
  const auto sigmas = diffusion::sigma_grid(40);
  const diffusion::noise_address address{.seed = 21};
  std::vector<float> narrow(24);
  std::vector<double> wide(24);
  diffusion::initial_noise(seq, 80, view<float, 2>(narrow.data(), 4, 6), address);
  diffusion::initial_noise(seq, 80, view<double, 2>(wide.data(), 4, 6), address);
  diffusion::heun(seq, denoiser, sigmas, view<float, 2>(narrow.data(), 4, 6), {.s_churn = 10, .noise = address});
  diffusion::heun(seq, denoiser, sigmas, view<double, 2>(wide.data(), 4, 6), {.s_churn = 10, .noise = address});
  for (std::size_t i = 0; i < 24; ++i) BOOST_TEST(std::abs(static_cast<double>(narrow[i]) - wide[i]) < 1e-5);
}

BOOST_AUTO_TEST_CASE(encodes_with_rising_levels) {
  const auto denoiser = analytic::per_sample(analytic::mixture(analytic::problem_a));
  auto sigmas = analytic::grid_a(2000);
  const double down = run_one(true, denoiser, sigmas, 0.5);
  std::reverse(sigmas.begin(), sigmas.end());
  BOOST_TEST(std::abs(run_one(true, denoiser, sigmas, down) - 0.5) < 1e-4);
  BOOST_TEST(std::abs(run_one(true, denoiser, sigmas, -1.174408632448) - -6.0) < 1e-4);
}

BOOST_AUTO_TEST_CASE(observer_sees_every_step) {
  const auto d = analytic::mixture(analytic::problem_a);
  const auto sigmas = diffusion::sigma_grid(6);
  for (const bool heun : {false, true}) {
    std::vector<double> x{31.0, -12.0};
    double first_call = 0;
    bool fresh = true;
    const auto denoiser = [&](const auto& noisy, double sigma, const auto& out) {
      if (fresh) first_call = noisy(1, 0);
      fresh = false;
      analytic::per_sample(d)(noisy, sigma, out);
    };
    std::int64_t seen = 0;
    const auto observer = [&](const diffusion::sampler_step<double, 2>& step) {
      BOOST_TEST(step.index == seen);
      BOOST_TEST(step.steps == 6);
      const auto at = static_cast<std::size_t>(seen);
      BOOST_TEST(step.sigma == sigmas[at]);
      BOOST_TEST(step.sigma_hat == (sigmas[at] >= 0.1 ? sigmas[at] + 2.0 / 6 * sigmas[at] : sigmas[at]));
      BOOST_TEST(step.sigma_next == sigmas[at + 1]);
      BOOST_TEST(step.state.data_handle() == x.data());
      BOOST_TEST(step.denoised(1, 0) == d({first_call}, step.sigma_hat)[0]);
      if (step.sigma_next == 0) BOOST_TEST(step.denoised(1, 0) == step.state(1, 0));
      fresh = true;
      ++seen;
    };
    const diffusion::sampler_options options{.s_churn = 2, .s_min = 0.1};
    if (heun) {
      diffusion::heun(seq, denoiser, sigmas, view<double, 2>(x.data(), 2, 1), options, observer);
    } else {
      diffusion::euler(seq, denoiser, sigmas, view<double, 2>(x.data(), 2, 1), options, observer);
    }
    BOOST_TEST(seen == 6);
  }
}

BOOST_AUTO_TEST_CASE(composes_with_preconditioned) {
  // A network that answers 0: with EDM's c_skip that is the denoiser of N(0, sigma_data^2).
  const auto network = [](const view<const float, 4>&, double, const view<float, 4>& out) {
    std::fill_n(out.data_handle(), out.size(), 0.0F);
  };
  std::vector<double> x(2 * 3 * 4 * 5);
  const view<double, 4> state(x.data(), 2, 3, 4, 5);
  diffusion::initial_noise(par, 80, state);
  const std::vector<double> start = x;
  diffusion::heun(par, diffusion::preconditioned<float>(par, network), diffusion::sigma_grid(200), state);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double want = reference::gaussian_flow(0, 0.5, start[i], 80, 0);
    BOOST_TEST(std::abs(x[i] - want) < 1e-3 * std::abs(want));
  }
}

BOOST_AUTO_TEST_CASE(takes_what_is_shaped_like_mdspan) {
  const auto denoiser = analytic::per_sample(analytic::mixture(analytic::problem_a));
  std::vector<double> x{31.0, -9.0, 31.0, -9.0};
  diffusion::heun(seq, denoiser, diffusion::sigma_grid(18), foreign_matrix{x.data(), {2, 1}, {2, 1}});
  BOOST_TEST(x[0] == run_one(true, denoiser, diffusion::sigma_grid(18), 31.0));
  BOOST_TEST(x[1] == -9.0);
  BOOST_TEST(x[2] == x[0]);
  BOOST_TEST(x[3] == -9.0);
}

BOOST_AUTO_TEST_CASE(nan_stays_in_its_sample) {
  const auto denoiser = analytic::per_sample(analytic::mixture(analytic::problem_a));
  std::vector<double> x{31.0, std::numeric_limits<double>::quiet_NaN(), 31.0};
  diffusion::heun(seq, denoiser, diffusion::sigma_grid(18), view<double, 2>(x.data(), 3, 1));
  BOOST_TEST(x[0] == run_one(true, denoiser, diffusion::sigma_grid(18), 31.0));
  BOOST_TEST(std::isnan(x[1]));
  BOOST_TEST(x[2] == x[0]);
}

BOOST_AUTO_TEST_CASE(scratch_is_taken_once) {
  const auto denoiser = analytic::per_sample(analytic::mixture(analytic::problem_a));
  for (const bool heun : {false, true}) {
    counting_resource memory;
    std::vector<double> x(64, 1.0);
    const view<double, 2> state(x.data(), 64, 1);
    const auto exec = seq.scratch(&memory);
    if (heun) {
      diffusion::heun(exec, denoiser, diffusion::sigma_grid(18), state, {.s_churn = 4});
    } else {
      diffusion::euler(exec, denoiser, diffusion::sigma_grid(18), state, {.s_churn = 4});
    }
    BOOST_TEST(memory.taken == 1);
    BOOST_TEST(memory.bytes == (heun ? 3 : 1) * 64 * sizeof(double) + 64);  // and what puts it on a cache line
    BOOST_TEST(memory.live == 0);
  }
  // A denoiser that throws: the error passes through and nothing leaks.
  counting_resource memory;
  double x = 1;
  const auto throwing = [](const auto&, double, const auto&) { throw std::runtime_error("no network"); };
  BOOST_CHECK_THROW(diffusion::heun(seq.scratch(&memory), throwing, diffusion::sigma_grid(3), view<double, 2>(&x, 1, 1)),
                    std::runtime_error);
  BOOST_TEST(memory.live == 0);
  BOOST_TEST(x == 1.0);
}

BOOST_AUTO_TEST_CASE(nothing_to_do) {
  int calls = 0;
  const auto denoiser = [&](const auto&, double, const auto&) { ++calls; };
  const auto observer = [&](const auto&) { ++calls; };
  for (const auto& empty :
       {view<float, 3>(nullptr, 0, 4, 4), view<float, 3>(nullptr, 3, 0, 4), view<float, 3>(nullptr, 3, 4, 0)}) {
    diffusion::euler(seq, denoiser, diffusion::sigma_grid(3), empty, {}, observer);
    diffusion::heun(par, denoiser, diffusion::sigma_grid(3), empty, {}, observer);
  }
  BOOST_TEST(calls == 0);
}

BOOST_AUTO_TEST_CASE(bad_arguments) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  int calls = 0;
  const auto denoiser = [&](const auto&, double, const auto&) { ++calls; };
  std::vector<float> x(12, -1.0F);
  const view<float, 2> good(x.data(), 3, 4);
  const std::vector<double> grid = diffusion::sigma_grid(3);
  const auto refused = [&](const auto& sigmas, const auto& state, const diffusion::sampler_options& options,
                           const char* argument) {
    BOOST_CHECK_EXCEPTION(diffusion::euler(seq, denoiser, sigmas, state, options), argument_error, names("euler", argument));
    BOOST_CHECK_EXCEPTION(diffusion::heun(par, denoiser, sigmas, state, options), argument_error, names("heun", argument));
    BOOST_TEST(std::count(x.begin(), x.end(), -1.0F) == 12);
  };
  using levels = std::vector<double>;
  for (const levels& bad : {levels{}, levels{80}, levels{80, nan}, levels{nan, 1}, levels{inf, 1}, levels{0, 0}, levels{0, 1},
                            levels{80, -1}, levels{80, 0, 0}, levels{80, 1, 1, 0}, levels{80, 1, 2, 0}, levels{1, 2, 0}}) {
    refused(bad, good, {}, "sigmas");
  }
  for (const double bad : {-1.0, -inf, nan}) {
    refused(grid, good, {.s_churn = bad}, "s_churn");
    refused(grid, good, {.s_min = bad}, "s_min");
    refused(grid, good, {.s_max = bad}, "s_max");
    refused(grid, good, {.s_noise = bad}, "s_noise");
  }
  refused(grid, good, {.s_noise = inf}, "s_noise");
  refused(grid, good, {.s_min = 2, .s_max = 1}, "s_max");
  refused(levels{1, 2}, good, {.s_churn = 1}, "s_churn");
  refused(grid, view<float, 2>(nullptr, 3, 4), {}, "state");
  refused(grid, view<float, 2>(x.data(), 3, -4), {}, "state");
  refused(grid, view<float, 2>(x.data(), {3, 4}, {2, 1}), {}, "state");  // samples overlap
  refused(grid, view<float, 2>(x.data(), {3, 4}, {4, 2}), {}, "state");  // gaps inside a sample
  // The levels lie in the state itself.
  levels both(12, -1.0);
  std::copy(grid.begin(), grid.end(), both.begin() + 3);
  const std::span<const double> inside(both.data() + 3, grid.size());
  const levels before = both;
  refused(inside, view<double, 2>(both.data(), 3, 4), {}, "state");
  BOOST_TEST((both == before));
  BOOST_TEST(calls == 0);
}

// float16 states, rank 1, const states and denoisers of another type do not compile.
template <class State, class Denoiser>
concept samples = requires(State state, Denoiser d, std::span<const double> sigmas) { diffusion::heun(seq, d, sigmas, state); };
using any_denoiser = decltype([](const auto&, double, const auto&) {});
using float_denoiser = decltype([](view<const float, 2>, double, view<float, 2>) {});
static_assert(samples<view<float, 2>, any_denoiser> && samples<view<double, 5>, any_denoiser>);
static_assert(samples<view<float, 2>, float_denoiser> && !samples<view<double, 2>, float_denoiser>);
static_assert(!samples<view<tessera::float16, 2>, any_denoiser>);
static_assert(!samples<view<float, 1>, any_denoiser> && !samples<view<const float, 2>, any_denoiser>);
static_assert(!samples<view<float, 2>, int>);

BOOST_AUTO_TEST_SUITE_END()
