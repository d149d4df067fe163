// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Folds against the halving tree written out over numbers: the same bits whatever the width of the register.
#include "tessera/simd/fold.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

namespace simd = tessera::simd;

template <class T, class F>
T tree(std::vector<T> x, F f) {
  for (std::size_t half = x.size() / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) x[i] = f(x[i], x[i + half]);
  }
  return x[0];
}

template <class T>
T random_number(std::uint64_t& s) {
  s = s * 6364136223846793005U + 1442695040888963407U;
  const auto k = static_cast<int>(s >> 40) % 2001 - 1000;
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(k);
  } else {
    // Thirds over seven decades, so that another order of summation gives other bits.
    return static_cast<T>(k) / T(3) * static_cast<T>(std::pow(10.0, static_cast<double>(s >> 61)));
  }
}

template <class T, int Elements>
void check_tree() {
  using P = simd::pack<T>;
  if constexpr (Elements >= P::lanes) {
    constexpr int count = Elements / P::lanes;
    std::uint64_t seed = 1;
    int sequential_differs = 0;
    for (int repeat = 0; repeat < 200; ++repeat) {
      std::vector<T> x(Elements);
      for (T& v : x) v = random_number<T>(seed);
      P packs[count];
      for (int i = 0; i < count; ++i) packs[i] = P::load_unaligned(&x[static_cast<std::size_t>(i * P::lanes)]);
      const T sum = tree(x, [](T a, T b) { return static_cast<T>(a + b); });
      BOOST_TEST(simd::fold_add(packs) == sum);
      BOOST_TEST(simd::fold_max(packs) == tree(x, [](T a, T b) { return a > b ? a : b; }));
      BOOST_TEST(simd::fold_min(packs) == tree(x, [](T a, T b) { return a < b ? a : b; }));
      if constexpr (count == 1) {
        BOOST_TEST(simd::fold_add(packs[0]) == sum);
        BOOST_TEST(simd::fold_max(packs[0]) == simd::fold_max(packs));
        BOOST_TEST(simd::fold_min(packs[0]) == simd::fold_min(packs));
      }
      T sequential = 0;
      for (const T v : x) sequential = static_cast<T>(sequential + v);
      sequential_differs += sequential != sum;
    }
    if constexpr (std::is_floating_point_v<T> && Elements >= 4)
      BOOST_TEST(sequential_differs > 0, "the data cannot tell orders apart");
  }
}

template <class T>
void check_sizes() {
  check_tree<T, 2>();
  check_tree<T, 4>();
  check_tree<T, 8>();
  check_tree<T, 16>();
  check_tree<T, 32>();
  check_tree<T, 64>();
}

template <class T>
void check_nan_and_infinity() {
  using P = simd::pack<T>;
  using limits = std::numeric_limits<T>;
  for (int at = 0; at < P::lanes; ++at) {
    T x[P::lanes];
    for (int i = 0; i < P::lanes; ++i) x[i] = static_cast<T>(i);
    x[at] = limits::quiet_NaN();
    BOOST_TEST(std::isnan(simd::fold_add(P::load_unaligned(x))));
    BOOST_TEST(std::isnan(simd::fold_max(P::load_unaligned(x))));
    BOOST_TEST(std::isnan(simd::fold_min(P::load_unaligned(x))));
    x[at] = limits::infinity();
    BOOST_TEST(simd::fold_max(P::load_unaligned(x)) == limits::infinity());
    x[at] = -limits::infinity();
    BOOST_TEST(simd::fold_min(P::load_unaligned(x)) == -limits::infinity());
    BOOST_TEST(simd::fold_add(P::load_unaligned(x)) == -limits::infinity());
  }
  BOOST_TEST(simd::fold_max(P(-limits::infinity())) == -limits::infinity());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_fold)

BOOST_AUTO_TEST_CASE(the_halving_tree_at_every_number_of_elements) {
  check_sizes<float>();
  check_sizes<double>();
  check_sizes<std::int32_t>();
  check_sizes<std::int64_t>();
}

BOOST_AUTO_TEST_CASE(golden_sums) {
  // 16 floats whose halving tree gives 16: (x_i + x_{i+8}) cancels the large pairs first. In sequence the ones would be lost.
  float x[64];
  for (int i = 0; i < 16; ++i) x[i] = i < 8 ? 1e8F : -1e8F;
  for (int i = 0; i < 16; ++i) x[i + 16] = 1.0F;
  using P = simd::pack<float>;
  constexpr int count = 16 / P::lanes;
  P large[count], ones[count];
  for (int i = 0; i < count; ++i) {
    large[i] = P::load_unaligned(x + i * P::lanes);
    ones[i] = P::load_unaligned(x + 16 + i * P::lanes);
  }
  BOOST_TEST(simd::fold_add(large) == 0.0F);
  BOOST_TEST(simd::fold_add(ones) == 16.0F);
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_come_out_of_any_lane) {
  check_nan_and_infinity<float>();
  check_nan_and_infinity<double>();
}

BOOST_AUTO_TEST_SUITE_END()
