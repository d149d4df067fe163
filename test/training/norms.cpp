// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/training/norms.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/memory.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/layers.hpp"
#include "tessera/training/norms_backward.hpp"

namespace {

using support::array;
using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::seq;
using tessera::view;
using tessera::training::absent;
using tessera::training::add_layer_norm;
using tessera::training::add_rms_norm;
using tessera::training::layer_norm;
using tessera::training::layer_norm_backward;
using tessera::training::norm_gradients;
using tessera::training::rms_norm;
using tessera::training::rms_norm_backward;

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

template <class Real, class S>
std::vector<Real> widened(const array<S, 1>& a) {
  std::vector<Real> result;
  for (const S x : a.elements()) result.push_back(tessera::reference::widened<Real>(x));
  return result;
}

/// Both norms of x, forward and backward, written and added to, with the bounds of the docs. X, P: storage of rows and of parameters.
template <bool Centered, class X, class P>
void check(support::worst& errors, const matrix<X>& x, double epsilon) {
  using T = tessera::compute_t<X>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  const std::int64_t n = x.view().extent(0);
  const std::int64_t d = x.view().extent(1);
  array<P, 1> gain({d});
  array<P, 1> bias({d});
  matrix<X> grad_y({n, d}, {2});
  gain.fill(support::normals(11));
  bias.fill(support::normals(12));
  grad_y.fill(support::normals(13));
  matrix<X> y({n, d}, {1});
  array<T, 1> mean({n});
  array<T, 1> inverse({n});
  if constexpr (Centered) {
    layer_norm(seq, x.view(), gain.view(), bias.view(), y.view(), mean.view(), inverse.view(), {.epsilon = epsilon});
  } else {
    rms_norm(seq, x.view(), gain.view(), y.view(), inverse.view(), {.epsilon = epsilon});
  }
  const auto no_bias = std::vector<Real>();
  const auto want = tessera::reference::norm<Real>(x.view(), widened<Real>(gain), Centered ? widened<Real>(bias) : no_bias,
                                                   grad_y.view(), static_cast<Real>(epsilon), Centered);
  const double u = tessera::unit_roundoff<T>;
  const auto stored = [](auto like, auto wanted) { return 1.01 * support::rounding<decltype(like)>(wanted); };
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  for (std::int64_t i = 0; i < n; ++i) {
    const auto inverse_wanted = static_cast<double>(want.inverse[at(i)]);
    const auto mean_wanted = static_cast<double>(want.mean[at(i)]);
    errors(static_cast<double>(inverse(i)), want.inverse[at(i)], (Centered ? 90 : 70) * u * inverse_wanted, "inverse", i);
    if (Centered)
      errors(static_cast<double>(mean(i)), want.mean[at(i)], u * std::fabs(mean_wanted) + 140 * u / inverse_wanted, "mean", i);
    for (std::int64_t j = 0; j < d; ++j) {
      const double h = std::fabs(static_cast<double>(want.normal[at(i)][at(j)]));
      const double value = std::fabs(static_cast<double>(want.y[at(i)][at(j)]));
      const double factor = std::fabs(static_cast<double>(gain(j)));
      const double bound = Centered ? ((90 * h + 150) * factor + 2 * value) * u : 72 * u * value;
      errors(static_cast<double>(y(i, j)), want.y[at(i)][at(j)], bound + stored(X{}, value), "y", i, j);
    }
  }
  matrix<X> grad_x({n, d}, {3});
  array<P, 1> grad_gain({d});
  array<P, 1> grad_bias({d});
  for (const bool add : {false, true}) {
    if (add) {
      grad_x.fill(support::normals(6));
      grad_gain.fill(support::normals(7));
      grad_bias.fill(support::normals(8));
    }
    const auto x_before = grad_x;
    const auto gain_before = grad_gain;
    const auto bias_before = grad_bias;
    if constexpr (Centered) {
      layer_norm_backward(seq, x.view(), gain.view(), mean.view(), inverse.view(), grad_y.view(),
                          norm_gradients{.x = grad_x.view(), .gain = grad_gain.view(), .bias = grad_bias.view()}, {add, add});
    } else {
      rms_norm_backward(seq, x.view(), gain.view(), inverse.view(), grad_y.view(),
                        norm_gradients{.x = grad_x.view(), .gain = grad_gain.view()}, {add, add});
    }
    BOOST_TEST((y.gaps_untouched() && grad_x.gaps_untouched() && grad_gain.gaps_untouched() && grad_bias.gaps_untouched()));
    BOOST_TEST((x.untouched() && gain.untouched() && grad_y.untouched()));
    const auto compare = [&](auto got, auto before, auto wanted, double bound, const char* what, std::int64_t where) {
      const double there = add ? static_cast<double>(before) : 0;
      const double total = static_cast<double>(wanted) + there;
      errors(static_cast<double>(got), wanted + static_cast<decltype(wanted)>(there),
             bound + 2 * u * std::fabs(there) + stored(got, total), what, where, add);
    };
    std::vector<double> gain_bounds(at(d));
    std::vector<double> bias_bounds(at(d));
    for (std::int64_t i = 0; i < n; ++i) {
      double level = 0;
      double share = 0;
      const auto slope = [&](std::int64_t j) {
        return std::fabs(static_cast<double>(grad_y(i, j)) * static_cast<double>(gain(j)));
      };
      const auto normal = [&](std::int64_t j) { return std::fabs(static_cast<double>(want.normal[at(i)][at(j)])); };
      for (std::int64_t j = 0; j < d; ++j) {
        level += slope(j) / static_cast<double>(d);
        share += slope(j) * normal(j) / static_cast<double>(d);
        const double g = std::fabs(static_cast<double>(grad_y(i, j)));
        gain_bounds[at(j)] += u * (120 * g * normal(j) + (Centered ? 150 * g : 0));
        bias_bounds[at(j)] += u * 18 * g;
      }
      for (std::int64_t j = 0; j < d; ++j) {
        const double terms = slope(j) + (Centered ? (1 + normal(j)) * (level + share) : normal(j) * share);
        compare(grad_x(i, j), x_before(i, j), want.grad_x[at(i)][at(j)],
                400 * u * static_cast<double>(want.inverse[at(i)]) * terms, "grad_x", i);
      }
    }
    for (std::int64_t j = 0; j < d; ++j) {
      compare(grad_gain(j), gain_before(j), want.grad_gain[at(j)], gain_bounds[at(j)], "grad_gain", j);
      if (Centered) compare(grad_bias(j), bias_before(j), want.grad_bias[at(j)], bias_bounds[at(j)], "grad_bias", j);
    }
  }
}

template <class X, class P>
void check_shapes() {
  support::worst layer;
  support::worst rms;
  // Around registers, chunks of a row, runs of rows and blocks of column sums.
  constexpr std::int64_t shapes[][2] = {{1, 1}, {3, 2}, {5, 17}, {33, 64}, {2, 4100}, {1, 9000}, {2100, 3}, {0, 5}};
  for (const auto& [n, d] : shapes) {
    matrix<X> x({n, d}, {1});
    x.fill([](std::uint64_t k) { return 2 + 3 * support::normal(1, k); });
    check<true, X, P>(layer, x, 1e-5);
    check<false, X, P>(rms, x, 1e-5);
    x.fill([](std::uint64_t k) { return support::spread(2, k, -6, 6); });
    check<true, X, P>(layer, x, 1e-3);
    check<false, X, P>(rms, x, 0.1);
  }
  CHECK_WITHIN_BOUND(layer);
  CHECK_WITHIN_BOUND(rms);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(training_norms)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound) { check_shapes<float, float>(); }
BOOST_AUTO_TEST_CASE(float64_is_within_its_bound) { check_shapes<double, double>(); }
BOOST_AUTO_TEST_CASE(narrow_storage_is_within_its_bound) { check_shapes<bfloat16, float16>(); }

// A variance from sums of squares would be 1e8 - 1e8 here, and a mean in float alone be off by 5e-4 of a deviation.
BOOST_AUTO_TEST_CASE(a_deviation_survives_beside_a_mean_of_ten_thousand) {
  support::worst errors;
  for (const std::int64_t d : {7, 100, 768, 5000}) {
    matrix<float> x({4, d});
    x.fill([](std::uint64_t k) { return 1e4 + support::normal(1, k); });
    check<true, float, float>(errors, x, 1e-5);
    x.fill([](std::uint64_t k) { return -5e4 + 2 * support::normal(1, k); });
    check<true, float, float>(errors, x, 0);
    x.fill([](std::uint64_t k) { return k % 7 == 6 ? 3e4 : 1; });  // one number makes the deviation
    check<true, float, float>(errors, x, 1e-5);
    x.fill([](std::uint64_t k) { return 1e-3 * support::normal(3, k); });  // epsilon makes it
    check<true, float, float>(errors, x, 1.0);
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(rows_of_equal_numbers_and_parameters_left_out) {
  matrix<float> x({3, 50});
  matrix<float> y({3, 50});
  array<float, 1> bias({50});
  bias.fill(support::normals(1));
  x.fill([](std::uint64_t n) { return n < 50 ? 0.1 : n < 100 ? 12345.678 : 0; });
  layer_norm(seq, x.view(), absent, bias.view(), y.view(), absent, absent);
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < 50; ++j) BOOST_TEST(std::fabs(y(i, j) - bias(j)) < 1e-5F);
  }
  rms_norm(seq, x.view(), absent, y.view(), absent);
  BOOST_TEST((std::fabs(y(1, 3) - 1) < 1e-5F && y(2, 7) == 0));
  layer_norm(seq, x.view(), absent, absent, y.view(), absent, absent, {.epsilon = 0});
  BOOST_TEST(std::isnan(y(2, 0)));
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_stay_in_their_row) {
  matrix<float> x({3, 40});
  x.fill(support::normals(1));
  x(0, 33) = not_a_number;
  x(2, 1) = std::numeric_limits<float>::infinity();
  matrix<float> y({3, 40});
  array<float, 1> mean({3});
  array<float, 1> inverse({3});
  layer_norm(seq, x.view(), absent, absent, y.view(), mean.view(), inverse.view());
  for (std::int64_t j = 0; j < 40; ++j) BOOST_TEST((std::isnan(y(0, j)) && std::isfinite(y(1, j)) && std::isnan(y(2, j))));
  matrix<float> g({3, 40});
  g.fill(support::normals(2));
  matrix<float> dx({3, 40});
  array<float, 1> dg({40});
  array<float, 1> db({40});
  layer_norm_backward(seq, x.view(), absent, mean.view(), inverse.view(), g.view(),
                      norm_gradients{.x = dx.view(), .gain = dg.view(), .bias = db.view()});
  for (std::int64_t j = 0; j < 40; ++j) {
    BOOST_TEST(
        (std::isnan(dx(0, j)) && std::isfinite(dx(1, j)) && std::isnan(dx(2, j)) && std::isnan(dg(j)) && std::isfinite(db(j))));
  }
}

// Differences in float64 of sum(norm(x) * r), by x, gain and bias.
BOOST_AUTO_TEST_CASE(gradients_are_differences) {
  matrix<double> x({3, 7});
  matrix<double> r({3, 7});
  matrix<double> y({3, 7});
  array<double, 1> gain({7});
  array<double, 1> bias({7});
  x.fill(support::normals(1, 2));
  r.fill(support::normals(2));
  gain.fill(support::normals(3));
  bias.fill(support::normals(4));
  array<double, 1> mean({3});
  array<double, 1> inverse({3});
  matrix<double> dx({3, 7});
  array<double, 1> dg({7});
  array<double, 1> db({7});
  for (const bool centered : {true, false}) {
    const auto loss = [&] {
      if (centered) {
        layer_norm(seq, x.view(), gain.view(), bias.view(), y.view(), mean.view(), inverse.view());
      } else {
        rms_norm(seq, x.view(), gain.view(), y.view(), inverse.view());
      }
      double sum = 0;
      for (std::int64_t i = 0; i < 3; ++i) {
        for (std::int64_t j = 0; j < 7; ++j) sum += y(i, j) * r(i, j);
      }
      return sum;
    };
    loss();
    if (centered) {
      layer_norm_backward(seq, x.view(), gain.view(), mean.view(), inverse.view(), r.view(),
                          norm_gradients{.x = dx.view(), .gain = dg.view(), .bias = db.view()});
    } else {
      rms_norm_backward(seq, x.view(), gain.view(), inverse.view(), r.view(), norm_gradients{.x = dx.view(), .gain = dg.view()});
    }
    const auto check_slope = [&](double& number, double gradient) {
      const double before = number;
      number = before + 1e-5;
      const double above = loss();
      number = before - 1e-5;
      const double below = loss();
      number = before;
      BOOST_TEST(std::fabs((above - below) / 2e-5 - gradient) < 1e-8);
    };
    for (std::int64_t j = 0; j < 7; ++j) {
      for (std::int64_t i = 0; i < 3; ++i) check_slope(x(i, j), dx(i, j));
      check_slope(gain(j), dg(j));
      if (centered) check_slope(bias(j), db(j));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_residual_stream_is_added_to_first) {
  matrix<bfloat16> stream({40, 70}, {1});
  matrix<float> branch({40, 70}, {2});
  stream.fill(support::normals(1));
  branch.fill(support::normals(2));
  array<float, 1> gain({70});
  gain.fill(support::normals(3));
  auto sums = stream;
  matrix<float> y({40, 70});
  matrix<float> alone({40, 70});
  array<float, 1> mean({40});
  array<float, 1> inverse({40});
  add_layer_norm(seq, stream.view(), branch.view(), gain.view(), absent, y.view(), mean.view(), inverse.view());
  for (std::int64_t i = 0; i < 40; ++i) {
    for (std::int64_t j = 0; j < 70; ++j) sums(i, j) = static_cast<bfloat16>(static_cast<float>(sums(i, j)) + branch(i, j));
  }
  BOOST_TEST((stream.same_elements(sums) && stream.gaps_untouched() && branch.untouched()));
  layer_norm(seq, sums.view(), gain.view(), absent, alone.view(), absent, absent);
  BOOST_TEST(y.same_elements(alone));
  branch.fill([](std::uint64_t) { return 0; });
  add_rms_norm(seq, stream.view(), branch.view(), gain.view(), y.view(), absent);
  rms_norm(seq, sums.view(), gain.view(), alone.view(), absent);
  BOOST_TEST((y.same_elements(alone) && stream.same_elements(sums)));
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_team_in_place_and_row_alone) {
  constexpr std::int64_t n = 900;
  constexpr std::int64_t d = 700;
  matrix<float> x({n, d});
  matrix<float> g({n, d});
  x.fill(support::normals(1));
  g.fill(support::normals(2));
  array<float, 1> gain({d});
  gain.fill(support::normals(3));
  matrix<float> y({n, d});
  array<float, 1> mean({n});
  array<float, 1> inverse({n});
  matrix<float> dx({n, d});
  array<float, 1> dg({d});
  array<float, 1> db({d});
  const norm_gradients to{.x = dx.view(), .gain = dg.view(), .bias = db.view()};
  const auto run = [&](const auto& exec) {
    layer_norm(exec, x.view(), gain.view(), absent, y.view(), mean.view(), inverse.view());
    layer_norm_backward(exec, x.view(), gain.view(), mean.view(), inverse.view(), g.view(), to);
  };
  support::counting_resource memory;
  run(par.threads(1).scratch(&memory));
  BOOST_TEST((memory.allocations() == 1 && memory.all_returned()));
  const auto y1 = y;
  const auto mean1 = mean;
  const auto dx1 = dx;
  const auto dg1 = dg;
  const auto db1 = db;
  const auto same = [&] {
    return y.same_elements(y1) && mean.same_elements(mean1) && dx.same_elements(dx1) && dg.same_elements(dg1) &&
           db.same_elements(db1);
  };
  run(par.threads(3));
  BOOST_TEST(same());
  run(par.on(support::one_by_one{}));
  BOOST_TEST(same());
  matrix<float> row({1, d});
  layer_norm(seq, view<const float, 2>(&x(411, 0), 1, d), gain.view(), absent, row.view(), absent, absent);
  for (std::int64_t j = 0; j < d; ++j) BOOST_TEST(row(0, j) == y1(411, j));
  // In place: the gradient on grad_y, the result on x.
  layer_norm_backward(par.threads(2), x.view(), gain.view(), mean.view(), inverse.view(), g.view(),
                      norm_gradients{.x = g.view()});
  BOOST_TEST(g.same_elements(dx1));
  layer_norm(par.threads(2), x.view(), gain.view(), absent, x.view(), mean.view(), inverse.view());
  BOOST_TEST(x.same_elements(y1));
}

BOOST_AUTO_TEST_CASE(misuse_is_refused_and_nothing_written) {
  matrix<float> x({4, 6});
  matrix<float> y({4, 6});
  matrix<float> z({4, 6});
  array<float, 1> p({6});
  array<float, 1> q({6});
  array<float, 1> s({4});
  array<float, 1> t({4});
  for (auto* m : {&x, &y, &z}) m->fill(support::normals(1));
  for (auto* v : {&p, &q, &s, &t}) v->fill(support::normals(2));
  const view<float, 2> a = x.view();
  const view<float, 2> b = y.view();
  const view<float, 2> c = z.view();
  const view<float, 1> five(p.view().data_handle(), 5);
  const view<float, 2> short_rows(b.data_handle(), 4, 5);
#define REFUSED(argument, ...) CHECK_REFUSED("training::layer_norm: " argument ": ", layer_norm(seq, __VA_ARGS__))
  REFUSED("x", view<float, 2>(nullptr, 4, 6), p.view(), q.view(), b, s.view(), t.view());
  REFUSED("y", a, p.view(), q.view(), short_rows, s.view(), t.view());
  REFUSED("y", view<float, 2>(a.data_handle(), 3, 6), absent, absent, view<float, 2>(a.data_handle() + 6, 3, 6), absent, absent);
  REFUSED("gain", a, five, q.view(), b, s.view(), t.view());
  REFUSED("bias", a, p.view(), five, b, s.view(), t.view());
  REFUSED("mean", a, p.view(), q.view(), b, five, t.view());
  REFUSED("inverse", a, p.view(), q.view(), b, s.view(), five);
  REFUSED("inverse", a, p.view(), q.view(), b, s.view(), s.view());
  REFUSED("mean", a, p.view(), q.view(), b, view<float, 1>(b.data_handle(), 4), t.view());
  REFUSED("options.epsilon", a, p.view(), q.view(), b, s.view(), t.view(), {.epsilon = -1e-9});
  REFUSED("options.epsilon", a, p.view(), q.view(), b, s.view(), t.view(), {.epsilon = static_cast<double>(not_a_number)});
#undef REFUSED
  CHECK_REFUSED("training::rms_norm: gain: ", rms_norm(seq, a, five, b, t.view()));
  CHECK_REFUSED("training::add_layer_norm: branch: ", add_layer_norm(seq, a, short_rows, absent, absent, c, absent, absent));
  CHECK_REFUSED("training::add_layer_norm: x: ", add_layer_norm(seq, a, a, absent, absent, b, absent, absent));
  CHECK_REFUSED("training::add_layer_norm: y: ", add_layer_norm(seq, a, b, absent, absent, a, absent, absent));
  CHECK_REFUSED("training::add_layer_norm: y: ", add_layer_norm(seq, a, b, absent, absent, b, absent, absent));
#define REFUSED(argument, ...) \
  CHECK_REFUSED("training::layer_norm_backward: " argument ": ", layer_norm_backward(seq, __VA_ARGS__))
  const norm_gradients all{.x = c, .gain = p.view(), .bias = q.view()};
  REFUSED("x", view<float, 2>(nullptr, 4, 6), absent, s.view(), t.view(), b, all);
  REFUSED("gain", a, five, s.view(), t.view(), b, all);
  REFUSED("mean", a, absent, five, t.view(), b, all);
  REFUSED("inverse", a, absent, s.view(), five, b, all);
  REFUSED("grad_y", a, absent, s.view(), t.view(), short_rows, all);
  REFUSED("gradients.x", a, absent, s.view(), t.view(), b, norm_gradients{.x = short_rows});
  REFUSED("gradients.gain", a, absent, s.view(), t.view(), b, norm_gradients{.gain = five});
  REFUSED("gradients.gain", a, p.view(), s.view(), t.view(), b, norm_gradients{.gain = p.view()});
  REFUSED("gradients.bias", a, absent, s.view(), t.view(), b, norm_gradients{.gain = p.view(), .bias = p.view()});
#undef REFUSED
  BOOST_TEST(support::refusal([&] { layer_norm(seq, a, five, absent, b, absent, absent); }) ==
             "training::layer_norm: gain: shape [5]; needs a number a column of x");
  BOOST_TEST(
      (x.untouched() && y.untouched() && z.untouched() && p.untouched() && q.untouched() && s.untouched() && t.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
