// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Squared distances as scores: the exact ones of small integers, and those whose norms cancel.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "../support/random.hpp"
#include "oracle.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::seq
#endif

namespace {

using oracle::compute_of;
using oracle::matrix;
using tessera::bfloat16;
using tessera::contract;
using tessera::float16;
namespace reference = tessera::reference;

const auto exec = TESSERA_TESTED_EXECUTOR;

struct shape {
  std::int64_t n, m, depth;
};
constexpr shape shapes[] = {{1, 1, 1},     {1, 2, 3},     {2, 95, 7},    {3, 96, 8},    {5, 97, 15},   {7, 191, 16},
                            {8, 192, 17},  {16, 193, 31}, {17, 5, 32},   {33, 64, 33},  {48, 100, 63}, {49, 127, 64},
                            {65, 129, 65}, {97, 257, 2},  {20, 300, 96}, {6, 500, 192}, {5, 40, 193},  {20, 0, 4}};

constexpr double tolerance = 0x1p-5;  ///< softmax::tolerance, as the docs state it

/// Data whose distances are hard to tell from norms, by name.
struct data {
  std::string name;
  std::function<double(std::uint64_t seed, std::uint64_t n, std::int64_t depth)> query;
  std::function<double(std::uint64_t seed, std::uint64_t n, std::int64_t depth)> key;
};
double normal(std::uint64_t seed, std::uint64_t n, std::int64_t) { return support::normal(seed, n); }
double offset(std::uint64_t seed, std::uint64_t n, std::int64_t) { return 1e4 + 1e-2 * support::normal(seed, n); }
double clusters(std::uint64_t seed, std::uint64_t n, std::int64_t depth) {
  const auto row = n / static_cast<std::uint64_t>(std::max<std::int64_t>(depth, 1));
  return (support::bits(seed + 9, row) % 2 == 0 ? 1000 : -1000) + 1e-3 * support::normal(seed, n);
}
double binades(std::uint64_t seed, std::uint64_t n, std::int64_t) { return support::spread(seed, n, -25, 25); }
double far(std::uint64_t seed, std::uint64_t n, std::int64_t) { return 5e3 + support::normal(seed, n); }

const data all_data[] = {{"normal", normal, normal},    {"offset", offset, offset},   {"clusters", clusters, clusters},
                         {"binades", binades, binades}, {"far queries", far, normal}, {"far keys", normal, far}};

template <class Q, class K>
void fill(const data& d, matrix<Q>& queries, matrix<K>& keys, std::uint64_t seed) {
  const std::int64_t depth = queries.view().extent(1);
  queries.fill([&](std::uint64_t n) { return d.query(seed, n, depth); });
  keys.fill([&](std::uint64_t n) { return d.key(seed + 1000, n, depth); });
  // Some keys are queries, and some keys come twice.
  for (std::int64_t i = 0; i < queries.view().extent(0) && 5 * i + 3 < keys.view().extent(0); ++i) {
    for (std::int64_t k = 0; k < depth; ++k) keys(5 * i + 3, k) = K(static_cast<float>(queries(i, k)));
    if (5 * i + 4 < keys.view().extent(0)) {
      for (std::int64_t k = 0; k < depth; ++k) keys(5 * i + 4, k) = keys(5 * i + 3, k);
    }
  }
}

template <class Q, class K>
void check_nearest() {
  using T = compute_of<Q, K>;
  for (const data& d : all_data) {
    support::worst errors;
    int negative = 0;
    for (std::size_t s = 0; s < std::size(shapes); ++s) {
      matrix<Q> queries({shapes[s].n, shapes[s].depth}, {1});
      matrix<K> keys({shapes[s].m, shapes[s].depth}, {static_cast<std::int64_t>(s % 3)});
      fill(d, queries, keys, s);
      const auto want = oracle::expect<T>(queries, keys, reference::squared_distance{}, reference::squared_distance{},
                                          static_cast<double>(shapes[s].depth) + 2);
      contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmin{},
               [&](std::int64_t i, const auto& got) {
                 oracle::check_extremum<true>(errors, want, i, got);
                 negative += got.score < 0;
               });
      contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::top_k<4>{},
               [&](std::int64_t i, const auto& got) {
                 const auto at = static_cast<std::size_t>(i);
                 const auto best = reference::top_k<>{4}(want.rows[at]);
                 std::vector<std::int64_t> seen;
                 for (std::size_t k = 0; k < 4; ++k) {
                   if (best[k].key < 0) {
                     errors(static_cast<double>(got.where[k]), -1, 0, "entry", k, "of row", i);
                     continue;
                   }
                   // The k-th best of ours is the true distance of its key, and no worse than the true k-th best; no key comes twice.
                   const double relative = (static_cast<double>(shapes[s].depth) + 2) * tessera::unit_roundoff<T>;
                   const double size = static_cast<double>(best[k].score);
                   errors(static_cast<double>(got.score[k]), best[k].score, relative * size * 1.01, "entry", k, "of row", i);
                   const bool valid = got.where[k] >= 0 && got.where[k] < shapes[s].m;
                   errors(valid ? static_cast<double>(got.score[k]) : -1.0,
                          valid ? want.rows[at][static_cast<std::size_t>(got.where[k])].score : 0, relative * size * 1.01,
                          "key of entry", k, "of row", i);
                   errors(static_cast<double>(std::count(seen.begin(), seen.end(), got.where[k])), 0, 0, "twice: entry", k,
                          "of row", i);
                   seen.push_back(got.where[k]);
                   negative += got.score[k] < 0;
                 }
               });
    }
    BOOST_TEST_CONTEXT(d.name) {
      CHECK_WITHIN_BOUND(errors);
      BOOST_TEST(negative == 0);
    }
  }
}

/// softmax of -|q - k|^2 / 2 sigma^2 over values: exponents within 2^-5 (base 2), or from differences.
template <class T>
void check_gaussian(const data& d, double sigma) {
  support::worst means;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    matrix<T> queries({shapes[s].n, shapes[s].depth});
    matrix<T> keys({shapes[s].m, shapes[s].depth});
    fill(d, queries, keys, s);
    matrix<T> values({shapes[s].m, 7});
    values.fill([&](std::uint64_t n) { return support::normal(s, n); });
    matrix<T> out({shapes[s].n, 7});
    const auto want = oracle::expect<T>(queries, keys, reference::gaussian{sigma}, reference::gaussian{sigma},
                                        static_cast<double>(shapes[s].depth) + 5);
    // Of the scores only those matter whose weights do; the others may be rough.
    auto near = want;
    for (std::size_t i = 0; i < near.rows.size(); ++i) {
      const auto top = reference::largest(near.rows[i]);
      for (std::size_t e = 0; e < near.rows[i].size(); ++e) {
        if (near.rows[i][e].score < top - 40) near.errors[i][e] = 0;
      }
    }
    contract(exec, queries.view(), keys.view(), values.view(), tessera::gaussian{sigma}, tessera::softmax{}, out.view());
    const auto wide_values = reference::rows<oracle::wide_of<T>>(values.view());
    for (std::int64_t i = 0; i < shapes[s].n; ++i) {
      oracle::check_mean<T>(means, near, wide_values, i, &out(i, 0), 7, std::log(2.0) * tolerance);
    }
  }
  BOOST_TEST_CONTEXT(d.name << ", sigma " << sigma) { CHECK_WITHIN_BOUND(means); }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_contraction_distance)

BOOST_AUTO_TEST_CASE(nearest_keys_in_float32) { check_nearest<float, float>(); }
BOOST_AUTO_TEST_CASE(nearest_keys_in_float64) { check_nearest<double, double>(); }
BOOST_AUTO_TEST_CASE(nearest_keys_in_mixed_storage) { check_nearest<float, bfloat16>(); }

BOOST_AUTO_TEST_CASE(exact_distances_give_exact_answers) {
  for (const shape& s : shapes) {
    matrix<float16> queries({s.n, s.depth});
    matrix<float> keys({s.m, s.depth});
    queries.fill([](std::uint64_t n) { return support::below(1, n, 4); });
    keys.fill([](std::uint64_t n) { return support::below(2, n, 4); });
    std::vector<reference::scored_row<double>> rows;
    reference::score_rows(queries.view(), keys.view(), reference::squared_distance{},
                          [&](auto, const auto& row) { rows.push_back(row); });
    int wrong = 0;
    contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmin{},
             [&](std::int64_t i, const auto& got) {
               const auto want = reference::argmin{}(rows[static_cast<std::size_t>(i)]);
               wrong += static_cast<double>(got.score) != want.score || got.where != want.key;
             });
    contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmax{},
             [&](std::int64_t i, const auto& got) {
               const auto want = reference::argmax{}(rows[static_cast<std::size_t>(i)]);
               wrong += static_cast<double>(got.score) != want.score || got.where != want.key;
             });
    contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::top_k<5>{},
             [&](std::int64_t i, const auto& got) {
               const auto want = reference::top_k<>{5}(rows[static_cast<std::size_t>(i)]);
               for (std::size_t k = 0; k < 5; ++k)
                 wrong += static_cast<double>(got.score[k]) != want[k].score || got.where[k] != want[k].key;
             });
    BOOST_TEST_INFO(s.n << " x " << s.m << " x " << s.depth);
    BOOST_TEST(wrong == 0);
  }
}

// Far from the origin, among keys that come twice: the query itself is found, at distance 0, and of equals the first.
BOOST_AUTO_TEST_CASE(a_query_among_the_keys_is_found_at_distance_zero) {
  for (const std::int64_t depth : {1, 3, 16, 48, 100}) {
    matrix<float> keys({400, depth});
    keys.fill([=](std::uint64_t n) {
      return 1e4 + support::normal(1, n % static_cast<std::uint64_t>(200 * depth)) * 1e-2;
    });  // row j + 200 = row j
    const tessera::view<const float, 2> queries(&keys(200, 0), 200, depth);
    int wrong = 0;
    contract(exec, queries, keys.view(), tessera::squared_distance{}, tessera::argmin{},
             [&](std::int64_t i, const auto& got) { wrong += got.score != 0 || got.where > i || (depth > 1 && got.where != i); });
    contract(exec, queries, keys.view(), tessera::squared_distance{}, tessera::top_k<2>{}, [&](std::int64_t i, const auto& got) {
      wrong += got.score[0] != 0 || got.score[1] != 0 || (depth > 1 && (got.where[0] != i || got.where[1] != i + 200));
    });
    BOOST_TEST_INFO("depth " << depth);
    BOOST_TEST(wrong == 0);
  }
}

// Norms whose every rounding is up and a product whose every rounding is down: the error of the fast form is as large as it can
// be, and with its sign it hides the nearest key behind another.
BOOST_AUTO_TEST_CASE(nearest_key_where_every_rounding_goes_the_same_way) {
  for (const std::int64_t depth : {33, 129, 385, 769}) {
    const double small = 0x1.008p-12;
    matrix<float> queries({1, depth});
    queries.fill([=](std::uint64_t n) { return n == 0 ? 1.0001 : small; });
    const double true_distance = 4 * static_cast<double>(depth - 1) * small * small;
    // Key 100 differs in the sign of the small elements; key 0 is farther, and its distance comes out right. Their mirror images
    // keep the mean at the origin.
    for (const double farther : {1.1, 1.3, 1.6}) {
      matrix<float> keys({102, depth});
      keys.fill([=](std::uint64_t n) {
        const auto row = n / static_cast<std::uint64_t>(depth);
        const bool first = n % static_cast<std::uint64_t>(depth) == 0;
        const double sign = row % 2 == 0 ? 1 : -1;
        if (row >= 100) return sign * (first ? 1.0001 : -small);
        return sign * (first ? 1.0001 - std::sqrt(farther * true_distance) : small);
      });
      double nearest = 0;
      std::int64_t where = -1;
      reference::contract(queries.view(), keys.view(), reference::squared_distance{}, reference::argmin{},
                          [&](auto, const auto& best) {
                            nearest = best.score;
                            where = best.key;
                          });
      BOOST_TEST(where == 100);
      contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmin{}, [&](auto, const auto& got) {
        BOOST_TEST_INFO("depth " << depth << ", farther " << farther << ", nearest " << nearest << ", got " << got.score);
        BOOST_TEST(got.where == 100);
      });
    }
  }
}

BOOST_AUTO_TEST_CASE(posterior_means_are_within_their_bound) {
  check_gaussian<float>(all_data[0], 1.0);
  check_gaussian<float>(all_data[0], 0.05);
  check_gaussian<float>(all_data[0], 50);
  check_gaussian<float>(all_data[1], 0.02);
  check_gaussian<float>(all_data[1], 1.0);
  check_gaussian<float>(all_data[2], 1e-3);
  check_gaussian<float>(all_data[2], 1e3);
  check_gaussian<float>(all_data[4], 300);
}

// The farthest keys weigh most: the same rule, seen from the other side.
BOOST_AUTO_TEST_CASE(log_sum_exp_of_distances_is_within_its_bound) {
  for (const double offset : {0.0, 30.0, 300.0}) {
    support::worst errors;
    for (const shape& s : shapes) {
      matrix<float> queries({s.n, s.depth});
      matrix<float> keys({s.m, s.depth});
      queries.fill([](std::uint64_t n) { return support::normal(1, n); });
      keys.fill([=](std::uint64_t n) {
        return support::normal(2, n) + (n / static_cast<std::uint64_t>(s.depth) % 2 == 0 ? offset : -offset);
      });
      const auto want = oracle::expect<float>(queries, keys, reference::squared_distance{}, reference::squared_distance{},
                                              static_cast<double>(s.depth) + 5);
      contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::logsumexp{},
               [&](std::int64_t i, float got) { oracle::check_lse(errors, want, i, got, std::log(2.0) * tolerance); });
    }
    BOOST_TEST_CONTEXT("offset " << offset) { CHECK_WITHIN_BOUND(errors); }
  }
}

BOOST_AUTO_TEST_CASE(posterior_means_in_float64_are_within_their_bound) {
  check_gaussian<double>(all_data[0], 0.5);
  check_gaussian<double>(all_data[1], 0.02);
}

// A reducer that does not say which scores matter gets all of them from the differences.
BOOST_AUTO_TEST_CASE(sums_over_distances_are_within_their_bound) {
  for (const data& d : all_data) {
    support::worst errors;
    for (std::size_t s = 0; s < std::size(shapes); ++s) {
      matrix<float> queries({shapes[s].n, shapes[s].depth});
      matrix<float> keys({shapes[s].m, shapes[s].depth});
      fill(d, queries, keys, s);
      const auto want = oracle::expect<float>(queries, keys, reference::squared_distance{}, reference::squared_distance{},
                                              static_cast<double>(shapes[s].depth) + 2);
      contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::kernel_sum{[](auto x) { return x; }},
               [&](std::int64_t i, float got) {
                 const auto at = static_cast<std::size_t>(i);
                 const double exact = reference::kernel_sum{[](double x) { return x; }}(want.rows[at]);
                 const double roundings = static_cast<double>(shapes[s].depth) + 2 + 96 + static_cast<double>(shapes[s].m) / 96;
                 errors(static_cast<double>(got), exact, roundings * 0x1p-24 * exact, "row", i);
               });
    }
    BOOST_TEST_CONTEXT(d.name) { CHECK_WITHIN_BOUND(errors); }
  }
}

BOOST_AUTO_TEST_CASE(distances_beyond_the_largest_number_are_infinite) {
  matrix<float> queries({20, 5});
  matrix<float> keys({120, 5});
  queries.fill([](std::uint64_t n) { return n / 5 == 7 ? 1e30 : 1.0; });
  keys.fill([](std::uint64_t n) { return n / 5 == 100 ? 1e30 : static_cast<double>(n / 5); });
  int wrong = 0;
  contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmin{},
           [&](std::int64_t i, const auto& got) { wrong += got.score != 0 || got.where != (i == 7 ? 100 : 1); });
  contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmax{},
           [&](std::int64_t i, const auto& got) {
             wrong += got.score != std::numeric_limits<float>::infinity() || got.where != (i == 7 ? 0 : 100);
           });
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(nan_and_inf_reach_the_rows_that_see_them) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  matrix<float> queries({70, 20});
  matrix<float> keys({200, 20});
  const auto fill_all = [&] {
    queries.fill([](std::uint64_t n) { return support::normal(1, n); });
    keys.fill([](std::uint64_t n) { return support::normal(2, n); });
  };
  fill_all();
  queries(33, 5) = nan;
  int wrong = 0;
  contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmin{},
           [&](std::int64_t i, const auto& got) { wrong += std::isnan(got.score) != (i == 33) || (i == 33 && got.where != 0); });
  fill_all();
  keys(150, 19) = nan;
  keys(151, 0) = nan;
  contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmin{},
           [&](std::int64_t, const auto& got) { wrong += !std::isnan(got.score) || got.where != 150; });
  fill_all();
  keys(150, 19) = inf;  // infinitely far, of no weight
  const auto want = oracle::expect<float>(queries, keys, reference::squared_distance{}, reference::squared_distance{}, 22);
  support::worst errors;
  contract(exec, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmin{},
           [&](std::int64_t i, const auto& got) { oracle::check_extremum<true>(errors, want, i, got); });
  CHECK_WITHIN_BOUND(errors);
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
