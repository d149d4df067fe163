// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/permutation.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

#include "../support/error.hpp"
#include "probabilities.hpp"
#include "shaped.hpp"
#include "statistics.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/reference/random_draws.hpp"

using namespace random_test;
using tessera::par;
using tessera::seq;
using tessera::view;
using tessera::random::fill_permutation;
using tessera::random::permutation;
using tessera::random::shuffle;

namespace {

/// The number of an order among the n! of its length.
template <class Order>
std::size_t rank_of(const Order& order) {
  std::size_t rank = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::size_t smaller = 0;
    for (std::size_t j = i + 1; j < order.size(); ++j) smaller += order[j] < order[i];
    rank = rank * (order.size() - i) + smaller;
  }
  return rank;
}

std::vector<int> order_of(std::size_t n, std::uint64_t stream) {
  std::vector<int> x(n);
  fill_permutation(seq, view(x.data(), n), permutation(n, 3, stream));
  return x;
}
std::vector<int> shuffled(std::size_t n, std::uint64_t stream) {
  std::vector<int> x(n);
  std::iota(x.begin(), x.end(), 0);
  shuffle(seq, view(x.data(), n), 3, stream);
  return x;
}

double uniformity(const std::vector<std::int64_t>& counts) {
  return chi_square(counts, std::vector<double>(counts.size(), 1.0 / static_cast<double>(counts.size())));
}

/// All orders of up to 5 elements, and for longer ones: images, pairs of images, neighbours, fixed points, parity.
template <class Make>
void check_uniform(Make make) {
  for (const std::size_t n : {std::size_t{2}, std::size_t{3}, std::size_t{4}, std::size_t{5}}) {
    std::vector<std::int64_t> counts(n == 2 ? 2 : n == 3 ? 6 : n == 4 ? 24 : 120);
    for (std::uint64_t s = 0; s < 100000; ++s) counts[rank_of(make(n, s))] += 1;
    BOOST_TEST(std::abs(uniformity(counts)) < 4, n << " elements: " << uniformity(counts));
  }
  for (const std::size_t n : {std::size_t{16}, std::size_t{37}, std::size_t{64}}) {
    std::vector<std::int64_t> images(n * n);
    std::vector<std::int64_t> pairs(n * (n - 1));
    std::vector<std::int64_t> fixed(6);
    std::vector<std::int64_t> parity(2);
    std::int64_t neighbours = 0;
    constexpr std::uint64_t streams = 30000;
    for (std::uint64_t s = 0; s < streams; ++s) {
      const std::vector<int> x = make(n, s);
      std::size_t same = 0;
      std::size_t cycles = 0;
      std::vector<char> seen(n);
      for (std::size_t i = 0; i < n; ++i) {
        const auto v = static_cast<std::size_t>(x[i]);
        images[i * n + v] += 1;
        same += v == i;
        if (i > 0) neighbours += x[i] == x[i - 1] + 1;
        cycles += seen[i] == 0;
        for (std::size_t j = i; seen[j] == 0; j = static_cast<std::size_t>(x[j])) seen[j] = 1;
      }
      const auto a = static_cast<std::size_t>(x[0]);
      const auto b = static_cast<std::size_t>(x[1]);
      pairs[a * (n - 1) + b - (b > a)] += 1;
      fixed[std::min<std::size_t>(same, 5)] += 1;
      parity[(n - cycles) % 2] += 1;
    }
    BOOST_TEST_CONTEXT(n << " elements") {
      BOOST_TEST(std::abs(uniformity(pairs)) < 4);
      BOOST_TEST(std::abs(uniformity(parity)) < 4);
      // Images of one element are uniform; those of all have (n - 1)^2 degrees of freedom, not n^2 - 1: one row at a time.
      for (std::size_t i = 0; i < n; i += 5) {
        BOOST_TEST(std::abs(uniformity({images.begin() + static_cast<std::ptrdiff_t>(i * n),
                                        images.begin() + static_cast<std::ptrdiff_t>((i + 1) * n)})) < 4);
      }
      const double e = std::exp(-1.0);  // P(k fixed points) = e^-1 / k! to 1e-13 for n >= 16
      BOOST_TEST(std::abs(chi_square(fixed, {e, e, e / 2, e / 6, e / 24, 1 - e * (1 + 1 + 0.5 + 1.0 / 6 + 1.0 / 24)})) < 4);
      // Steps of one are expected (n - 1) / n times an order, nearly Poisson.
      const double expected = static_cast<double>(streams) * static_cast<double>(n - 1) / static_cast<double>(n);
      BOOST_TEST(std::abs(static_cast<double>(neighbours) - expected) < 4 * std::sqrt(expected));
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(random_permutation)

static_assert(permutation(10, 1, 2)(3) == 1 && permutation(1000000007, 1, 2)(3) == 89710068);
static_assert(permutation(std::uint64_t{1} << 63, 1, 2)(3) == 881145312060822926u);
static_assert(permutation(1000000007, 1, 2).inverse(permutation(1000000007, 1, 2)(3)) == 3);

BOOST_AUTO_TEST_CASE(equals_the_reference) {
  mixer random;
  for (int bits = 0; bits < 64; ++bits) {
    const std::uint64_t n = (std::uint64_t{1} << bits) - (bits > 1 ? random() % (std::uint64_t{1} << (bits - 1)) : 0);
    for (std::uint64_t stream = 0; stream < 8; ++stream) {
      const permutation order(n, 7, stream);
      for (int i = 0; i < 20; ++i) {
        const std::uint64_t at = i == 0 ? n - 1 : random() % n;
        BOOST_REQUIRE(order(at) == tessera::reference::permutation(n, 7, stream, at));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(bijection) {
  for (const std::size_t n : {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{255}, std::size_t{256},
                              std::size_t{257}, std::size_t{1000}, std::size_t{4096}, std::size_t{65537}}) {
    const permutation order(n, 1, n);
    std::vector<char> seen(n);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint64_t v = order(i);
      BOOST_REQUIRE(v < n);
      wrong += seen[v] != 0;
      seen[v] = 1;
      wrong += order.inverse(v) != i;
    }
    BOOST_TEST(wrong == 0u);
  }
  mixer random;
  for (const std::uint64_t n : {std::uint64_t{1} << 63, (std::uint64_t{1} << 62) + 1, std::uint64_t{1} << 40}) {
    const permutation order(n, 5, 6);
    for (int i = 0; i < 10000; ++i) {
      const std::uint64_t at = random() % n;
      BOOST_REQUIRE(order(at) < n);
      BOOST_REQUIRE(order.inverse(order(at)) == at);
    }
  }
}

BOOST_AUTO_TEST_CASE(permutation_is_uniform) { check_uniform(order_of); }
BOOST_AUTO_TEST_CASE(shuffle_is_uniform) { check_uniform(shuffled); }

// The naive shuffle, which swaps with any element, is not uniform over the 6 orders of three.
BOOST_AUTO_TEST_CASE(faulty_samples_are_seen) {
  std::vector<std::int64_t> counts(6);
  for (std::uint64_t s = 0; s < 100000; ++s) {
    std::vector<int> x = {0, 1, 2};
    for (std::uint64_t i = 0; i < 3; ++i) std::swap(x[i], x[tessera::random::uniform_int<std::uint64_t>(0, 2, 1, s, i)]);
    counts[rank_of(x)] += 1;
  }
  BOOST_TEST(uniformity(counts) > 4);
}

// Far apart and side by side, images of a large permutation look random.
BOOST_AUTO_TEST_CASE(large) {
  const permutation order(1000000007, 1, 2);
  std::vector<double> p;
  for (std::uint64_t i = 0; i < 50000; ++i) p.push_back((static_cast<double>(order(i)) + 0.5) / 1000000007.0);
  BOOST_TEST(kolmogorov(p) < 2.2);
  BOOST_TEST(kolmogorov(p) > 0.33);
  BOOST_TEST(std::abs(serial_correlation(p, 1)) < 4);
  BOOST_TEST(std::abs(serial_correlation(p, 2)) < 4);
  BOOST_TEST(std::abs(chi_square(cells_of(p, 1000))) < 4);
}

BOOST_AUTO_TEST_CASE(fill_is_single) {
  const permutation order(12345, 8, 9);
  std::vector<std::int32_t> x(12345);
  fill_permutation(seq, view(x.data(), 12345), order);
  for (std::uint64_t i = 0; i < 12345; ++i) BOOST_REQUIRE(static_cast<std::uint64_t>(x[i]) == order(i));
  std::vector<std::int32_t> y(12345, -7);
  fill_permutation(par.threads(3), view(y.data(), 15, 823), order);
  BOOST_TEST(same_bits(x, y));
  std::fill(y.begin(), y.end(), -7);
  fill_permutation(backwards{}, view<std::int32_t, 1>(y.data(), {12345}, {1}), order);
  BOOST_TEST(same_bits(x, y));
  std::fill(y.begin(), y.end(), -7);
  fill_permutation(seq, view(y.data() + 100, 345), order, 12000);
  for (std::size_t i = 0; i < 345; ++i) BOOST_REQUIRE(y[100 + i] == x[12000 + i]);
  BOOST_TEST(y[99] == -7);
  BOOST_TEST(y[445] == -7);
}

// The definition, element by element; any stride; elements that only move.
BOOST_AUTO_TEST_CASE(shuffle_is_fisher_yates) {
  const std::vector<std::uint64_t> order = tessera::reference::shuffled(1000, 4, 5);
  const std::vector<int> want(order.begin(), order.end());
  std::vector<int> x(1000);
  std::iota(x.begin(), x.end(), 0);
  std::vector<int> strided(3000, -1);
  for (std::size_t i = 0; i < 1000; ++i) strided[2999 - 3 * i] = static_cast<int>(i);
  shuffle(seq, view(x.data(), 1000), 4, 5);
  BOOST_TEST(same_bits(x, want));
  shuffle(par, view<int, 1>(strided.data() + 2999, {1000}, {-3}), 4, 5);
  for (std::size_t i = 0; i < 1000; ++i) BOOST_REQUIRE(strided[2999 - 3 * i] == want[i]);
  std::vector<std::unique_ptr<int>> owned;
  for (int i = 0; i < 1000; ++i) owned.push_back(std::make_unique<int>(i));
  shuffle(seq, view(owned.data(), 1000), 4, 5);
  for (std::size_t i = 0; i < 1000; ++i) BOOST_REQUIRE(*owned[i] == want[i]);
  shuffle(seq, view<int, 1>(nullptr, 0), 1, 2);
}

BOOST_AUTO_TEST_CASE(misuse) {
  CHECK_REFUSED("random::permutation: n: 0; needs 1 to 2^63 elements", permutation(0, 1, 2));
  CHECK_REFUSED("random::permutation: n: ", permutation((std::uint64_t{1} << 63) + 1, 1, 2));
  std::vector<std::int8_t> x(200, 3);
  CHECK_REFUSED("random::fill_permutation: out: an element type too small for 200 elements",
                fill_permutation(seq, view(x.data(), 200), permutation(200, 1, 2)));
  CHECK_REFUSED("random::fill_permutation: out: 101 elements from 0 on; needs at most",
                fill_permutation(seq, view(x.data(), 101), permutation(100, 1, 2)));
  CHECK_REFUSED("random::fill_permutation: out: 10 elements from 95 on; needs at most",
                fill_permutation(seq, view(x.data(), 10), permutation(100, 1, 2), 95));
  CHECK_REFUSED("random::fill_permutation: out: null data",
                fill_permutation(seq, view<int, 1>(nullptr, 3), permutation(100, 1, 2)));
  CHECK_REFUSED("random::shuffle: out: null data", shuffle(seq, view<int, 1>(nullptr, 3), 1, 2));
  for (const std::int8_t v : x) BOOST_TEST(v == 3);
}

BOOST_AUTO_TEST_SUITE_END()
