// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/training/linear.hpp"

#include <algorithm>
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
#include "tessera/training/activate.hpp"
#include "tessera/training/linear_backward.hpp"

namespace {

using support::array;
using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::seq;
using tessera::view;
using tessera::training::absent;
using tessera::training::gradient_options;
using tessera::training::linear;
using tessera::training::linear_backward;
using tessera::training::linear_gradients;
using tessera::training::linear_options;
namespace activation = tessera::training::activation;

/// A layer and the gradient of what it gives. Data of many binades where `wide`.
template <class X, class W, class G, class B>
struct layer {
  using T = std::common_type_t<tessera::compute_t<X>, tessera::compute_t<W>>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  matrix<X> x;
  matrix<W> weight;
  array<B, 1> bias;
  matrix<G> grad_y;

  layer(std::int64_t n, std::int64_t in, std::int64_t out, std::int64_t gap = 1, bool wide = false)
      : x({n, in}, {gap}), weight({out, in}, {gap}), bias({out}), grad_y({n, out}, {gap}) {
    const auto numbers = [&](std::uint64_t seed) {
      return [=](std::uint64_t k) { return wide ? support::spread(seed, k, -4, 4) : support::normal(seed, k); };
    };
    x.fill(numbers(1));
    weight.fill(numbers(2));
    bias.fill(numbers(3));
    grad_y.fill(numbers(4));
  }

  [[nodiscard]] bool untouched() const { return x.untouched() && weight.untouched() && bias.untouched() && grad_y.untouched(); }
  [[nodiscard]] tessera::reference::linear_result<Real> wanted() const {
    std::vector<Real> b;
    for (const B element : bias.elements()) b.push_back(tessera::reference::widened<Real>(element));
    return tessera::reference::linear<Real>(x.view(), weight.view(), b, grad_y.view());
  }
};

double roundings(std::int64_t k) { return static_cast<double>(std::min<std::int64_t>(k, 128)) + static_cast<double>(k) / 128; }

template <class T>
double magnitude(T x) {
  return std::fabs(static_cast<double>(x));
}

template <class D, class Real>
double stored(Real want) {
  return 1.01 * support::rounding<D>(want);
}

/// y, z and all gradients, written and added to, with the bounds of the docs.
template <class Y, class DX, class DW, class L>
void check(support::worst& errors, const L& in) {
  using T = typename L::T;
  const std::int64_t n = in.x.view().extent(0);
  const std::int64_t depth = in.x.view().extent(1);
  const std::int64_t out = in.weight.view().extent(0);
  const auto want = in.wanted();
  const double u = tessera::unit_roundoff<T>;
  const activation::relu f;
  matrix<Y> y({n, out}, {3});
  matrix<Y> z({n, out}, {2});
  matrix<Y> plain({n, out});
  linear(seq, in.x.view(), in.weight.view(), in.bias.view(), y.view(),
         linear_options{.activation = f, .before_activation = z.view()});
  linear(seq, in.x.view(), in.weight.view(), absent, plain.view());
  BOOST_TEST((y.gaps_untouched() && z.gaps_untouched() && in.untouched()));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < out; ++j) {
      double size = 0;
      for (std::int64_t k = 0; k < depth; ++k) size += magnitude(in.x(i, k)) * magnitude(in.weight(j, k));
      const auto wanted = want.y[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
      const auto unbiased = wanted - tessera::reference::widened<typename L::Real>(in.bias(j));
      const double bound = u * (roundings(depth) * size + std::fabs(static_cast<double>(wanted)));
      errors(static_cast<double>(z(i, j)), wanted, bound + stored<Y>(wanted), "z", i, j);
      errors(static_cast<double>(y(i, j)), wanted > 0 ? wanted : 0, bound + stored<Y>(wanted), "y", i, j);
      errors(static_cast<double>(plain(i, j)), unbiased, u * roundings(depth) * size + stored<Y>(unbiased), "without a bias", i,
             j);
    }
  }
  matrix<DX> grad_x({n, depth}, {1});
  matrix<DW> grad_weight({out, depth}, {2});
  array<DW, 1> grad_bias({out});
  const linear_gradients to{.x = grad_x.view(), .weight = grad_weight.view(), .bias = grad_bias.view()};
  for (const bool add : {false, true}) {
    if (add) {
      grad_x.fill(support::normals(6));
      grad_weight.fill(support::normals(7));
      grad_bias.fill(support::normals(8));
    }
    const auto x_before = grad_x;
    const auto weight_before = grad_weight;
    const auto bias_before = grad_bias;
    linear_backward(seq, in.x.view(), in.weight.view(), in.grad_y.view(), to, {add, add});
    BOOST_TEST((grad_x.gaps_untouched() && grad_weight.gaps_untouched() && grad_bias.gaps_untouched() && in.untouched()));
    const auto compare = [&](auto got, auto before, auto wanted, double count, double size, const char* what) {
      using D = decltype(got);
      const double there = add ? static_cast<double>(before) : 0;
      const double total = static_cast<double>(wanted) + there;
      const double bound = u * ((count + 1) * (size + std::fabs(there)));
      errors(static_cast<double>(got), wanted + static_cast<decltype(wanted)>(there),
             bound + (std::is_same_v<D, T> ? 0 : stored<D>(total)), what, add);
    };
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t i = 0; i < n; ++i) {
        double size = 0;
        for (std::int64_t j = 0; j < out; ++j) size += magnitude(in.grad_y(i, j)) * magnitude(in.weight(j, k));
        compare(grad_x(i, k), x_before(i, k), want.grad_x[static_cast<std::size_t>(i)][static_cast<std::size_t>(k)],
                roundings(out), size, "grad_x");
      }
      for (std::int64_t j = 0; j < out; ++j) {
        double size = 0;
        for (std::int64_t i = 0; i < n; ++i) size += magnitude(in.grad_y(i, j)) * magnitude(in.x(i, k));
        compare(grad_weight(j, k), weight_before(j, k),
                want.grad_weight[static_cast<std::size_t>(j)][static_cast<std::size_t>(k)], roundings(n), size, "grad_weight");
      }
    }
    for (std::int64_t j = 0; j < out; ++j) {
      double size = 0;
      for (std::int64_t i = 0; i < n; ++i) size += magnitude(in.grad_y(i, j));
      compare(grad_bias(j), bias_before(j), want.grad_bias[static_cast<std::size_t>(j)], 18, size, "grad_bias");
    }
  }
}

struct shape {
  std::int64_t n, in, out;
};
// Around registers and steps of depth; depths of several slabs; blocks of column sums.
constexpr shape shapes[] = {{1, 1, 1},    {3, 0, 5},     {7, 17, 33},  {0, 4, 5},
                            {5, 129, 47}, {50, 30, 260}, {1100, 3, 2}, {4, 1600, 9}};

template <class X, class W, class G, class B, class Y, class DX, class DW>
void check_shapes() {
  support::worst errors;
  bool wide = false;
  for (const auto& [n, in, out] : shapes) check<Y, DX, DW>(errors, layer<X, W, G, B>(n, in, out, 1, wide = !wide));
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(training_linear)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound) { check_shapes<float, float, float, float, float, float, float>(); }
BOOST_AUTO_TEST_CASE(float64_is_within_its_bound) { check_shapes<double, double, double, double, double, double, double>(); }
BOOST_AUTO_TEST_CASE(narrow_storage_is_within_its_bound) {
  check_shapes<bfloat16, bfloat16, bfloat16, float, bfloat16, float16, bfloat16>();
}

// The gradients are those of the function: differences in float64 of sum(gelu(x w^T + b) * r).
BOOST_AUTO_TEST_CASE(gradients_are_differences) {
  layer<double, double, double, double> in(4, 5, 3);
  matrix<double> y({4, 3});
  matrix<double> z({4, 3});
  matrix<double> grad_z({4, 3});
  const activation::gelu f;
  const auto loss = [&] {
    linear(seq, in.x.view(), in.weight.view(), in.bias.view(), y.view(),
           linear_options{.activation = f, .before_activation = z.view()});
    double sum = 0;
    for (std::int64_t i = 0; i < 4; ++i) {
      for (std::int64_t j = 0; j < 3; ++j) sum += y(i, j) * in.grad_y(i, j);
    }
    return sum;
  };
  loss();
  matrix<double> dx({4, 5});
  matrix<double> dw({3, 5});
  array<double, 1> db({3});
  tessera::training::activate_backward(seq, f, z.view(), in.grad_y.view(), grad_z.view());
  linear_backward(seq, in.x.view(), in.weight.view(), grad_z.view(),
                  linear_gradients{.x = dx.view(), .weight = dw.view(), .bias = db.view()});
  const auto check_slope = [&](double& number, double gradient) {
    const double before = number;
    const double h = 1e-5;
    number = before + h;
    const double above = loss();
    number = before - h;
    const double below = loss();
    number = before;
    BOOST_TEST(std::fabs((above - below) / (2 * h) - gradient) < 1e-8);
  };
  for (std::int64_t k = 0; k < 5; ++k) {
    for (std::int64_t i = 0; i < 4; ++i) check_slope(in.x(i, k), dx(i, k));
    for (std::int64_t j = 0; j < 3; ++j) check_slope(in.weight(j, k), dw(j, k));
  }
  for (std::int64_t j = 0; j < 3; ++j) check_slope(in.bias(j), db(j));
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_team_and_row_alone_with_scratch_taken_once) {
  constexpr std::int64_t n = 700;
  const layer<float, float, float, float> in(n, 150, 130);
  matrix<bfloat16> y({n, 130});
  matrix<float> dx({n, 150});
  matrix<float> dw({130, 150});
  array<float, 1> db({130});
  const linear_gradients to{.x = dx.view(), .weight = dw.view(), .bias = db.view()};
  const auto run = [&](const auto& exec) {
    linear(exec, in.x.view(), in.weight.view(), in.bias.view(), y.view(), linear_options{.activation = activation::silu{}});
    linear_backward(exec, in.x.view(), in.weight.view(), in.grad_y.view(), to);
  };
  support::counting_resource memory;
  run(par.threads(1).scratch(&memory));
  BOOST_TEST((memory.allocations() == 2 && memory.all_returned()));
  const auto y1 = y;
  const auto dx1 = dx;
  const auto dw1 = dw;
  const auto db1 = db;
  const auto same = [&] {
    return y.same_elements(y1) && dx.same_elements(dx1) && dw.same_elements(dw1) && db.same_elements(db1);
  };
  run(par.threads(3));
  BOOST_TEST(same());
  run(par.on(support::one_by_one{}));
  BOOST_TEST(same());
  matrix<bfloat16> row({1, 130});
  const auto x = in.x.view();
  linear(seq, view<const float, 2>(&x(313, 0), 1, 150), in.weight.view(), in.bias.view(), row.view(),
         linear_options{.activation = activation::silu{}});
  for (std::int64_t j = 0; j < 130; ++j) BOOST_TEST((row(0, j) == y1(313, j)));
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_go_where_ieee_arithmetic_takes_them) {
  layer<float, float, float, float> in(3, 4, 5);
  in.x(1, 2) = std::numeric_limits<float>::quiet_NaN();
  in.bias(4) = -std::numeric_limits<float>::infinity();
  matrix<float> y({3, 5});
  linear(seq, in.x.view(), in.weight.view(), in.bias.view(), y.view(), linear_options{.activation = activation::relu{}});
  for (std::int64_t j = 0; j < 5; ++j) BOOST_TEST((std::isnan(y(1, j)) && std::isfinite(y(0, j)) && std::isfinite(y(2, j))));
  BOOST_TEST((y(0, 4) == 0 && y(2, 4) == 0));
  in.grad_y(2, 3) = std::numeric_limits<float>::infinity();
  matrix<float> dx({3, 4});
  array<float, 1> db({5});
  linear_backward(seq, in.x.view(), in.weight.view(), in.grad_y.view(), linear_gradients{.x = dx.view(), .bias = db.view()});
  for (std::int64_t k = 0; k < 4; ++k) BOOST_TEST((std::isinf(dx(2, k)) && std::isfinite(dx(0, k)) && std::isfinite(dx(1, k))));
  for (std::int64_t j = 0; j < 5; ++j) BOOST_TEST(std::isinf(db(j)) == (j == 3));
}

BOOST_AUTO_TEST_CASE(misuse_is_refused_and_nothing_written) {
  layer<float, float, float, float> in(4, 3, 6, 0);
  matrix<float> y({4, 6});
  matrix<float> dx({4, 3});
  matrix<float> dw({6, 3});
  array<float, 1> db({6});
  y.fill(support::normals(1));
  dx.fill(support::normals(2));
  dw.fill(support::normals(3));
  db.fill(support::normals(4));
  const view<float, 2> x = in.x.view();
  const view<float, 2> w = in.weight.view();
  const view<float, 1> b = in.bias.view();
  const view<float, 2> g = in.grad_y.view();
  const view<float, 2> c = y.view();
#define REFUSED(argument, ...) CHECK_REFUSED("training::linear: " argument ": ", linear(seq, __VA_ARGS__))
  REFUSED("x", view<float, 2>(nullptr, 4, 3), w, b, c);
  REFUSED("x", view<float, 2>(x.data_handle(), {4, 3}, {1, 4}), w, b, c);
  REFUSED("weight", x, view<float, 2>(w.data_handle(), 6, 2), b, c);
  REFUSED("weight", x, view<float, 2>(nullptr, 6, 3), b, c);
  REFUSED("bias", x, w, view<float, 1>(b.data_handle(), 5), c);
  REFUSED("bias", x, w, view<float, 1>(nullptr, 6), c);
  REFUSED("y", x, w, b, view<float, 2>(c.data_handle(), 4, 5));
  REFUSED("y", x, w, b, view<float, 2>(nullptr, 4, 6));
  REFUSED("y", x, w, b, view<float, 2>(c.data_handle(), {4, 6}, {0, 1}));
  REFUSED("y", x, view<float, 2>(c.data_handle(), 6, 3), b, c);
  const auto keeping = [](const view<float, 2>& z) { return linear_options<activation::gelu, view<float, 2>>{{}, z}; };
  REFUSED("options.before_activation", x, w, b, c, keeping(c));
  REFUSED("options.before_activation", x, w, b, c, keeping(view<float, 2>(g.data_handle(), 3, 6)));
#undef REFUSED
#define REFUSED(argument, ...) CHECK_REFUSED("training::linear_backward: " argument ": ", linear_backward(seq, __VA_ARGS__))
  const linear_gradients all{.x = dx.view(), .weight = dw.view(), .bias = db.view()};
  const auto with = [&](auto change) {
    auto changed = all;
    change(changed);
    return changed;
  };
  REFUSED("x", view<float, 2>(nullptr, 4, 3), w, g, all);
  REFUSED("weight", x, view<float, 2>(w.data_handle(), 6, 2), g, all);
  REFUSED("grad_y", x, w, view<float, 2>(g.data_handle(), 4, 5), all);
  REFUSED("grad_y", x, w, view<float, 2>(nullptr, 4, 6), all);
  REFUSED("gradients.x", x, w, g, with([&](auto& to) { to.x = view<float, 2>(dx.view().data_handle(), 3, 3); }));
  REFUSED("gradients.x", x, w, g, with([&](auto& to) { to.x = x; }));
  REFUSED("gradients.weight", x, w, g, with([&](auto& to) { to.weight = view<float, 2>(nullptr, 6, 3); }));
  REFUSED("gradients.weight", x, w, g, with([&](auto& to) { to.weight = view<float, 2>(g.data_handle(), 6, 3); }));
  REFUSED("gradients.bias", x, w, g, with([&](auto& to) { to.bias = view<float, 1>(db.view().data_handle(), 4); }));
  REFUSED("gradients.bias", x, w, g, with([&](auto& to) { to.bias = view<float, 1>(dw.view().data_handle(), 6); }));
#undef REFUSED
  BOOST_TEST(support::refusal([&] { linear(seq, x, view<float, 2>(w.data_handle(), 9, 2), b, c); }) ==
             "training::linear: weight: shape [9, 2] beside x of shape [4, 3]; needs [out, in] with x of [n, in]");
  BOOST_TEST((in.untouched() && y.untouched() && dx.untouched() && dw.untouched() && db.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
