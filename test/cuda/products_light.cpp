// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Matrix products and gradients of a cross-entropy against the plain loops of reference/, without a header of the CPU's: what a GPU can be asked, too.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/random.hpp"
#include "mirror.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/tile/matmul.cuh"
#include "tessera/cuda/training/linear_cross_entropy_backward.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/linear_cross_entropy.hpp"
#include "tessera/reference/matmul.hpp"

namespace {

using support::array;
using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;
namespace reference = tessera::reference;

template <class T, std::size_t Rank>
view<const T, Rank> constant(const array<T, Rank>& x) {
  return x.view();
}

template <class T>
view<const T, 2> transposed(const view<const T, 2>& v) {
  return {v.data_handle(), {v.extent(1), v.extent(0)}, {v.stride(1), v.stride(0)}};
}

/// Small integers: every sum is exact, whoever makes it and in whatever order. `gap`: elements between rows, 8 of which keep chunks aligned.
template <class T>
void check_product(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t gap) {
  int wrong = 0;
  for (int kind = 0; kind < 4; ++kind) {
    const bool a_by_columns = (kind & 1) != 0;
    const bool b_by_columns = (kind & 2) != 0;
    matrix<T> a({a_by_columns ? k : m, a_by_columns ? m : k}, {gap});
    matrix<T> b({b_by_columns ? n : k, b_by_columns ? k : n}, {gap});
    matrix<float> c({m, n}, {1});
    a.fill([](std::uint64_t e) { return support::below(1, e, 7) - 3; });
    b.fill([](std::uint64_t e) { return support::below(2, e, 7) - 3; });
    support::mirror memory;
    const auto left = memory(constant(a));
    const auto right = memory(constant(b));
    tessera::matmul(tessera::cuda::on(), a_by_columns ? transposed(left) : left, b_by_columns ? transposed(right) : right,
                    memory(c.view()));
    memory.bring_back();
    reference::matmul(a_by_columns ? transposed(constant(a)) : constant(a), b_by_columns ? transposed(constant(b)) : constant(b),
                      [&](std::int64_t i, std::int64_t j, double want) { wrong += static_cast<double>(c(i, j)) != want; });
    BOOST_TEST(c.gaps_untouched());
  }
  BOOST_TEST(wrong == 0);
}

/// Gradients of a mean with rows that do not count, of `classes` that are more than one chunk.
template <class T>
void check_gradients(double unit) {
  const tessera::training::cross_entropy_options options{.label_smoothing = 0.1, .z_loss = 1e-3};
  constexpr std::int64_t n = 150;
  constexpr std::int64_t depth = 40;
  constexpr std::int64_t classes = 4200;
  matrix<T> hidden({n, depth});
  matrix<T> weight({classes, depth});
  array<float, 1> bias({classes});
  array<std::int64_t, 1> target({n});
  array<float, 1> lse({n});
  array<float, 1> grad_loss({1});
  matrix<float> grad_hidden({n, depth});
  matrix<float> grad_weight({classes, depth});
  array<float, 1> grad_bias({classes});
  hidden.fill([](std::uint64_t e) { return 0.3 * support::normal(1, e); });
  weight.fill([](std::uint64_t e) { return support::normal(2, e); });
  bias.fill([](std::uint64_t e) { return support::normal(3, e); });
  target.fill([](std::uint64_t i) { return i % 5 == 3 ? -100 : support::below(4, i, classes); });
  grad_loss.fill([](std::uint64_t) { return 1.5; });
  std::vector<double> wide_bias;
  for (const float b : bias.elements()) wide_bias.push_back(static_cast<double>(b));
  const auto want =
      reference::linear_cross_entropy<double>(hidden.view(), weight.view(), wide_bias, target.view(), options, {1.5});
  lse.fill([&](std::uint64_t i) { return want.lse[i]; });
  support::mirror memory;
  tessera::training::linear_cross_entropy_backward(tessera::cuda::on(), memory(constant(hidden)), memory(constant(weight)),
                                                   memory(constant(bias)), memory(constant(target)), memory(constant(lse)),
                                                   memory(constant(grad_loss)), memory(grad_hidden.view()),
                                                   memory(grad_weight.view()), memory(grad_bias.view()), options);
  memory.bring_back();
  support::worst errors;
  const double scale = 1.5 / (n - n / 5);  // of what a row's slopes, weights and hidden of about 1 come to
  for (std::int64_t k = 0; k < depth; ++k) {
    const auto at = static_cast<std::size_t>(k);
    for (std::int64_t i = 0; i < n; ++i) {
      errors(static_cast<double>(grad_hidden(i, k)), want.grad_hidden[static_cast<std::size_t>(i)][at], 4 * unit * scale,
             "hidden", i, k);
    }
    for (std::int64_t j = 0; j < classes; ++j) {
      errors(static_cast<double>(grad_weight(j, k)), want.grad_weight[static_cast<std::size_t>(j)][at], unit * scale, "weight", j,
             k);
    }
  }
  for (std::int64_t j = 0; j < classes; ++j) {
    errors(static_cast<double>(grad_bias(j)), want.grad_bias[static_cast<std::size_t>(j)], unit * scale, "bias", j);
  }
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_products_light)

BOOST_AUTO_TEST_CASE(products_of_integers_are_exact, *boost::unit_test::label("small")) {
  check_product<float>(130, 70, 40, 0);
  check_product<double>(70, 130, 33, 1);
  check_product<double>(24, 200, 72, 8);
  check_product<float16>(144, 264, 200, 8);
  check_product<bfloat16>(300, 136, 72, 0);
  check_product<bfloat16>(17, 31, 5, 1);
}

BOOST_AUTO_TEST_CASE(gradients_are_close, *boost::unit_test::label("small")) {
  check_gradients<float>(1e-5);
  check_gradients<bfloat16>(1e-2);
  check_gradients<float16>(2e-3);
}

BOOST_AUTO_TEST_SUITE_END()
