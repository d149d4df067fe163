// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/training/activations.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/layers.hpp"
#include "tessera/training/activate.hpp"

namespace {

using support::array;
using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::seq;
using tessera::view;
using tessera::training::activate;
using tessera::training::activate_backward;
namespace activation = tessera::training::activation;
namespace reference = tessera::reference;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// s + |x| s', what the terms of a derivative are beside one another.
template <class F>
long double terms(long double x) {
  const long double slope = F::slope(x);
  const long double s = x == 0 ? slope : F::value(x) / x;
  return s + std::fabs(slope - s);
}

/// f and its gradient at numbers of all sizes, with the bounds of the docs.
template <class F, class Wanted, class X, class G, class D>
void check(const F& f) {
  using T = std::common_type_t<tessera::compute_t<X>, tessera::compute_t<G>, tessera::compute_t<D>>;
  constexpr std::int64_t n = 4000;
  array<X, 1> x({n});
  array<G, 1> g({n});
  array<D, 1> y({n});
  array<D, 1> grad({n});
  x.fill([](std::uint64_t k) {
    return k % 3 == 0   ? support::spread(1, k, -20, 4)
           : k % 3 == 1 ? 4 * support::normal(2, k)
                        : -0.7517 + 1e-4 * support::normal(3, k);
  });
  g.fill(support::normals(4));
  activate(seq, f, x.view(), y.view());
  activate_backward(seq, f, x.view(), g.view(), grad.view());
  BOOST_TEST((x.untouched() && g.untouched() && y.gaps_untouched() && grad.gaps_untouched()));
  support::worst values;
  support::worst gradients;
  const double u = tessera::unit_roundoff<T>;
  const double least = static_cast<double>(tessera::min_normal<T>());
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = reference::widened<long double>(x(i));
    const auto by = reference::widened<long double>(g(i));
    const long double value = Wanted::value(at);
    const double ulps = std::is_same_v<D, T> ? 4 * u : 4 * u + tessera::unit_roundoff<D>;
    values(static_cast<double>(y(i)), value, ulps * static_cast<double>(std::fabs(value)) + support::rounding<D>(0), x(i));
    const long double slope = by * Wanted::slope(at);
    const double bound = 8 * u * static_cast<double>(std::fabs(by) * terms<Wanted>(at)) + least;
    gradients(static_cast<double>(grad(i)), slope, bound + (std::is_same_v<D, T> ? 0 : support::rounding<D>(slope) * 1.01), x(i));
  }
  CHECK_WITHIN_BOUND(values);
  CHECK_WITHIN_BOUND(gradients);
}

template <class X, class G = X, class D = G>
void check_all() {
  check<activation::relu, reference::relu, X, G, D>({});
  check<activation::silu, reference::silu, X, G, D>({});
  check<activation::gelu, reference::gelu, X, G, D>({});
  check<activation::gelu_tanh, reference::gelu_tanh, X, G, D>({});
}

template <class T, class F>
void check_ends(const F& f, double at_minus, double at_zero) {
  const auto gradient = [&](double x) { return static_cast<double>(f.gradient(static_cast<T>(x), T(3))); };
  BOOST_TEST(gradient(infinity) == 3);
  BOOST_TEST(gradient(-infinity) == at_minus);
  BOOST_TEST(gradient(0) == at_zero);
  BOOST_TEST(gradient(-0.0) == at_zero);
  BOOST_TEST(std::isnan(gradient(nan)));
  BOOST_TEST(std::isnan(static_cast<double>(f(static_cast<T>(nan)))));
  BOOST_TEST(std::isnan(static_cast<double>(f.gradient(T(1), static_cast<T>(nan)))));
}

/// An activation as a user writes one.
struct squared_relu {
  template <class T>
  T operator()(T x) const {
    const T y = tessera::max(T(tessera::lane_value<T>(0)), x);
    return y * y;
  }
  template <class T>
  T gradient(T x, T g) const {
    const T y = tessera::max(T(tessera::lane_value<T>(0)), x);
    return g * (y + y);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(training_activations)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound) { check_all<float>(); }
BOOST_AUTO_TEST_CASE(float64_is_within_its_bound) { check_all<double>(); }
BOOST_AUTO_TEST_CASE(narrow_storage_is_within_its_bound) {
  check_all<bfloat16>();
  check<activation::gelu, reference::gelu, float16, float, bfloat16>({});
  check<activation::silu, reference::silu, float, double, float16>({});
}

BOOST_AUTO_TEST_CASE(ends_of_the_range_act_as_documented) {
  check_ends<float>(activation::relu{}, 0, 0);
  check_ends<float>(activation::silu{}, 0, 1.5);
  check_ends<float>(activation::gelu{}, 0, 1.5);
  check_ends<float>(activation::gelu_tanh{}, 0, 1.5);
  check_ends<double>(activation::silu{}, 0, 1.5);
  check_ends<double>(activation::gelu{}, 0, 1.5);
  check_ends<double>(activation::gelu_tanh{}, 0, 1.5);
  BOOST_TEST(activation::relu{}.gradient(-1.0F, std::numeric_limits<float>::infinity()) == 0);
  BOOST_TEST(std::signbit(activation::relu{}(-0.0F)));
}

// The slope is that of the function: differences in float64.
BOOST_AUTO_TEST_CASE(gradients_are_differences) {
  const auto check_slope = [](const auto& f) {
    for (double x = -6; x < 6; x += 0.37) {
      const double h = 1e-5;
      const double slope = (f(x + h) - f(x - h)) / (2 * h);
      BOOST_TEST(std::fabs(f.gradient(x, 1.0) - slope) < 1e-9);
    }
  };
  check_slope(activation::silu{});
  check_slope(activation::gelu{});
  check_slope(activation::gelu_tanh{});
  check_slope(activation::identity{});
}

BOOST_AUTO_TEST_CASE(any_shape_any_team_and_in_place_give_the_same_bits) {
  const activation::gelu f;
  constexpr std::int64_t n = 3;
  constexpr std::int64_t m = 40001;
  matrix<float> x({n, m}, {5});
  matrix<float> g({n, m}, {2});
  x.fill(support::normals(1, 3));
  g.fill(support::normals(2));
  array<float, 1> one({1});
  matrix<float> y({n, m}, {7});
  matrix<float> grad({n, m}, {7});
  const auto same = [&](const auto& exec) {
    activate(exec, f, x.view(), y.view());
    activate_backward(exec, f, x.view(), g.view(), grad.view());
    bool equal = y.gaps_untouched() && grad.gaps_untouched();
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < m; j += 611) {
        equal = equal && y(i, j) == f(x(i, j)) && grad(i, j) == f.gradient(x(i, j), g(i, j));
      }
    }
    return equal;
  };
  BOOST_TEST(same(seq));
  BOOST_TEST(same(par.threads(3)));
  BOOST_TEST(same(par.on(support::one_by_one{})));
  activate_backward(par.threads(2), f, x.view(), g.view(), g.view());
  BOOST_TEST(g.same_elements(grad));
  activate(seq, f, x.view(), x.view());
  BOOST_TEST(x.same_elements(y));

  // Many short rows, of which the middle axis is seen in another order.
  array<bfloat16, 4> short_x({2, 25, 3, 33}, {.gap = 1, .exchanged = true});
  array<double, 4> short_y({2, 25, 3, 33}, {.gap = 2});
  short_x.fill(support::normals(3));
  activate(seq, activation::silu{}, short_x.view(), short_y.view());
  for (std::int64_t i = 0; i < 25; ++i) {
    BOOST_TEST(short_y(0, i, 2, 32) == tessera::silu(static_cast<double>(short_x(0, i, 2, 32))));
    BOOST_TEST(short_y(1, i, 1, 0) == tessera::silu(static_cast<double>(short_x(1, i, 1, 0))));
  }
  BOOST_TEST(short_y.gaps_untouched());
  activate(seq, f, view<const float, 1>(nullptr, 0), view<float, 1>(nullptr, 0));
  activate(seq, f, view<const float, 2>(nullptr, 4, 0), view<float, 2>(nullptr, 4, 0));
}

BOOST_AUTO_TEST_CASE(any_object_with_a_gradient_is_an_activation) {
  array<float, 1> x({5});
  array<float, 1> y({5});
  x.fill([](std::uint64_t k) { return static_cast<double>(k) - 2; });
  activate(seq, squared_relu{}, x.view(), y.view());
  BOOST_TEST((y(0) == 0 && y(2) == 0 && y(4) == 4));
  activate_backward(seq, squared_relu{}, x.view(), y.view(), y.view());
  BOOST_TEST((y(0) == 0 && y(3) == 2 && y(4) == 16));
}

BOOST_AUTO_TEST_CASE(misuse_is_refused_and_nothing_written) {
  matrix<float> x({4, 6});
  matrix<float> y({4, 6});
  x.fill(support::normals(1));
  y.fill(support::normals(2));
  const activation::relu f;
  const view<float, 2> a = x.view();
  const view<float, 2> b = y.view();
#define REFUSED(argument, ...) CHECK_REFUSED("training::activate: " argument ": ", activate(seq, f, __VA_ARGS__))
  REFUSED("x", view<const float, 2>(nullptr, 4, 6), b);
  REFUSED("x", view<const float, 2>(a.data_handle(), {3, 4}, {1, 4}), b);
  REFUSED("y", a, view<float, 2>(b.data_handle(), 4, 5));
  REFUSED("y", a, view<float, 2>(nullptr, 4, 6));
  REFUSED("y", a, view<float, 2>(b.data_handle(), {4, 6}, {0, 1}));
  REFUSED("y", view<const float, 2>(a.data_handle(), 3, 6), view<float, 2>(a.data_handle() + 6, 3, 6));
#undef REFUSED
#define REFUSED(argument, ...) \
  CHECK_REFUSED("training::activate_backward: " argument ": ", activate_backward(seq, f, __VA_ARGS__))
  REFUSED("x", view<const float, 2>(nullptr, 4, 6), b, b);
  REFUSED("grad_y", a, view<const float, 2>(b.data_handle(), 4, 5), b);
  REFUSED("grad_y", a, view<const float, 2>(nullptr, 4, 6), b);
  REFUSED("grad_x", a, b, view<float, 2>(b.data_handle(), 3, 6));
  REFUSED("grad_x", a, b, view<float, 2>(nullptr, 4, 6));
  REFUSED("grad_x", view<const float, 2>(a.data_handle(), 3, 6), view<const float, 2>(b.data_handle(), 3, 6),
          view<float, 2>(a.data_handle() + 6, 3, 6));
  REFUSED("grad_x", view<const float, 2>(a.data_handle(), 3, 6), view<const float, 2>(b.data_handle(), 3, 6),
          view<float, 2>(b.data_handle() + 6, 3, 6));
#undef REFUSED
  BOOST_TEST(support::refusal([&] { activate(seq, f, a, view<float, 2>(b.data_handle(), 4, 5)); }) ==
             "training::activate: y: shape [4, 5] beside x of shape [4, 6]; needs the same shape");
  BOOST_TEST((x.untouched() && y.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
