// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The calls themselves against differences, and backward against jvp: <vjp(u), t> = <u, jvp(t)>.
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "../support/random.hpp"
#include "calls.hpp"

namespace {

using calls::every_score;
using oracle::shape;
using support::array;
using support::normals;
using tessera::view;
namespace attention = tessera::attention;

/// A call with everything in it: a mask, a cap, slopes, a bias of some axes, sinks, factors of keys and values, grouped heads.
template <class S>
class full_call {
 public:
  oracle::backward_call<S> call;
  oracle::inputs<S> along;
  array<float, 4> bias;
  array<float, 1> sinks;
  array<float, 1> dsinks;
  array<float, 1> dslopes;
  array<float, 4> dbias;
  calls::score_parts parts;

  full_call(const shape& x, const any::mask& mask, double size = 1)
      : call(oracle::inputs<S>(x)),
        along(call.in),
        bias({1, x.heads, 1, x.len_k}),
        sinks({x.heads}),
        dsinks({x.heads}),
        dslopes({x.heads}),
        dbias({1, x.heads, 1, x.len_k}),
        parts(x.batch, x.heads, x.len_q, x.len_k),
        mask_(mask),
        scales_{0.5F, 1.75F, 0.25F, 3.0F},
        shape_(x) {
    call.in.q.fill(normals(1, size));
    call.in.k.fill(normals(2, size));
    call.in.v.fill(normals(3));
    call.dout.fill(normals(4));
    along.q.fill(normals(5));
    along.k.fill(normals(6));
    along.v.fill(normals(7));
    // Multiples of 1/64, so that steps of 1/1024 are exact in float32.
    bias.fill([](std::uint64_t n) { return std::round(64 * support::normal(8, n)) / 64; });
    sinks.fill([](std::uint64_t n) { return 0.5 - static_cast<double>(n); });
    for (std::size_t h = 0; h < parts.slopes.size(); ++h) parts.slopes[h] = 1 / static_cast<float>(4 << h);
    parts.cap = 2.5;
  }
  [[nodiscard]] calls::options<every_score> options() {
    parts.bias = all(std::as_const(bias).view().data_handle());
    return {.scale = 0.7,
            .mask = mask_,
            .score = parts.score(),
            .sinks = std::as_const(sinks).view(),
            .key_scales = view<const float, 1>(scales_, shape_.kv_heads),
            .value_scales = view<const float, 1>(scales_ + 1, shape_.kv_heads)};
  }
  void run(int threads = 1) {
    calls::run(tessera::par.threads(threads), call, options(),
               {.sinks = dsinks.view(), .slopes = dslopes.view(), .bias = all(dbias.view().data_handle())});
  }
  /// out and its tangent.
  [[nodiscard]] std::pair<std::vector<S>, std::vector<S>> jvp() {
    array<S, 4> out(call.in.out_extents());
    array<S, 4> tangent(call.in.out_extents());
    const auto& at = std::as_const(call.in);
    const auto& to = std::as_const(along);
    calls::jvp(tessera::par.threads(2), at.q.view(), at.k.view(), at.v.view(), to.q.view(), to.k.view(), to.v.view(), out.view(),
               tangent.view(), options());
    return {out.elements(), tangent.elements()};
  }
  /// out of inputs `in`.
  [[nodiscard]] std::vector<S> forward(const oracle::inputs<S>& in) {
    array<S, 4> out(in.out_extents());
    array<S, 3> lse(in.lse_extents());
    calls::forward(tessera::par.threads(2), in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options());
    return out.elements();
  }
  /// sum(dout * out).
  [[nodiscard]] double loss(const oracle::inputs<S>& in) {
    const std::vector<S> out = forward(in);
    const std::vector<S> weights = call.dout.elements();
    long double sum = 0;
    for (std::size_t n = 0; n < out.size(); ++n) sum += static_cast<long double>(out[n]) * static_cast<long double>(weights[n]);
    return static_cast<double>(sum);
  }

 private:
  template <class B>
  view<B, 4> all(B* data) const {
    return {data, {shape_.batch, shape_.heads, shape_.len_q, shape_.len_k}, {0, shape_.len_k, 0, 1}};
  }
  any::mask mask_;
  float scales_[5];
  shape shape_;
};

/// The slope of f at 0 to the fourth order in the step.
template <class F>
double slope(const F& f, double step) {
  return (8 * (f(step) - f(-step)) - (f(2 * step) - f(-2 * step))) / (12 * step);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_gradients)

BOOST_AUTO_TEST_CASE(backward_is_the_slope_of_forward) {
  for (const any::mask& mask : {any::mask{.a = attention::causal}, any::mask{.a = attention::sliding_window(3, 2)}}) {
    full_call<double> x({2, 4, 2, 5, 7, 3, 2}, mask);
    x.run();
    const auto check = [&](array<double, 4> oracle::inputs<double>::* which, const std::vector<double>& got, const char* what) {
      oracle::inputs<double> in = x.call.in;
      double* const at = (in.*which).view().data_handle();  // contiguous
      double worst = 0;
      for (std::size_t n = 0; n < got.size(); ++n) {
        const double before = at[n];
        const double want = slope([&](double t) { return at[n] = before + t, x.loss(in); }, 0x1p-9);
        at[n] = before;
        worst = std::fmax(worst, std::fabs(got[n] - want));
      }
      BOOST_TEST_INFO(what);
      BOOST_TEST(worst < 1e-9);
    };
    check(&oracle::inputs<double>::q, x.call.dq.elements(), "dq");
    check(&oracle::inputs<double>::k, x.call.dk.elements(), "dk");
    check(&oracle::inputs<double>::v, x.call.dv.elements(), "dv");
    // What is stored in float32 has gradients of float32.
    const auto check_stored = [&](float* at, const std::vector<float>& got, const char* what) {
      double worst = 0;
      double size = 0;
      for (std::size_t n = 0; n < got.size(); ++n) {
        const float before = at[n];
        const double want = slope([&](double t) { return at[n] = before + static_cast<float>(t), x.loss(x.call.in); }, 0x1p-10);
        at[n] = before;
        worst = std::fmax(worst, std::fabs(static_cast<double>(got[n]) - want));
        size = std::fmax(size, std::fabs(want));
      }
      BOOST_TEST_INFO(what);
      BOOST_TEST(worst < 1e-7 * size);
    };
    check_stored(x.bias.view().data_handle(), x.dbias.elements(), "dbias");
    check_stored(x.sinks.view().data_handle(), x.dsinks.elements(), "dsinks");
    check_stored(x.parts.slopes.data(), x.dslopes.elements(), "dslopes");
  }
}

BOOST_AUTO_TEST_CASE(jvp_is_the_slope_of_forward) {
  full_call<double> x({2, 4, 2, 5, 200, 3, 2}, {.a = attention::causal});
  const auto [out, tangent] = x.jvp();
  BOOST_TEST((out == x.forward(x.call.in)));
  std::vector<std::vector<double>> at;
  const double step = 0x1p-9;
  for (const double t : {-2 * step, -step, step, 2 * step}) {
    oracle::inputs<double> in = x.call.in;
    const auto move = [&](auto& y, const auto& from, const auto& along) {
      const auto begin = from.elements();
      const auto direction = along.elements();
      y.fill([&](std::uint64_t n) { return begin[n] + t * direction[n]; });
    };
    move(in.q, x.call.in.q, x.along.q);
    move(in.k, x.call.in.k, x.along.k);
    move(in.v, x.call.in.v, x.along.v);
    at.push_back(x.forward(in));
  }
  double worst = 0;
  for (std::size_t n = 0; n < tangent.size(); ++n) {
    const double want = (8 * (at[2][n] - at[1][n]) - (at[3][n] - at[0][n])) / (12 * step);
    worst = std::fmax(worst, std::fabs(tangent[n] - want));
  }
  BOOST_TEST(worst < 1e-8);
}

// <vjp(u), t> = <u, jvp(t)>: two kernels that share nothing but the mathematics, at sizes that differences cannot reach.
template <class S>
double duality(full_call<S>&& x) {
  x.run(2);
  const auto [out, tangent] = x.jvp();
  long double sum = 0;
  long double size = 0;
  const auto add = [&](const std::vector<S>& a, const std::vector<S>& b, long double sign) {
    for (std::size_t n = 0; n < a.size(); ++n) {
      const long double term = static_cast<long double>(a[n]) * static_cast<long double>(b[n]);
      sum += sign * term;
      size += std::fabs(term);
    }
  };
  add(x.call.dq.elements(), x.along.q.elements(), 1);
  add(x.call.dk.elements(), x.along.k.elements(), 1);
  add(x.call.dv.elements(), x.along.v.elements(), 1);
  add(x.call.dout.elements(), tangent, -1);
  return size > 0 ? static_cast<double>(std::fabs(sum) / size) : 0;  // a row that sees nothing has none
}

BOOST_AUTO_TEST_CASE(backward_and_jvp_are_adjoint) {
  const any::mask masks[] = {{},
                             {.a = attention::causal},
                             {.a = attention::sliding_window(100, 3)},
                             {.a = attention::causal, .how = any::join::inverted}};
  constexpr shape shapes[] = {
      {1, 1, 1, 1, 1, 1, 1}, {2, 4, 2, 130, 500, 17, 33}, {1, 4, 1, 300, 210, 64, 5}, {1, 2, 2, 3, 700, 9, 70}};
  for (const any::mask& mask : masks) {
    for (const shape& x : shapes) {
      const double wide = duality(full_call<double>(x, mask));
      const double narrow = duality(full_call<float>(x, mask, 0.7));
      BOOST_TEST_MESSAGE("<vjp(u), t> - <u, jvp(t)>: " << wide << " of its terms in float64, " << narrow << " in float32");
      BOOST_TEST(wide < 1e-15);
      BOOST_TEST(narrow < 1e-6);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
