// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/online/softmax.hpp"

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

using tessera::softmax;
namespace reference = tessera::reference;

template <class T>
using wide = std::conditional_t<std::is_same_v<T, double>, long double, double>;

/// The row as the reference takes it: states hold scores in base 2, the reference natural ones.
template <class T>
reference::scored_row<wide<T>> natural(const std::vector<T>& row) {
  reference::scored_row<wide<T>> result;
  for (std::size_t j = 0; j < row.size(); ++j) {
    result.push_back({static_cast<std::int64_t>(j), static_cast<wide<T>>(row[j]) * std::log(wide<T>(2))});
  }
  return result;
}

/// Errors of mass are relative to it: `roundings` in units of u.
template <class T>
void check_state(support::worst& errors, const softmax::state<T>& got, const std::vector<T>& row, double roundings) {
  const auto none = -std::numeric_limits<wide<T>>::infinity();
  wide<T> top = none;
  for (const T score : row) top = std::fmax(top, static_cast<wide<T>>(score));
  wide<T> mass = 0;
  for (const T score : row) mass += top == none ? 0 : std::exp2(static_cast<wide<T>>(score) - top);
  errors(static_cast<double>(got.max), top, 0, "max of a row of", row.size());
  errors(static_cast<double>(got.mass), mass, roundings * tessera::unit_roundoff<T> * static_cast<double>(mass),
         "mass of a row of", row.size());
}

template <class T>
void check_type() {
  const softmax reducer;
  support::worst states;
  support::worst results;
  support::worst merged;
  for (const auto& row : laws::rows<T>()) {
    const auto state = laws::fold<T>(reducer, row);
    // 96 additions in a tile, one for each of 4 tiles; 2 ulp of a weight, 6 of a tile's two rescalings; the differences are up to 300.
    check_state(states, state, row, 96 + 4 + 4 + 4 * 6 + 300);
    const auto want = reference::logsumexp{}(natural(row));
    const double size = std::isfinite(want) ? std::fabs(static_cast<double>(want)) + 6 : 0;
    results(static_cast<double>(reducer.finish(state)), want, (120 + 6 * size) * tessera::unit_roundoff<T>, "row of", row.size());
  }
  CHECK_WITHIN_BOUND(states);
  CHECK_WITHIN_BOUND(results);
  BOOST_TEST((laws::identity_changes<T>(reducer)) == 0);
  BOOST_TEST((laws::pack_differences<T>(reducer)) == 0);
  laws::each_cut<T>(
      reducer, [&](const auto& got, const auto&, const std::vector<T>& row) { check_state(merged, got, row, 96 + 60 + 300); });
  CHECK_WITHIN_BOUND(merged);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(online_softmax)

BOOST_AUTO_TEST_CASE(float32_states_results_and_merges) { check_type<float>(); }
BOOST_AUTO_TEST_CASE(float64_states_results_and_merges) { check_type<double>(); }

static_assert(tessera::reducer<softmax, float> && tessera::weighing_reducer<softmax, double>);
static_assert(tessera::weighing_reducer<softmax, tessera::simd::pack<float>>);

// 96 weights that each just fail to change the mass: the bound of the docs is nearly used up.
BOOST_AUTO_TEST_CASE(mass_is_within_its_bound_where_every_rounding_goes_the_same_way) {
  const softmax reducer;
  for (const float fall : {24.001f, 24.5f, 25.0f}) {
    std::vector<float> row(96, -fall);
    row[0] = 0;
    const double want = 1 + 95 * std::exp2(-static_cast<double>(fall));
    const double error = std::fabs(static_cast<double>(laws::fold<float>(reducer, row).mass) - want);
    BOOST_TEST(error <= 97 * 0x1p-24);
    BOOST_TEST(error >= 45 * 0x1p-24);
  }
}

BOOST_AUTO_TEST_CASE(weigh_leaves_weights_and_join_returns_the_rescaling) {
  const softmax reducer;
  auto state = reducer.identity<float>();
  const auto absorb = [&](std::vector<float>& scores) {
    return reducer.join(state, reducer.weigh(tessera::score_tile<float>(scores.data(), 1, static_cast<int>(scores.size()), 0)));
  };
  std::vector<float> scores = {1, 3, -std::numeric_limits<float>::infinity(), 2};
  const auto first = absorb(scores);
  BOOST_TEST((first.kept == 0 && first.joined == 1));  // nothing was summed before
  BOOST_TEST(scores == (std::vector<float>{0.25f, 1, 0, 0.5f}), boost::test_tools::per_element());
  BOOST_TEST((state.max == 3 && state.mass == 1.75f && reducer.normalizer(state) == 1.75f));
  std::vector<float> more = {5, 4};
  const auto second = absorb(more);
  BOOST_TEST((second.kept == 0.25f && second.joined == 1));
  BOOST_TEST(more == (std::vector<float>{1, 0.5f}), boost::test_tools::per_element());
  BOOST_TEST((state.max == 5 && state.mass == 1.9375f));
  // A tile's weights are its own, however faint it is beside what came before.
  std::vector<float> fainter = {2, 1};
  const auto third = absorb(fainter);
  BOOST_TEST((third.kept == 1 && third.joined == 0.125f));
  BOOST_TEST(fainter == (std::vector<float>{1, 0.5f}), boost::test_tools::per_element());
  BOOST_TEST((state.max == 5 && state.mass == 2.125f));
  std::vector<float> faintest = {-1000};
  const auto last = absorb(faintest);
  BOOST_TEST((last.kept == 1 && last.joined == 0));
  BOOST_TEST((state.max == 5 && state.mass == 2.125f));
}

BOOST_AUTO_TEST_CASE(special_values) {
  const softmax reducer;
  const float inf = std::numeric_limits<float>::infinity();
  const float not_a_number = std::numeric_limits<float>::quiet_NaN();
  const auto result = [&](const std::vector<float>& row, int step = 96) {
    return reducer.finish(laws::fold<float>(reducer, row, 0, step));
  };
  BOOST_TEST(result({}) == -inf);
  BOOST_TEST(result({-inf, -inf}) == -inf);
  BOOST_TEST(result({0}) == 0);
  BOOST_TEST(result({-1e30f}) == -1e30f * 0.6931472f, boost::test_tools::tolerance(1e-6f));
  BOOST_TEST(std::isnan(result({inf})));
  // Wherever the NaN stands, and whatever comes after it.
  for (int at = 0; at < 12; ++at) {
    for (const int step : {1, 4, 5, 12}) {
      std::vector<float> row(12, -inf);
      row[3] = 1;
      row[static_cast<std::size_t>(at)] = not_a_number;
      BOOST_TEST(std::isnan(result(row, step)));
      const auto state = laws::fold<float>(reducer, row, 0, step);
      const auto clean = laws::fold<float>(reducer, {7, 8, 9});
      BOOST_TEST(std::isnan(reducer.merge(state, clean).mass));
      BOOST_TEST(std::isnan(reducer.merge(clean, state).mass));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
