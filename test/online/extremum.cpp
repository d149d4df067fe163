// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/online/extremum.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "laws.hpp"
#include "tessera/reference/contraction.hpp"

namespace {

using tessera::argmax;
using tessera::argmin;
namespace reference = tessera::reference;

template <class T>
reference::scored_row<double> scored(const std::vector<T>& row) {
  reference::scored_row<double> result;
  for (std::size_t j = 0; j < row.size(); ++j) result.push_back({static_cast<std::int64_t>(j), static_cast<double>(row[j])});
  return result;
}

template <class T>
bool same(const tessera::extremum<T>& got, const reference::scored_key<double>& want) {
  const auto score = static_cast<double>(got.score);
  return (score == want.score || (std::isnan(score) && std::isnan(want.score))) && got.where == want.key;
}

/// The rows of the laws, and the same with NaN at some places.
template <class T>
std::vector<std::vector<T>> rows_with_nan() {
  auto result = laws::rows<T>();
  const std::size_t clean = result.size();
  for (std::size_t r = 0; r < clean; ++r) {
    auto row = result[r];
    for (std::size_t j = 0; j < row.size(); ++j) {
      if (support::below(7, j + r, 5) == 0) row[j] = tessera::quiet_nan<T>();
    }
    result.push_back(row);
  }
  return result;
}

template <bool Smallest, class T>
void check_type() {
  const tessera::detail::extremum_reducer<Smallest> reducer;
  int wrong = 0;
  for (const auto& row : rows_with_nan<T>()) {
    const auto want = reference::extremum<Smallest>{}(scored(row));
    for (const int step : {1, 5, 96}) wrong += !same(reducer.finish(laws::fold<T>(reducer, row, 0, step)), want);
    // Cut anywhere; the two parts in either order.
    for (std::uint64_t n = 0; n < 5; ++n) {
      const std::int64_t at = support::below(8, n, static_cast<std::int64_t>(row.size()) + 1);
      const auto a = laws::fold<T>(reducer, std::vector<T>(row.begin(), row.begin() + at));
      const auto b = laws::fold<T>(reducer, std::vector<T>(row.begin() + at, row.end()), at);
      wrong += !same(reducer.merge(a, b), want) + !same(reducer.merge(b, a), want);
    }
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST((laws::identity_changes<T>(reducer)) == 0);
  BOOST_TEST((laws::pack_differences<T>(reducer)) == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(online_extremum)

BOOST_AUTO_TEST_CASE(argmin_in_float32_and_float64) {
  check_type<true, float>();
  check_type<true, double>();
}
BOOST_AUTO_TEST_CASE(argmax_in_float32_and_float64) {
  check_type<false, float>();
  check_type<false, double>();
}

static_assert(tessera::reducer<argmin, float> && tessera::reducer<argmax, double>);

// A tile that is said to hold no NaN takes a way of its own.
BOOST_AUTO_TEST_CASE(ordinary_tiles_give_the_same) {
  int wrong = 0;
  for (auto row : laws::rows<float>()) {
    const auto fold = [&](const auto& reducer, bool ordinary) {
      auto state = reducer.template identity<float>();
      for (std::size_t j = 0; j < row.size(); j += 13) {
        const auto count = static_cast<int>(row.size() - j < 13 ? row.size() - j : 13);
        reducer.absorb(state, tessera::score_tile<float>(row.data() + j, 1, count, static_cast<std::int64_t>(j), ordinary));
      }
      return state;
    };
    wrong += !laws::same_bits(fold(argmin{}, true), fold(argmin{}, false));
    wrong += !laws::same_bits(fold(argmax{}, true), fold(argmax{}, false));
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(rows_without_a_winner) {
  const float inf = std::numeric_limits<float>::infinity();
  const double far = std::numeric_limits<double>::infinity();
  BOOST_TEST((same(laws::fold<float>(argmin{}, {}), {-1, far})));
  BOOST_TEST((same(laws::fold<float>(argmin{}, {inf, inf}), {-1, far})));
  BOOST_TEST((same(laws::fold<float>(argmin{}, {inf, -inf}), {1, -far})));
  BOOST_TEST((same(laws::fold<float>(argmax{}, {-inf, -inf}), {-1, -far})));
  BOOST_TEST((same(laws::fold<float>(argmax{}, {0.0f, -0.0f}), {0, 0})));
}

BOOST_AUTO_TEST_SUITE_END()
