// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Products and sums in parts, held against the fma of numbers, which is one rounding everywhere.
#include "tessera/numeric/detail/exact_product.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>

#include "sweep.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/simd/pack.hpp"

namespace {

namespace simd = tessera::simd;

/// Calls see(a, b, c) with numbers of both signs from 1/2 to 2, of all their bits.
template <class T, class See>
void for_numbers(See see) {
  std::uint64_t s = 1;
  const auto next = [&] {
    s = s * 6364136223846793005U + 1442695040888963407U;
    const T size = T(0.5) + T(1.5) * static_cast<T>(s >> 11) * T(0x1p-53);
    return (s & 0x400) != 0 ? size : -size;
  };
  for (int i = 0; i < 20000; ++i) {
    const T a = next();
    const T b = next();
    see(a, b, next());
  }
}

template <class T>
void check_products() {
  using P = simd::pack<T>;
  for_numbers<T>([](T a, T b, T) {
    P high, low;
    tessera::detail::exact_product(P(a), P(b), high, low);
    BOOST_TEST(high.first() == a * b);
    BOOST_TEST(low.first() == tessera::fma(a, b, -high.first()));
    const T upper_a = tessera::detail::upper_half(P(a)).first();
    const T upper_b = tessera::detail::upper_half(P(b)).first();
    BOOST_TEST(tessera::fma(upper_a, upper_b, -(upper_a * upper_b)) == T(0));
    BOOST_TEST(std::abs(a - upper_a) < std::abs(a) * (sizeof(T) == 4 ? T(0x1p-11) : T(0x1p-25)));
  });
}

/// Where the sum cancels, it is exact. Elsewhere a rounding may go the other way, but only where the sum is almost half way.
template <class T>
void check_sums() {
  using P = simd::pack<T>;
  int other = 0;
  for_numbers<T>([&](T a, T b, T c) {
    const T product = a * b;
    BOOST_TEST(tessera::detail::fma_once(P(a), P(b), P(-product)).first() == tessera::fma(a, b, -product));
    const T beside = std::nextafter(-product, c);
    BOOST_TEST(tessera::detail::fma_once(P(a), P(b), P(beside)).first() == tessera::fma(a, b, beside));
    const T sum = tessera::detail::fma_once(P(a), P(b), P(c)).first();
    const T want = tessera::fma(a, b, c);
    other += sum != want;
    BOOST_TEST((sum == want || sum == std::nextafter(want, sum)), a << " * " << b << " + " << c << ": " << sum);
  });
  BOOST_TEST(other < (pack_test::fused ? 1 : 20));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_exact_product)

BOOST_AUTO_TEST_CASE(a_product_comes_whole) {
  check_products<float>();
  check_products<double>();
}

BOOST_AUTO_TEST_CASE(a_product_and_a_sum_are_rounded_once) {
  check_sums<float>();
  check_sums<double>();
}

BOOST_AUTO_TEST_SUITE_END()
