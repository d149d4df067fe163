// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// What attention::backward refuses, before dq, dk or dv is touched.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>

#include "backward_oracle.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::seq
#endif

namespace {

using tessera::view;
namespace attention = tessera::attention;

const auto exec = TESSERA_TESTED_EXECUTOR;

struct arguments {
  oracle::backward_call<float> call{oracle::inputs<float>{2, 4, 2, 6, 5, 3, 7}};
  view<float, 4> q = call.in.q.view();
  view<float, 4> k = call.in.k.view();
  view<float, 4> v = call.in.v.view();
  view<float, 4> out = call.out.view();
  view<float, 3> lse = call.lse.view();
  view<float, 4> dout = call.dout.view();
  view<float, 4> dq = call.dq.view();
  view<float, 4> dk = call.dk.view();
  view<float, 4> dv = call.dv.view();

  [[nodiscard]] bool untouched() const { return call.dq.untouched() && call.dk.untouched() && call.dv.untouched(); }
  void run(const attention::options<>& options = {}) const {
    attention::backward(exec, q, k, v, out, lse, dout, dq, dk, dv, options);
  }
};

view<float, 4> of_shape(const view<float, 4>& v, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
  return view<float, 4>(v.data_handle(), a, b, c, d);
}

/// The function and the argument that an error names after `change`.
template <class F>
std::string refused(const arguments& good, const F& change) {
  arguments x = good;  // views of the same arrays
  change(x);
  const std::string text = support::refusal([&] { x.run(); });
  BOOST_TEST(good.untouched());
  return text.substr(0, text.find(": ", std::string("attention::backward: ").size()));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_backward_misuse)

BOOST_AUTO_TEST_CASE(shapes) {
  const arguments good;
  const auto says = [&](const char* argument, const auto& change) {
    BOOST_TEST(refused(good, change) == std::string("attention::backward: ") + argument);
  };
  says("k", [](auto& x) { x.k = of_shape(x.k, 1, 2, 5, 3); });
  says("k", [](auto& x) { x.k = of_shape(x.k, 2, 2, 5, 2); });
  says("v", [](auto& x) { x.k = of_shape(x.k, 2, 2, 4, 3); });
  says("v", [](auto& x) { x.v = of_shape(x.v, 2, 1, 5, 7); });
  says("out", [](auto& x) { x.out = of_shape(x.out, 2, 4, 6, 6); });
  says("out", [](auto& x) { x.out = of_shape(x.out, 2, 4, 5, 7); });
  says("lse", [](auto& x) { x.lse = view<float, 3>(x.lse.data_handle(), 2, 4, 5); });
  says("dout", [](auto& x) { x.dout = of_shape(x.dout, 2, 3, 6, 7); });
  says("dq", [](auto& x) { x.dq = of_shape(x.dq, 2, 4, 5, 3); });
  says("dk", [](auto& x) { x.dk = of_shape(x.dk, 2, 4, 5, 3); });
  says("dv", [](auto& x) { x.dv = of_shape(x.dv, 2, 2, 5, 6); });
  says("q", [](auto& x) { x.q = of_shape(x.q, 2, -4, 6, 3); });
  says("k", [](auto& x) {
    x.k = of_shape(x.k, 2, 3, 3, 3);  // 4 heads, 3 kv_heads
    x.v = of_shape(x.v, 2, 3, 3, 7);
  });
}

BOOST_AUTO_TEST_CASE(pointers_and_strides) {
  const arguments good;
  const auto says = [&](const char* argument, const auto& change) {
    BOOST_TEST(refused(good, change) == std::string("attention::backward: ") + argument);
  };
  says("q", [](auto& x) { x.q = view<float, 4>(nullptr, 2, 4, 6, 3); });
  says("k", [](auto& x) { x.k = view<float, 4>(nullptr, 2, 2, 5, 3); });
  says("v", [](auto& x) { x.v = view<float, 4>(nullptr, 2, 2, 5, 7); });
  says("out", [](auto& x) { x.out = view<float, 4>(nullptr, 2, 4, 6, 7); });
  says("lse", [](auto& x) { x.lse = view<float, 3>(nullptr, 2, 4, 6); });
  says("dout", [](auto& x) { x.dout = view<float, 4>(nullptr, 2, 4, 6, 7); });
  says("dq", [](auto& x) { x.dq = view<float, 4>(nullptr, 2, 4, 6, 3); });
  says("dk", [](auto& x) { x.dk = view<float, 4>(nullptr, 2, 2, 5, 3); });
  says("dv", [](auto& x) { x.dv = view<float, 4>(nullptr, 2, 2, 5, 7); });
  says("dout", [](auto& x) { x.dout = view<float, 4>(x.dout.data_handle(), {2, 4, 6, 7}, {168, 42, 1, 6}); });
  says("dq", [](auto& x) { x.dq = view<float, 4>(x.dq.data_handle(), {2, 4, 6, 3}, {72, 0, 3, 1}); });  // on itself
  // Outputs that lie on inputs or on one another.
  says("dq", [](auto& x) { x.dq = x.q; });
  says("dk", [](auto& x) { x.dk = x.k; });
  says("dv", [](auto& x) { x.dv = x.v; });
  says("dq", [](auto& x) { x.dq = of_shape(x.dout, 2, 4, 6, 3); });
  says("dq", [](auto& x) { x.dq = of_shape(x.out, 2, 4, 6, 3); });
  says("dk", [](auto& x) { x.dk = of_shape(x.dq, 2, 2, 5, 3); });
  says("dv", [](auto& x) { x.dv = view<float, 4>(x.dq.data_handle(), {2, 2, 5, 7}, {70, 35, 7, 1}); });
}

BOOST_AUTO_TEST_CASE(options_that_do_not_fit) {
  const arguments x;
  const double inf = std::numeric_limits<double>::infinity();
  for (const double scale : {inf, -inf, 1e39, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_REFUSED("attention::backward: options.scale: ", x.run({.scale = scale}));
  }
  const float numbers[3] = {};
  CHECK_REFUSED("attention::backward: options.sinks: ", x.run({.sinks = view<const float, 1>(numbers, 3)}));
  CHECK_REFUSED("attention::backward: options.key_scales: ", x.run({.key_scales = view<const float, 1>(numbers, 3)}));
  CHECK_REFUSED("attention::backward: options.value_scales: ", x.run({.value_scales = view<const float, 1>(numbers, 3)}));
  CHECK_REFUSED("attention::backward: options.mask: ", x.run({.mask = attention::sliding_window(-5, 3)}));
  BOOST_TEST(x.untouched());
}

BOOST_AUTO_TEST_SUITE_END()
