// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/classify.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "oracle.hpp"

using numeric_test::all_formats;
using numeric_test::of_code;
using numeric_test::oracle;
using numeric_test::oracle_of;
using numeric_test::tally;
using tessera::bfloat16;
using tessera::float16;

BOOST_AUTO_TEST_SUITE(numeric_classify)

static_assert(tessera::isnan(tessera::quiet_nan<float16>()) && tessera::isinf(tessera::infinity<bfloat16>()));
static_assert(tessera::signbit(-0.0f) && tessera::abs(-2.0) == 2.0 && tessera::abs(float16(-2)) == float16(2));

static_assert(tessera::canonical(-tessera::quiet_nan<float>()) != 0.0f && tessera::canonical(-2.0) == -2.0);

using standard_types = boost::mpl::list<float, double>;

BOOST_AUTO_TEST_CASE_TEMPLATE(every_code, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint32_t code = 0; code < o.codes(); ++code) {
    const T x = of_code<T>(code);
    const std::uint32_t magnitude = code & (o.sign() - 1);
    result.add(tessera::isnan(x) == o.is_nan(code), code);
    result.add(tessera::isinf(x) == std::isinf(o.value(code)), code);
    result.add(tessera::isfinite(x) == std::isfinite(o.value(code)), code);
    result.add(tessera::signbit(x) == (code >= o.sign()), code);
    result.add(tessera::abs(x).bits == magnitude, code);
    result.add(tessera::canonical(x).bits == (o.is_nan(code) ? std::numeric_limits<T>::quiet_NaN().bits : code), code);
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(agrees_with_the_standard_library, T, standard_types) {
  using limits = std::numeric_limits<T>;
  for (const T x : {T(0), T(1), limits::denorm_min(), limits::min(), limits::max(), limits::infinity(), limits::quiet_NaN(),
                    limits::signaling_NaN()}) {
    for (const T y : {x, -x}) {
      BOOST_TEST(tessera::isnan(y) == std::isnan(y));
      BOOST_TEST(tessera::isinf(y) == std::isinf(y));
      BOOST_TEST(tessera::isfinite(y) == std::isfinite(y));
      BOOST_TEST(tessera::signbit(y) == std::signbit(y));
      const T one_nan = limits::quiet_NaN();
      BOOST_TEST(tessera::to_bits(tessera::canonical(y)) == tessera::to_bits(std::isnan(y) ? one_nan : y));
      BOOST_TEST(tessera::to_bits(tessera::abs(y)) == tessera::to_bits(std::fabs(y)));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
