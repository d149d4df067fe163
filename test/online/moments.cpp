// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/online/moments.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/error.hpp"
#include "laws.hpp"
#include "tessera/reference/contraction.hpp"

namespace {

using tessera::moments;
namespace reference = tessera::reference;

/// Scores of a state are in base 2, those of the reference natural.
template <class T>
auto natural(const std::vector<T>& row) {
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  reference::scored_row<Real> result;
  for (std::size_t j = 0; j < row.size(); ++j) {
    result.push_back({static_cast<std::int64_t>(j), static_cast<Real>(row[j]) * std::log(Real(2))});
  }
  return result;
}

/// Sums of up to 96 in a tile and 4 tiles, weights within 2 ulp; what is summed is at most entropy + log keys in size.
template <class T>
void check_result(support::worst& errors, const tessera::row_moments<T>& got, const std::vector<T>& row, double roundings) {
  const auto want = reference::moments{}(natural(row));
  const double u = tessera::unit_roundoff<T>;
  const double keys = std::log(static_cast<double>(row.size()) + 1);
  const double lse = std::isfinite(want.lse) ? std::fabs(static_cast<double>(want.lse)) : 0;
  const double mean = std::isfinite(want.mean) ? std::fabs(static_cast<double>(want.mean)) : 0;
  const double entropy = std::isfinite(want.entropy) ? static_cast<double>(want.entropy) : 0;
  errors(static_cast<double>(got.lse), want.lse, (roundings + 4 * lse) * u, "lse of a row of", row.size());
  errors(static_cast<double>(got.mean), want.mean, (roundings * (1 + entropy + keys) + 4 * (mean + lse)) * u, "mean of a row of",
         row.size());
  errors(static_cast<double>(got.entropy), want.entropy, roundings * (1 + entropy + keys) * u, "entropy of a row of", row.size());
}

template <class T>
void check_type() {
  const moments reducer;
  support::worst results;
  support::worst merged;
  for (const auto& row : laws::rows<T>())
    check_result(results, reducer.finish(laws::fold<T>(reducer, row)), row, 2 * (96 + 4 + 8));
  CHECK_WITHIN_BOUND(results);
  laws::each_cut<T>(reducer, [&](const auto& got, const auto&, const std::vector<T>& row) {
    check_result(merged, reducer.finish(got), row, 2 * (96 + 60));
  });
  CHECK_WITHIN_BOUND(merged);
  BOOST_TEST((laws::pack_differences<T>(reducer)) == 0);
  BOOST_TEST((laws::identity_changes<T>(reducer)) == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(online_moments)

BOOST_AUTO_TEST_CASE(float32_results_and_merges) { check_type<float>(); }
BOOST_AUTO_TEST_CASE(float64_results_and_merges) { check_type<double>(); }

static_assert(tessera::reducer<moments, float> && tessera::reducer<moments, tessera::simd::pack<double>>);

// Both ends: one score that takes all, and equal scores at any height. Nothing cancels.
BOOST_AUTO_TEST_CASE(entropy_of_sharp_and_flat_rows) {
  const moments reducer;
  for (const float height : {0.0f, 1e3f, -1e5f, 3e7f}) {
    std::vector<float> row(1000, height);
    const auto flat = reducer.finish(laws::fold<float>(reducer, row));
    BOOST_TEST(flat.entropy == std::log(1000.0f), boost::test_tools::tolerance(1e-6f));
    row[500] = height + 64 + std::fabs(height) / 2;
    const auto sharp = reducer.finish(laws::fold<float>(reducer, row));
    BOOST_TEST((sharp.entropy >= 0 && sharp.entropy < 1e-13f));
  }
}

BOOST_AUTO_TEST_CASE(entropy_where_every_rounding_goes_the_same_way) {
  const moments reducer;
  support::worst errors;
  for (const float fall : {24.001f, 24.5f, 25.001f}) {
    std::vector<float> row(96, -fall);
    row[0] = 0;
    check_result(errors, reducer.finish(laws::fold<float>(reducer, row)), row, 96 + 8);
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(special_values) {
  const moments reducer;
  const float inf = std::numeric_limits<float>::infinity();
  const float not_a_number = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& row : {std::vector<float>{}, std::vector<float>{-inf, -inf}}) {
    const auto got = reducer.finish(laws::fold<float>(reducer, row));
    BOOST_TEST((got.lse == -inf && std::isnan(got.mean) && std::isnan(got.entropy)));
  }
  const auto one = reducer.finish(laws::fold<float>(reducer, {-inf, 8, -inf}));
  BOOST_TEST((one.lse == one.mean && one.entropy == 0));
  for (int at = 0; at < 9; ++at) {
    std::vector<float> row(9, 1);
    row[static_cast<std::size_t>(at)] = not_a_number;
    const auto got = reducer.finish(laws::fold<float>(reducer, row, 0, 4));
    BOOST_TEST((std::isnan(got.lse) && std::isnan(got.mean) && std::isnan(got.entropy)));
  }
}

BOOST_AUTO_TEST_SUITE_END()
