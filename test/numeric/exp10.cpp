// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// 10^x of numbers against libm in double and long double.
#include "tessera/numeric/exp10.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "elementary.hpp"

namespace {

using elementary_test::check;
using elementary_test::worst_double;
using elementary_test::worst_float;

constexpr std::uint32_t shard = 263;

/// The same number, the sign of a zero included; any NaN for NaN.
template <class T>
bool same(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

template <class T>
void check_special_exp10() {
  using limits = std::numeric_limits<T>;
  const T inf = limits::infinity();
  const T nan = limits::quiet_NaN();
  const T given[][2] = {{T(0), T(1)},         {T(-0.0), T(1)},         {inf, inf}, {-inf, T(0)}, {nan, nan},
                        {limits::max(), inf}, {limits::lowest(), T(0)}};
  for (const auto& [x, want] : given) BOOST_TEST(same(tessera::exp10(x), want), x << ": " << tessera::exp10(x));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_exp10)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_exp10<float>();
  check_special_exp10<double>();
}

/// Powers of ten that the type holds come out exactly.
BOOST_AUTO_TEST_CASE(whole_exponents_are_exact) {
  float power = 1;
  for (int n = 0; n <= 10; ++n, power *= 10) BOOST_TEST(tessera::exp10(static_cast<float>(n)) == power);
  double wide = 1;
  for (int n = 0; n <= 22; ++n, wide *= 10) BOOST_TEST(tessera::exp10(static_cast<double>(n)) == wide);
}

BOOST_AUTO_TEST_CASE(exp10_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::exp10(x); }, [](double x) { return ::exp10(x); }), 1.1);
  check(worst_double(
            -330, 310, {0, 1, -1, 0.1505149978, -307.65, -323.3, 308.2547}, [](double x) { return tessera::exp10(x); },
            [](long double x) { return ::exp10l(x); }),
        1);
}

BOOST_AUTO_TEST_CASE(exp10_of_every_float, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check(worst_float(1, [](float x) { return tessera::exp10(x); }, [](double x) { return ::exp10(x); }), 1.1);
}

BOOST_AUTO_TEST_SUITE_END()
