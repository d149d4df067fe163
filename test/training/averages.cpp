// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Averages of weights over training, and averages put together afterwards.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/error.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/training/average.hpp"

namespace {

namespace training = tessera::training;
using tessera::par;
using tessera::view;
using training::snapshot;

template <class T>
std::vector<view<T, 1>> views(std::vector<std::vector<T>>& x) {
  std::vector<view<T, 1>> result;
  for (auto& t : x) result.emplace_back(t.data(), static_cast<std::int64_t>(t.size()));
  return result;
}

/// Weights of step s.
std::vector<std::vector<float>> weights(std::uint64_t s) {
  std::vector<std::vector<float>> result;
  for (const std::size_t n : {1, 0, 17, 511, 20000}) {
    std::vector<float> x(n);
    // They drift, so that averages of different widths differ.
    for (std::size_t i = 0; i < n; ++i) {
      x[i] =
          static_cast<float>(std::sqrt(static_cast<double>(s)) * (1 + 0.1 * static_cast<double>(i % 7)) + support::normal(s, i));
    }
    result.push_back(std::move(x));
  }
  return result;
}

BOOST_AUTO_TEST_CASE(exponential_average) {
  auto mean = weights(1);
  auto other = mean;
  std::vector<std::vector<double>> want;
  for (const auto& x : mean) want.emplace_back(x.begin(), x.end());
  for (std::uint64_t s = 2; s < 40; ++s) {
    auto w = weights(s);
    training::average(par.threads(2), views(mean), views(w), 0.9);
    training::average(tessera::seq, views(other), views(w), 0.9);
    for (std::size_t t = 0; t < w.size(); ++t) {
      for (std::size_t i = 0; i < w[t].size(); ++i) want[t][i] = 0.9 * want[t][i] + 0.1 * static_cast<double>(w[t][i]);
    }
  }
  support::worst errors;
  for (std::size_t t = 0; t < want.size(); ++t) {
    for (std::size_t i = 0; i < want[t].size(); ++i) {
      // 3 roundings of each step, which the next ones forget: 3 / (1 - 0.9) in all.
      errors(static_cast<double>(mean[t][i]), want[t][i], 30 * 0x1p-24 * 16, t, i);
    }
  }
  CHECK_WITHIN_BOUND(errors);
  BOOST_TEST((mean == other));
}

// gamma of the widths that the paper trains with, from its equation solved apart (by numpy.roots), and a few identities.
BOOST_AUTO_TEST_CASE(widths_and_powers) {
  BOOST_TEST(std::fabs(training::power_of_width(0.05) - 16.97) < 0.005);
  BOOST_TEST(std::fabs(training::power_of_width(0.10) - 6.94) < 0.005);
  for (const double gamma : {0.0, 0.5, 3.0, 50.0, 1000.0}) {
    BOOST_TEST(std::fabs(training::power_of_width(training::relative_width(gamma)) - gamma) <= 1e-9 * (1 + gamma));
    // The standard deviation of the density (gamma + 1) s^gamma on [0, 1].
    const double mean = (gamma + 1) / (gamma + 2);
    BOOST_TEST(std::fabs(training::relative_width(gamma) - std::sqrt((gamma + 1) / (gamma + 3) - mean * mean)) < 1e-10);
  }
  BOOST_TEST(training::power_decay(1, 7) == 0);
  BOOST_TEST(training::power_decay(10, 1) == 0.9 * 0.9);
}

// An average of a width that nobody kept, against one that was.
BOOST_AUTO_TEST_CASE(averages_put_together_afterwards) {
  constexpr std::uint64_t steps = 600;
  const double kept[] = {training::power_of_width(0.05), training::power_of_width(0.10)};
  const double wanted = training::power_of_width(0.075);
  std::vector<std::vector<std::vector<float>>> running(3, weights(1));
  std::vector<snapshot> snapshots;
  std::vector<std::vector<std::vector<float>>> saved;
  for (std::uint64_t s = 1; s <= steps; ++s) {
    auto w = weights(s);
    for (std::size_t k = 0; k < 3; ++k) {
      const double gamma = k < 2 ? kept[k] : wanted;
      training::average(par, views(running[k]), views(w), training::power_decay(static_cast<double>(s), gamma));
      if (k < 2 && s % 60 == 0) {
        snapshots.push_back({static_cast<double>(s), gamma});
        saved.push_back(running[k]);
      }
    }
  }
  std::vector<double> factors(snapshots.size());
  training::post_hoc_factors(snapshots, {static_cast<double>(steps), wanted}, factors);
  double sum = 0;
  for (const double f : factors) sum += f;
  BOOST_TEST(std::fabs(sum - 1) < 0.01);
  std::vector<std::vector<view<float, 1>>> terms;
  for (auto& x : saved) terms.push_back(views(x));
  auto out = weights(1);
  training::combine(par.threads(2), terms, factors, views(out));
  double worst = 0;
  double apart = 0;
  for (std::size_t t = 0; t < out.size(); ++t) {
    for (std::size_t i = 0; i < out[t].size(); ++i) {
      worst = std::max(worst, static_cast<double>(std::fabs(out[t][i] - running[2][t][i])));
      apart = std::max(apart, static_cast<double>(std::fabs(running[0][t][i] - running[2][t][i])));
    }
  }
  BOOST_TEST_MESSAGE("put together to " << worst << ", where kept averages are " << apart << " away");
  BOOST_TEST(worst < apart / 20);
  // What was kept comes back as it is.
  training::post_hoc_factors(snapshots, snapshots[5], factors);
  for (std::size_t k = 0; k < factors.size(); ++k) BOOST_TEST(std::fabs(factors[k] - (k == 5 ? 1 : 0)) < 1e-6);
}

BOOST_AUTO_TEST_CASE(misuse_is_named) {
  auto a = weights(1);
  auto b = weights(2);
  const auto before = a;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_REFUSED("training::average: beta: nan; ", training::average(par, views(a), views(b), nan));
  CHECK_REFUSED("training::average: beta: 1.5; ", training::average(par, views(a), views(b), 1.5));
  CHECK_REFUSED("training::average: averages[0]: overlaps its weights; ", training::average(par, views(a), views(a), 0.5));
  auto shorter = views(b);
  shorter[3] = view<float, 1>(b[3].data(), 4);
  CHECK_REFUSED("training::average: averages[3]: 511 elements; ", training::average(par, views(a), shorter, 0.5));
  const std::vector<view<float, 1>> none;
  CHECK_REFUSED("training::average: weights: an empty list; ", training::average(par, none, none, 0.5));
  CHECK_REFUSED("training::power_of_width: width: 0.3; ", training::power_of_width(0.3));
  std::vector<double> factors(2);
  const std::vector<snapshot> same{{10, 2}, {10, 2}};
  CHECK_REFUSED("training::post_hoc_factors: snapshots: number 1 ", training::post_hoc_factors(same, {10, 3}, factors));
  const std::vector<snapshot> bad{{10, 2}, {-1, 2}};
  CHECK_REFUSED("training::post_hoc_factors: snapshots[1].t: -1; ", training::post_hoc_factors(bad, {10, 3}, factors));
  const std::vector<std::vector<view<float, 1>>> terms{views(b), views(a)};
  CHECK_REFUSED("training::combine: out[0]: overlaps terms[1]; ", training::combine(par, terms, factors, views(a)));
  factors.pop_back();
  CHECK_REFUSED("training::combine: factors: 1 numbers for 2 lists; ", training::combine(par, terms, factors, views(a)));
  BOOST_TEST((a == before));
}

}  // namespace
