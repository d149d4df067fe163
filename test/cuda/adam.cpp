// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Steps of Adam on the device against those of the CPU, bit for bit; steps that are skipped, and counted, without the host.
#include "tessera/cuda/training/adam.cuh"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "device_array.hpp"
#include "orders.hpp"
#include "support/error.hpp"
#include "support/random.hpp"
#include "tessera/cuda/training/unscale.cuh"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/training/adam.hpp"

namespace gpu = tessera::cuda;
namespace training = tessera::training;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;
using training::loss_scale_state;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Tensors on the host and on the device, equal at first.
template <class T>
struct tensors {
  std::vector<std::vector<T>> host;
  std::vector<std::unique_ptr<support::device_array<T>>> device;

  template <class F>
  tensors(const std::vector<std::int64_t>& sizes, const F& f) {
    for (const std::int64_t size : sizes) {
      std::vector<T> x(static_cast<std::size_t>(size));
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(f(host.size() * 1000003 + i));
      host.push_back(x);
      device.push_back(std::make_unique<support::device_array<T>>(x, static_cast<std::int64_t>(host.size() % 3)));
    }
  }
  explicit tensors(const std::vector<std::int64_t>& sizes) : tensors(sizes, [](std::uint64_t) { return 0; }) {}

  [[nodiscard]] view<T, 1> on_host(std::size_t t) {
    return view<T, 1>(host[t].data(), static_cast<std::int64_t>(host[t].size()));
  }
  std::vector<view<T, 1>> hosts() {
    std::vector<view<T, 1>> result;
    for (std::size_t t = 0; t < host.size(); ++t) result.push_back(on_host(t));
    return result;
  }
  std::vector<view<T, 1>> devices() {
    std::vector<view<T, 1>> result;
    for (const auto& d : device) result.push_back(d->view());
    return result;
  }
  [[nodiscard]] bool equal() const {
    for (std::size_t t = 0; t < host.size(); ++t) {
      if (!support::same_bits(device[t]->get(), host[t]) || !device[t]->borders_intact()) return false;
    }
    return true;
  }
};

const std::vector<std::int64_t> odd_sizes{1, 0, 7, 5000, 3, 64, 9001};

float some_weight(std::uint64_t i) { return static_cast<float>(support::normal(1, i)); }
float some_gradient(std::uint64_t i) { return static_cast<float>(support::spread(2, i, -12, 2)); }

/// Weights in one way of keeping them: on the host and on the device.
struct plain {
  tensors<float> w{odd_sizes, some_weight};
  auto hosts() { return w.hosts(); }
  auto devices() { return w.devices(); }
  [[nodiscard]] bool equal() const { return w.equal(); }
};
struct wide {
  tensors<double> w{odd_sizes, some_weight};
  auto hosts() { return w.hosts(); }
  auto devices() { return w.devices(); }
  [[nodiscard]] bool equal() const { return w.equal(); }
};
template <class A, class B, class Record>
struct in_two {
  tensors<A> a{odd_sizes, some_weight};
  tensors<B> b{odd_sizes};
  std::vector<Record> joined(const std::vector<view<A, 1>>& x, const std::vector<view<B, 1>>& y) {
    std::vector<Record> result;
    for (std::size_t t = 0; t < x.size(); ++t) result.push_back({x[t], y[t]});
    return result;
  }
  auto hosts() { return joined(a.hosts(), b.hosts()); }
  auto devices() { return joined(a.devices(), b.devices()); }
  [[nodiscard]] bool equal() const { return a.equal() && b.equal(); }
};
using master = in_two<float, bfloat16, training::master_weights<bfloat16>>;
using halves = in_two<bfloat16, std::uint16_t, training::split_weights>;
using compensated = in_two<bfloat16, bfloat16, training::compensated_weights<bfloat16>>;

template <class Weights, class Gradient, class State>
void check_steps(bool decoupled) {
  Weights weights;
  tensors<Gradient> gradients(odd_sizes, some_gradient);
  tensors<State> first(odd_sizes);
  tensors<State> second(odd_sizes);
  const training::adam_options options{.rate = 0.01, .weight_decay = 0.1, .gradient_factor = 0.5};
  for (std::int64_t step = 1; step <= 3; ++step) {
    if (decoupled) {
      training::adamw(gpu::on(), weights.devices(), gradients.devices(), first.devices(), second.devices(), step, options);
      training::adamw(tessera::seq, weights.hosts(), gradients.hosts(), first.hosts(), second.hosts(), step, options);
    } else {
      training::adam(gpu::on(), weights.devices(), gradients.devices(), first.devices(), second.devices(), step, options);
      training::adam(tessera::seq, weights.hosts(), gradients.hosts(), first.hosts(), second.hosts(), step, options);
    }
  }
  BOOST_TEST(weights.equal());
  BOOST_TEST(first.equal());
  BOOST_TEST(second.equal());
  BOOST_TEST(gradients.equal());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_adam)

BOOST_AUTO_TEST_CASE(the_bits_of_the_cpu) {
  check_steps<plain, float, float>(true);
  check_steps<wide, double, double>(false);
  check_steps<master, bfloat16, float>(true);
  check_steps<halves, bfloat16, float>(true);
  check_steps<compensated, float16, bfloat16>(false);
}

// A training loop whose host never looks: bad steps leave weights and moments as they are, and are not counted.
BOOST_AUTO_TEST_CASE(bad_steps_are_skipped_without_the_host) {
  master weights;
  tensors<float> first(odd_sizes);
  tensors<float> second(odd_sizes);
  tensors<float> unscaled(odd_sizes);
  const training::loss_scale_options scale_options{.initial = 1024, .interval = 2};
  loss_scale_state want = training::initial_state(scale_options);
  support::device_array<loss_scale_state> state(std::vector<loss_scale_state>{want});
  support::device_array<float> found(std::vector<float>{0});
  const view<const float, 1> scale(&state.data()->scale, 1);
  std::int64_t taken = 0;
  for (std::uint64_t step = 0; step < 8; ++step) {
    const bool bad = step == 0 || step == 3 || step == 4;
    tensors<float16> gradients(odd_sizes, [&](std::uint64_t i) { return some_gradient(i + step) * 1000; });
    if (bad) {
      gradients.host[3][4321] = float16(infinity);
      gradients.device[3]->set(gradients.host[3]);
    }
    training::unscale(gpu::on(), gradients.devices(), unscaled.devices(), scale, found.view());
    training::adamw(gpu::on(), weights.devices(), unscaled.devices(), first.devices(), second.devices(),
                    {.state = state.constant(), .found = found.constant()});
    training::update(gpu::on(), state.view(), found.view(), scale_options);
    for (std::size_t t = 0; t < odd_sizes.size(); ++t) unscaled.host[t] = unscaled.device[t]->get();
    if (!bad) {
      taken += 1;
      training::adamw(tessera::seq, weights.hosts(), unscaled.hosts(), first.hosts(), second.hosts(), taken);
    }
    training::update(want, scale_options, bad);
    BOOST_TEST(weights.equal());
    BOOST_TEST(first.equal());
    BOOST_TEST(second.equal());
    BOOST_TEST(support::same_bits(state.get(), std::vector<loss_scale_state>{want}));
    BOOST_TEST(found.get()[0] == 0.0f);
  }
  BOOST_TEST(want.skipped == 3);
}

BOOST_AUTO_TEST_CASE(gradients_that_still_carry_the_scale) {
  plain weights;
  tensors<float> first(odd_sizes);
  tensors<float> second(odd_sizes);
  tensors<float16> gradients(odd_sizes, some_gradient);
  const support::device_array<loss_scale_state> state(std::vector<loss_scale_state>{{.scale = 8, .steps = 7, .skipped = 2}});
  const support::device_array<float> found(std::vector<float>{0});
  support::in_several_orders([&] {
    training::adamw(gpu::on(), weights.devices(), gradients.devices(), first.devices(), second.devices(),
                    {.state = state.constant(), .found = found.constant(), .scaled = true}, {.gradient_factor = 2});
    training::adamw(tessera::seq, weights.hosts(), gradients.hosts(), first.hosts(), second.hosts(), 6,
                    {.gradient_factor = 0.25});
  });
  BOOST_TEST(weights.equal());
  BOOST_TEST(first.equal());
  BOOST_TEST(second.equal());
}

BOOST_AUTO_TEST_CASE(bad_input_is_named_and_nothing_written) {
  master weights;
  tensors<float> first(odd_sizes);
  tensors<float> second(odd_sizes);
  tensors<float> gradients(odd_sizes, some_gradient);
  support::device_array<loss_scale_state> state(std::vector<loss_scale_state>(1));
  support::device_array<float> found(std::vector<float>{0});
  const auto call = [&](const auto& w, const auto& g, const auto& a, const auto& b, std::int64_t step = 1, double rate = 1e-3) {
    training::adamw(gpu::on(), w, g, a, b, step, {.rate = rate});
  };
  CHECK_REFUSED("training::adamw: step: 0; ", call(weights.devices(), gradients.devices(), first.devices(), second.devices(), 0));
  CHECK_REFUSED("training::adamw: options.rate: -1; ",
                call(weights.devices(), gradients.devices(), first.devices(), second.devices(), 1, -1));
  const std::vector<view<float, 1>> none;
  CHECK_REFUSED("training::adamw: gradients: an empty list; ", call(weights.devices(), none, none, none));
  auto few = weights.devices();
  few.pop_back();
  CHECK_REFUSED("training::adamw: weights.master: 6 tensors; needs as many as gradients, 7",
                call(few, gradients.devices(), first.devices(), second.devices()));
  auto host = weights.devices();
  host[2].copy = weights.hosts()[2].copy;
  CHECK_REFUSED("training::adamw: weights.copy[2]: host memory",
                call(host, gradients.devices(), first.devices(), second.devices()));
  CHECK_REFUSED("training::adamw: second[0]: overlaps another array of its step",
                call(weights.devices(), gradients.devices(), first.devices(), first.devices()));
  CHECK_REFUSED("training::adamw: first[0]: overlaps another array of its step",
                call(weights.devices(), gradients.devices(), gradients.devices(), second.devices()));
  loss_scale_state here;
  CHECK_REFUSED("training::adamw: step.state: host memory",
                training::adamw(gpu::on(), weights.devices(), gradients.devices(), first.devices(), second.devices(),
                                {.state = view<const loss_scale_state, 1>(&here, 1), .found = found.constant()}));
  CHECK_REFUSED("training::adamw: step.found: shape [0]; needs one number",
                training::adamw(gpu::on(), weights.devices(), gradients.devices(), first.devices(), second.devices(),
                                {.state = state.constant(), .found = view<const float, 1>(found.data(), 0)}));
  CHECK_REFUSED("training::update: options.growth: 0.5; ",
                training::update(gpu::on(), state.view(), found.view(), {.growth = 0.5}));
  CHECK_REFUSED("training::update: state: host memory",
                training::update(gpu::on(), view<loss_scale_state, 1>(&here, 1), found.view()));
  BOOST_TEST(weights.equal());
  BOOST_TEST(first.equal());
  BOOST_TEST(second.equal());
}

BOOST_AUTO_TEST_SUITE_END()
