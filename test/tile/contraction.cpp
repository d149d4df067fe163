// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Products as scores under every reducer. Distances, masks, threads and misuse have files of their own beside this one.
#include "tessera/tile/contraction.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "oracle.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::seq
#define TESSERA_TESTED_ON_CPU 1
#endif

namespace {

using oracle::compute_of;
using oracle::matrix;
using tessera::bfloat16;
using tessera::contract;
using tessera::float16;
using tessera::view;
namespace reference = tessera::reference;

const auto exec = TESSERA_TESTED_EXECUTOR;

struct shape {
  std::int64_t n, m, depth, value_dim;
};
// Around panels (16 to 48 queries), chunks (96 keys), register blocks (6 or 8) and registers.
constexpr shape shapes[] = {
    {1, 1, 1, 1},     {1, 2, 3, 5},      {2, 95, 7, 8},     {3, 96, 8, 15},    {5, 97, 15, 16},  {7, 191, 16, 17},
    {8, 192, 17, 31}, {15, 193, 31, 2},  {16, 5, 33, 3},    {17, 7, 47, 7},    {31, 63, 48, 33}, {33, 64, 49, 47},
    {47, 65, 63, 48}, {48, 100, 64, 49}, {49, 127, 65, 63}, {64, 128, 95, 64}, {65, 129, 2, 65}, {97, 257, 5, 0},
    {129, 300, 0, 5}, {257, 31, 9, 9},   {20, 0, 4, 4},     {0, 20, 4, 4},     {2, 3000, 1, 1},  {3, 49, 193, 96},
    {6, 33, 257, 1},  {770, 12, 3, 129},
};

template <class Q, class K>
struct problem {
  matrix<Q> queries;
  matrix<K> keys;
  problem(const shape& s, std::uint64_t seed, double factor = 1)
      : queries({s.n, s.depth}, {static_cast<std::int64_t>(seed % 3)}),
        keys({s.m, s.depth}, {static_cast<std::int64_t>(seed % 4)}) {
    queries.fill([=](std::uint64_t n) { return factor * support::normal(2 * seed, n); });
    keys.fill([=](std::uint64_t n) { return support::normal(2 * seed + 1, n); });
  }
};

template <class Q, class K>
void check_argmax() {
  using T = compute_of<Q, K>;
  support::worst errors;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const problem<Q, K> p(shapes[s], s);
    const double depth = static_cast<double>(shapes[s].depth);
    const auto want = oracle::expect<T>(p.queries, p.keys, reference::dot{}, oracle::product_size{}, depth);
    std::int64_t rows = 0;
    contract(exec, p.queries.view(), p.keys.view(), tessera::dot{}, tessera::argmax{},
             [&](std::int64_t i, const tessera::extremum<T>& got) {
               oracle::check_extremum<false>(errors, want, i, got);
               BOOST_TEST(i == rows++);
             });
    BOOST_TEST(rows == shapes[s].n);
    BOOST_TEST((p.queries.untouched() && p.keys.untouched()));
  }
  CHECK_WITHIN_BOUND(errors);
}

/// softmax of scaled products over values, with the log-sum-exp emitted.
template <class Q, class K, class V, class O>
void check_softmax(int first, int step) {
  using T = std::common_type_t<compute_of<Q, K>, tessera::compute_t<V>>;
  support::worst means;
  support::worst lses;
  for (std::size_t s = static_cast<std::size_t>(first); s < std::size(shapes); s += static_cast<std::size_t>(step)) {
    const problem<Q, K> p(shapes[s], s, 3);
    matrix<V> values({shapes[s].m, shapes[s].value_dim}, {static_cast<std::int64_t>(s % 5)});
    values.fill([=](std::uint64_t n) { return support::spread(s, n, -10, 10); });
    matrix<O> out({shapes[s].n, shapes[s].value_dim}, {static_cast<std::int64_t>(s % 2)});
    const double scale = 0.3;
    const auto want = oracle::expect<T>(p.queries, p.keys, reference::scaled_dot{scale}, oracle::product_size{scale},
                                        static_cast<double>(shapes[s].depth) + 3);
    const auto wide_values = reference::rows<oracle::wide_of<T>>(values.view());
    contract(exec, p.queries.view(), p.keys.view(), values.view(), tessera::scaled_dot{scale}, tessera::softmax{}, out.view(),
             [&](std::int64_t i, T lse) { oracle::check_lse(lses, want, i, lse); });
    for (std::int64_t i = 0; i < shapes[s].n; ++i) {
      oracle::check_mean<T>(means, want, wide_values, i, &out(i, 0), static_cast<std::size_t>(shapes[s].value_dim));
    }
    BOOST_TEST((out.gaps_untouched() && values.untouched()));
  }
  CHECK_WITHIN_BOUND(means);
  CHECK_WITHIN_BOUND(lses);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_contraction)

BOOST_AUTO_TEST_CASE(argmax_of_products_is_within_its_bound) {
  check_argmax<float, float>();
  check_argmax<bfloat16, float16>();
}

BOOST_AUTO_TEST_CASE(softmax_over_values_is_within_its_bound) {
  check_softmax<float, float, float, float>(0, 1);
  check_softmax<float16, bfloat16, bfloat16, float16>(0, 2);
}

BOOST_AUTO_TEST_CASE(float64_softmax_is_within_its_bound) { check_softmax<float, double, bfloat16, double>(1, 2); }

// Small integers: every product is exact, so the answer is known to the bit, ties and all.
BOOST_AUTO_TEST_CASE(exact_products_give_exact_answers) {
  for (const shape& s : shapes) {
    matrix<float> queries({s.n, s.depth});
    matrix<float> keys({s.m, s.depth});
    queries.fill([](std::uint64_t n) { return support::below(1, n, 5) - 2; });
    keys.fill([](std::uint64_t n) { return support::below(2, n, 3) - 1; });
    std::vector<reference::scored_row<double>> rows;
    reference::score_rows(queries.view(), keys.view(), reference::dot{}, [&](auto, const auto& row) { rows.push_back(row); });
    int wrong = 0;
    contract(exec, queries.view(), keys.view(), tessera::dot{}, tessera::argmax{}, [&](std::int64_t i, const auto& got) {
      const auto want = reference::argmax{}(rows[static_cast<std::size_t>(i)]);
      wrong += static_cast<double>(got.score) != want.score || got.where != want.key;
    });
    contract(exec, queries.view(), keys.view(), tessera::dot{}, tessera::argmin{}, [&](std::int64_t i, const auto& got) {
      const auto want = reference::argmin{}(rows[static_cast<std::size_t>(i)]);
      wrong += static_cast<double>(got.score) != want.score || got.where != want.key;
    });
    contract(exec, queries.view(), keys.view(), tessera::dot{}, tessera::top_k<7, false>{}, [&](std::int64_t i, const auto& got) {
      const auto want = reference::top_k<false>{7}(rows[static_cast<std::size_t>(i)]);
      for (std::size_t k = 0; k < 7; ++k)
        wrong += static_cast<double>(got.score[k]) != want[k].score || got.where[k] != want[k].key;
    });
    BOOST_TEST_INFO(s.n << " x " << s.m << " x " << s.depth);
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_bias_is_added_to_its_pair) {
  support::worst errors;
  for (std::size_t s = 0; s < std::size(shapes); s += 2) {
    const problem<float, float> p(shapes[s], s);
    matrix<bfloat16> bias({shapes[s].n, shapes[s].m}, {2});
    bias.fill([=](std::uint64_t n) { return 5 * support::normal(s, n); });
    const double scale = -0.25;
    auto want = oracle::expect<float>(p.queries, p.keys, reference::scaled_dot_bias<bfloat16>{scale, bias.view()},
                                      oracle::product_size{scale}, static_cast<double>(shapes[s].depth) + 2);
    for (std::size_t i = 0; i < want.rows.size(); ++i) {
      for (std::size_t e = 0; e < want.rows[i].size(); ++e) want.errors[i][e] += 0x1p-24 * std::fabs(want.rows[i][e].score);
    }
    const tessera::scaled_dot_bias<bfloat16> score{scale, bias.view()};
    contract(exec, p.queries.view(), p.keys.view(), score, tessera::argmin{},
             [&](std::int64_t i, const auto& got) { oracle::check_extremum<true>(errors, want, i, got); });
    contract(exec, p.queries.view(), p.keys.view(), score, tessera::logsumexp{},
             [&](std::int64_t i, float got) { oracle::check_lse(errors, want, i, got); });
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(a_bias_with_strides_of_zero_is_broadcast) {
  const problem<float, float> p({40, 110, 6, 0}, 1);
  matrix<float> by_key({1, 110});
  by_key.fill([](std::uint64_t n) { return 5 * support::normal(9, n); });
  matrix<float> whole({40, 110});
  whole.fill([&](std::uint64_t n) { return by_key(0, static_cast<std::int64_t>(n) % 110); });
  std::vector<float> broadcast;
  std::vector<float> stored;
  contract(exec, p.queries.view(), p.keys.view(), tessera::scaled_dot_bias<float>{1, {&by_key(0, 0), {40, 110}, {0, 1}}},
           tessera::logsumexp{}, [&](std::int64_t, float got) { broadcast.push_back(got); });
  contract(exec, p.queries.view(), p.keys.view(), tessera::scaled_dot_bias<float>{1, whole.view()}, tessera::logsumexp{},
           [&](std::int64_t, float got) { stored.push_back(got); });
  BOOST_TEST(broadcast == stored, boost::test_tools::per_element());
}

// A lambda sees the plain product, the row and the key; where it gives -inf the pair has no weight.
BOOST_AUTO_TEST_CASE(a_lambda_is_a_score) {
  support::worst errors;
  for (std::size_t s = 0; s < std::size(shapes); s += 3) {
    const problem<float, bfloat16> p(shapes[s], s);
    const auto want = oracle::expect<float>(
        p.queries, p.keys,
        [](const auto& q, const auto& k, std::int64_t i, std::int64_t j) {
          const auto product = reference::dot{}(q, k, i, j);
          return j > i + 20 ? -std::numeric_limits<double>::infinity() : j < i - 3 ? -product : 2 * product;
        },
        oracle::product_size{2}, static_cast<double>(shapes[s].depth) + 1);
    const auto score = [](auto product, auto i, auto j) {
      using T = decltype(product);
      using I = decltype(i);
      const T shown = tessera::select(j < i - I(3), -product, product + product);
      return tessera::select(j > i + I(20), T(-std::numeric_limits<float>::infinity()), shown);
    };
    contract(exec, p.queries.view(), p.keys.view(), score, tessera::logsumexp{},
             [&](std::int64_t i, float got) { oracle::check_lse(errors, want, i, got); });
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(moments_of_products_are_within_their_bound) {
  support::worst errors;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    if (shapes[s].m == 0) continue;
    for (const double factor : {1.0, 30.0}) {
      const problem<float, float> p(shapes[s], s, factor);
      const auto want = oracle::expect<float>(p.queries, p.keys, reference::dot{}, oracle::product_size{},
                                              static_cast<double>(shapes[s].depth) + 2);
      contract(exec, p.queries.view(), p.keys.view(), tessera::dot{}, tessera::moments{}, [&](std::int64_t i, const auto& got) {
        const auto at = static_cast<std::size_t>(i);
        const auto exact = reference::moments{}(want.rows[at]);
        const double score = want.largest_error(at);
        const double size = std::fabs(exact.lse) + std::fabs(exact.mean) + std::log(static_cast<double>(shapes[s].m)) + 1;
        const double sums = 96 + static_cast<double>(shapes[s].m) / 96 + 8;
        oracle::check_lse(errors, want, i, got.lse);
        // d entropy / d score_j = -p_j (log p_j + entropy): bounded by the scores' error times (1 + entropy + log keys).
        const double entropy_size = 1 + exact.entropy + std::log(static_cast<double>(shapes[s].m));
        errors(static_cast<double>(got.entropy), exact.entropy, (2 * score + 2 * sums * 0x1p-24) * entropy_size, "entropy of row",
               i);
        errors(static_cast<double>(got.mean), exact.mean, (2 * score + 2 * sums * 0x1p-24) * size, "mean of row", i);
      });
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(kernel_sums_are_within_their_bound) {
  support::worst errors;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const problem<float, float> p(shapes[s], s);
    const auto want =
        oracle::expect<float>(p.queries, p.keys, reference::dot{}, oracle::product_size{}, static_cast<double>(shapes[s].depth));
    contract(exec, p.queries.view(), p.keys.view(), tessera::dot{}, tessera::kernel_sum{[](auto x) { return x * x; }},
             [&](std::int64_t i, float got) {
               const auto at = static_cast<std::size_t>(i);
               const auto& row = want.rows[at];
               double of_scores = 0;
               for (std::size_t e = 0; e < row.size(); ++e) {
                 of_scores += want.errors[at][e] * (2 * std::fabs(row[e].score) + want.errors[at][e]);
               }
               const double exact = reference::kernel_sum{[](double x) { return x * x; }}(row);
               const double sums = 96 + static_cast<double>(want.keys) / 96 + 1;
               errors(static_cast<double>(got), exact, of_scores + sums * 0x1p-24 * (exact + of_scores), "row", i);
             });
  }
  CHECK_WITHIN_BOUND(errors);
}

#if defined(TESSERA_TESTED_ON_CPU)
// Keys whose packed form is larger than what is kept: every row is one element further in a long array.
BOOST_AUTO_TEST_CASE(more_keys_than_are_kept_packed_give_the_same_answers) {
  const std::int64_t m = 700003;
  const std::int64_t depth = 97;
  matrix<float> line({1, m + depth});
  line.fill([](std::uint64_t n) { return support::below(3, n, 7) - 3; });
  const view<const float, 2> keys(&line(0, 0), {m, depth}, {1, 1});
  matrix<float> queries({3, depth});
  queries.fill([](std::uint64_t n) { return support::below(4, n, 7) - 3; });
  const auto rows = reference::rows(queries.view());
  contract(tessera::par.threads(2), queries.view(), keys, tessera::dot{}, tessera::argmax{},
           [&](std::int64_t i, const auto& got) {
             double best = -1e9;
             std::int64_t where = -1;
             for (std::int64_t j = 0; j < m; ++j) {
               double sum = 0;
               for (std::int64_t d = 0; d < depth; ++d)
                 sum += rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(d)] * static_cast<double>(line(0, j + d));
               if (sum > best) {
                 best = sum;
                 where = j;
               }
             }
             BOOST_TEST(static_cast<double>(got.score) == best);
             BOOST_TEST(got.where == where);
           });
}
#endif

BOOST_AUTO_TEST_CASE(nan_and_inf_go_through_the_product) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  matrix<float> queries({50, 3});
  matrix<float> keys({100, 3});
  queries.fill([](std::uint64_t) { return 1; });
  keys.fill([](std::uint64_t n) { return static_cast<double>(n % 50); });
  queries(20, 1) = nan;
  queries(30, 0) = inf;
  keys(98, 2) = nan;
  int wrong = 0;
  contract(exec, queries.view(), keys.view(), tessera::dot{}, tessera::argmax{}, [&](std::int64_t i, const auto& got) {
    const int first_nan = i == 20 ? 0 : i == 30 ? 0 : 98;  // inf * 0 in key 0
    wrong += !std::isnan(got.score) || got.where != first_nan;
  });
  contract(exec, queries.view(), keys.view(), tessera::dot{}, tessera::logsumexp{},
           [&](std::int64_t, float got) { wrong += !std::isnan(got); });
  contract(exec, queries.view(), keys.view(), tessera::dot{}, tessera::top_k<2, false>{}, [&](std::int64_t i, const auto& got) {
    wrong += i == 20 ? got.where[0] != -1 : std::isnan(got.score[0]) || got.where[0] < 0;
  });
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
