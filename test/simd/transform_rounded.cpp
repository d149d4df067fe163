// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Functions of arrays of 16-bit numbers: on all inputs the tables whose hashes are committed.
#include "tessera/simd/transform_rounded.hpp"

#include <boost/test/unit_test.hpp>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../numeric/golden_hashes.hpp"
#include "../support/error.hpp"
#include "tessera/numeric.hpp"

namespace {

namespace simd = tessera::simd;
using tessera::bfloat16;
using tessera::float16;

template <class T>
std::vector<T> all_codes() {
  std::vector<T> x(0x10000);
  for (std::uint32_t code = 0; code < 0x10000; ++code) x[code] = T::from_bits(static_cast<std::uint16_t>(code));
  return x;
}

std::uint64_t golden_hash(const char* name, std::uint64_t golden::entry::* of) {
  for (const golden::entry& e : golden::tables) {
    if (std::strcmp(e.name, name) == 0) return e.*of;
  }
  return 0;
}
template <class T>
constexpr std::uint64_t golden::entry::* hash_of =
    std::same_as<T, float16> ? &golden::entry::of_float16 : &golden::entry::of_bfloat16;

template <class T, class F>
void check(const char* name, F f) {
  const std::vector<T> x = all_codes<T>();
  std::vector<T> y(x.size());
  simd::transform_rounded(x.data(), y.data(), 0x10000, f);
  golden::fnv1a hash;
  for (const T v : y) hash.add<2>(canonical(v).bits);
  BOOST_TEST_CONTEXT(name << (std::same_as<T, float16> ? " of float16" : " of bfloat16")) {
    BOOST_TEST(hash.value() == golden_hash(name, hash_of<T>));
    if (hash.value() != golden_hash(name, hash_of<T>)) {
      std::int64_t wrong = 0, first = -1;
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (canonical(y[i]).bits != canonical(f(x[i])).bits && wrong++ == 0) first = static_cast<std::int64_t>(i);
      }
      BOOST_TEST_MESSAGE(wrong << " differ from the scalar function, the first is code " << first);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_transform_rounded)

#define CHECK_FUNCTION(name)                           \
  BOOST_AUTO_TEST_CASE(name##_has_the_golden_table) {  \
    check<float16>(#name, tessera::function::name{});  \
    check<bfloat16>(#name, tessera::function::name{}); \
  }
GOLDEN_FUNCTIONS(CHECK_FUNCTION, CHECK_FUNCTION)

/// Any length, any alignment, in place: nothing but the n numbers is touched.
BOOST_AUTO_TEST_CASE(every_length_and_in_place) {
  constexpr int most = 3 * simd::pack<float>::lanes + 1;
  for (int n = 0; n <= most; ++n) {
    std::vector<float16> x(static_cast<std::size_t>(n) + 2), y(x.size(), float16(7));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = float16(0.01F * static_cast<float>(i) + 0.3F);
    std::vector<float16> z = x;
    simd::transform_rounded(x.data() + 1, y.data() + 1, n, tessera::function::tanh{});
    simd::transform_rounded(z.data() + 1, z.data() + 1, n, tessera::function::tanh{});
    for (std::size_t i = 0; i < x.size(); ++i) {
      const bool inside = i >= 1 && i <= static_cast<std::size_t>(n);
      BOOST_TEST(y[i].bits == (inside ? tessera::tanh(x[i]) : float16(7)).bits);
      BOOST_TEST(z[i].bits == (inside ? tessera::tanh(x[i]) : x[i]).bits);
    }
  }
  simd::transform_rounded(static_cast<const float16*>(nullptr), static_cast<float16*>(nullptr), 0, tessera::function::exp{});
}

BOOST_AUTO_TEST_CASE(a_negative_length_is_refused) {
  float16 x(1), y(2);
  BOOST_CHECK_EXCEPTION(
      simd::transform_rounded(&x, &y, -1, tessera::function::exp{}), tessera::argument_error,
      [](const auto& e) { return std::strcmp(e.what(), "simd::transform_rounded: n: -1; needs to be 0 or more") == 0; });
  BOOST_TEST(y.bits == float16(2).bits);
}

BOOST_AUTO_TEST_SUITE_END()
