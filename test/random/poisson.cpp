// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/poisson.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/error.hpp"
#include "probabilities.hpp"
#include "shaped.hpp"
#include "statistics.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/random_shapes.hpp"

using namespace random_test;
using tessera::seq;
using tessera::view;
using tessera::random::fill_poisson;
using tessera::random::poisson;
namespace detail = tessera::random::detail;

BOOST_AUTO_TEST_SUITE(random_poisson)

static_assert(poisson<int>(3.5, 1, 2, 3) == 3 && poisson<std::int64_t>(1e9, 1, 2, 3) == 999990950 &&
              poisson<double>(42.0, 1, 2, 3) == 40);
static_assert(poisson<int>(0.0, 1, 2, 3) == 0);

BOOST_AUTO_TEST_CASE(golden_hashes) {
  const auto filled = [](double rate) {
    std::vector<std::int64_t> x(50000);
    fill_poisson(seq, view(x.data(), x.size()), rate, 2024, 7, 3);
    return hash(x);
  };
  BOOST_TEST(filled(2.5) == 1189301468233640847u);
  BOOST_TEST(filled(10) == 12608948531549783053u);
  BOOST_TEST(filled(12345.678) == 16208246513150711199u);
}

// A squeeze takes nothing that the exact condition would not, so that the reference does without.
BOOST_AUTO_TEST_CASE(equals_the_reference) {
  for (const double rate : {0.0, 0.3, 5.0, 9.99, 10.0, 17.3, 250.0, 1e5}) {
    std::size_t differing = 0;
    for (std::uint64_t i = 0; i < 20000; ++i) {
      const auto want = static_cast<double>(tessera::reference::poisson<long double>(3, 4, i, static_cast<long double>(rate)));
      differing += poisson<double>(rate, 3, 4, i) != want;
    }
    BOOST_TEST(differing == 0u, "rate " << rate << ": " << differing);
  }
}

BOOST_AUTO_TEST_CASE(bulk_is_single) {
  for (const double rate : {0.0, 1e-3, 0.7, 9.99, 10.0, 11.5, 40.0, 1e3, 1e6}) {
    check_fill<std::int64_t>(
        [&](const auto& exec, const auto& out, std::uint64_t first) { fill_poisson(exec, out, rate, 3, 4, first); },
        [&](std::uint64_t index) { return poisson<std::int64_t>(rate, 3, 4, index); });
    check_fill<float>([&](const auto& exec, const auto& out, std::uint64_t first) { fill_poisson(exec, out, rate, 3, 4, first); },
                      [&](std::uint64_t index) { return static_cast<float>(poisson<int>(rate, 3, 4, index)); }, 1000);
  }
  check_fill<tessera::float16>(
      [&](const auto& exec, const auto& out, std::uint64_t first) { fill_poisson(exec, out, 20, 3, 4, first); },
      [&](std::uint64_t index) { return tessera::float16(static_cast<float>(poisson<int>(20, 3, 4, index))); }, 1000);
  check_fill<std::uint8_t>(
      [&](const auto& exec, const auto& out, std::uint64_t first) { fill_poisson(exec, out, 20, 3, 4, first); },
      [&](std::uint64_t index) { return poisson<int>(20, 3, 4, index); }, 1000);
}

// log P(k) against long double, at the mode, in the tails, at 0 and 1, where the two forms of the logarithm meet.
BOOST_AUTO_TEST_CASE(log_probability) {
  double worst = 0;
  for (const double rate : {10.0, 10.7, 15.5, 33.0, 100.0, 1234.5, 1e5, 1e7, 1e9}) {
    const double deviation = std::sqrt(rate);
    for (double z = -12; z < 14; z += 0.25) {
      for (const double k : {std::floor(rate + z * deviation), std::floor(rate * (1 + z / 14))}) {
        if (k < 0) continue;
        const auto l = static_cast<long double>(k);
        const auto r = static_cast<long double>(rate);
        long double want = -r;
        if (k > 0 && k < 1000) {
          want = l * std::log(r) - r - std::lgamma(l + 1);
        } else if (k > 0) {
          // Long double keeps 64 bits: not enough for the plain form at large k, but for Stirling's with log1p.
          const long double t = (l - r) / r;
          long double phi = (1 + t) * std::log1p(t) - t;
          if (std::abs(t) < 1e-2L) {  // sum (-t)^n / (n (n - 1))
            phi = 0;
            long double power = t * t;
            for (int n = 2; n < 20; ++n, power *= -t) phi += power / static_cast<long double>(n * (n - 1));
          }
          want = -(1 / (12 * l) - 1 / (360 * l * l * l) + 1 / (1260 * l * l * l * l * l)) - r * phi -
                 std::log(2 * 3.14159265358979323846264L * l) / 2;
        }
        const auto error =
            static_cast<double>(std::abs(static_cast<long double>(detail::log_poisson_probability(rate, k)) - want));
        worst = std::max(worst, error / (1 + static_cast<double>(std::abs(want))));
      }
    }
  }
  BOOST_TEST(worst < 0x1p-48, worst);
  BOOST_TEST(worst > 0);
}

/// Chi-square of counts over cells of at least 10 expected numbers, made of neighbouring k.
double law_statistic(double rate, const std::vector<std::int64_t>& numbers) {
  const auto n = static_cast<double>(numbers.size());
  const double deviation = std::sqrt(rate + 1);
  const auto from = static_cast<std::int64_t>(std::max(0.0, std::floor(rate - 9 * deviation - 9)));
  const auto to = static_cast<std::int64_t>(rate + 12 * deviation + 30);
  const auto log_p = [&](std::int64_t k) {
    const auto l = static_cast<long double>(k);
    return static_cast<double>(l * std::log(static_cast<long double>(rate)) - static_cast<long double>(rate) -
                               std::lgamma(l + 1));
  };
  // Exact for small rates; for large ones from the ratio of neighbours, P(k + 1) / P(k) = rate / (k + 1), scaled to sum 1.
  std::vector<long double> p;
  long double sum = 0;
  const auto mode = static_cast<std::int64_t>(rate);
  p.resize(static_cast<std::size_t>(to - from));
  p[static_cast<std::size_t>(mode - from)] = 1;
  for (std::int64_t k = mode + 1; k < to; ++k)
    p[static_cast<std::size_t>(k - from)] =
        p[static_cast<std::size_t>(k - 1 - from)] * static_cast<long double>(rate) / static_cast<long double>(k);
  for (std::int64_t k = mode - 1; k >= from; --k)
    p[static_cast<std::size_t>(k - from)] =
        p[static_cast<std::size_t>(k + 1 - from)] * static_cast<long double>(k + 1) / static_cast<long double>(rate);
  for (const long double x : p) sum += x;
  if (rate < 100) BOOST_TEST(std::abs(std::log(static_cast<double>(p[0] / sum)) - log_p(from)) < 1e-12);
  std::vector<std::int64_t> cell(p.size());
  std::vector<double> probabilities;
  double gathered = 0;
  const double least = std::max(10 / n, 1.0 / 300);  // at most some 300 cells
  for (std::size_t i = 0; i < p.size(); ++i) {
    cell[i] = static_cast<std::int64_t>(probabilities.size());
    gathered += static_cast<double>(p[i] / sum);
    if (gathered >= least) {
      probabilities.push_back(gathered);
      gathered = 0;
    }
  }
  if (probabilities.empty()) return 0;
  probabilities.back() += gathered;
  std::vector<std::int64_t> counts(probabilities.size());
  for (const std::int64_t k : numbers) {
    if (k < from || k >= to) return std::numeric_limits<double>::infinity();
    const auto at = std::min(static_cast<std::size_t>(cell[static_cast<std::size_t>(k - from)]), counts.size() - 1);
    counts[at] += 1;
  }
  return counts.size() < 2 ? 0 : chi_square(counts, probabilities);
}

BOOST_AUTO_TEST_CASE(law) {
  std::uint64_t stream = 0;
  for (const double rate : {1e-3, 0.1, 1.0, 4.2, 9.99, 10.0, 10.5, 13.0, 20.0, 55.5, 300.0, 1e4, 1e6, 1e9}) {
    std::vector<std::int64_t> x(200000);
    fill_poisson(seq, view(x.data(), x.size()), rate, 17, ++stream);
    const double statistic = law_statistic(rate, x);
    BOOST_TEST(std::abs(statistic) < 4, "rate " << rate << ": " << statistic);
    const std::vector<double> wide(x.begin(), x.end());
    if (rate > 0.05) {
      BOOST_TEST(std::abs(mean_deviation(wide, rate, rate)) < 4);
      std::vector<double> squares;
      for (const double v : wide) squares.push_back((v - rate) * (v - rate));
      BOOST_TEST(std::abs(mean_deviation(squares, rate, 2 * rate * rate + rate)) < 4.5, "rate " << rate);
      BOOST_TEST(std::abs(serial_correlation(wide, 1)) < 4);
    }
  }
}

// A rate that is off by a hundredth, and a rejection whose condition is not applied.
BOOST_AUTO_TEST_CASE(faulty_samples_are_seen) {
  std::vector<std::int64_t> off;
  std::vector<std::int64_t> unrejected;
  const auto c = detail::poisson_constants(30);
  for (std::uint64_t i = 0; i < 200000; ++i) {
    off.push_back(poisson<std::int64_t>(30.3, 1, 2, i));
    const auto own = tessera::random::philox(1, 2, i);
    unrejected.push_back(static_cast<std::int64_t>(std::max(0.0, detail::poisson_try(c, own.pair(0), own.pair(1)).k)));
  }
  BOOST_TEST(law_statistic(30, off) > 4);
  BOOST_TEST(law_statistic(30, unrejected) > 4);
}

BOOST_AUTO_TEST_CASE(inversion_ends) {
  // The largest u there is: the sums reach it or stop.
  for (const double rate : {1e-300, 1e-9, 0.5, 3.0, 9.999999}) {
    const double k = detail::poisson_by_inversion(rate, 1 - 0x1p-53);
    BOOST_TEST(k < 60);
    BOOST_TEST(detail::poisson_by_inversion(rate, 0) == 0);
    const detail::poisson_table table(rate);
    BOOST_TEST(table.size < 64);
    BOOST_TEST(std::abs(table.sum[table.size - 1] - 1) < 1e-15);
  }
}

BOOST_AUTO_TEST_CASE(misuse) {
  for (const double bad :
       {-1.0, -1e-300, 1.1e12, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    std::vector<std::int64_t> x(10, 3);
    CHECK_REFUSED("random::poisson: rate: ", (void)poisson<int>(bad, 1, 2, 3));
    CHECK_REFUSED("random::fill_poisson: rate: ", fill_poisson(seq, view(x.data(), 10), bad, 1, 2));
    for (const std::int64_t v : x) BOOST_TEST(v == 3);
  }
  std::vector<std::uint8_t> x(10, 3);
  CHECK_REFUSED("random::fill_poisson: rate: 200; needs a type that holds", fill_poisson(seq, view(x.data(), 10), 200, 1, 2));
  CHECK_REFUSED("random::poisson: rate: 3e+09; needs a type that holds", (void)poisson<int>(3e9, 1, 2, 3));
  CHECK_REFUSED("random::poisson: rate: 100000000; needs a type that holds", (void)poisson<float>(1e8, 1, 2, 3));
  CHECK_REFUSED("random::fill_poisson: out: null data", fill_poisson(seq, view<int, 1>(nullptr, 3), 1, 1, 2));
  for (const std::uint8_t v : x) BOOST_TEST(v == 3);
}

BOOST_AUTO_TEST_SUITE_END()
