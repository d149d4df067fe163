// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Contractions against the plain loops of reference/, without a header of the CPU's: what a GPU can be asked, too.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/random.hpp"
#include "mirror.hpp"
#include "tessera/cuda/diffusion/exact_denoiser.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/tile/contraction.cuh"
#include "tessera/cuda/tile/nearest.cuh"
#include "tessera/cuda/training/linear_cross_entropy.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/online/extremum.hpp"
#include "tessera/reference/contraction.hpp"
#include "tessera/reference/linear_cross_entropy.hpp"
#include "tessera/reference/nearest.hpp"

namespace {

using support::array;
using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;
namespace reference = tessera::reference;

template <class T, std::size_t Rank>
tessera::view<const T, Rank> constant(const array<T, Rank>& x) {
  return x.view();
}

struct store_code {
  std::int32_t* to;
  TESSERA_HD void operator()(std::int64_t i, const tessera::extremum<float>& best) const { to[i] = best.where; }
};

/// Small integers: every distance is exact, and so is every answer, ties and all.
template <class S>
void check_neighbours(std::int64_t n, std::int64_t m, std::int64_t depth) {
  matrix<S> queries({n, depth}, {1});
  matrix<S> keys({m, depth}, {3});
  queries.fill([](std::uint64_t e) { return support::below(1, e, 6); });
  keys.fill([](std::uint64_t e) { return support::below(2, e, 6); });
  support::mirror memory;
  const auto q = memory(constant(queries));
  const auto x = memory(constant(keys));
  int wrong = 0;
  for (const std::int64_t k : {1, 12, 100}) {
    matrix<std::int32_t> where({n, k});
    matrix<float> distances({n, k});
    support::mirror results;
    tessera::nearest(tessera::cuda::on(), q, x, k, results(where.view()), results(distances.view()));
    results.bring_back();
    reference::nearest(queries.view(), keys.view(), static_cast<std::size_t>(k), reference::squared_distance{},
                       [&](std::int64_t i, const auto& best) {
                         for (std::int64_t j = 0; j < k; ++j) {
                           const auto& want = best[static_cast<std::size_t>(j)];
                           wrong += where(i, j) != want.key || static_cast<double>(distances(i, j)) != want.score;
                         }
                       });
  }
  matrix<std::int32_t> code({1, n});
  support::mirror results;
  tessera::contract(tessera::cuda::on(), q, x, tessera::squared_distance{}, tessera::argmin{},
                    store_code{results(code.view()).data_handle()});
  results.bring_back();
  reference::nearest(queries.view(), keys.view(), 1, reference::squared_distance{},
                     [&](std::int64_t i, const auto& best) { wrong += code(0, i) != best[0].key; });
  BOOST_TEST(wrong == 0);
}

/// Weighted means of values: the error of a weight is `unit`.
template <class S>
void check_means(std::int64_t value_dim, double unit) {
  matrix<S> queries({90, 40});
  matrix<S> keys({333, 40});
  matrix<S> values({333, value_dim});
  matrix<S> out({90, value_dim});
  queries.fill([](std::uint64_t e) { return support::normal(1, e); });
  keys.fill([](std::uint64_t e) { return support::normal(2, e); });
  values.fill([](std::uint64_t e) { return support::normal(3, e); });
  support::mirror memory;
  tessera::contract(tessera::cuda::on(), memory(constant(queries)), memory(constant(keys)), memory(constant(values)),
                    tessera::scaled_dot{0.2}, tessera::softmax{}, memory(out.view()), tessera::no_emit{},
                    tessera::causal_mask(100));
  memory.bring_back();
  support::worst errors;
  reference::contract_values(
      queries.view(), keys.view(), values.view(), reference::scaled_dot{0.2},
      [&](std::int64_t i, const auto& mean) {
        for (std::int64_t c = 0; c < value_dim; ++c) {
          errors(static_cast<double>(out(i, c)), mean[static_cast<std::size_t>(c)], 4 * unit, "row", i, "column", c);
        }
      },
      [](std::int64_t i, std::int64_t j) { return j <= i + 100; });
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_contraction_light)

BOOST_AUTO_TEST_CASE(neighbours_of_integers_are_exact) {
  check_neighbours<float>(70, 700, 9);
  check_neighbours<bfloat16>(200, 1300, 5);
  check_neighbours<float>(3, 40, 150);
}

BOOST_AUTO_TEST_CASE(weighted_means_are_close, *boost::unit_test::label("small")) {
  check_means<float>(40, 0x1p-18);
  check_means<float>(200, 0x1p-18);
  check_means<float16>(64, 0x1p-10);
}

BOOST_AUTO_TEST_CASE(a_denoiser_finds_the_row_that_noise_was_added_to) {
  matrix<float> data({300, 200});
  matrix<float> noisy({20, 200});
  matrix<float> out({20, 200});
  data.fill([](std::uint64_t e) { return support::normal(1, e); });
  noisy.fill([&](std::uint64_t e) {
    return static_cast<double>(data(static_cast<std::int64_t>(e / 200) * 7, static_cast<std::int64_t>(e % 200))) +
           0.1 * support::normal(2, e);
  });
  support::mirror memory;
  tessera::diffusion::exact_denoiser(tessera::cuda::on(), memory(constant(noisy)), memory(constant(data)), 0.1,
                                     memory(out.view()));
  memory.bring_back();
  int wrong = 0;
  for (std::int64_t i = 0; i < 20; ++i) {
    for (std::int64_t c = 0; c < 200; ++c) wrong += out(i, c) != data(7 * i, c);
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(a_cross_entropy_is_close) {
  const tessera::training::cross_entropy_options options{.label_smoothing = 0.1, .z_loss = 1e-3};
  matrix<bfloat16> hidden({75, 136});
  matrix<bfloat16> weight({5000, 136});
  array<float, 1> bias({5000});
  array<std::int64_t, 1> target({75});
  array<float, 1> loss({1});
  array<float, 1> lse({75});
  hidden.fill([](std::uint64_t e) { return 0.3 * support::normal(1, e); });
  weight.fill([](std::uint64_t e) { return support::normal(2, e); });
  bias.fill([](std::uint64_t e) { return support::normal(3, e); });
  target.fill([](std::uint64_t i) { return i % 5 == 3 ? -100 : support::below(4, i, 5000); });
  support::mirror memory;
  tessera::training::linear_cross_entropy(tessera::cuda::on(), memory(constant(hidden)), memory(constant(weight)),
                                          memory(constant(bias)), memory(constant(target)), memory(loss.view()),
                                          memory(lse.view()), options);
  memory.bring_back();
  std::vector<double> wide_bias;
  for (const float b : bias.elements()) wide_bias.push_back(static_cast<double>(b));
  const auto want = reference::linear_cross_entropy<double>(hidden.view(), weight.view(), wide_bias, target.view(), options,
                                                            std::vector<double>(75, 1));
  support::worst errors;
  for (std::int64_t i = 0; i < 75; ++i)
    errors(static_cast<double>(lse(i)), want.lse[static_cast<std::size_t>(i)], 2e-4, "row", i);
  errors(static_cast<double>(loss(0)), want.loss, 4e-4, "loss");
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_SUITE_END()
