// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/nearest.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "golden_nearest.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/reference/nearest.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::seq
#define TESSERA_TESTED_TEAM tessera::par.threads(2)
#define TESSERA_TESTED_ON_CPU 1
#else
#define TESSERA_TESTED_TEAM TESSERA_TESTED_EXECUTOR
#endif

namespace {

using support::matrix;
using tessera::bfloat16;
using tessera::nearest;
using tessera::view;

const auto exec = TESSERA_TESTED_EXECUTOR;
const auto team = TESSERA_TESTED_TEAM;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr double wrong = std::numeric_limits<double>::infinity();  // beyond every bound

/// Every neighbour is a key of its own with the distance that is given for it, they are sorted, and those of the reference are no nearer;
/// all within the bounds of the docs.
template <class Metric, class ReferenceMetric, class S>
void check(support::worst& errors, const matrix<S>& queries, const matrix<S>& keys, std::int64_t k) {
  using T = tessera::compute_t<S>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  constexpr bool distance = std::is_same_v<Metric, tessera::squared_distance>;
  const std::int64_t n = queries.view().extent(0);
  const std::int64_t m = keys.view().extent(0);
  const std::int64_t depth = queries.view().extent(1);
  matrix<std::int32_t> where({n, k}, {1});
  matrix<T> got({n, k}, {2});
  nearest(team, queries.view(), keys.view(), k, where.view(), got.view(), Metric{});
  BOOST_TEST((queries.untouched() && keys.untouched() && where.gaps_untouched() && got.gaps_untouched()));
  const auto q = tessera::reference::rows<Real>(queries.view());
  const auto x = tessera::reference::rows<Real>(keys.view());
  const double u = tessera::unit_roundoff<T>;
  const auto bound = [&](std::int64_t i, std::int64_t j) {
    double size = 0;
    for (std::int64_t c = 0; c < depth; ++c) {
      const auto a = static_cast<double>(queries(i, c));
      const auto b = static_cast<double>(keys(j, c));
      size += distance ? (a - b) * (a - b) : std::fabs(a * b);
    }
    return (static_cast<double>(depth) + (distance ? 2 : 0)) * u * size;
  };
  tessera::reference::nearest<Real>(
      queries.view(), keys.view(), static_cast<std::size_t>(k), ReferenceMetric{}, [&](std::int64_t i, const auto& want) {
        std::vector<bool> seen(static_cast<std::size_t>(m));
        for (std::int64_t j = 0; j < k; ++j) {
          const auto& best = want[static_cast<std::size_t>(j)];
          const std::int64_t key = where(i, j);
          if (best.key < 0) {
            errors(static_cast<double>(key), -1, 0, "row", i, "neighbour", j);
            errors(static_cast<double>(got(i, j)), distance ? wrong : -wrong, 0, "row", i, "neighbour", j);
            continue;
          }
          const bool fresh = key >= 0 && key < m && !seen[static_cast<std::size_t>(key)];
          errors(fresh ? 0 : wrong, 0, 0, "row", i, "neighbour", j, "is no key of its own");
          if (!fresh) return;
          seen[static_cast<std::size_t>(key)] = true;
          const Real true_score = ReferenceMetric{}(q[static_cast<std::size_t>(i)], x[static_cast<std::size_t>(key)], i, key);
          errors(static_cast<double>(got(i, j)), true_score, bound(i, key), "row", i, "neighbour", j);
          errors(static_cast<double>(true_score), best.score, bound(i, key) + bound(i, best.key), "row", i, "rank", j);
          const bool sorted =
              j == 0 || got(i, j - 1) == got(i, j) ? j == 0 || where(i, j - 1) < key : (got(i, j - 1) < got(i, j)) == distance;
          errors(sorted ? 0 : wrong, 0, 0, "row", i, "neighbour", j, "is out of order");
        }
      });
}

template <class S>
void check_both(support::worst& errors, const matrix<S>& queries, const matrix<S>& keys, std::int64_t k) {
  check<tessera::squared_distance, tessera::reference::squared_distance>(errors, queries, keys, k);
  check<tessera::dot, tessera::reference::dot>(errors, queries, keys, k);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_nearest)

BOOST_AUTO_TEST_CASE(every_k_and_shape_is_within_the_bound) {
  support::worst errors;
  const std::int64_t shapes[][3] = {{1, 1, 1}, {3, 7, 2}, {17, 95, 8}, {50, 97, 33}, {5, 300, 0}, {49, 700, 20}, {2, 130, 65}};
  std::uint64_t seed = 0;
  for (const auto& [n, m, depth] : shapes) {
    for (const std::int64_t k : {1, 2, 8, 9, 32, 33, 128}) {
      ++seed;
      matrix<float> queries({n, depth}, {1});
      matrix<float> keys({m, depth}, {2});
      queries.fill([&](std::uint64_t e) { return support::normal(seed, e); });
      keys.fill([&](std::uint64_t e) { return support::normal(seed + 1000, e); });
      check_both(errors, queries, keys, k);
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(float64_and_bfloat16_are_within_the_bound) {
  support::worst errors;
  const auto check_type = [&](auto zero) {
    using S = decltype(zero);
    matrix<S> queries({30, 24});
    matrix<S> keys({400, 24});
    queries.fill([](std::uint64_t e) { return support::normal(1, e); });
    keys.fill([](std::uint64_t e) { return support::normal(2, e); });
    for (const std::int64_t k : {1, 5, 20}) check_both(errors, queries, keys, k);
  };
  check_type(double{});
  check_type(bfloat16{});
  CHECK_WITHIN_BOUND(errors);
}

// Far from 0, where |q|^2 + |x|^2 - 2 q.x keeps no digit; queries that are keys; spread sizes.
BOOST_AUTO_TEST_CASE(adversarial_points_are_within_the_bound) {
  support::worst errors;
  matrix<float> queries({20, 16});
  matrix<float> keys({500, 16});
  const auto check_all = [&] {
    for (const std::int64_t k : {1, 7, 40}) check_both(errors, queries, keys, k);
  };
  queries.fill([](std::uint64_t e) { return 1000 + 1e-3 * support::normal(1, e); });
  keys.fill([](std::uint64_t e) { return 1000 + 1e-3 * support::normal(2, e); });
  check_all();
  keys.fill([](std::uint64_t e) { return (e / 16 % 2 == 0 ? 1e4 : -1e4) + 1e-2 * support::normal(2, e); });  // two far clusters
  queries.fill([](std::uint64_t e) { return 1e4 + 1e-2 * support::normal(3, e); });
  check_all();
  keys.fill([](std::uint64_t e) { return support::spread(4, e, -20, 20); });
  for (std::int64_t i = 0; i < 20; ++i) {
    for (std::int64_t c = 0; c < 16; ++c) queries(i, c) = keys(i * 20, c);
  }
  matrix<float> same = queries;
  same.fill([&](std::uint64_t e) { return queries(static_cast<std::int64_t>(e / 16), static_cast<std::int64_t>(e % 16)); });
  queries = same;
  check_all();
  keys.fill([](std::uint64_t e) { return 5000.0 - static_cast<double>(e / 16); });  // every key is nearer than all before
  queries.fill([](std::uint64_t) { return 0; });
  check_all();
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(equally_near_keys_come_by_rising_index, *boost::unit_test::label("small")) {
  matrix<float> queries({3, 2});
  queries.fill([](std::uint64_t) { return 0.25; });
  matrix<float> keys({300, 2});
  keys.fill([](std::uint64_t e) { return static_cast<double>(e / 2 % 3); });  // 0, 1 and 2 in turn: 0 is nearest, then 1
  matrix<std::int64_t> where({3, 128});
  matrix<float> distances({3, 128});
  nearest(exec, queries.view(), keys.view(), 128, where.view(), distances.view());
  int differences = 0;
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < 128; ++j) {
      differences += where(i, j) != (j < 100 ? 3 * j : 3 * (j - 100) + 1);
      differences += distances(i, j) != (j < 100 ? 0.125F : 1.125F);
    }
  }
  BOOST_TEST(differences == 0);
}

BOOST_AUTO_TEST_CASE(missing_and_nan_keys_leave_minus_one) {
  matrix<float> queries({2, 3});
  queries.fill([](std::uint64_t e) { return static_cast<double>(e); });
  matrix<float> keys({5, 3});
  keys.fill([](std::uint64_t e) { return static_cast<double>(e); });
  keys(2, 1) = std::numeric_limits<float>::quiet_NaN();
  keys(3, 0) = inf;
  matrix<std::int32_t> where({2, 6});
  matrix<float> distances({2, 6});
  nearest(exec, queries.view(), keys.view(), 6, where.view(), distances.view());
  const std::int32_t want[2][6] = {{0, 1, 4, -1, -1, -1}, {1, 0, 4, -1, -1, -1}};
  for (std::int64_t i = 0; i < 2; ++i) {
    for (std::int64_t j = 0; j < 6; ++j) {
      BOOST_TEST(where(i, j) == want[i][j]);
      BOOST_TEST((distances(i, j) == inf) == (j > 2));
    }
  }
  nearest(exec, queries.view(), view<const float, 2>(nullptr, 0, 3), 6, where.view(), distances.view(), tessera::dot{});
  for (const float d : distances.elements()) BOOST_TEST(d == -inf);
  for (const std::int32_t w : where.elements()) BOOST_TEST(w == -1);
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_team_and_query_alone) {
  matrix<float> queries({150, 20});
  matrix<float> keys({900, 20});
  queries.fill([](std::uint64_t e) { return support::normal(1, e); });
  keys.fill([](std::uint64_t e) { return support::normal(2, e); });
  for (const std::int64_t k : {1, 10}) {
    matrix<std::int32_t> where({150, k});
    matrix<float> distances({150, k});
    nearest(exec, queries.view(), keys.view(), k, where.view(), distances.view());
    const auto same_with = [&](const auto& other_exec) {
      matrix<std::int32_t> other_where({150, k});
      matrix<float> other({150, k});
      nearest(other_exec, queries.view(), keys.view(), k, other_where.view(), other.view());
      return other.same_elements(distances) && other_where.same_elements(where);
    };
#if defined(TESSERA_TESTED_ON_CPU)
    using tessera::par;
    BOOST_TEST(same_with(par.threads(2)));
    BOOST_TEST(same_with(par.on(support::thread_per_call{5})));
    BOOST_TEST(same_with(par.on(support::one_by_one{})));
#else
    BOOST_TEST(same_with(exec));
#endif
    for (const std::int64_t i : {0, 47, 48, 149}) {
      matrix<std::int32_t> alone({1, k});
      matrix<float> distance({1, k});
      nearest(exec, view<const float, 2>(&queries(i, 0), 1, 20), keys.view(), k, alone.view(), distance.view());
      for (std::int64_t j = 0; j < k; ++j) BOOST_TEST((alone(0, j) == where(i, j) && distance(0, j) == distances(i, j)));
    }
  }
}

BOOST_AUTO_TEST_CASE(golden_neighbours_of_faiss) {
  matrix<float> queries({golden::queries, golden::depth});
  matrix<float> keys({golden::keys, golden::depth});
  queries.fill(golden::query);
  keys.fill(golden::key);
  matrix<std::int64_t> where({golden::queries, golden::k});
  matrix<double> distances({golden::queries, golden::k});
  int differences = 0;
  const auto compare = [&](const auto& want_where, const auto& want) {
    for (std::int64_t i = 0; i < golden::queries; ++i) {
      for (std::int64_t j = 0; j < golden::k; ++j)
        differences += where(i, j) != want_where[i][j] || distances(i, j) != want[i][j];
    }
  };
  nearest(exec, queries.view(), keys.view(), golden::k, where.view(), distances.view());
  compare(golden::nearest, golden::squared_distances);
  nearest(exec, queries.view(), keys.view(), golden::k, where.view(), distances.view(), tessera::dot{});
  compare(golden::largest_products, golden::products);
  BOOST_TEST(differences == 0);
}

#if defined(TESSERA_TESTED_ON_CPU)
BOOST_AUTO_TEST_CASE(misuse_is_refused_and_nothing_written) {
  matrix<float> queries({4, 3});
  matrix<float> keys({200, 3});
  queries.fill([](std::uint64_t e) { return static_cast<double>(e); });
  keys.fill([](std::uint64_t e) { return static_cast<double>(e); });
  matrix<std::int32_t> where({4, 2});
  matrix<float> distances({4, 2});
  const auto q = queries.view();
  const auto x = keys.view();
  const view<std::int32_t, 2> w = where.view();
  const view<float, 2> d = distances.view();
  CHECK_REFUSED("nearest: queries: ", nearest(exec, view<const float, 2>(nullptr, 4, 3), x, 2, w, d));
  CHECK_REFUSED("nearest: keys: ", nearest(exec, q, view<const float, 2>(x.data_handle(), 200, 2), 2, w, d));
  CHECK_REFUSED("nearest: keys: ", nearest(exec, q, view<const float, 2>(x.data_handle(), {200, 3}, {1, 200}), 2, w, d));
  for (const std::int64_t k : {-1, 0, 129}) CHECK_REFUSED("nearest: k: ", nearest(exec, q, x, k, w, d));
  CHECK_REFUSED("nearest: indices: ", nearest(exec, q, x, 3, w, d));
  CHECK_REFUSED("nearest: indices: ", nearest(exec, q, x, 2, view<std::int32_t, 2>(nullptr, 4, 2), d));
  CHECK_REFUSED("nearest: indices: ", nearest(exec, q, x, 2, view<std::int32_t, 2>(w.data_handle(), {4, 2}, {0, 1}), d));
  CHECK_REFUSED("nearest: distances: ", nearest(exec, q, x, 2, w, view<float, 2>(d.data_handle(), 3, 2)));
  CHECK_REFUSED("nearest: distances: ", nearest(exec, q, x, 2, w, view<float, 2>(&queries(0, 0), 4, 2)));
  CHECK_REFUSED("nearest: indices: ",
                nearest(exec, q, x, 2, view<std::int32_t, 2>(reinterpret_cast<std::int32_t*>(d.data_handle()), 4, 2), d));
  matrix<std::int8_t> narrow({4, 2});
  CHECK_REFUSED("nearest: indices: numbers up to 127", nearest(exec, q, x, 2, narrow.view(), d));
  BOOST_TEST(support::refusal([&] { nearest(exec, q, x, 129, w, d); }) == "nearest: k: 129; needs a count from 1 to 128");
  BOOST_TEST((queries.untouched() && keys.untouched() && where.untouched() && distances.untouched() && narrow.untouched()));
}
#endif

BOOST_AUTO_TEST_SUITE_END()
