// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/online/kernel_sum.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/error.hpp"
#include "laws.hpp"

namespace {

using tessera::kernel_sum;

const kernel_sum square{[](auto x) { return x * x; }};
const kernel_sum identity{[](auto x) { return x; }};

template <class T>
void check_type() {
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  support::worst errors;
  const auto check = [&](const auto& got, const std::vector<T>& row, double roundings) {
    Real want = 0;
    for (const T x : row) want += static_cast<Real>(x) * static_cast<Real>(x);
    errors(static_cast<double>(got.sum), want, roundings * tessera::unit_roundoff<T> * static_cast<double>(want), "row of",
           row.size());
  };
  for (const auto& row : laws::rows<T>()) check(laws::fold<T>(square, row), row, 96 + 4 + 1);
  laws::each_cut<T>(square, [&](const auto& got, const auto&, const std::vector<T>& row) { check(got, row, 17 + 20 + 1); });
  CHECK_WITHIN_BOUND(errors);
  BOOST_TEST((laws::identity_changes<T>(square)) == 0);
  BOOST_TEST((laws::pack_differences<T>(identity)) == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(online_kernel_sum)

BOOST_AUTO_TEST_CASE(float32_sums_and_merges) { check_type<float>(); }
BOOST_AUTO_TEST_CASE(float64_sums_and_merges) { check_type<double>(); }

static_assert(tessera::reducer<decltype(square), float> && tessera::reducer<decltype(square), tessera::simd::pack<float>>);

BOOST_AUTO_TEST_CASE(special_values) {
  BOOST_TEST((laws::fold<float>(identity, {}).sum) == 0);
  BOOST_TEST(std::isnan(laws::fold<float>(identity, {1, std::numeric_limits<float>::quiet_NaN(), 2}, 0, 1).sum));
}

BOOST_AUTO_TEST_SUITE_END()
