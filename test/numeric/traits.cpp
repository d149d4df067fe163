// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/traits.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "oracle.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float4.hpp"
#include "tessera/numeric/float8.hpp"

using tessera::bfloat16;
using tessera::float16;
using tessera::float4_e2m1;
using tessera::float8_e4m3;
using tessera::float8_e5m2;

BOOST_AUTO_TEST_SUITE(numeric_traits)

namespace {

static_assert(tessera::floating<float> && tessera::floating<double> && tessera::floating<float16> && tessera::floating<bfloat16>);
static_assert(tessera::floating<const float> && tessera::floating<const volatile bfloat16>);
static_assert(!tessera::floating<int> && !tessera::floating<bool> && !tessera::floating<long double> &&
              !tessera::floating<float&>);
static_assert(!tessera::floating<float8_e4m3> && tessera::storage<float8_e4m3> && tessera::storage<double>);
static_assert(!tessera::floating<float8_e5m2> && tessera::storage<const float8_e5m2> && tessera::storage<float4_e2m1>);
static_assert(!tessera::storage<std::uint16_t>);
static_assert(!std::is_floating_point_v<float16>);  // specialising it would be undefined

static_assert(std::is_same_v<tessera::compute_t<float16>, float> && std::is_same_v<tessera::compute_t<const bfloat16>, float>);
static_assert(std::is_same_v<tessera::compute_t<float>, float> && std::is_same_v<tessera::compute_t<double>, double>);
static_assert(std::is_same_v<tessera::format_of_t<float16>, tessera::binary16>);
static_assert(std::is_same_v<tessera::format_of_t<const double>, tessera::binary64>);

static_assert(tessera::unit_roundoff<float16> == 0x1p-11 && tessera::unit_roundoff<bfloat16> == 0x1p-8);
static_assert(tessera::unit_roundoff<float> == 0x1p-24 && tessera::unit_roundoff<double> == 0x1p-53);

static_assert(tessera::to_bits(1.0f) == 0x3f800000u && tessera::to_bits(-0.0) == 0x8000000000000000u);
static_assert(tessera::to_bits(float16(1)) == 0x3c00 && tessera::from_bits<bfloat16>(0x3f80) == bfloat16(1));
static_assert(std::is_same_v<decltype(tessera::to_bits(float16(1))), std::uint16_t>);

template <class T>
constexpr bool agrees_with_numeric_limits() {
  using limits = std::numeric_limits<T>;
  return tessera::infinity<T>() == limits::infinity() && tessera::max_finite<T>() == limits::max() &&
         tessera::min_normal<T>() == limits::min() &&
         tessera::to_bits(tessera::quiet_nan<T>()) == tessera::to_bits(limits::quiet_NaN()) &&
         tessera::machine_epsilon<T> == static_cast<double>(limits::epsilon());
}
static_assert(agrees_with_numeric_limits<float>() && agrees_with_numeric_limits<double>());
static_assert(agrees_with_numeric_limits<float8_e5m2>());
static_assert(tessera::max_finite<float8_e4m3>() == 448 && tessera::min_normal<float8_e4m3>() == 0x1p-6f);
static_assert(tessera::quiet_nan<float8_e4m3>().bits == 0x7f && tessera::max_finite<float4_e2m1>() == 6);
template <class T>
concept can_be_infinite = requires { tessera::infinity<T>(); };
template <class T>
concept can_be_nan = requires { tessera::quiet_nan<T>(); };
static_assert(can_be_infinite<float8_e5m2> && !can_be_infinite<float8_e4m3> && !can_be_infinite<float4_e2m1>);
static_assert(can_be_nan<float8_e5m2> && can_be_nan<float8_e4m3> && !can_be_nan<float4_e2m1>);
static_assert(std::is_same_v<tessera::compute_t<float8_e4m3>, float> && tessera::unit_roundoff<float8_e4m3> == 0x1p-4);
static_assert(agrees_with_numeric_limits<float16>() && agrees_with_numeric_limits<bfloat16>());

}  // namespace

BOOST_AUTO_TEST_CASE(unit_roundoff_bounds_one_rounding) {
  double worst_half = 0;
  double worst_brain = 0;
  for (double x = 1; x < 2; x += 0x1p-14) {
    worst_half = std::max(worst_half, std::fabs(static_cast<double>(float16(x)) - x) / x);
    worst_brain = std::max(worst_brain, std::fabs(static_cast<double>(bfloat16(x)) - x) / x);
  }
  BOOST_TEST(worst_half <= tessera::unit_roundoff<float16>);
  BOOST_TEST(worst_half > 0.99 * tessera::unit_roundoff<float16>);
  BOOST_TEST(worst_brain <= tessera::unit_roundoff<bfloat16>);
  BOOST_TEST(worst_brain > 0.99 * tessera::unit_roundoff<bfloat16>);
}

BOOST_AUTO_TEST_SUITE_END()
