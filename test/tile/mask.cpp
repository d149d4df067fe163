// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/mask.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>

#include "tessera/simd/pack.hpp"

namespace {

using tessera::tile_class;

/// What classify and keys say of a tile, counted out pair by pair.
template <class Mask>
int contradictions(const Mask& mask, std::int64_t queries, std::int64_t keys) {
  int wrong = 0;
  for (std::int64_t i0 = 0; i0 < queries; ++i0) {
    for (std::int64_t i1 = i0 + 1; i1 <= queries; ++i1) {
      const tessera::key_range range = mask.keys(i0, i1, keys);
      wrong += range.first < 0 || range.last > keys;
      for (std::int64_t j0 = 0; j0 < keys; ++j0) {
        for (std::int64_t j1 = j0 + 1; j1 <= keys; ++j1) {
          int seen = 0;
          for (std::int64_t i = i0; i < i1; ++i) {
            for (std::int64_t j = j0; j < j1; ++j) {
              const bool visible = mask.visible(i, j);
              seen += visible;
              wrong += visible && (j < range.first || j >= range.last);
            }
          }
          const std::int64_t pairs = (i1 - i0) * (j1 - j0);
          wrong += mask.classify(i0, i1, j0, j1) != (seen == 0       ? tile_class::none
                                                     : seen == pairs ? tile_class::all
                                                                     : tile_class::some);
        }
      }
    }
  }
  return wrong;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_mask)

BOOST_AUTO_TEST_CASE(no_mask_shows_everything) { BOOST_TEST(contradictions(tessera::no_mask{}, 5, 6) == 0); }

BOOST_AUTO_TEST_CASE(causal_mask_agrees_with_its_pairs) {
  for (std::int64_t offset = -7; offset <= 7; ++offset) {
    const auto mask = tessera::causal_mask(offset);
    BOOST_TEST_INFO("offset " << offset);
    BOOST_TEST(contradictions(mask, 6, 7) == 0);
    for (std::int64_t i = 0; i < 6; ++i) {
      for (std::int64_t j = 0; j < 7; ++j) BOOST_TEST(mask.visible(i, j) == (j <= i + offset));
    }
  }
}

BOOST_AUTO_TEST_CASE(lanes_are_shown_like_numbers) {
  using I = tessera::simd::index_pack<float>;
  const auto mask = tessera::causal_mask(-3);
  for (std::int32_t j = 0; j < 40; ++j) {
    const auto shown = mask.visible(I::iota(5), I(j));
    alignas(64) std::int32_t lanes[I::lanes];
    tessera::select(shown, I(1), I(0)).store(lanes);
    for (std::int32_t l = 0; l < I::lanes; ++l) BOOST_TEST((lanes[l] == 1) == (j <= 5 + l - 3));
  }
}

BOOST_AUTO_TEST_SUITE_END()
