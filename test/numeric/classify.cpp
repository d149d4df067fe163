// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/classify.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "oracle.hpp"

using numeric_test::oracle;
using numeric_test::oracle_of;
using numeric_test::tally;
using tessera::bfloat16;
using tessera::float16;

BOOST_AUTO_TEST_SUITE(numeric_classify)

static_assert(tessera::isnan(tessera::quiet_nan<float16>()) && tessera::isinf(tessera::infinity<bfloat16>()));
static_assert(tessera::signbit(-0.0f) && tessera::abs(-2.0) == 2.0 && tessera::abs(float16(-2)) == float16(2));

using sixteen_bits = boost::mpl::list<float16, bfloat16>;
using standard_types = boost::mpl::list<float, double>;

BOOST_AUTO_TEST_CASE_TEMPLATE(every_code, T, sixteen_bits) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint32_t code = 0; code < 0x10000; ++code) {
    const T x = T::from_bits(static_cast<std::uint16_t>(code));
    const std::uint32_t magnitude = code & 0x7fff;
    result.add(tessera::isnan(x) == (magnitude > o.infinity()), code);
    result.add(tessera::isinf(x) == (magnitude == o.infinity()), code);
    result.add(tessera::isfinite(x) == (magnitude < o.infinity()), code);
    result.add(tessera::signbit(x) == (code >= 0x8000), code);
    result.add(tessera::abs(x).bits == magnitude, code);
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(agrees_with_the_standard_library, T, standard_types) {
  using limits = std::numeric_limits<T>;
  for (const T x : {T(0), T(1), limits::denorm_min(), limits::min(), limits::max(), limits::infinity(), limits::quiet_NaN()}) {
    for (const T y : {x, -x}) {
      BOOST_TEST(tessera::isnan(y) == std::isnan(y));
      BOOST_TEST(tessera::isinf(y) == std::isinf(y));
      BOOST_TEST(tessera::isfinite(y) == std::isfinite(y));
      BOOST_TEST(tessera::signbit(y) == std::signbit(y));
      BOOST_TEST(tessera::to_bits(tessera::abs(y)) == tessera::to_bits(std::fabs(y)));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
