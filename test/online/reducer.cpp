// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The tile of scores that reducers see, and reducers that are not ours.
#include "tessera/online/reducer.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "../support/array.hpp"
#include "../support/random.hpp"
#include "laws.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/reference/contraction.hpp"
#include "tessera/tile/contraction.hpp"

namespace {

using support::matrix;
using tessera::score_tile;
using P = tessera::simd::pack<float>;

/// The smallest and the second smallest score, and where the smallest is: members of both kinds.
struct two_smallest {
  template <class T>
  struct state {
    T first;
    tessera::lane_index<T> where;
    T second;
  };

  template <class T>
  state<T> identity() const {
    const T inf(tessera::infinity<tessera::lane_value<T>>());
    return {inf, tessera::lane_index<T>(-1), inf};
  }
  template <class T>
  void absorb(state<T>& s, const score_tile<T>& tile) const {
    for (int j = 0; j < tile.size(); ++j) {
      const T score = tile[j];
      const auto wins = score < s.first;
      s.second = tessera::select(wins, s.first, tessera::min(s.second, score));
      s.where = tessera::select(wins, tile.key(j), s.where);
      s.first = tessera::select(wins, score, s.first);
    }
  }
  template <class T>
  state<T> merge(const state<T>& a, const state<T>& b) const {
    const auto wins = b.first < a.first;
    return {tessera::select(wins, b.first, a.first), tessera::select(wins, b.where, a.where),
            tessera::min(tessera::max(a.first, b.first), tessera::min(a.second, b.second))};
  }
  template <class T>
  state<T> finish(const state<T>& s) const {
    return s;
  }
};
static_assert(tessera::reducer<two_smallest, float> && tessera::reducer<two_smallest, P>);

}  // namespace

BOOST_AUTO_TEST_SUITE(online_reducer)

BOOST_AUTO_TEST_CASE(a_tile_of_numbers_is_read_by_stride) {
  std::vector<float> scores(40);
  std::iota(scores.begin(), scores.end(), 0.0f);
  const score_tile<float> tile(scores.data() + 1, 4, 10, 700, true);
  BOOST_TEST((tile.size() == 10 && tile.ordinary() && tile[0] == 1 && tile[9] == 37 && tile.key(9) == 709));
  const score_tile<float> part = tile.part(3, 5);
  BOOST_TEST((part.size() == 2 && part.ordinary() && part[0] == 13 && part[1] == 17 && part.key(1) == 704));
  tile.set(2, -5);
  BOOST_TEST(scores[9] == -5);
}

BOOST_AUTO_TEST_CASE(a_tile_of_packs_is_one_row_in_every_lane) {
  alignas(64) float scores[6][2 * P::lanes];
  for (int j = 0; j < 6; ++j) {
    for (int l = 0; l < 2 * P::lanes; ++l) scores[j][l] = static_cast<float>(100 * j + l);
  }
  const score_tile<P> tile(scores[0] + P::lanes, 2 * P::lanes, 6, 50);
  alignas(64) float lanes[P::lanes];
  alignas(64) std::int32_t keys[P::lanes];
  tile[4].store(lanes);
  tile.key(4).store(keys);
  for (int l = 0; l < P::lanes; ++l) BOOST_TEST((lanes[l] == static_cast<float>(400 + P::lanes + l) && keys[l] == 54));
  tile.set(5, P(-1.0f));
  BOOST_TEST((scores[5][P::lanes] == -1 && scores[5][2 * P::lanes - 1] == -1 && scores[5][P::lanes - 1] != -1));
}

BOOST_AUTO_TEST_CASE(tile_extremum_is_the_extremum_or_what_it_must_beat) {
  for (int size = 0; size < 30; ++size) {
    for (int at = 0; at < size; ++at) {
      std::vector<float> scores(static_cast<std::size_t>(size), 5);
      scores[static_cast<std::size_t>(at)] = 9;
      const score_tile<float> tile(scores.data(), 1, size, 0);
      BOOST_TEST(tessera::tile_extremum<true>(tile, -1.0f) == 9);
      BOOST_TEST(tessera::tile_extremum<true>(tile, 10.0f) == 10);
      scores[static_cast<std::size_t>(at)] = 2;
      BOOST_TEST(tessera::tile_extremum<false>(tile, 100.0f) == 2);
      BOOST_TEST(tessera::tile_extremum<false>(tile, 1.0f) == 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_reducer_of_ones_own_obeys_the_laws) {
  const two_smallest reducer;
  BOOST_TEST((laws::identity_changes<float>(reducer)) == 0);
  BOOST_TEST((laws::pack_differences<float>(reducer)) == 0);
  int wrong = 0;
  laws::each_cut<float>(reducer, [&](const auto& got, const auto& whole, const auto&) { wrong += !laws::same_bits(got, whole); });
  BOOST_TEST(wrong == 0);
}

// With any score; distances are exact ones, since it does not say which matter.
BOOST_AUTO_TEST_CASE(a_reducer_of_ones_own_folds_a_contraction) {
  matrix<float> queries({150, 7});
  matrix<float> keys({333, 7});
  queries.fill([](std::uint64_t n) { return support::below(1, n, 9); });
  keys.fill([](std::uint64_t n) { return support::below(2, n, 9); });
  const auto check = [&](const auto& score, const auto& same_score) {
    std::vector<tessera::reference::scored_row<double>> want;
    tessera::reference::contract(queries.view(), keys.view(), same_score, tessera::reference::top_k<>{2},
                                 [&](auto, const auto& row) { want.push_back(row); });
    std::vector<int> emitted(150, 0);
    int wrong = 0;
    contract(tessera::par.threads(1), queries.view(), keys.view(), score, two_smallest{}, [&](std::int64_t i, const auto& got) {
      const auto at = static_cast<std::size_t>(i);
      ++emitted[at];
      wrong += static_cast<double>(got.first) != want[at][0].score || got.where != want[at][0].key ||
               static_cast<double>(got.second) != want[at][1].score;
    });
    for (const int count : emitted) wrong += count != 1;
    BOOST_TEST(wrong == 0);
  };
  check(tessera::dot{}, tessera::reference::dot{});
  check(tessera::squared_distance{}, tessera::reference::squared_distance{});
  check([](auto product, auto, auto) { return product * product; },
        [](const auto& q, const auto& k, std::int64_t i, std::int64_t j) {
          const auto product = tessera::reference::dot{}(q, k, i, j);
          return product * product;
        });
}

BOOST_AUTO_TEST_SUITE_END()
