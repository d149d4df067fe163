// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/ulp.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "oracle.hpp"

using numeric_test::all_formats;
using numeric_test::mix;
using numeric_test::of_code;
using numeric_test::oracle;
using numeric_test::oracle_of;
using numeric_test::tally;
using numeric_test::top;
using tessera::bfloat16;
using tessera::float16;
using tessera::ulp_distance;
using tessera::ulp_error;
using tessera::ulp_index;

BOOST_AUTO_TEST_SUITE(numeric_ulp)

namespace {

using standard_types = boost::mpl::list<float, double>;
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

static_assert(ulp_distance(1.0f, 1.0f + 0x1p-23f) == 1 && ulp_distance(-0.0, 0.0) == 0);
static_assert(ulp_error(1.0f, 1 + 0x1p-24) == 0.5);

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(index_counts_the_values_in_order, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  const auto end = static_cast<int>(o.specials() == top::ieee ? o.past() : o.past() - 1);
  for (int i = -end; i < end; ++i) {
    const auto at = [&](int n) {
      return of_code<T>(n < 0 ? o.sign() + static_cast<std::uint32_t>(-n) : static_cast<std::uint32_t>(n));
    };
    result.add(ulp_index(at(i)) == i && at(i) < at(i + 1) && ulp_distance(at(i), at(i + 1)) == 1 &&
                   ulp_distance(at(i), at(end)) == static_cast<std::uint64_t>(end - i),
               static_cast<std::uint64_t>(i + end));
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(distance_steps_as_nextafter_does, T, standard_types) {
  using limits = std::numeric_limits<T>;
  const T end = limits::infinity();
  for (const T start : {T(0), limits::denorm_min(), limits::min(), T(1), T(-1), -limits::min(), limits::lowest(), T(3e38)}) {
    T x = start;
    for (std::uint64_t n = 1; n <= 100; ++n) {
      x = std::nextafter(x, end);
      BOOST_TEST(ulp_distance(start, x) == n);
      BOOST_TEST(ulp_distance(x, start) == n);
    }
  }
  BOOST_TEST(ulp_distance(limits::max(), end) == 1u);
  BOOST_TEST(ulp_distance(-end, end) == 2 * static_cast<std::uint64_t>(ulp_index(end)));
  BOOST_TEST(ulp_distance(limits::quiet_NaN(), -limits::signaling_NaN()) == 0u);
  BOOST_TEST(ulp_distance(limits::quiet_NaN(), T(1)) == ~std::uint64_t{0});
  BOOST_TEST(ulp_distance(end, limits::quiet_NaN()) == ~std::uint64_t{0});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_correct_rounding_is_within_half, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint64_t i = 0; i < (1u << 18); ++i) {
    const double x = std::ldexp(1 + static_cast<double>(mix(i) >> 12) * 0x1p-52, static_cast<int>(mix(~i) % 270) - 140);
    const double error = ulp_error(T(x), x);
    if (o.specials() != top::none || x < 7) {
      result.add(error <= 0.5 && error >= 0 && ulp_error(-T(x), -x) == error, i);
    }
    // The spacing at x, from the oracle's table: between the neighbours of x towards zero.
    if (x < o.largest() && !o.is_nan(T(x).bits)) {
      const std::uint32_t code = T(x).bits;
      const std::uint32_t low = o.value(code) > x ? code - 1 : code;
      const double spacing = o.midpoint(low) * 2 - o.value(low) - o.value(low);
      result.add(error == std::fabs(static_cast<double>(T(x)) - x) / spacing, i);
    }
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE(golden_errors) {
  BOOST_TEST(ulp_error(1.0f, 1 + 0x1p-23) == 1.0);
  BOOST_TEST(ulp_error(1.0f, 1 - 0x1p-24) == 1.0);  // below 1 the spacing is half
  BOOST_TEST(ulp_error(3.0f, 1.0) == 0x1p24);
  BOOST_TEST(ulp_error(0.0f, 0.0) == 0.0);
  BOOST_TEST(ulp_error(-0.0f, 0.0) == 0.0);
  BOOST_TEST(ulp_error(0.0f, 0x1p-149) == 1.0);
  BOOST_TEST(ulp_error(0x1p-149f, 0.0) == 1.0);
  BOOST_TEST(ulp_error(0.0f, 0x1p-1074) == 0x1p-925);
  BOOST_TEST(ulp_error(float16(2048), 2049.0) == 0.5);
  BOOST_TEST(ulp_error(bfloat16(1), 1 + 0x1p-9) == 0.25);
  BOOST_TEST(ulp_error(1.0, 1 + 0x1p-52) == 1.0);
  BOOST_TEST(ulp_error(0.0, std::numeric_limits<double>::denorm_min()) == 1.0);
  BOOST_TEST(ulp_error(std::numeric_limits<double>::max(), std::nextafter(std::numeric_limits<double>::max(), 0.0)) == 1.0);
}

BOOST_AUTO_TEST_CASE(special_values) {
  const float infinite = std::numeric_limits<float>::infinity();
  const float none = std::numeric_limits<float>::quiet_NaN();
  BOOST_TEST(ulp_error(none, nan) == 0.0);
  BOOST_TEST(ulp_error(none, 1.0) == inf);
  BOOST_TEST(ulp_error(1.0f, nan) == inf);
  BOOST_TEST(ulp_error(infinite, inf) == 0.0);
  BOOST_TEST(ulp_error(-infinite, inf) == inf);
  BOOST_TEST(ulp_error(std::numeric_limits<float>::max(), inf) == inf);
  // Overflow: right where rounding overflows, one step off where the largest value was due.
  BOOST_TEST(ulp_error(infinite, 1e39) == 0.0);
  BOOST_TEST(ulp_error(-infinite, -1e300) == 0.0);
  BOOST_TEST(ulp_error(infinite, -1e39) == inf);
  BOOST_TEST(ulp_error(infinite, 0x1.ffffffp127) == 0.0);
  BOOST_TEST(ulp_error(infinite, static_cast<double>(std::numeric_limits<float>::max())) == 1.0);
  BOOST_TEST(ulp_error(infinite, 0x1p127) == 0x1p23);
  BOOST_TEST(ulp_error(std::numeric_limits<float>::max(), 0x1p128) == 1.0);
  BOOST_TEST(ulp_error(infinite, 1.0) == 0x1p151);
}

BOOST_AUTO_TEST_CASE(types_without_infinity) {
  using tessera::float4_e2m1;
  using tessera::float8_e4m3;
  const float8_e4m3 none = tessera::quiet_nan<float8_e4m3>();
  const float8_e4m3 largest(448);
  BOOST_TEST(ulp_error(none, nan) == 0.0);
  BOOST_TEST(ulp_error(none, inf) == 0.0);  // what infinity becomes
  BOOST_TEST(ulp_error(none, 465.0) == 0.0);
  BOOST_TEST(ulp_error(none, 464.0) == inf);  // rounds to 448
  BOOST_TEST(ulp_error(none, 1.0) == inf);
  BOOST_TEST(ulp_error(largest, 464.0) == 0.5);
  BOOST_TEST(ulp_error(largest, 512.0) == 2.0);  // saturated
  BOOST_TEST(ulp_error(largest, inf) == inf);
  BOOST_TEST(ulp_error(largest, nan) == inf);
  BOOST_TEST(ulp_error(float4_e2m1(6), inf) == 0.0);
  BOOST_TEST(ulp_error(float4_e2m1(-6), -inf) == 0.0);
  BOOST_TEST(ulp_error(float4_e2m1(-6), inf) == inf);
  BOOST_TEST(ulp_error(float4_e2m1(6), nan) == 0.0);
  BOOST_TEST(ulp_error(float4_e2m1(4), 5.0) == 0.5);
}

BOOST_AUTO_TEST_SUITE_END()
