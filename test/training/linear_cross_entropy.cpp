// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/training/linear_cross_entropy.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "../support/memory.hpp"
#include "../support/pools.hpp"
#include "golden_cross_entropy.hpp"
#include "oracle.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::seq
#define TESSERA_TESTED_TEAM tessera::par.threads(2)
#define TESSERA_TESTED_ON_CPU 1
#else
#define TESSERA_TESTED_TEAM TESSERA_TESTED_EXECUTOR
#endif

namespace {

using oracle::cross_entropy_options;
using oracle::inputs;
using oracle::reduction;
using support::array;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;
using tessera::training::linear_cross_entropy;

const auto exec = TESSERA_TESTED_EXECUTOR;
const auto team = TESSERA_TESTED_TEAM;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr cross_entropy_options each{.reduce = reduction::none};

template <class H, class W = H, class B = W>
void check_shapes() {
  support::worst errors;
  std::uint64_t s = 0;
  for (const auto& [n, depth, classes] : oracle::shapes) {
    ++s;
    const inputs<H, W, B> in(n, depth, classes, s, static_cast<std::int64_t>(s % 3));
    oracle::check_forward(errors, exec, in, oracle::all_options[s % 4]);
#if defined(TESSERA_TESTED_ON_CPU)
    oracle::check_forward(errors, team, in, oracle::all_options[(s + 1) % 4]);
#endif
  }
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(training_linear_cross_entropy)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound) { check_shapes<float>(); }
BOOST_AUTO_TEST_CASE(float64_is_within_its_bound) { check_shapes<double>(); }
BOOST_AUTO_TEST_CASE(bfloat16_is_within_its_bound) { check_shapes<bfloat16>(); }
BOOST_AUTO_TEST_CASE(float16_weights_of_float32_are_within_their_bound) { check_shapes<float, float16, double>(); }

BOOST_AUTO_TEST_CASE(adversarial_logits_are_within_the_bound) {
  support::worst errors;
  inputs<float> in(20, 24, 2100);
  const auto check = [&] {
    for (const auto& options : oracle::all_options) oracle::check_forward(errors, exec, in, options);
  };
  in.hidden.fill([](std::uint64_t n) { return 100 * support::normal(1, n); });
  in.weight.fill([](std::uint64_t n) { return 100 * support::normal(2, n); });  // logits beyond 1e4
  check();
  in.hidden.fill([](std::uint64_t n) { return support::spread(3, n, -30, 10); });
  check();
  in.hidden.fill([](std::uint64_t) { return 1; });
  in.weight.fill([](std::uint64_t n) { return 0.01 * static_cast<double>(n / 24); });  // rising: every tile beats the last
  check();
  in.weight.fill([](std::uint64_t n) { return -0.01 * static_cast<double>(n / 24); });
  check();
  in.weight.fill([](std::uint64_t) { return 7; });  // all alike
  check();
  in.weight.fill([](std::uint64_t n) { return n % 2 == 0 ? 1e4 : -1e4; });  // products cancel
  check();
  CHECK_WITHIN_BOUND(errors);
}

// All logits but the target's far below: the loss is the small mass of the others, and not the noise of the logits.
BOOST_AUTO_TEST_CASE(sure_answers_keep_their_digits, *boost::unit_test::label("small")) {
  inputs<float> in(1, 1, 1500);
  in.hidden.fill([](std::uint64_t) { return 1; });
  in.weight.fill([](std::uint64_t n) { return n == 1200 ? 1000.0 : 984.0; });
  in.bias.fill([](std::uint64_t) { return 0; });
  in.target.fill([](std::uint64_t) { return 1200; });
  array<float, 1> loss({1});
  array<float, 1> lse({1});
  linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.target.view(), loss.view(), lse.view());
  BOOST_TEST(loss(0) == std::log1p(1499 * std::exp(-16.0)), boost::test_tools::tolerance(1e-3));
  in.weight.fill([](std::uint64_t n) { return n == 1200 ? 1000.0 : 0.0; });
  linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.target.view(), loss.view(), lse.view());
  BOOST_TEST((loss(0) == 0 && lse(0) == 1000));
}

BOOST_AUTO_TEST_CASE(rows_that_do_not_count_are_zero_and_not_read) {
  inputs<float> in(30, 7, 40);
  array<float, 1> clean({30});
  array<float, 1> loss({30});
  array<float, 1> lse({30});
  linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.target.view(), clean.view(), lse.view(), each);
  for (std::int64_t k = 0; k < 7; ++k) in.hidden(8, k) = std::numeric_limits<float>::quiet_NaN();
  linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.target.view(), loss.view(), lse.view(), each);
  BOOST_TEST(loss.same_elements(clean));
  for (std::int64_t i = 3; i < 30; i += 5) BOOST_TEST((loss(i) == 0 && lse(i) == 0));

  array<float, 1> one({1});
  linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.target.view(), one.view(), lse.view());
  BOOST_TEST(std::isfinite(one(0)));
  in.target.fill([](std::uint64_t) { return -1; });
  linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.target.view(), one.view(), lse.view(), {.ignore_index = -1});
  BOOST_TEST(std::isnan(one(0)));
  linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.target.view(), one.view(), lse.view(),
                       {.reduce = reduction::sum, .ignore_index = -1});
  BOOST_TEST(one(0) == 0);
}

BOOST_AUTO_TEST_CASE(infinities_and_nan_act_as_documented) {
  inputs<float> in(4, 3, 1100);
  in.target.fill([](std::uint64_t i) { return i == 1 ? 1050 : 5; });
  array<float, 1> loss({4});
  array<float, 1> lse({4});
  const auto run = [&] {
    linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.bias.view(), in.target.view(), loss.view(), lse.view(),
                         each);
  };
  support::worst errors;
  for (std::int64_t j = 1024; j < 1100; ++j) in.bias(j) = -inf;  // a whole tile is out of the vocabulary
  run();
  BOOST_TEST((loss(1) == inf && std::isfinite(loss(0)) && std::isfinite(lse(1))));
  for (std::int64_t j = 0; j < 1100; ++j) in.bias(j) = -inf;
  run();
  BOOST_TEST((std::isnan(loss(0)) && lse(0) == -inf));
  in.bias.fill([](std::uint64_t) { return 0; });
  in.hidden(2, 1) = std::numeric_limits<float>::quiet_NaN();
  run();
  BOOST_TEST((std::isnan(loss(2)) && std::isnan(lse(2)) && std::isfinite(loss(0)) && std::isfinite(loss(3))));
  in.bias(1060) = inf;
  run();
  for (std::int64_t i = 0; i < 4; ++i) BOOST_TEST(std::isnan(loss(i)));
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_team_and_row_alone) {
#if defined(TESSERA_TESTED_ON_CPU)
  const inputs<float> in(1500, 40, 2500);
#else
  const inputs<float> in(150, 8, 5000);
#endif
  const std::int64_t n = in.n();
  array<float, 1> whole({n});
  array<float, 1> lse({n});
  const auto run = [&](const auto& some_exec, auto& to) {
    array<float, 1> other({n});
    linear_cross_entropy(some_exec, in.hidden.view(), in.weight.view(), in.bias.view(), in.target.view(), to.view(), other.view(),
                         each);
    return other;
  };
  lse = run(exec, whole);
  const auto same_with = [&](const auto& some_exec) {
    array<float, 1> loss({n});
    return run(some_exec, loss).same_elements(lse) && loss.same_elements(whole);
  };
#if defined(TESSERA_TESTED_ON_CPU)
  using tessera::par;
  BOOST_TEST(same_with(par.threads(2)));
  BOOST_TEST(same_with(par.threads(3)));
  BOOST_TEST(same_with(par.on(support::thread_per_call{4})));
  BOOST_TEST(same_with(par.on(support::one_by_one{})));
#else
  BOOST_TEST(same_with(exec));
#endif
  for (const std::int64_t i : {std::int64_t{0}, std::int64_t{1}, std::int64_t{47}, n / 3 * 2, n - 1}) {
    array<float, 1> loss({1});
    array<float, 1> row_lse({1});
    const auto hidden = in.hidden.view();
    linear_cross_entropy(team, view<const float, 2>(&hidden(i, 0), 1, in.depth()), in.weight.view(), in.bias.view(),
                         view<const std::int64_t, 1>(&in.target(i), 1), loss.view(), row_lse.view(), each);
    BOOST_TEST((loss(0) == whole(i) && row_lse(0) == lse(i)));
  }
}

BOOST_AUTO_TEST_CASE(golden_values_of_pytorch) {
  inputs<double> in(golden::rows, golden::depth, golden::classes);
  in.hidden.fill(golden::hidden);
  in.weight.fill(golden::weight);
  in.bias.fill(golden::bias);
  in.target.fill([](std::uint64_t i) { return golden::target[i]; });
  support::worst errors;
  for (const golden::outcome& want : golden::outcomes) {
    for (const reduction reduce : {want.options.reduce, reduction::none}) {
      cross_entropy_options options = want.options;
      options.reduce = reduce;
      array<double, 1> loss({reduce == reduction::none ? golden::rows : 1});
      array<double, 1> lse({golden::rows});
      linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.bias.view(), in.target.view(), loss.view(), lse.view(),
                           options);
      if (reduce != reduction::none) errors(loss(0), want.loss, 1e-14 * std::fabs(want.loss), "loss");
      for (std::int64_t i = 0; reduce == reduction::none && i < golden::rows; ++i) {
        errors(loss(i), want.row_losses[i], 1e-14 * std::fabs(want.row_losses[i]) + 1e-15, "row", i);
      }
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

#if defined(TESSERA_TESTED_ON_CPU)
BOOST_AUTO_TEST_CASE(scratch_is_taken_once_and_does_not_grow_with_the_logits) {
  const inputs<float> in(600, 16, 40000);
  array<float, 1> loss({1});
  array<float, 1> lse({600});
  support::counting_resource memory;
  linear_cross_entropy(tessera::par.threads(2).scratch(&memory), in.hidden.view(), in.weight.view(), in.target.view(),
                       loss.view(), lse.view());
  BOOST_TEST(memory.allocations() == 1);
  BOOST_TEST(memory.all_returned());
  BOOST_TEST(memory.bytes() < (std::size_t{8} << 20));  // the logits would be 96 MB
}
#endif

BOOST_AUTO_TEST_CASE(empty_problems_are_no_misuse) {
  const inputs<float> none(0, 4, 9);
  array<float, 1> one({1});
  array<float, 1> nothing({0});
  linear_cross_entropy(exec, none.hidden.view(), none.weight.view(), none.target.view(), one.view(), nothing.view(),
                       {.reduce = reduction::sum});
  BOOST_TEST(one(0) == 0);
}

#if defined(TESSERA_TESTED_ON_CPU)
BOOST_AUTO_TEST_CASE(misuse_is_refused_and_nothing_written) {
  inputs<float> in(4, 3, 6);
  array<float, 1> loss({4});
  array<float, 1> one({1});
  array<float, 1> lse({4});
  const auto h = in.hidden.view();
  const auto w = in.weight.view();
  const auto b = in.bias.view();
  const auto t = in.target.view();
  const view<float, 1> l = loss.view();
  const view<float, 1> e = lse.view();
#define REFUSED(argument, ...) \
  CHECK_REFUSED("training::linear_cross_entropy: " argument ": ", linear_cross_entropy(exec, __VA_ARGS__))
  REFUSED("hidden", view<const float, 2>(nullptr, 4, 3), w, t, l, e, each);
  REFUSED("hidden", view<const float, 2>(h.data_handle(), {4, 3}, {1, 4}), w, t, l, e, each);
  REFUSED("weight", h, view<const float, 2>(w.data_handle(), 6, 2), t, l, e, each);
  REFUSED("weight", h, view<const float, 2>(nullptr, 6, 3), t, l, e, each);
  REFUSED("bias", h, w, view<const float, 1>(b.data_handle(), 5), t, l, e, each);
  REFUSED("bias", h, w, view<const float, 1>(nullptr, 6), t, l, e, each);
  REFUSED("target", h, w, view<const std::int64_t, 1>(t.data_handle(), 3), l, e, each);
  REFUSED("target", h, w, view<const std::int64_t, 1>(nullptr, 4), l, e, each);
  REFUSED("loss", h, w, t, view<float, 1>(l.data_handle(), 3), e, each);
  REFUSED("loss", h, w, t, l, e);  // a mean is one number
  REFUSED("loss", h, w, t, view<float, 1>(nullptr, 4), e, each);
  REFUSED("lse", h, w, t, l, view<float, 1>(e.data_handle(), 5), each);
  REFUSED("loss", h, w, t, e, e, each);
  REFUSED("loss", h, w, t, view<float, 1>(&in.hidden(0, 0), 4), e, each);
  REFUSED("lse", h, w, t, l, view<float, 1>(&in.weight(0, 0), 4), each);
  REFUSED("lse", h, w, t, l, view<float, 1>(e.data_handle(), {4}, {0}), each);
  REFUSED("options.label_smoothing", h, w, t, one.view(), e, {.label_smoothing = 1.5});
  REFUSED("options.label_smoothing", h, w, t, one.view(), e, {.label_smoothing = std::numeric_limits<double>::quiet_NaN()});
  REFUSED("options.z_loss", h, w, t, one.view(), e, {.z_loss = -1});
  REFUSED("options.z_loss", h, w, t, one.view(), e, {.z_loss = std::numeric_limits<double>::infinity()});
  BOOST_TEST(in.untouched());
  for (const std::int64_t wrong : {-1, 6, -101}) {
    in.target(2) = wrong;
    REFUSED("target", h, w, t, l, e, each);
  }
#undef REFUSED
  in.target(2) = 6;
  BOOST_TEST(support::refusal([&] { linear_cross_entropy(exec, h, w, t, l, e, each); }) ==
             "training::linear_cross_entropy: target: 6 in row 2; needs classes in [0, vocabulary), or options.ignore_index");
  BOOST_TEST((loss.untouched() && one.untouched() && lse.untouched()));
}
#endif

BOOST_AUTO_TEST_SUITE_END()
