// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/training/linear_cross_entropy_backward.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
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
#define TESSERA_TESTED_REFUSAL tessera::seq
#define TESSERA_TESTED_ON_CPU 1
#else
#define TESSERA_TESTED_TEAM TESSERA_TESTED_EXECUTOR
#endif

namespace {

using oracle::cross_entropy_options;
using oracle::inputs;
using oracle::reduction;
using support::array;
using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;
using tessera::training::linear_cross_entropy;
using tessera::training::linear_cross_entropy_backward;

const auto exec = TESSERA_TESTED_EXECUTOR;
const auto team = TESSERA_TESTED_TEAM;

/// lse and gradients of a problem, all in the compute type.
template <class T>
struct outputs {
  array<T, 1> lse, grad_loss;
  matrix<T> hidden, weight;
  array<T, 1> bias;

  template <class In>
  outputs(const In& in, const cross_entropy_options& options)
      : lse({in.n()}),
        grad_loss({options.reduce == reduction::none ? in.n() : 1}),
        hidden({in.n(), in.depth()}),
        weight({in.classes(), in.depth()}),
        bias({in.classes()}) {
    grad_loss.fill([](std::uint64_t n) { return 1 + 0.1 * static_cast<double>(n % 3); });
  }

  template <class Exec, class In>
  void run(const Exec& some_exec, const In& in, const cross_entropy_options& options) {
    array<T, 1> loss({grad_loss.view().extent(0)});
    linear_cross_entropy(some_exec, in.hidden.view(), in.weight.view(), in.bias.view(), in.target.view(), loss.view(), lse.view(),
                         options);
    linear_cross_entropy_backward(some_exec, in.hidden.view(), in.weight.view(), in.bias.view(), in.target.view(), lse.view(),
                                  grad_loss.view(), hidden.view(), weight.view(), bias.view(), options);
  }
  [[nodiscard]] bool same(const outputs& other) const {
    return hidden.same_elements(other.hidden) && weight.same_elements(other.weight) && bias.same_elements(other.bias);
  }
};

template <class D, class H, class W = H, class B = W>
void check_shapes() {
  support::worst errors;
  std::uint64_t s = 0;
  for (const auto& [n, depth, classes] : oracle::shapes) {
    ++s;
    const inputs<H, W, B> in(n, depth, classes, s, static_cast<std::int64_t>(s % 3));
    oracle::check_backward<D>(errors, exec, in, oracle::all_options[s % 4]);
    oracle::check_backward<D>(errors, team, in, oracle::all_options[(s + 1) % 4]);
  }
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(training_linear_cross_entropy_backward)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound) { check_shapes<float, float>(); }
BOOST_AUTO_TEST_CASE(float64_is_within_its_bound) { check_shapes<double, double>(); }
BOOST_AUTO_TEST_CASE(bfloat16_is_within_its_bound) { check_shapes<bfloat16, bfloat16>(); }
BOOST_AUTO_TEST_CASE(float16_gradients_of_mixed_types_are_within_their_bound) {
  check_shapes<float16, float, bfloat16, double>();
}

BOOST_AUTO_TEST_CASE(adversarial_logits_are_within_the_bound) {
  support::worst errors;
  inputs<float> in(20, 24, 2100);
  const auto check = [&] {
    for (const auto& options : oracle::all_options) oracle::check_backward<float>(errors, exec, in, options);
  };
  in.hidden.fill([](std::uint64_t n) { return 100 * support::normal(1, n); });
  in.weight.fill([](std::uint64_t n) { return 100 * support::normal(2, n); });
  check();
  in.hidden.fill([](std::uint64_t n) { return support::spread(3, n, -30, 10); });
  check();
  in.hidden.fill([](std::uint64_t) { return 1; });
  in.weight.fill([](std::uint64_t n) { return 0.01 * static_cast<double>(n / 24); });
  check();
  in.weight.fill([](std::uint64_t) { return 7; });
  check();
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(agrees_with_finite_differences) {
  inputs<double> in(4, 3, 5);
  const cross_entropy_options options{.reduce = reduction::sum, .label_smoothing = 0.1, .z_loss = 0.01};
  outputs<double> got(in, options);
  got.run(exec, in, options);
  const auto objective = [&] {
    array<double, 1> loss({1});
    array<double, 1> lse({4});
    linear_cross_entropy(exec, in.hidden.view(), in.weight.view(), in.bias.view(), in.target.view(), loss.view(), lse.view(),
                         options);
    return loss(0) * got.grad_loss(0);
  };
  const auto slope = [&](double& x) {
    constexpr double step = 1e-5;
    const double at = x;
    x = at + step;
    const double above = objective();
    x = at - step;
    const double below = objective();
    x = at;
    return (above - below) / (2 * step);
  };
  for (std::int64_t k = 0; k < 3; ++k) {
    for (std::int64_t i = 0; i < 4; ++i) BOOST_TEST(std::fabs(slope(in.hidden(i, k)) - got.hidden(i, k)) < 1e-8);
    for (std::int64_t j = 0; j < 5; ++j) BOOST_TEST(std::fabs(slope(in.weight(j, k)) - got.weight(j, k)) < 1e-8);
  }
  for (std::int64_t j = 0; j < 5; ++j) BOOST_TEST(std::fabs(slope(in.bias(j)) - got.bias(j)) < 1e-8);
}

BOOST_AUTO_TEST_CASE(rows_that_do_not_count_get_and_give_nothing) {
  inputs<float> in(30, 7, 40);
  const cross_entropy_options options{.reduce = reduction::mean};
  outputs<float> clean(in, options);
  clean.run(exec, in, options);
  for (std::int64_t k = 0; k < 7; ++k) in.hidden(8, k) = std::numeric_limits<float>::quiet_NaN();
  outputs<float> got(in, options);
  got.run(exec, in, options);
  BOOST_TEST(got.same(clean));
  for (std::int64_t i = 3; i < 30; i += 5) {
    for (std::int64_t k = 0; k < 7; ++k) BOOST_TEST(got.hidden(i, k) == 0);
  }
  in.target.fill([](std::uint64_t) { return -100; });  // no row at all
  got.run(exec, in, options);
  for (const float x : got.weight.elements()) BOOST_TEST(x == 0);
  for (const float x : got.hidden.elements()) BOOST_TEST(x == 0);
  for (const float x : got.bias.elements()) BOOST_TEST(x == 0);
}

BOOST_AUTO_TEST_CASE(without_a_bias_as_with_one_of_zeros) {
  inputs<float> in(50, 20, 1500);
  in.bias.fill([](std::uint64_t) { return 0; });
  const cross_entropy_options options{.reduce = reduction::none};
  outputs<float> want(in, options);
  want.run(exec, in, options);
  outputs<float> got(in, options);
  linear_cross_entropy_backward(exec, in.hidden.view(), in.weight.view(), in.target.view(), want.lse.view(), got.grad_loss.view(),
                                got.hidden.view(), got.weight.view(), options);
  BOOST_TEST(got.hidden.same_elements(want.hidden));
  BOOST_TEST(got.weight.same_elements(want.weight));
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_team_and_row_alone) {
#if defined(TESSERA_TESTED_ON_CPU)
  const inputs<float> in(1500, 40, 2500);
#else
  const inputs<float> in(150, 40, 4500);
#endif
  const cross_entropy_options options{.reduce = reduction::none, .label_smoothing = 0.1};
  outputs<float> whole(in, options);
  whole.run(exec, in, options);
  const auto same_with = [&](const auto& some_exec) {
    outputs<float> got(in, options);
    got.run(some_exec, in, options);
    return got.same(whole);
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
  const std::int64_t n = in.n();
  matrix<float> grad_weight({in.classes(), 40});
  array<float, 1> grad_bias({in.classes()});
  for (const std::int64_t i : {std::int64_t{0}, std::int64_t{47}, n / 3 * 2 + 22, n - 1}) {
    matrix<float> grad_hidden({1, 40});
    linear_cross_entropy_backward(team, view<const float, 2>(&in.hidden(i, 0), 1, 40), in.weight.view(), in.bias.view(),
                                  view<const std::int64_t, 1>(&in.target(i), 1), view<const float, 1>(&whole.lse(i), 1),
                                  view<const float, 1>(&whole.grad_loss(i), 1), grad_hidden.view(), grad_weight.view(),
                                  grad_bias.view(), options);
    BOOST_TEST(std::memcmp(&grad_hidden(0, 0), &whole.hidden(i, 0), 40 * sizeof(float)) == 0);
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
    outputs<double> got(in, want.options);
    got.grad_loss.fill([](std::uint64_t) { return 1; });
    got.run(exec, in, want.options);
    for (std::int64_t k = 0; k < golden::depth; ++k) {
      for (std::int64_t i = 0; i < golden::rows; ++i) errors(got.hidden(i, k), want.grad_hidden[i][k], 1e-13, "hidden", i, k);
      for (std::int64_t j = 0; j < golden::classes; ++j) errors(got.weight(j, k), want.grad_weight[j][k], 1e-13, "weight", j, k);
    }
    for (std::int64_t j = 0; j < golden::classes; ++j) errors(got.bias(j), want.grad_bias[j], 1e-13, "bias", j);
  }
  CHECK_WITHIN_BOUND(errors);
}

#if defined(TESSERA_TESTED_ON_CPU)
BOOST_AUTO_TEST_CASE(scratch_is_taken_once_and_does_not_grow_with_the_logits) {
  const inputs<float> in(600, 16, 40000);
  const cross_entropy_options options{};
  outputs<float> got(in, options);
  support::counting_resource memory;
  linear_cross_entropy_backward(tessera::par.threads(2).scratch(&memory), in.hidden.view(), in.weight.view(), in.target.view(),
                                got.lse.fill([](std::uint64_t) { return 12; }).view(), got.grad_loss.view(), got.hidden.view(),
                                got.weight.view(), options);
  BOOST_TEST(memory.allocations() == 1);
  BOOST_TEST(memory.all_returned());
  BOOST_TEST(memory.bytes() < (std::size_t{10} << 20));  // the logits would be 96 MB
}
#endif

BOOST_AUTO_TEST_CASE(misuse_is_refused_and_nothing_written) {
  inputs<float> in(4, 3, 6);
  const cross_entropy_options options{.reduce = reduction::none};
  outputs<float> to(in, options);
  to.lse.fill([](std::uint64_t) { return 3; });
  const auto h = in.hidden.view();
  const auto w = in.weight.view();
  const auto b = in.bias.view();
  const auto t = in.target.view();
  const auto e = to.lse.view();
  const auto g = to.grad_loss.view();
  const view<float, 2> dh = to.hidden.view();
  const view<float, 2> dw = to.weight.view();
  const view<float, 1> db = to.bias.view();
#define REFUSED(argument, ...)                                        \
  CHECK_REFUSED("training::linear_cross_entropy_backward: " argument, \
                linear_cross_entropy_backward(TESSERA_TESTED_REFUSAL, __VA_ARGS__, options))
  REFUSED("hidden: null data", view<const float, 2>(nullptr, 4, 3), w, t, e, g, dh, dw);
  REFUSED("weight: ", h, view<const float, 2>(w.data_handle(), 6, 2), t, e, g, dh, dw);
  REFUSED("target: ", h, w, view<const std::int64_t, 1>(t.data_handle(), 3), e, g, dh, dw);
  REFUSED("bias: ", h, w, view<const float, 1>(b.data_handle(), 5), t, e, g, dh, dw, db);
  REFUSED("lse: ", h, w, t, view<const float, 1>(e.data_handle(), 3), g, dh, dw);
  REFUSED("grad_loss: ", h, w, t, e, view<const float, 1>(g.data_handle(), 1), dh, dw);
  REFUSED("grad_hidden: ", h, w, t, e, g, view<float, 2>(dh.data_handle(), 3, 3), dw);
  REFUSED("grad_hidden: ", h, w, t, e, g, view<float, 2>(nullptr, 4, 3), dw);
  REFUSED("grad_hidden: ", h, w, t, e, g, view<float, 2>(dh.data_handle(), {4, 3}, {0, 1}), dw);
  REFUSED("grad_hidden: ", h, w, t, e, g, view<float, 2>(&in.hidden(0, 0), 4, 3), dw);
  REFUSED("grad_weight: ", h, w, t, e, g, dh, view<float, 2>(dw.data_handle(), 6, 2));
  REFUSED("grad_weight: ", h, w, t, e, g, dh, view<float, 2>(&in.weight(0, 0), 6, 3));
  REFUSED("grad_hidden: ", h, w, t, e, g, view<float, 2>(dw.data_handle(), 4, 3), dw);
  REFUSED("grad_bias: ", h, w, b, t, e, g, dh, dw, view<float, 1>(db.data_handle(), 5));
  REFUSED("grad_bias: ", h, w, b, t, e, g, dh, dw, view<float, 1>(dw.data_handle(), 6));
  REFUSED("grad_bias: ", h, w, b, t, e, g, dh, dw, view<float, 1>(&in.bias(0), 6));
#undef REFUSED
  BOOST_TEST((in.untouched() && to.hidden.untouched() && to.weight.untouched() && to.bias.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
