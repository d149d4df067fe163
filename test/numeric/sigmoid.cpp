// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The logistic function and its family of numbers against libm in double and long double. Packs are compared with these in test/simd/smooth.cpp.
#include "tessera/numeric/sigmoid.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "elementary.hpp"

namespace {

using elementary_test::check;
using elementary_test::worst_double;
using elementary_test::worst_float;

constexpr std::uint32_t shard = 67;

/// The same number, its sign included.
template <class T>
bool is(T got, T want) {
  return got == want && std::signbit(got) == std::signbit(want);
}

/// Formulas that are right in a wider type.
template <class T>
T exact_sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
}
template <class T>
T exact_silu(T x) {
  return std::isinf(x) && x < 0 ? -T(0) : x / (1 + std::exp(-x));
}
template <class T>
T exact_softplus(T x) {
  return std::fmax(x, T(0)) + std::log1p(std::exp(-std::fabs(x))) + (x - x);  // the last for NaN
}

template <class T>
void check_special_values() {
  using limits = std::numeric_limits<T>;
  constexpr T inf = limits::infinity();
  constexpr bool single = sizeof(T) == 4;
  for (const T x : {limits::quiet_NaN(), -limits::quiet_NaN()}) {
    BOOST_TEST(std::isnan(tessera::sigmoid(x)));
    BOOST_TEST(std::isnan(tessera::silu(x)));
    BOOST_TEST(std::isnan(tessera::softplus(x)));
    BOOST_TEST(std::isnan(tessera::log_sigmoid(x)));
  }
  for (const T x : {T(0), T(-0.0), limits::denorm_min(), -limits::denorm_min(), limits::min()}) {
    BOOST_TEST(tessera::sigmoid(x) == T(0.5));
    BOOST_TEST(is(tessera::silu(x), x / 2), x);
  }
  for (const T x : {T(single ? 17.5 : 37.5), T(50), T(1e30), limits::max(), inf}) {
    BOOST_TEST(tessera::sigmoid(x) == T(1));
    BOOST_TEST(tessera::silu(x) == x);
    BOOST_TEST(tessera::softplus(x) == x);
    BOOST_TEST(tessera::log_sigmoid(-x) == -x);
  }
  for (const T x : {T(single ? -105 : -746), T(-1e30), limits::lowest(), -inf}) {
    BOOST_TEST(is(tessera::sigmoid(x), T(0)), x);
    BOOST_TEST(is(tessera::softplus(x), T(0)), x);
    BOOST_TEST(is(tessera::log_sigmoid(-x), T(-0.0)), x);
  }
  for (const T x : {T(single ? -110 : -760), T(-1e30), limits::lowest(), -inf}) BOOST_TEST(is(tessera::silu(x), T(-0.0)), x);
  // Through the subnormal results nothing is lost but what has no place: half a unit of the last, and the roundings before.
  for (T x = single ? T(-112) : T(-760); x < (single ? T(-80) : T(-700)); x += T(1) / 128) {
    const auto wide = static_cast<long double>(x);
    const auto close = [](T got, long double want) {
      return std::fabs(static_cast<long double>(got) - want) <= static_cast<long double>(limits::denorm_min()) * 0.76L +
                                                                    std::fabs(want) * static_cast<long double>(limits::epsilon());
    };
    BOOST_TEST(close(tessera::sigmoid(x), exact_sigmoid(wide)), x);
    BOOST_TEST(close(tessera::silu(x), exact_silu(wide)), x);
    BOOST_TEST(close(tessera::softplus(x), exact_softplus(wide)), x);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_sigmoid)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_values<float>();
  check_special_values<double>();
}

BOOST_AUTO_TEST_CASE(float_sigmoid_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::sigmoid(x); }, exact_sigmoid<double>), 1.8);
}

BOOST_AUTO_TEST_CASE(float_silu_is_within_its_bound) {
  check(worst_float(shard, [](float x) { return tessera::silu(x); }, exact_silu<double>), 1.9);
}

BOOST_AUTO_TEST_CASE(float_softplus_is_within_its_bound) {
  // In float infinities the oracle's last term is NaN.
  const auto finite = [](auto f) { return [=](auto x) { return std::isinf(x) ? decltype(x)(0) : f(x); }; };
  check(worst_float(shard, finite([](float x) { return tessera::softplus(x); }), finite(exact_softplus<double>)), 1.8);
  check(worst_float(shard, finite([](float x) { return tessera::log_sigmoid(x); }),
                    finite([](double x) { return -exact_softplus(-x); })),
        1.8);
}

BOOST_AUTO_TEST_CASE(doubles_are_within_their_bounds) {
  const auto edges = {0.0, 0.34657359, -0.34657359, 18.0, 38.0, -36.7, -87.0, -707.4, -708.4, -745.1, -751.8};
  const auto finite = [](auto f) { return [=](auto x) { return std::isinf(x) ? decltype(x)(0) : f(x); }; };
  for (const double reach : {2.0, 40.0, 755.0}) {
    check(worst_double(-reach, 40, edges, [](double x) { return tessera::sigmoid(x); }, exact_sigmoid<long double>), 1.9);
    check(worst_double(-reach, 40, edges, [](double x) { return tessera::silu(x); }, exact_silu<long double>), 1.9);
    check(worst_double(-reach, 40, edges, finite([](double x) { return tessera::softplus(x); }),
                       finite(exact_softplus<long double>)),
          1.9);
    check(worst_double(-40, reach, edges, finite([](double x) { return tessera::log_sigmoid(x); }),
                       finite([](long double x) { return -exact_softplus(-x); })),
          1.9);
  }
}

BOOST_AUTO_TEST_SUITE_END()
