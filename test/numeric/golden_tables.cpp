// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Hashes of whole tables of results, for any machine, compiler and device to be held against. The numbers come from exact rational
/// arithmetic in Python (fractions.Fraction, math.isqrt), which has no code in common with the library or with the oracle of the tests.
#include <boost/test/unit_test.hpp>
#include <cstdint>

#include "golden_hashes.hpp"
#include "tessera/numeric.hpp"

using tessera::bfloat16;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::float8_e5m2;
using tessera::overflow;
using tessera::rounding;

BOOST_AUTO_TEST_SUITE(numeric_golden_tables)

namespace {

/// The convention of golden_hashes.hpp, two bytes a code whatever its width.
template <class T>
constexpr void append(golden::fnv1a& hash, T x) {
  hash.add<2>(tessera::canonical(x).bits);
}

template <class T>
constexpr std::uint64_t roots() {
  golden::fnv1a hash;
  for (std::uint32_t code = 0; code < (1u << T::format::width); ++code) {
    append(hash, sqrt(T::from_bits(static_cast<typename T::bits_type>(code))));
  }
  return hash.value();
}

template <class T, rounding Mode>
constexpr void append_both(golden::fnv1a& hash, float x) {
  append(hash, tessera::round_to<T, Mode>(x));
  append(hash, tessera::round_to<T, Mode, overflow::saturate>(x));
}

/// 2^14 floats of all sizes, in the six modes, each without and with saturation.
template <class T>
std::uint64_t conversions() {
  golden::fnv1a hash;
  for (std::uint32_t i = 0; i < (1u << 14); ++i) {
    const auto x = __builtin_bit_cast(float, i * 0x40003u + 0x1234u);
    append_both<T, rounding::nearest_even>(hash, x);
    append_both<T, rounding::nearest_away>(hash, x);
    append_both<T, rounding::toward_zero>(hash, x);
    append_both<T, rounding::upward>(hash, x);
    append_both<T, rounding::downward>(hash, x);
    append_both<T, rounding::to_odd>(hash, x);
  }
  return hash.value();
}

static_assert(roots<float8_e4m3>() == 0x8cb0968f123c5e87u && roots<float8_e5m2>() == 0x635ae79d630f0e6cu);

}  // namespace

BOOST_AUTO_TEST_CASE(square_roots) {
  BOOST_TEST(roots<float16>() == 0xb5f443afbb022619u);
  BOOST_TEST(roots<bfloat16>() == 0x96e52adca9d109e1u);
  BOOST_TEST(roots<float8_e4m3>() == 0x8cb0968f123c5e87u);
  BOOST_TEST(roots<float8_e5m2>() == 0x635ae79d630f0e6cu);
}

BOOST_AUTO_TEST_CASE(conversions_in_every_mode) {
  BOOST_TEST(conversions<float16>() == 0x3ac93197bd023ebdu);
  BOOST_TEST(conversions<bfloat16>() == 0xb5da2b2b7a7ba4d5u);
  BOOST_TEST(conversions<float8_e4m3>() == 0x8556dc657ce16065u);
  BOOST_TEST(conversions<float8_e5m2>() == 0x29d17d034047c925u);
}

BOOST_AUTO_TEST_SUITE_END()
