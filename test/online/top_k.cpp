// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/online/top_k.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <vector>

#include "laws.hpp"
#include "tessera/reference/contraction.hpp"

namespace {

using tessera::top_k;
namespace reference = tessera::reference;

template <class T>
reference::scored_row<double> scored(const std::vector<T>& row) {
  reference::scored_row<double> result;
  for (std::size_t j = 0; j < row.size(); ++j) result.push_back({static_cast<std::int64_t>(j), static_cast<double>(row[j])});
  return result;
}

template <int K, class State>
int differences(const State& got, const reference::scored_row<double>& want) {
  int wrong = 0;
  for (std::size_t k = 0; k < K; ++k) wrong += static_cast<double>(got.score[k]) != want[k].score || got.where[k] != want[k].key;
  return wrong;
}

template <int K, bool Smallest, class T>
void check_type() {
  const top_k<K, Smallest> reducer;
  int wrong = 0;
  for (auto row : laws::rows<T>()) {
    for (const bool with_nan : {false, true}) {
      if (with_nan) {
        for (std::size_t j = 0; j < row.size(); j += 3) row[j] = tessera::quiet_nan<T>();
      }
      const auto want = reference::top_k<Smallest>{K}(scored(row));
      for (const int step : {1, 7, 96}) wrong += differences<K>(reducer.finish(laws::fold<T>(reducer, row, 0, step)), want);
    }
  }
  BOOST_TEST(wrong == 0);
  laws::each_cut<T>(reducer, [&](const auto& got, const auto&, const std::vector<T>& row) {
    wrong += differences<K>(got, reference::top_k<Smallest>{K}(scored(row)));
  });
  BOOST_TEST(wrong == 0);
  BOOST_TEST((laws::identity_changes<T>(reducer)) == 0);
  BOOST_TEST((laws::pack_differences<T>(reducer)) == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(online_top_k)

BOOST_AUTO_TEST_CASE(smallest_scores) {
  check_type<1, true, float>();
  check_type<4, true, float>();
  check_type<10, true, double>();
}

BOOST_AUTO_TEST_CASE(largest_scores) {
  check_type<3, false, float>();
  check_type<8, false, double>();
}

static_assert(tessera::reducer<top_k<5>, float> && tessera::reducer<top_k<2, false>, double>);

BOOST_AUTO_TEST_CASE(equal_scores_keep_the_order_of_their_keys) {
  const top_k<4> reducer;
  const auto got = laws::fold<float>(reducer, {2, 1, 2, 1, 2, 0, 1});
  const std::int32_t keys[] = {5, 1, 3, 6};
  for (int k = 0; k < 4; ++k) BOOST_TEST(got.where[k] == keys[k]);
}

BOOST_AUTO_TEST_CASE(fewer_keys_than_k) {
  const float inf = std::numeric_limits<float>::infinity();
  const auto got = laws::fold<float>(top_k<4>{}, {3, inf, 2});
  BOOST_TEST((got.where[0] == 2 && got.where[1] == 0 && got.where[2] == -1 && got.where[3] == -1));
  BOOST_TEST((got.score[1] == 3 && got.score[2] == inf && got.score[3] == inf));
}

BOOST_AUTO_TEST_SUITE_END()
