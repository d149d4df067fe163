// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/score.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>

#include "../support/array.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/simd/pack.hpp"

namespace {

using P = tessera::simd::pack<float>;
using I = tessera::simd::index_pack<float>;

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_score)

static_assert(tessera::distance_score<tessera::squared_distance> && tessera::distance_score<tessera::gaussian>);
static_assert(!tessera::distance_score<tessera::dot> && !tessera::distance_score<tessera::scaled_dot>);
static_assert(tessera::detail::is_linear<tessera::dot> && tessera::detail::is_linear<tessera::scaled_dot>);
static_assert(!tessera::detail::is_linear<tessera::scaled_dot_bias<float>>);

BOOST_AUTO_TEST_CASE(factors) {
  BOOST_TEST(tessera::dot{}(3.5f, 1, 2) == 3.5f);
  BOOST_TEST(tessera::scaled_dot{-4}.query_scale() == -4);
  BOOST_TEST(tessera::scaled_dot{-4}(3.5f, 1, 2) == 3.5f);  // the product comes scaled
  BOOST_TEST(tessera::squared_distance{}.distance_factor() == 1);
  BOOST_TEST(tessera::gaussian{0.5}.distance_factor() == -2);
}

BOOST_AUTO_TEST_CASE(a_bias_is_that_of_the_pair_and_never_read_outside) {
  support::matrix<tessera::float16> bias({5, 9}, {7});
  bias.fill([](std::uint64_t n) { return n; });
  const tessera::scaled_dot_bias<tessera::float16> score{1, bias.view()};
  for (std::int32_t i = 0; i < 5; ++i) {
    for (std::int32_t j = 0; j < 9; ++j) BOOST_TEST(score(0.5f, i, j) == 0.5f + static_cast<float>(9 * i + j));
  }
  // A pack of rows that ends past the last one, and keys past the last one: any number, but not the NaN around.
  for (std::int32_t j = 0; j < 16; ++j) {
    alignas(64) float lanes[P::lanes];
    score(P(0.5f), I::iota(2), I(j)).store(lanes);
    for (int l = 0; l < P::lanes; ++l) {
      const bool inside = 2 + l < 5 && j < 9;
      BOOST_TEST((inside ? lanes[l] == 0.5f + static_cast<float>(9 * (2 + l) + j) : lanes[l] == lanes[l]));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
