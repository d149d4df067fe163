// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Attention, forward and backward, and its specification, against values of PyTorch.
#include "golden.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "backward_oracle.hpp"

namespace {

using golden::distance;
using golden::ramp;
using support::array;
using tessera::seq;
namespace attention = tessera::attention;

template <class S>
oracle::backward_call<S> call_of(const golden::attention& x) {
  const auto& n = x.sizes;
  oracle::inputs<S> in(n[0], n[1], n[2], n[3], n[4], n[5], n[6]);
  in.q.fill(ramp(1));
  in.k.fill(ramp(2));
  in.v.fill(ramp(3));
  oracle::backward_call<S> call(in);
  call.dout.fill(ramp(4));
  return call;
}

/// f(options) with those of the case.
template <class F>
void with_options(const golden::attention& x, const F& f) {
  const auto& n = x.sizes;
  const attention::band mask{.right = x.causal ? 0 : attention::band::unbounded, .alignment = attention::alignment::top_left};
  const std::optional<double> scale = x.scale != 0 ? std::optional(x.scale) : std::nullopt;
  if (x.bias) {
    array<float, 4> bias({1, n[1], n[3], n[4]});
    bias.fill(ramp(5));
    const tessera::view<const float, 4> all(bias.view().data_handle(), {n[0], n[1], n[3], n[4]}, {0, n[3] * n[4], n[4], 1});
    using score = attention::additive_bias<float>;
    f(attention::options<attention::band, score>{.scale = scale, .mask = mask, .score = {all}});
  } else {
    f(attention::options<>{.scale = scale, .mask = mask});
  }
}

template <class S>
void check(double bound) {
  for (const golden::attention& x : golden::torch) {
    with_options(x, [&](const auto& options) {
      auto call = call_of<S>(x);
      call.run(seq, options);
      BOOST_TEST_INFO(x.name);
      BOOST_TEST(distance(call.out.elements(), x.out) <= bound);
      BOOST_TEST(distance(call.lse.elements(), x.lse) <= bound);
      BOOST_TEST(distance(call.dq.elements(), x.dq) <= bound);
      BOOST_TEST(distance(call.dk.elements(), x.dk) <= bound);
      BOOST_TEST(distance(call.dv.elements(), x.dv) <= bound);
    });
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_golden)

BOOST_AUTO_TEST_CASE(float64_is_that_of_torch) { check<double>(1e-14); }
BOOST_AUTO_TEST_CASE(float32_is_that_of_torch) { check<float>(2e-6); }

BOOST_AUTO_TEST_CASE(the_specification_is_that_of_torch) {
  for (const golden::attention& x : golden::torch) {
    with_options(x, [&](const auto& options) {
      const auto call = call_of<double>(x);
      std::vector<double> dbias(x.dbias.size());
      const auto gradients =
          tessera::reference::attention_backward(call.in.q.view(), call.in.k.view(), call.in.v.view(), call.dout.view(), options,
                                                 [&](std::int64_t, std::int64_t h, std::int64_t i, std::int64_t j, double ds) {
                                                   if (x.bias)
                                                     dbias[static_cast<std::size_t>((h * x.sizes[3] + i) * x.sizes[4] + j)] += ds;
                                                 });
      BOOST_TEST_INFO(x.name);
      BOOST_TEST(distance(gradients.dq, x.dq) <= 1e-14);
      BOOST_TEST(distance(gradients.dk, x.dk) <= 1e-14);
      BOOST_TEST(distance(gradients.dv, x.dv) <= 1e-14);
      if (x.bias) BOOST_TEST(distance(dbias, x.dbias) <= 1e-14);
    });
  }
}

BOOST_AUTO_TEST_SUITE_END()
