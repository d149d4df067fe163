// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The CPU's tests of the gradients of linear_cross_entropy, on the device.
#include "tessera/cuda/training/linear_cross_entropy_backward.cuh"

#include <cstddef>
#include <utility>
#include <vector>

#include "mirror.hpp"
#include "tessera/cuda/training/linear_cross_entropy.cuh"
#include "tessera/training/linear_cross_entropy.hpp"

namespace support {

struct gradients_of_loss_on_device {};

/// lse is the CPU's.
template <class... Arguments>
void linear_cross_entropy(const gradients_of_loss_on_device&, const Arguments&... arguments) {
  tessera::training::linear_cross_entropy(tessera::seq, arguments...);
}

template <class Hidden, class Weight, class Bias, class Target, class Lse, class GradLoss, class GradHidden, class GradWeight,
          class GradBias>
  requires(Bias::rank() == 1 && GradBias::rank() == 1)
void linear_cross_entropy_backward(const gradients_of_loss_on_device&, const Hidden& hidden, const Weight& weight,
                                   const Bias& bias, const Target& target, const Lse& lse, const GradLoss& grad_loss,
                                   const GradHidden& grad_hidden, const GradWeight& grad_weight, const GradBias& grad_bias,
                                   const tessera::training::cross_entropy_options& options) {
  using namespace tessera;
  mirror memory;
  training::linear_cross_entropy_backward(
      cuda::on(), memory(view<const value_type_of<Hidden>, 2>(hidden)), memory(view<const value_type_of<Weight>, 2>(weight)),
      memory(view<const value_type_of<Bias>, 1>(bias)), memory(view<const value_type_of<Target>, 1>(target)),
      memory(view<const value_type_of<Lse>, 1>(lse)), memory(view<const value_type_of<GradLoss>, 1>(grad_loss)),
      memory(grad_hidden), memory(grad_weight), memory(grad_bias), options);
  memory.bring_back();
}

template <class Hidden, class Weight, class Target, class Lse, class GradLoss, class GradHidden, class GradWeight>
void linear_cross_entropy_backward(const gradients_of_loss_on_device&, const Hidden& hidden, const Weight& weight,
                                   const Target& target, const Lse& lse, const GradLoss& grad_loss, const GradHidden& grad_hidden,
                                   const GradWeight& grad_weight, const tessera::training::cross_entropy_options& options) {
  using namespace tessera;
  mirror memory;
  training::linear_cross_entropy_backward(
      cuda::on(), memory(view<const value_type_of<Hidden>, 2>(hidden)), memory(view<const value_type_of<Weight>, 2>(weight)),
      memory(view<const value_type_of<Target>, 1>(target)), memory(view<const value_type_of<Lse>, 1>(lse)),
      memory(view<const value_type_of<GradLoss>, 1>(grad_loss)), memory(grad_hidden), memory(grad_weight), options);
  memory.bring_back();
}

}  // namespace support

// The oracle of attention's tests, in the same program, has types of the same names; that of the loss has other bounds.
#define oracle oracle_of_gradients
#define TESSERA_TESTED_GRADIENTS_ON_DEVICE 1
#define TESSERA_TESTED_EXECUTOR \
  support::gradients_of_loss_on_device {}
#define TESSERA_TESTED_REFUSAL tessera::cuda::on()
#include "../training/linear_cross_entropy_backward.cpp"

namespace {

/// The device is of compute capability 8 meanwhile.
struct before_hopper {
  int major = tessera::emulator::properties(0).major;
  before_hopper() { tessera::emulator::properties(0).major = 8; }
  ~before_hopper() { tessera::emulator::properties(0).major = major; }
};

/// A problem and its gradients on the device, for calls that tests of the CPU do not make.
template <class H, class D>
struct device_call {
  inputs<H> in;
  cross_entropy_options options;
  array<float, 1> loss, lse, grad_loss;
  matrix<D> hidden, weight;
  array<float, 1> bias;

  device_call(std::int64_t n, std::int64_t depth, std::int64_t classes, const cross_entropy_options& with)
      : in(n, depth, classes),
        options(with),
        loss({n}),
        lse({n}),
        grad_loss({with.reduce == reduction::none ? n : 1}),
        hidden({n, depth}, {1}),
        weight({classes, depth}, {3}),
        bias({classes}) {
    grad_loss.fill([](std::uint64_t) { return 1; });
    linear_cross_entropy(tessera::seq, in.hidden.view(), in.weight.view(), in.bias.view(), in.target.view(), loss.view(),
                         lse.view(), {.reduce = reduction::none});
  }
  void run(const tessera::cuda::executor& on_device) {
    support::mirror memory;
    linear_cross_entropy_backward(on_device, memory(view<const H, 2>(in.hidden.view())),
                                  memory(view<const H, 2>(in.weight.view())), memory(view<const H, 1>(in.bias.view())),
                                  memory(view<const std::int64_t, 1>(in.target.view())), memory(view<const float, 1>(lse.view())),
                                  memory(view<const float, 1>(grad_loss.view())), memory(hidden.view()), memory(weight.view()),
                                  memory(bias.view()), options);
    memory.bring_back();
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_linear_cross_entropy_backward)

// Several tiles of rows, two chunks of classes, and rows that are copied in chunks of 16 bytes.
BOOST_AUTO_TEST_CASE(chunks_of_classes_are_within_their_bound) {
  support::worst errors;
  const before_hopper older;
  oracle::check_backward<bfloat16>(errors, exec, inputs<bfloat16>(140, 40, 4300), oracle::all_options[1]);
  oracle::check_backward<float>(errors, exec, inputs<float16>(140, 40, 4300), oracle::all_options[1]);
  oracle::check_backward<float>(errors, exec, inputs<float16>(9, 13, 5000), oracle::all_options[2]);
  oracle::check_backward<float>(errors, exec, inputs<float>(140, 40, 4300), oracle::all_options[3]);
  oracle::check_backward<double>(errors, exec, inputs<double>(30, 40, 8200), oracle::all_options[0]);
  CHECK_WITHIN_BOUND(errors);
}

// By warpgroups; hidden is copied without the rows that do not count.
BOOST_AUTO_TEST_CASE(chunks_of_classes_are_within_their_bound_on_hopper) {
  support::worst errors;
  oracle::check_backward<bfloat16>(errors, exec, inputs<bfloat16>(270, 40, 4300), oracle::all_options[1]);
  oracle::check_backward<float>(errors, exec, inputs<float16>(140, 72, 4300), oracle::all_options[3]);
  CHECK_WITHIN_BOUND(errors);
  device_call<float16, float> call(30, 24, 200, {});
  call.run(tessera::cuda::on());
  device_call<float16, float> other(30, 24, 200, {});
  for (std::int64_t k = 0; k < 24; ++k) other.in.hidden(8, k) = std::numeric_limits<float16>::quiet_NaN();
  other.run(tessera::cuda::on());
  BOOST_TEST((other.hidden.same_elements(call.hidden) && other.weight.same_elements(call.weight) &&
              other.bias.same_elements(call.bias)));
}

// What is stored of float16's slopes does not depend on how small or large they are.
BOOST_AUTO_TEST_CASE(float16_gradients_scale_with_the_gradient_of_the_loss) {
  device_call<float16, float> call(20, 16, 300, {.reduce = reduction::mean, .z_loss = 1e-3});
  call.run(tessera::cuda::on());
  const auto hidden = call.hidden.view();
  for (const double scale : {0x1p-60, 0x1p-20, 0x1p30}) {
    device_call<float16, float> other(20, 16, 300, call.options);
    other.grad_loss(0) = static_cast<float>(scale);
    other.run(tessera::cuda::on());
    int wrong = 0;
    for (std::int64_t k = 0; k < 16; ++k) {
      for (std::int64_t i = 0; i < 20; ++i)
        wrong += static_cast<double>(other.hidden(i, k)) != static_cast<double>(hidden(i, k)) * scale;
      for (std::int64_t j = 0; j < 300; ++j) {
        wrong += static_cast<double>(other.weight(j, k)) != static_cast<double>(call.weight(j, k)) * scale;
      }
    }
    for (std::int64_t j = 0; j < 300; ++j)
      wrong += static_cast<double>(other.bias(j)) != static_cast<double>(call.bias(j)) * scale;
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_CASE(rows_that_do_not_count_are_zero_whatever_stands_in_weight) {
  device_call<float16, float> call(20, 16, 4200, {});
  call.in.weight(4150, 2) = std::numeric_limits<float16>::quiet_NaN();
  call.run(tessera::cuda::on());
  for (std::int64_t i = 0; i < 20; ++i) {
    for (std::int64_t k = 0; k < 16; ++k) BOOST_TEST((i % 5 == 3 ? call.hidden(i, k) == 0 : std::isnan(call.hidden(i, k))));
  }
}

BOOST_AUTO_TEST_CASE(a_target_that_is_no_class_makes_nan) {
  for (const std::int64_t target : {-1, 50, 70000}) {
    device_call<float16, float> call(20, 16, 50, {.reduce = reduction::sum});
    call.in.target(4) = target;
    call.run(tessera::cuda::on());
    int wrong = 0;
    for (std::int64_t k = 0; k < 16; ++k) {
      for (std::int64_t i = 0; i < 20; ++i) wrong += std::isnan(call.hidden(i, k)) != (i == 4);
      for (std::int64_t j = 0; j < 50; ++j) wrong += !std::isnan(call.weight(j, k));
    }
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_CASE(scratch_is_what_the_docs_say_and_may_be_the_callers) {
  device_call<float16, float16> call(40, 16, 4200, {});
  call.run(tessera::cuda::on());
  const auto rounded = [](std::int64_t bytes) { return static_cast<std::size_t>((bytes + 255) / 256 * 256); };
  const std::size_t bytes = 256 + rounded(40 * 24) + rounded(40 * 4096 * 2) + rounded(40 * 16 * 4) + rounded(40 * 16 * 2);
  support::results<std::byte> scratch(static_cast<std::int64_t>(bytes) + 256);
  auto* const begin = scratch.device() + (256 - reinterpret_cast<std::uintptr_t>(scratch.device()) % 256) % 256;
  device_call<float16, float16> again(40, 16, 4200, {});
  CHECK_REFUSED("training::linear_cross_entropy_backward: workspace: ",
                again.run(tessera::cuda::on().workspace(begin, bytes - 1)));
  again.run(tessera::cuda::on().workspace(begin, bytes));
  BOOST_TEST((again.hidden.same_elements(call.hidden) && again.weight.same_elements(call.weight) &&
              again.bias.same_elements(call.bias)));
}

BOOST_AUTO_TEST_CASE(empty_problems_are_no_misuse) {
  for (const auto& [n, classes] : {std::pair{0, 30}, std::pair{7, 0}, std::pair{0, 0}}) {
    device_call<float16, float> call(n, 8, 1, {});
    call.weight = matrix<float>({classes, 8});
    call.bias = array<float, 1>({classes});
    call.in.weight = matrix<float16>({classes, 8});
    call.in.bias = array<float16, 1>({classes});
    call.run(tessera::cuda::on());
    for (const float x : call.weight.elements()) BOOST_TEST(x == 0);
    for (const float x : call.hidden.elements()) BOOST_TEST(x == 0);
    for (const float x : call.bias.elements()) BOOST_TEST(x == 0);
  }
}

BOOST_AUTO_TEST_CASE(memory_of_the_host_is_refused) {
  inputs<float> in(4, 3, 6);
  const cross_entropy_options options{.reduce = reduction::none};
  outputs<float> to(in, options);
  to.lse.fill([](std::uint64_t) { return 3; });
  support::mirror memory;
  const auto h = memory(in.hidden.view());
  const auto w = memory(in.weight.view());
  const auto b = memory(in.bias.view());
  const auto t = memory(in.target.view());
  const auto e = memory(to.lse.view());
  const auto g = memory(to.grad_loss.view());
  const auto dh = memory(to.hidden.view());
  const auto dw = memory(to.weight.view());
  const auto db = memory(to.bias.view());
#define REFUSED(argument, ...)                                                        \
  CHECK_REFUSED("training::linear_cross_entropy_backward: " argument ": host memory", \
                linear_cross_entropy_backward(tessera::cuda::on(), __VA_ARGS__, options))
  REFUSED("hidden", in.hidden.view(), w, b, t, e, g, dh, dw, db);
  REFUSED("weight", h, in.weight.view(), b, t, e, g, dh, dw, db);
  REFUSED("bias", h, w, in.bias.view(), t, e, g, dh, dw, db);
  REFUSED("target", h, w, b, in.target.view(), e, g, dh, dw, db);
  REFUSED("lse", h, w, b, t, to.lse.view(), g, dh, dw, db);
  REFUSED("grad_loss", h, w, b, t, e, to.grad_loss.view(), dh, dw, db);
  REFUSED("grad_hidden", h, w, b, t, e, g, to.hidden.view(), dw, db);
  REFUSED("grad_weight", h, w, b, t, e, g, dh, to.weight.view(), db);
  REFUSED("grad_bias", h, w, b, t, e, g, dh, dw, to.bias.view());
#undef REFUSED
}

// Both passes on the device: a linear classifier learns what it is shown, as on the CPU.
BOOST_AUTO_TEST_CASE(steps_of_training_lead_where_those_of_the_cpu_lead) {
  const cross_entropy_options options{.label_smoothing = 0.05};
  inputs<float> in(60, 24, 20);
  in.weight.fill([](std::uint64_t) { return 0; });
  in.bias.fill([](std::uint64_t) { return 0; });
  in.target.fill([](std::uint64_t i) { return i % 7 == 5 ? -100 : support::below(9, i, 20); });
  const auto train = [&](bool on_device) {
    inputs<float> x = in;
    outputs<float> to(x, options);
    to.grad_loss.fill([](std::uint64_t) { return 1; });
    std::vector<double> losses;
    for (int step = 0; step < 20; ++step) {
      array<float, 1> loss({1});
      if (on_device) {
        support::mirror memory;
        const auto stream = tessera::cuda::on();
        const auto h = memory(view<const float, 2>(x.hidden.view()));
        const auto w = memory(view<const float, 2>(x.weight.view()));
        const auto b = memory(view<const float, 1>(x.bias.view()));
        const auto t = memory(view<const std::int64_t, 1>(x.target.view()));
        const auto e = memory(to.lse.view());
        linear_cross_entropy(stream, h, w, b, t, memory(loss.view()), e, options);
        linear_cross_entropy_backward(stream, h, w, b, t, e, memory(view<const float, 1>(to.grad_loss.view())),
                                      memory(to.hidden.view()), memory(to.weight.view()), memory(to.bias.view()), options);
        memory.bring_back();
      } else {
        to.run(tessera::seq, x, options);
        linear_cross_entropy(tessera::seq, x.hidden.view(), x.weight.view(), x.bias.view(), x.target.view(), loss.view(),
                             to.lse.view(), options);
      }
      losses.push_back(static_cast<double>(loss(0)));
      for (std::int64_t j = 0; j < 20; ++j) {
        for (std::int64_t k = 0; k < 24; ++k) x.weight(j, k) -= 4 * to.weight(j, k);
        x.bias(j) -= 4 * to.bias(j);
      }
    }
    return losses;
  };
  const std::vector<double> want = train(false);
  const std::vector<double> got = train(true);
  BOOST_TEST(got.front() > 2.9);
  BOOST_TEST(got.back() < 1);
  for (std::size_t step = 0; step < want.size(); ++step) BOOST_TEST(got[step] == want[step], boost::test_tools::tolerance(1e-4));
}

BOOST_AUTO_TEST_SUITE_END()
