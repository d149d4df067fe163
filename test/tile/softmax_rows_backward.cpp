// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/softmax_rows_backward.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "golden_rows.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/softmax_rows.hpp"
#include "tessera/tile/softmax_rows.hpp"

namespace {

using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::seq;
using tessera::view;

/// Both gradients at what the functions give for `in`, against the reference, with the bounds of their docs.
template <class S>
void check(support::worst& errors, const matrix<S>& in, const matrix<S>& g, std::int64_t gap = 0) {
  using T = tessera::compute_t<S>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  const std::int64_t n = in.view().extent(0);
  const std::int64_t length = in.view().extent(1);
  matrix<S> p({n, length});
  matrix<S> log_p({n, length});
  tessera::softmax_rows(seq, in.view(), p.view());
  tessera::log_softmax_rows(seq, in.view(), log_p.view());
  matrix<S> grad({n, length}, {gap});
  matrix<S> log_grad({n, length}, {gap});
  tessera::softmax_rows_backward(par.threads(2), p.view(), g.view(), grad.view());
  tessera::log_softmax_rows_backward(seq, log_p.view(), g.view(), log_grad.view());
  BOOST_TEST((g.untouched() && grad.gaps_untouched() && log_grad.gaps_untouched()));
  const double u = tessera::unit_roundoff<T>;
  const double sums = static_cast<double>(length) / 4096;
  const double least = static_cast<double>(length + 1) * support::rounding<T>(0);
  const auto size_of = [&](std::int64_t i, bool log) {
    double size = 0;
    for (std::int64_t j = 0; j < length; ++j)
      size += std::fabs(static_cast<double>(g(i, j))) * (log ? 1 : static_cast<double>(p(i, j)));
    return size;
  };
  tessera::reference::softmax_rows_backward<Real>(p.view(), g.view(), [&](std::int64_t i, const auto& want) {
    const double size = size_of(i, false);
    for (std::int64_t j = 0; j < length; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const double bound = (136 + sums) * u * static_cast<double>(p(i, j)) * (std::fabs(static_cast<double>(g(i, j))) + size);
      errors(static_cast<double>(grad(i, j)), want[at], bound + least + support::rounding<S>(want[at]), "row", i, "number", j);
    }
  });
  tessera::reference::log_softmax_rows_backward<Real>(log_p.view(), g.view(), [&](std::int64_t i, const auto& want) {
    const double size = size_of(i, true);
    for (std::int64_t j = 0; j < length; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const double share = std::exp(static_cast<double>(log_p(i, j)));
      const double bound = (138 + sums) * u * (std::fabs(static_cast<double>(g(i, j))) + share * size);
      errors(static_cast<double>(log_grad(i, j)), want[at], bound + least + support::rounding<S>(want[at]), "log row", i,
             "number", j);
    }
  });
}

auto normal(std::uint64_t seed, double factor = 1) {
  return [=](std::uint64_t n) { return factor * support::normal(seed, n); };
}

template <class S>
void check_lengths() {
  support::worst errors;
  for (const std::int64_t length : {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 4095, 4096, 4097, 20000}) {
    matrix<S> in({3, length}, {length % 3});
    matrix<S> g({3, length}, {length % 2});
    in.fill(normal(static_cast<std::uint64_t>(length), 4));
    g.fill(normal(static_cast<std::uint64_t>(length) + 1));
    check(errors, in, g, length % 4);
  }
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_softmax_rows_backward)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound_for_every_length) { check_lengths<float>(); }
BOOST_AUTO_TEST_CASE(float64_is_within_its_bound_for_every_length) { check_lengths<double>(); }
BOOST_AUTO_TEST_CASE(bfloat16_is_within_its_bound_for_every_length) { check_lengths<bfloat16>(); }
BOOST_AUTO_TEST_CASE(float16_is_within_its_bound_for_every_length) { check_lengths<float16>(); }

BOOST_AUTO_TEST_CASE(adversarial_rows_are_within_the_bound) {
  support::worst errors;
  for (const std::int64_t length : {6, 100, 9000}) {
    matrix<float> in({2, length});
    matrix<float> g({2, length});
    const auto check_all = [&] {
      g.fill([](std::uint64_t n) { return support::spread(1, n, -60, 60); });
      check(errors, in, g);
      g.fill([](std::uint64_t n) { return n % 2 == 0 ? 1e30 : -1e30; });  // sums cancel
      check(errors, in, g);
      g.fill([](std::uint64_t) { return 1; });  // the gradient of a constant
      check(errors, in, g);
    };
    in.fill(normal(2, 1e4));
    check_all();
    in.fill([](std::uint64_t) { return 3; });
    check_all();
    in.fill([](std::uint64_t n) { return support::spread(4, n, -20, 10); });
    check_all();
    in.fill([](std::uint64_t n) { return n % 3 == 0 ? -std::numeric_limits<double>::infinity() : 1.0; });
    check_all();
    in.fill([](std::uint64_t) { return -std::numeric_limits<double>::infinity(); });
    check_all();
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(rows_without_a_distribution_have_no_gradient) {
  matrix<float> p({1, 100});
  p.fill([](std::uint64_t) { return 0; });
  matrix<float> g({1, 100});
  g.fill(normal(3));
  tessera::softmax_rows_backward(seq, p.view(), g.view(), g.view());
  for (const float x : g.elements()) BOOST_TEST(x == 0);
}

BOOST_AUTO_TEST_CASE(agrees_with_finite_differences) {
  const std::int64_t length = 9;
  matrix<double> in({1, length});
  matrix<double> g({1, length});
  in.fill(normal(4));
  g.fill(normal(5));
  matrix<double> out({1, length});
  matrix<double> grad({1, length});
  for (const bool log : {false, true}) {
    const auto objective = [&](std::int64_t at, double step) {
      matrix<double> moved = in;
      moved(0, at) += step;
      log ? tessera::log_softmax_rows(seq, moved.view(), out.view()) : tessera::softmax_rows(seq, moved.view(), out.view());
      double sum = 0;
      for (std::int64_t j = 0; j < length; ++j) sum += out(0, j) * g(0, j);
      return sum;
    };
    objective(0, 0);
    log ? tessera::log_softmax_rows_backward(seq, out.view(), g.view(), grad.view())
        : tessera::softmax_rows_backward(seq, out.view(), g.view(), grad.view());
    for (std::int64_t j = 0; j < length; ++j) {
      BOOST_TEST(std::fabs(grad(0, j) - (objective(j, 1e-5) - objective(j, -1e-5)) / 2e-5) < 1e-9);
    }
  }
}

BOOST_AUTO_TEST_CASE(nan_reaches_its_row_and_no_other) {
  for (const std::int64_t at : {0, 5000, 8999}) {
    matrix<float> p({3, 9000});
    matrix<float> g({3, 9000});
    p.fill([](std::uint64_t) { return 1e-4; });
    g.fill(normal(6));
    g(1, at) = std::numeric_limits<float>::quiet_NaN();
    matrix<float> grad({3, 9000});
    for (const bool log : {false, true}) {
      log ? tessera::log_softmax_rows_backward(seq, p.view(), g.view(), grad.view())
          : tessera::softmax_rows_backward(seq, p.view(), g.view(), grad.view());
      int wrong = 0;
      for (std::int64_t i = 0; i < 3; ++i) {
        for (std::int64_t j = 0; j < 9000; ++j) wrong += std::isnan(grad(i, j)) != (i == 1);
      }
      BOOST_TEST(wrong == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_team_row_alone_and_in_place) {
  const auto check_type = [](auto zero, std::int64_t rows, std::int64_t length) {
    using S = decltype(zero);
    matrix<S> p({rows, length}, {2});
    matrix<S> g({rows, length}, {2});
    p.fill([](std::uint64_t n) { return -std::fabs(support::normal(7, n)); });
    g.fill(normal(8));
    for (const bool log : {false, true}) {
      const auto call = [&](const auto& exec, const auto& out, const auto& grad_out, const auto& grad_in) {
        log ? tessera::log_softmax_rows_backward(exec, out, grad_out, grad_in)
            : tessera::softmax_rows_backward(exec, out, grad_out, grad_in);
      };
      matrix<S> whole({rows, length});
      call(seq, p.view(), g.view(), whole.view());
      const auto same_with = [&](const auto& exec) {
        matrix<S> grad({rows, length}, {1});
        call(exec, p.view(), g.view(), grad.view());
        return grad.same_elements(whole);
      };
      BOOST_TEST(same_with(par.threads(2)));
      BOOST_TEST(same_with(par.on(support::thread_per_call{5})));
      BOOST_TEST(same_with(par.on(support::one_by_one{})));
      matrix<S> alone({1, length});
      const std::int64_t last = rows - 1;
      call(par.threads(2), view<const S, 2>(&p(last, 0), 1, length), view<const S, 2>(&g(last, 0), 1, length), alone.view());
      BOOST_TEST(std::memcmp(&alone(0, 0), &whole(last, 0), static_cast<std::size_t>(length) * sizeof(S)) == 0);
      matrix<S> over_g = g;
      call(par.threads(2), p.view(), over_g.view(), over_g.view());
      BOOST_TEST(over_g.same_elements(whole));
      matrix<S> over_p = p;
      call(par.threads(2), over_p.view(), g.view(), over_p.view());
      BOOST_TEST(over_p.same_elements(whole));
    }
  };
  check_type(float{}, 300, 4099);
  check_type(float{}, 2, 300000);
  check_type(bfloat16{}, 600, 4133);
  check_type(double{}, 3, 20000);
}

BOOST_AUTO_TEST_CASE(golden_values_of_pytorch) {
  matrix<double> in({golden::rows, golden::length});
  matrix<double> g({golden::rows, golden::length});
  in.fill(golden::number);
  g.fill(golden::gradient);
  matrix<double> out({golden::rows, golden::length});
  matrix<double> grad({golden::rows, golden::length});
  support::worst errors;
  const auto compare = [&](const double(&want)[golden::rows][golden::length]) {
    for (std::int64_t i = 0; i < golden::rows; ++i) {
      for (std::int64_t j = 0; j < golden::length; ++j) errors(grad(i, j), want[i][j], 1e-14, "row", i, "number", j);
    }
  };
  tessera::softmax_rows(seq, in.view(), out.view());
  tessera::softmax_rows_backward(seq, out.view(), g.view(), grad.view());
  compare(golden::softmax_gradient);
  tessera::log_softmax_rows(seq, in.view(), out.view());
  tessera::log_softmax_rows_backward(seq, out.view(), g.view(), grad.view());
  compare(golden::log_softmax_gradient);
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(misuse_is_refused_and_nothing_written) {
  matrix<float> p({4, 6}, {2});
  matrix<float> g({4, 6});
  matrix<float> grad({4, 6});
  p.fill(normal(9));
  g.fill(normal(10));
  float* const y = &grad(0, 0);
  const auto run = [&](const auto& out, const auto& grad_out, const auto& grad_in) {
    tessera::softmax_rows_backward(seq, out, grad_out, grad_in);
  };
  const view<const float, 2> none(nullptr, 4, 6);
  CHECK_REFUSED("softmax_rows_backward: grad_in: ", run(p.view(), g.view(), view<float, 2>(y, 4, 5)));
  CHECK_REFUSED("softmax_rows_backward: grad_in: ", run(p.view(), view<const float, 2>(&g(0, 0), 3, 6), grad.view()));
  CHECK_REFUSED("softmax_rows_backward: out: ", run(none, g.view(), grad.view()));
  CHECK_REFUSED("softmax_rows_backward: grad_out: ", run(p.view(), none, grad.view()));
  CHECK_REFUSED("softmax_rows_backward: out: ", run(view<const float, 2>(&p(0, 0), {4, 6}, {1, 4}), g.view(), grad.view()));
  CHECK_REFUSED("softmax_rows_backward: grad_in: ", run(p.view(), g.view(), view<float, 2>(y, {4, 6}, {0, 1})));
  CHECK_REFUSED("softmax_rows_backward: grad_in: ", run(p.view(), g.view(), view<float, 2>(&p(0, 1), {4, 6}, {8, 1})));
  CHECK_REFUSED("softmax_rows_backward: grad_in: ", run(p.view(), g.view(), view<float, 2>(&g(0, 0), {4, 6}, {7, 1})));
  CHECK_REFUSED("log_softmax_rows_backward: grad_in: ",
                tessera::log_softmax_rows_backward(seq, p.view(), g.view(), view<float, 2>(y, 4, 5)));
  CHECK_REFUSED("log_softmax_rows_backward: out: ", tessera::log_softmax_rows_backward(seq, none, g.view(), grad.view()));
  BOOST_TEST((p.untouched() && g.untouched() && grad.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
