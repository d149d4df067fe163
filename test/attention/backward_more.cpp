// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Gradients of sinks, ALiBi's slopes and biases.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../support/random.hpp"
#include "backward_oracle.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::par
#endif

namespace {

using oracle::backward_call;
using oracle::inputs;
using support::array;
using support::normals;
using tessera::view;
namespace attention = tessera::attention;

const auto exec = TESSERA_TESTED_EXECUTOR;

constexpr std::int64_t heads = 4;
#if defined(TESSERA_TESTED_ON_DEVICE)  // a few tiles: the emulator takes its time
constexpr std::int64_t len_q = 70;
constexpr std::int64_t len_k = 75;
#else
constexpr std::int64_t len_q = 150;
constexpr std::int64_t len_k = 290;
#endif
const float slopes[] = {0.5f, 0.25f, 0.0625f, 0.01f};
const float sinks[] = {0.0f, 3.0f, -2.0f, 5.0f};

backward_call<float> normal_call() {
  inputs<float> in(2, heads, 2, len_q, len_k, 20, 9);
  in.q.fill(normals(1));
  in.k.fill(normals(2));
  in.v.fill(normals(3));
  backward_call<float> call(in);
  call.dout.fill(normals(4));
  return call;
}

template <class Options, class B>
void run(backward_call<float>& x, const auto& on, const Options& options, const attention::more_gradients<B>& more) {
  attention::forward(on, x.in.q.view(), x.in.k.view(), x.in.v.view(), x.out.view(), x.lse.view(), options);
  attention::backward(on, x.in.q.view(), x.in.k.view(), x.in.v.view(), x.out.view(), x.lse.view(), x.dout.view(), x.dq.view(),
                      x.dk.view(), x.dv.view(), options, more);
}

/// What the specification says of every pair: collect(b, h, i, j, ds).
template <class Options, class F>
void each_gradient(const backward_call<float>& x, const Options& options, const F& collect) {
  tessera::reference::attention_backward(x.in.q.view(), x.in.k.view(), x.in.v.view(), x.dout.view(), options, collect);
}

template <class Score>
using with_score = attention::options<attention::band, Score>;

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_backward_more)

BOOST_AUTO_TEST_CASE(sinks_and_slopes_of_a_chain_are_those_of_the_specification) {
  for (const double rate : {0.0, 0.3}) {
    const attention::alibi alibi{view<const float, 1>(slopes, heads)};
    const auto score = alibi >> attention::softcap{3};
    const with_score<std::remove_const_t<decltype(score)>> options{.mask = attention::causal,
                                                                   .score = score,
                                                                   .sinks = view<const float, 1>(sinks, heads),
                                                                   .dropout = {.rate = rate, .seed = 5}};
    backward_call<float> call = normal_call();
    array<float, 1> dsinks({heads});
    array<float, 1> dslopes({heads});
    const attention::more_gradients<> more{.sinks = dsinks.view(), .slopes = dslopes.view()};
    run(call, exec.threads(1), options, more);

    double want_sinks[heads] = {};
    double want_slopes[heads] = {};
    double sink_size[heads] = {};
    double slope_size[heads] = {};
    const auto q = call.in.q.view();
    const auto k = call.in.k.view();
    each_gradient(call, options, [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, double ds) {
      if (j < 0) {
        want_sinks[h] += ds;
        sink_size[h] += std::fabs(ds);
        return;
      }
      double s = 0;
      for (std::int64_t d = 0; d < 20; ++d) s += static_cast<double>(q(b, h, i, d)) * static_cast<double>(k(b, h / 2, j, d));
      s /= std::sqrt(20.0);
      const double distance = static_cast<double>(std::abs(j - i - (len_k - len_q)));
      const double t = std::tanh((s - static_cast<double>(slopes[h]) * distance) / 3);
      want_slopes[h] -= ds * (1 - t * t) * distance;
      slope_size[h] += std::fabs(ds) * distance;
    });
    for (std::int64_t h = 0; h < heads; ++h) {
      BOOST_TEST(std::fabs(static_cast<double>(dsinks(h)) - want_sinks[h]) <= 1e-5 * sink_size[h]);
      BOOST_TEST(std::fabs(static_cast<double>(dslopes(h)) - want_slopes[h]) <= 1e-5 * slope_size[h]);
      BOOST_TEST((want_sinks[h] != 0 && want_slopes[h] != 0));
    }
    array<float, 1> other_sinks({heads});
    array<float, 1> other_slopes({heads});
    run(call, exec.threads(3), options, attention::more_gradients<>{.sinks = other_sinks.view(), .slopes = other_slopes.view()});
    BOOST_TEST((other_sinks.same_elements(dsinks) && other_slopes.same_elements(dslopes)));
  }
}

// Every choice of axes that the bias does not have.
BOOST_AUTO_TEST_CASE(biases_of_any_broadcast_are_those_of_the_specification) {
  for (int broadcast = 0; broadcast < 16; ++broadcast) {
    const std::int64_t full[] = {2, heads, len_q, len_k};
    std::array<std::int64_t, 4> kept{};
    std::int64_t strides[4];
    std::int64_t step = 1;
    for (std::size_t r = 4; r-- > 0;) {
      const bool has = (broadcast >> r & 1) == 0;
      kept[r] = has ? full[r] : 1;
      strides[r] = has ? step : 0;
      step *= kept[r];
    }
    array<float, 4> bias(kept);
    bias.fill([](std::uint64_t n) { return 2 * support::normal(9, n); });
    const auto all = [&](auto* data) { return view<std::remove_pointer_t<decltype(data)>, 4>(data, full, strides); };
    using score = attention::additive_bias<float>;
    const with_score<score> options{.mask = attention::causal,
                                    .score = {all(std::as_const(bias).view().data_handle())},
                                    .dropout = {.rate = broadcast % 3 == 2 ? 0.3 : 0.0, .seed = 6}};
    backward_call<float> call = normal_call();
    array<float, 4> dbias(kept);
    run(call, exec.threads(1), options, attention::more_gradients<>{.bias = all(dbias.view().data_handle())});
    array<double, 4> want(kept);
    array<double, 4> size(kept);
    want.fill([](std::uint64_t) { return 0; });
    size.fill([](std::uint64_t) { return 0; });
    each_gradient(call, options, [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, double ds) {
      const std::int64_t at = b * strides[0] + h * strides[1] + i * strides[2] + j * strides[3];
      want.view().data_handle()[at] += ds;
      size.view().data_handle()[at] += std::fabs(ds);
    });
    const auto got = dbias.elements();
    const auto wanted = want.elements();
    const auto sizes = size.elements();
    // A weight is wrong by 1e-5 of itself, what it multiplies by value_dim + 4 roundings of |dout||v| + |dout||out|; weights of a row
    // add up to 1.
    double products = 0;
    for (std::int64_t i = 0; i < len_q; ++i) {
      for (std::int64_t j = 0; j < len_k; ++j) {
        double sum = 0;
        for (std::int64_t c = 0; c < 9; ++c) sum += std::fabs(static_cast<double>(call.dout(1, 3, i, c) * call.in.v(1, 1, j, c)));
        products = std::fmax(products, 2 * sum);
      }
    }
    std::int64_t rows = 1;
    for (std::size_t r = 0; r < 3; ++r) rows *= full[r] / kept[r];
    const double rounding = 13 * 0x1p-24 * products * static_cast<double>(rows) * options.dropout.factor();
    int wrong = 0;
    for (std::size_t n = 0; n < got.size(); ++n) {
      wrong += !(std::fabs(static_cast<double>(got[n]) - wanted[n]) <= 1e-5 * sizes[n] + rounding);
    }
    BOOST_TEST_INFO("broadcast " << broadcast);
    BOOST_TEST(wrong == 0);
    BOOST_TEST(dbias.gaps_untouched());
    array<float, 4> other(kept);
    run(call, exec.threads(3), options, attention::more_gradients<>{.bias = all(other.view().data_handle())});
    BOOST_TEST(other.same_elements(dbias));
  }
}

BOOST_AUTO_TEST_CASE(what_there_is_no_gradient_of_is_refused) {
  backward_call<float> call = normal_call();
  array<float, 4> dbias({2, heads, len_q, len_k});
  array<float, 1> numbers({heads});
  const auto refused = [&](const attention::more_gradients<>& more) {
    const std::string text = support::refusal([&] {
      attention::backward(exec, call.in.q.view(), call.in.k.view(), call.in.v.view(), call.out.view(), call.lse.view(),
                          call.dout.view(), call.dq.view(), call.dk.view(), call.dv.view(), attention::options<>{}, more);
    });
    BOOST_TEST((call.dq.untouched() && numbers.untouched() && dbias.untouched()));
    return text.substr(0, text.find(": ", 22));
  };
  BOOST_TEST(refused({.sinks = numbers.view()}) == "attention::backward: more.sinks");
  BOOST_TEST(refused({.slopes = numbers.view()}) == "attention::backward: more.slopes");
  BOOST_TEST(refused({.bias = dbias.view()}) == "attention::backward: more.bias");
}

BOOST_AUTO_TEST_SUITE_END()
