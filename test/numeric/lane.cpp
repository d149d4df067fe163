// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The vocabulary on plain numbers. Packs are held against it in test/simd/pack.cpp.
#include "tessera/numeric/lane.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace {

template <class T>
void check_selection() {
  constexpr T nan = std::numeric_limits<T>::quiet_NaN();
  BOOST_TEST(tessera::select(true, T(1), T(2)) == T(1));
  BOOST_TEST(tessera::select(false, T(1), T(2)) == T(2));
  BOOST_TEST(tessera::max(T(1), T(2)) == T(2));
  BOOST_TEST(tessera::min(T(1), T(2)) == T(1));
  // NaN comes out of the second place, not of the first.
  BOOST_TEST(std::isnan(tessera::max(T(1), nan)));
  BOOST_TEST(std::isnan(tessera::min(T(1), nan)));
  BOOST_TEST(tessera::max(nan, T(1)) == T(1));
  BOOST_TEST(tessera::min(nan, T(1)) == T(1));
  // Of two zeros the second.
  BOOST_TEST(!std::signbit(tessera::max(T(-0.0), T(0))));
  BOOST_TEST(std::signbit(tessera::max(T(0), T(-0.0))));
  BOOST_TEST(!std::signbit(tessera::min(T(-0.0), T(0))));
}

template <class T>
void check_arithmetic() {
  const T e = std::numeric_limits<T>::epsilon();
  BOOST_TEST(tessera::fma(1 + e, 1 + e, -(1 + 2 * e)) == e * e);
  BOOST_TEST(tessera::sqrt(T(2)) == std::sqrt(T(2)));
  BOOST_TEST(std::isnan(tessera::sqrt(T(-1))));
}

template <class T>
void check_integers() {
  using lane = tessera::lane<T>;
  for (int i = -1000; i <= 1000; ++i) {
    const T x = static_cast<T>(i) / 8;
    BOOST_TEST(lane::round(x) == std::nearbyint(x));
    BOOST_TEST(lane::floor(x) == std::floor(x));
  }
  const T largest = sizeof(T) == 4 ? T(0x1p21) : T(0x1p50);
  for (const T x : {largest - T(0.5), T(0.5) - largest, largest - T(0.25), T(0.25) - largest}) {
    BOOST_TEST(lane::round(x) == std::nearbyint(x));
    BOOST_TEST(lane::floor(x) == std::floor(x));
  }
  constexpr int bias = sizeof(T) == 4 ? 127 : 1023;
  for (int n = 1 - bias; n <= bias; ++n) {
    BOOST_TEST(lane::power_of_two(static_cast<T>(n)) == std::ldexp(T(1), n));
    T rounded = 0;
    BOOST_TEST(lane::template round_and_power<1>(static_cast<T>(n - 1) + T(0.25), rounded) == std::ldexp(T(1), n));
    BOOST_TEST(rounded == static_cast<T>(n - 1));
  }
  BOOST_TEST(lane::power_of_two(static_cast<T>(-bias)) == T(0));
  static_assert(lane::power_of_two(T(3)) == T(8) && lane::round(T(2.5)) == T(2) && lane::floor(T(-0.5)) == T(-1));
}

template <class T>
void check_split() {
  constexpr int bias = sizeof(T) == 4 ? 127 : 1023;
  const int smallest = sizeof(T) == 4 ? -149 : -1074;
  for (int n = smallest; n <= bias; ++n) {
    for (const T m :
         {T(1), T(1.25), T(1.5) - std::numeric_limits<T>::epsilon(), T(1.5), T(2) - std::numeric_limits<T>::epsilon()}) {
      const T x = std::ldexp(m, n);
      if (std::isinf(x)) continue;
      T s = 0, e = 0;
      tessera::lane<T>::split(x, s, e);
      BOOST_TEST((s >= T(0.75) && s < T(1.5)));
      BOOST_TEST(std::ldexp(s, static_cast<int>(e)) == x);
    }
  }
}

template <class T>
void check_ranges() {
  using lane = tessera::lane<T>;
  using limits = std::numeric_limits<T>;
  const T inf = limits::infinity();
  for (const T x : {limits::min(), T(1), limits::max()}) {
    BOOST_TEST(!lane::any_outside(x, limits::min(), inf), x);
    BOOST_TEST(lane::any_outside(-x, limits::min(), inf), -x);
  }
  for (const T x : {T(0), T(-0.0), limits::denorm_min(), std::nextafter(limits::min(), T(0)), -limits::denorm_min(), inf, -inf,
                    limits::quiet_NaN(), -limits::quiet_NaN()}) {
    BOOST_TEST(lane::any_outside(x, limits::min(), inf), x);
  }
  for (const T x : {T(0), limits::denorm_min(), T(1), std::nextafter(T(87), T(0))}) {
    BOOST_TEST((!lane::any_beyond(x, T(87)) && !lane::any_beyond(-x, T(87))), x);
  }
  for (const T x : {T(87), limits::max(), inf, limits::quiet_NaN()}) {
    BOOST_TEST((lane::any_beyond(x, T(87)) && lane::any_beyond(-x, T(87))), x);
  }
}

template <class T>
void check_signs() {
  using lane = tessera::lane<T>;
  using limits = std::numeric_limits<T>;
  const T nan = limits::quiet_NaN();
  for (const T a : {T(0), T(1), T(1.5), limits::denorm_min(), limits::max(), limits::infinity(), nan}) {
    const auto code = lane::to_bits(a);
    BOOST_TEST(lane::to_bits(lane::from_bits(code)) == code);
    for (const T x : {a, -a}) {
      BOOST_TEST(lane::to_bits(lane::abs(x)) == code);
      for (const T sign : {T(0), T(-0.0), T(3), T(-3), limits::infinity(), -limits::infinity(), nan, -nan}) {
        BOOST_TEST(lane::to_bits(tessera::copysign(x, sign)) == lane::to_bits(std::copysign(x, sign)));
        BOOST_TEST(lane::to_bits(tessera::flip_sign(x, sign)) == lane::to_bits(std::signbit(sign) ? -x : x));
      }
    }
  }
  static_assert(tessera::copysign(T(2), T(-0.0)) == T(-2) && tessera::flip_sign(T(-2), T(-1)) == T(2) &&
                lane::abs(T(-3)) == T(3));
  static_assert(lane::to_bits(T(1)) == (sizeof(T) == 4 ? 0x3f800000U : 0x3ff0000000000000U));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_lane)

BOOST_AUTO_TEST_CASE(signs_and_codes) {
  check_signs<float>();
  check_signs<double>();
  BOOST_TEST(tessera::select(true, std::uint32_t(1), std::uint32_t(2)) == 1U);
  BOOST_TEST(tessera::select(false, std::uint64_t(1), std::uint64_t(2)) == 2U);
}

BOOST_AUTO_TEST_CASE(each_lane_is_the_number) {
  float a = 2;
  double b = 3;
  tessera::lane<float>::each([](float& x, double& y) { y += static_cast<double>(x *= 2); }, a, b);
  BOOST_TEST(a == 4.0F);
  BOOST_TEST(b == 7.0);
}

BOOST_AUTO_TEST_CASE(selection_and_the_place_of_nan) {
  check_selection<float>();
  check_selection<double>();
  BOOST_TEST(tessera::select(true, std::int32_t(1), std::int32_t(2)) == 1);
  BOOST_TEST(tessera::select(false, std::int64_t(1), std::int64_t(2)) == 2);
}

BOOST_AUTO_TEST_CASE(ranges_in_one_test) {
  check_ranges<float>();
  check_ranges<double>();
}

BOOST_AUTO_TEST_CASE(arithmetic_rounds_once) {
  check_arithmetic<float>();
  check_arithmetic<double>();
}

BOOST_AUTO_TEST_CASE(nearest_integers_and_powers_of_two) {
  check_integers<float>();
  check_integers<double>();
}

BOOST_AUTO_TEST_CASE(significand_and_exponent) {
  check_split<float>();
  check_split<double>();
}

BOOST_AUTO_TEST_CASE(types_beside_a_number) {
  static_assert(std::is_same_v<tessera::lane_value<float>, float> && std::is_same_v<tessera::lane_index<float>, std::int32_t>);
  static_assert(std::is_same_v<tessera::lane_value<double>, double> && std::is_same_v<tessera::lane_index<double>, std::int64_t>);
  BOOST_TEST(tessera::lane<float>::width == 1);
}

BOOST_AUTO_TEST_SUITE_END()
