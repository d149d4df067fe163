// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/shape.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <type_traits>

#include "tessera/tile/detail/product.hpp"

namespace {

namespace tile = tessera::tile;
using tessera::default_arch;

/// Sums, a row of B and one broadcast number have to stay in registers: a spilt sum costs a third of the speed.
template <class T>
void check_shape() {
  using shape = tile::block_shape<T, default_arch>;
  constexpr int registers = shape::wide ? 32 : 16;
  BOOST_TEST(shape::rows * shape::packs + shape::packs + 1 <= registers);
  BOOST_TEST(shape::rows * shape::packs >= 8);  // two multiply-adds a cycle, four cycles each
  BOOST_TEST(shape::width == shape::packs * tessera::simd::pack<T>::lanes);
  BOOST_TEST(tile::fold_chunk % shape::rows == 0);
  BOOST_TEST(tile::value_chunk % shape::rows == 0);
  BOOST_TEST(tile::detail::stripe_rows % shape::rows == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_shape)

BOOST_AUTO_TEST_CASE(a_register_block_fits_the_registers_and_divides_the_chunks) {
  check_shape<float>();
  check_shape<double>();
}

// Sums run over these: another number is another result, on every machine.
BOOST_AUTO_TEST_CASE(the_numbers_that_are_part_of_the_bits) {
  BOOST_TEST(tile::fold_chunk == 96);
  BOOST_TEST(tile::value_chunk == 192);
  BOOST_TEST(tile::detail::depth_step == 128);
}

BOOST_AUTO_TEST_SUITE_END()
