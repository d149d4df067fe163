// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Rounding by chance with addressed bits: which bits an index reads, and what they do. Bulk rounding: test/tile/convert_stochastic.cpp.
#include "tessera/random/stochastic_rounding.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>

#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/numeric/traits.hpp"

using tessera::bfloat16;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::float8_e5m2;
using tessera::overflow;
namespace random_numbers = tessera::random;

BOOST_AUTO_TEST_SUITE(random_stochastic_rounding)

// Philox's own words, read by hand.
BOOST_AUTO_TEST_CASE(an_index_reads_its_half_of_a_word) {
  const float x = 1.0F + 0x1p-9F;  // a quarter of the way to the next bfloat16
  for (std::uint64_t index = 0; index < 4000; ++index) {
    const auto block = random_numbers::philox(5, 6, index / 8);
    const std::uint32_t word = block[static_cast<int>(index % 8 / 2)];
    const std::uint32_t half = index % 2 == 0 ? word & 0xffff : word >> 16;
    const float want = half >= 0xc000 ? 1.0F + 0x1p-7F : 1.0F;
    BOOST_REQUIRE(static_cast<float>(random_numbers::round_stochastic<bfloat16>(x, 5, 6, index)) == want);
    BOOST_REQUIRE(static_cast<float>(random_numbers::round_stochastic<bfloat16>(-x, 5, 6, index)) == -want);
    BOOST_REQUIRE(static_cast<float>(random_numbers::round_stochastic<bfloat16>(static_cast<double>(x), 5, 6, index)) == want);
  }
}

// Over all random halves the mean is exact where the discarded part has at most 16 bits, below the normal range as well.
BOOST_AUTO_TEST_CASE(sixteen_bits_have_no_bias) {
  const auto mean = [](auto target, float x) {
    using Out = decltype(target);
    double sum = 0;
    for (std::uint32_t h = 0; h < 65536; ++h) sum += static_cast<double>(tessera::round_stochastic<Out>(x, h << 16));
    return sum / 65536;
  };
  for (std::uint32_t i = 0; i < 200; ++i) {
    const auto part = static_cast<float>(support::below(4, i, 1 << 13)) * 0x1p-13F;  // of a last place
    BOOST_TEST(mean(float16{}, 1.0F + part * 0x1p-10F) == static_cast<double>(1.0F + part * 0x1p-10F));
    BOOST_TEST(mean(float16{}, -(5.0F + part) * 0x1p-24F) == static_cast<double>(-(5.0F + part) * 0x1p-24F));
    BOOST_TEST(mean(float8_e4m3{}, (9.0F + part) * 0x1p-3F) == static_cast<double>((9.0F + part) * 0x1p-3F));
    BOOST_TEST(mean(float8_e4m3{}, (3.0F + part) * 0x1p-9F) == static_cast<double>((3.0F + part) * 0x1p-9F));
    BOOST_TEST(mean(float8_e5m2{}, (2.0F + part) * 0x1p-16F) == static_cast<double>((2.0F + part) * 0x1p-16F));
  }
}

BOOST_AUTO_TEST_CASE(special_values) {
  const float inf = __builtin_inff();
  for (std::uint64_t i = 0; i < 100; ++i) {
    BOOST_TEST(random_numbers::round_stochastic<bfloat16>(inf, 1, 2, i).bits == 0x7f80);
    BOOST_TEST(random_numbers::round_stochastic<bfloat16>(-inf, 1, 2, i).bits == 0xff80);
    BOOST_TEST((random_numbers::round_stochastic<bfloat16, overflow::saturate>(-inf, 1, 2, i).bits) == 0xff7f);
    BOOST_TEST(random_numbers::round_stochastic<bfloat16>(-0.0F, 1, 2, i).bits == 0x8000);
    BOOST_TEST(random_numbers::round_stochastic<bfloat16>(tessera::from_bits<float>(0x7f80ffff), 1, 2, i).bits == 0x7fc0);
    BOOST_TEST(random_numbers::round_stochastic<float16>(1e9F, 1, 2, i).bits == 0x7c00);
  }
}

// Known in constant expressions, as on a device.
static_assert(random_numbers::detail::half_word(0, 0, 0) == 0xe8d5 && random_numbers::detail::half_word(0, 0, 1) == 0x6627);
static_assert(random_numbers::round_stochastic<bfloat16>(1.0F + 0x1p-8F, 0, 0, 0).bits ==
              0x3f81);  // half a place up, of 0xe8d5 / 2^16
static_assert(random_numbers::round_stochastic<bfloat16>(1.0F + 0x1p-8F, 0, 0, 1).bits == 0x3f80);

BOOST_AUTO_TEST_SUITE_END()
