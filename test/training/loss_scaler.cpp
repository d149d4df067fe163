// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The scale of a loss against PyTorch's, its further rules against their words, and the order of a scaler's calls.
#include "tessera/training/loss_scaler.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/error.hpp"
#include "../support/random.hpp"
#include "golden_optimizers.hpp"

namespace {

namespace training = tessera::training;
using tessera::view;
using training::loss_scale_options;
using training::loss_scale_state;
using training::loss_scaler;
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// PyTorch's rules as its documentation has them: the tracker that equals the interval lets the scale grow.
struct pytorch_rules {
  float scale;
  double growth;
  double backoff;
  int interval;
  int tracker = 0;

  void update(bool overflow) {
    if (overflow) {
      scale = static_cast<float>(static_cast<double>(scale) * backoff);
      tracker = 0;
    } else if (++tracker == interval) {
      const auto grown = static_cast<float>(static_cast<double>(scale) * growth);
      if (std::isfinite(grown)) scale = grown;
      tracker = 0;
    }
  }
};

template <std::size_t N>
void check_golden(const loss_scale_options& options, const bool (&overflows)[N], const double (&scales)[N]) {
  loss_scale_state state = training::initial_state(options);
  for (std::size_t i = 0; i < N; ++i) {
    training::update(state, options, overflows[i]);
    BOOST_TEST(static_cast<double>(state.scale) == scales[i]);
  }
}

std::vector<float> scales(const loss_scale_options& options, const std::vector<int>& overflows) {
  loss_scale_state state = training::initial_state(options);
  std::vector<float> result;
  for (const int overflow : overflows) {
    training::update(state, options, overflow != 0);
    result.push_back(state.scale);
  }
  return result;
}

/// Gradients of one tensor, and where they are unscaled to.
struct gradients {
  std::vector<float> scaled;
  std::vector<float> out;
  std::vector<view<const float, 1>> from;
  std::vector<view<float, 1>> to;

  explicit gradients(std::vector<float> values) : scaled(std::move(values)), out(scaled.size()) {
    const auto n = static_cast<std::int64_t>(scaled.size());
    from.emplace_back(scaled.data(), n);
    to.emplace_back(out.data(), n);
  }
};

BOOST_AUTO_TEST_CASE(scales_of_pytorch) {
  check_golden({.initial = 1024, .growth = 3, .backoff = 0.3, .interval = 3}, golden::short_overflows, golden::short_scales);
  check_golden({.initial = 0x1p124F, .growth = 4, .interval = 2}, golden::high_overflows, golden::high_scales);
  check_golden({.initial = 1e-38F, .backoff = 0.1}, golden::low_overflows, golden::low_scales);
}

BOOST_AUTO_TEST_CASE(rules_of_pytorch_on_random_overflows) {
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    const auto pick = [&](std::uint64_t k) { return (support::uniform(seed, k) + 1) / 2; };
    const loss_scale_options options{.initial = static_cast<float>(std::exp2(40 * pick(0) - 10)),
                                     .growth = 1 + 3 * pick(1),
                                     .backoff = 0.05 + 0.9 * pick(2),
                                     .interval = 1 + static_cast<std::int32_t>(support::below(seed, 3, 12))};
    pytorch_rules want{options.initial, options.growth, options.backoff, options.interval};
    loss_scale_state got = training::initial_state(options);
    const double often = 0.02 + 0.3 * pick(4);
    for (std::uint64_t step = 0; step < 2000; ++step) {
      const bool overflow = pick(100 + step) < often;
      want.update(overflow);
      training::update(got, options, overflow);
      BOOST_REQUIRE_EQUAL(std::memcmp(&got.scale, &want.scale, sizeof(float)), 0);
      BOOST_REQUIRE_EQUAL(got.clean, want.tracker);
    }
    BOOST_TEST(got.steps == 2000);
  }
}

// PyTorch's scale stops growing where an interval is set below its tracker.
BOOST_AUTO_TEST_CASE(a_shorter_interval_grows_at_once) {
  loss_scale_options options{.initial = 8, .interval = 100};
  loss_scale_state state = training::initial_state(options);
  for (int i = 0; i < 50; ++i) training::update(state, options, false);
  options.interval = 10;
  training::update(state, options, false);
  BOOST_TEST(state.scale == 16);
  BOOST_TEST(state.clean == 0);
}

// https://github.com/pytorch/pytorch/issues/99640 and 98828: scales that vanish, and that become infinite.
BOOST_AUTO_TEST_CASE(limits_hold_the_scale) {
  const std::vector<int> bad(60, 1);
  const std::vector<int> good(60, 0);
  BOOST_TEST(scales({.initial = 4, .min = 1}, bad).back() == 1);
  BOOST_TEST(scales({.initial = 4, .interval = 1, .max = 0x1p24F}, good).back() == 0x1p24F);
  BOOST_TEST(scales({.initial = 4, .interval = 1}, std::vector<int>(300, 0)).back() == 0x1p127F);
  BOOST_TEST(scales({.initial = 4, .dynamic = false}, bad).back() == 4);
  BOOST_TEST(scales({.initial = 4, .interval = 1, .dynamic = false}, good).back() == 4);
}

BOOST_AUTO_TEST_CASE(hysteresis_of_both_kinds) {
  using training::hysteresis_refill;
  const auto run = [](int hysteresis, hysteresis_refill refill, const std::vector<int>& overflows) {
    return scales({.initial = 64, .interval = 3, .hysteresis = hysteresis, .refill = refill}, overflows);
  };
  using list = std::vector<float>;
  BOOST_TEST((run(2, hysteresis_refill::clean_step, {1, 0, 1, 0, 1, 1, 1, 0, 1}) == list{64, 64, 64, 64, 64, 32, 16, 16, 16}));
  BOOST_TEST((run(2, hysteresis_refill::growth, {1, 0, 1, 0, 1, 0, 0, 0, 1, 1}) == list{64, 64, 32, 32, 16, 16, 16, 32, 32, 16}));
  BOOST_TEST((run(3, hysteresis_refill::clean_step, {1, 1, 1, 1, 0, 1, 1, 1}) == list{64, 64, 32, 16, 16, 16, 16, 8}));
}

BOOST_AUTO_TEST_CASE(state_is_plain_bytes) {
  static_assert(std::is_trivially_copyable_v<loss_scale_state>);
  static_assert(sizeof(loss_scale_state) == 32);
  loss_scaler scaler({.initial = 32, .interval = 2});
  gradients g({1, 2, 3});
  for (int i = 0; i < 3; ++i) {
    scaler.unscale(tessera::seq, g.from, g.to);
    scaler.update();
  }
  unsigned char saved[sizeof(loss_scale_state)];
  std::memcpy(saved, &scaler.state(), sizeof saved);
  loss_scaler other({.initial = 8, .interval = 2});
  loss_scale_state loaded;
  std::memcpy(&loaded, saved, sizeof loaded);
  other.restore(loaded);
  for (int i = 0; i < 5; ++i) {
    for (loss_scaler* s : {&scaler, &other}) {
      s->record({.bad_tensor = i == 2 ? 0 : -1});
      s->update();
    }
    BOOST_TEST(std::memcmp(&scaler.state(), &other.state(), sizeof saved) == 0);
  }
  BOOST_TEST(other.state().steps == 8);
  BOOST_TEST(other.state().skipped == 1);
}

BOOST_AUTO_TEST_CASE(a_step_from_loss_to_report) {
  loss_scaler scaler({.initial = 4});
  gradients good({4, -8, 0});
  gradients bad({1, inf, nan});
  int steps = 0;
  BOOST_TEST(scaler.unscale(tessera::par, good.from, good.to).finite());
  BOOST_TEST((good.out == std::vector<float>{1, -2, 0}));
  BOOST_TEST(scaler.step([&] { ++steps; }));
  auto report = scaler.update();
  BOOST_TEST(steps == 1);
  BOOST_TEST(!report.skipped);
  BOOST_TEST(report.gradients.norm() == std::sqrt(5.0));
  BOOST_TEST(report.gradients.zeros == 1);
  BOOST_TEST(report.scale == 4);
  BOOST_TEST(report.next_scale == 4);

  // Two optimisers: the step of one is left out, the scale falls for both.
  scaler.unscale(tessera::seq, good.from, good.to, 0);
  scaler.unscale(tessera::seq, bad.from, bad.to, 3);
  BOOST_TEST(scaler.step([&] { ++steps; }, 0));
  BOOST_TEST(!scaler.step([&] { steps += 100; }, 3));
  report = scaler.update();
  BOOST_TEST(steps == 2);
  BOOST_TEST(report.skipped);
  BOOST_TEST(report.bad_optimizer == 3);
  BOOST_TEST(report.gradients.bad_tensor == 0);
  BOOST_TEST(report.gradients.bad_index == 1);
  BOOST_TEST(report.next_scale == 2);
}

// https://github.com/pytorch/pytorch/issues/115710: ranks that disagree.
BOOST_AUTO_TEST_CASE(ranks_agree) {
  loss_scaler scaler({.initial = 4});
  gradients good({1, 2});
  scaler.unscale(tessera::seq, good.from, good.to);
  float told = -1;
  scaler.agree([&](float mine) {
    told = mine;
    return 1.0F;
  });
  BOOST_TEST(told == 0);
  BOOST_TEST(!scaler.step([] { BOOST_ERROR("stepped"); }));
  const auto report = scaler.update();
  BOOST_TEST(report.skipped);
  BOOST_TEST(report.bad_optimizer == -1);
  BOOST_TEST(scaler.scale() == 2);
}

// https://github.com/huggingface/transformers/issues/23905 and others of its kind.
BOOST_AUTO_TEST_CASE(calls_out_of_order_are_named) {
  loss_scaler scaler;
  gradients g({1, 2});
  CHECK_REFUSED("training::loss_scaler.update: optimizer: ", scaler.update());
  CHECK_REFUSED("training::loss_scaler.step: optimizer: 0 is not unscaled; ", scaler.step([] {}));
  CHECK_REFUSED("training::loss_scaler.agree: optimizer: 0 is not unscaled; ", scaler.agree([](float x) { return x; }));
  scaler.unscale(tessera::seq, g.from, g.to);
  const std::vector<float> once = g.out;
  CHECK_REFUSED("training::loss_scaler.unscale: optimizer: 0 is unscaled; ", scaler.unscale(tessera::seq, g.from, g.to));
  CHECK_REFUSED("training::loss_scaler.record: optimizer: 0 is unscaled; ", scaler.record({}));
  CHECK_REFUSED("training::loss_scaler.restore: optimizer: 0 is unscaled; ", scaler.restore(scaler.state()));
  BOOST_TEST((g.out == once));
  scaler.step([] {});
  CHECK_REFUSED("training::loss_scaler.step: optimizer: 0 is stepped; ", scaler.step([] {}));
  CHECK_REFUSED("training::loss_scaler.unscale: optimizer: 0 is stepped; ", scaler.unscale(tessera::seq, g.from, g.to));
  scaler.update();
  CHECK_REFUSED("training::loss_scaler.unscale: optimizer: -1; ", scaler.unscale(tessera::seq, g.from, g.to, -1));
}

BOOST_AUTO_TEST_CASE(options_and_states_that_cannot_be) {
  const auto make = [](loss_scale_options options) { loss_scaler{options}; };
  CHECK_REFUSED("training::loss_scaler: options.initial: ", make({.initial = 0}));
  CHECK_REFUSED("training::loss_scaler: options.initial: ", make({.initial = nan}));
  CHECK_REFUSED("training::loss_scaler: options.initial: ", make({.initial = inf}));
  CHECK_REFUSED("training::loss_scaler: options.growth: ", make({.growth = 0.5}));
  CHECK_REFUSED("training::loss_scaler: options.growth: ", make({.growth = static_cast<double>(nan)}));
  CHECK_REFUSED("training::loss_scaler: options.backoff: ", make({.backoff = 0}));
  CHECK_REFUSED("training::loss_scaler: options.backoff: ", make({.backoff = 1.5}));
  CHECK_REFUSED("training::loss_scaler: options.interval: 0; ", make({.interval = 0}));
  CHECK_REFUSED("training::loss_scaler: options.min: ", make({.initial = 4, .min = 8}));
  CHECK_REFUSED("training::loss_scaler: options.max: ", make({.initial = 4, .max = 2}));
  CHECK_REFUSED("training::loss_scaler: options.hysteresis: 0; ", make({.hysteresis = 0}));
  loss_scaler scaler;
  const auto restore = [&](loss_scale_state state) { scaler.restore(state); };
  CHECK_REFUSED("training::loss_scaler.restore: state.scale: ", restore({.scale = 0}));
  CHECK_REFUSED("training::loss_scaler.restore: state.scale: ", restore({.scale = nan}));
  CHECK_REFUSED("training::loss_scaler.restore: state.clean: ", restore({.clean = -1}));
  CHECK_REFUSED("training::loss_scaler.restore: state.tolerance: ", restore({.tolerance = 2}));
  CHECK_REFUSED("training::loss_scaler.restore: state.skipped: ", restore({.steps = 1, .skipped = 2}));
  BOOST_TEST(scaler.scale() == 65536);
}

}  // namespace
