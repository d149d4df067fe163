// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// expm1, log1p, tanh, the logistic family and rsqrt of packs: the bits of the scalar functions where fma rounds once, and the
/// error bounds everywhere.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "sweep.hpp"
#include "tessera/simd/math.hpp"

namespace {

namespace simd = tessera::simd;
using pack_test::check;
using pack_test::sweep;

const auto tanh_approximate_ = [](auto x) { return tessera::tanh_approximate(x); };

/// f(name, function, reference, bound with fma, bound without) for every function of this file.
template <class F>
void for_each_function(F f) {
  f("expm1", [](auto x) { return tessera::expm1(x); }, [](auto x) { return std::expm1(x); }, 1.45, 1.45);
  f("log1p", [](auto x) { return tessera::log1p(x); }, [](auto x) { return std::log1p(x); }, 1.05, 1.6);
  f("tanh", [](auto x) { return tessera::tanh(x); }, [](auto x) { return std::tanh(x); }, 1.45, 1.45);
  f("sigmoid", [](auto x) { return tessera::sigmoid(x); }, [](auto x) { return 1 / (1 + std::exp(-x)); }, 1.95, 1.95);
  f(
      "silu", [](auto x) { return tessera::silu(x); },
      [](auto x) { return std::isinf(x) && x < 0 ? decltype(x)(0) : x / (1 + std::exp(-x)); }, 1.95, 1.95);
  f(
      "softplus", [](auto x) { return tessera::softplus(x); },
      [](auto x) { return std::isnan(x) ? x : std::fmax(x, decltype(x)(0)) + std::log1p(std::exp(-std::fabs(x))); }, 1.8, 1.8);
  f(
      "log_sigmoid", [](auto x) { return tessera::log_sigmoid(x); },
      [](auto x) { return std::isnan(x) ? x : std::fmin(x, decltype(x)(0)) - std::log1p(std::exp(-std::fabs(x))); }, 1.8, 1.8);
  f("rsqrt", [](auto x) { return tessera::rsqrt(x); }, [](auto x) { return 1 / std::sqrt(x); }, 1.01, 1.6);
}

/// Every stride-th float.
void check_floats(std::int64_t stride) {
  const auto x = [=](std::int64_t i) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(i * stride)); };
  const std::int64_t n = (std::int64_t(1) << 32) / stride;
  for_each_function([=](const char* name, auto f, auto exact, double fused, double other) {
    check(name, sweep<float>(n, x, f, exact), fused, other);
  });
  // 5.7e-5 is this many ulp.
  check("tanh_approximate", sweep<float>(n, x, tanh_approximate_, [](double y) { return std::tanh(y); }), 957, 957);
}

template <class T>
void check_special_values() {
  using limits = std::numeric_limits<T>;
  constexpr bool single = sizeof(T) == 4;
  const T values[] = {T(0),
                      T(-0.0),
                      T(1),
                      T(-1),
                      T(0.5),
                      T(-0.5),
                      T(0.625),
                      T(-0.625),
                      T(9.5),
                      T(-25),
                      T(1e30),
                      T(-1e30),
                      limits::max(),
                      limits::lowest(),
                      limits::min(),
                      -limits::min(),
                      limits::infinity(),
                      -limits::infinity(),
                      T(18),
                      T(38),
                      limits::quiet_NaN(),
                      -limits::quiet_NaN(),
                      limits::denorm_min(),
                      -limits::denorm_min(),
                      T(single ? -86.65 : -707.7),
                      T(single ? -87 : -708.2),
                      T(single ? -90 : -720),
                      T(single ? -103.9 : -745.2),
                      T(single ? -106 : -750),
                      T(single ? 88.72 : 709.78),
                      T(single ? 88.73 : 709.79),
                      T(-2),
                      std::nextafter(T(-1), T(0)),
                      std::nextafter(T(-1), T(-2)),
                      3 * limits::denorm_min(),
                      limits::max() / 2};
  for_each_function([&](const char* name, auto f, auto, double, double) { pack_test::check_every_lane<T>(name, values, f); });
  pack_test::check_every_lane<T>("tanh_approximate", values, tanh_approximate_);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_smooth)

BOOST_AUTO_TEST_CASE(special_values_in_every_lane) {
  check_special_values<float>();
  check_special_values<double>();
}

BOOST_AUTO_TEST_CASE(a_shard_of_all_floats) { check_floats(331); }

BOOST_AUTO_TEST_CASE(all_floats, *boost::unit_test::disabled() * boost::unit_test::label("full")) { check_floats(1); }

BOOST_AUTO_TEST_CASE(doubles) {
  const auto hash = [](std::int64_t i) { return static_cast<std::uint64_t>(i + 1) * 0x9e3779b97f4a7c15U; };
  const auto any = [=](std::int64_t i) { return __builtin_bit_cast(double, hash(i)); };
  for_each_function([=](const char* name, auto f, auto exact, double fused, double other) {
    for (const double reach : {1.0, 40.0, 760.0}) {
      const auto x = [=](std::int64_t i) { return reach * (static_cast<double>(hash(i) >> 11) * 0x1p-52 - 1); };
      // The truth is rounded to double before it is compared.
      check(name, sweep<double>(50000, x, f, exact), fused + 0.6, other + 0.6);
    }
    check(name, sweep<double>(50000, any, f, exact), fused + 0.6, other + 0.6);
  });
}

BOOST_AUTO_TEST_SUITE_END()
