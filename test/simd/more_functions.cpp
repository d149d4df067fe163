// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// exp10, log10, cbrt, the inverse trigonometric, the hyperbolic and the inverse hyperbolic functions of packs: the bits of the scalar
/// functions where fma rounds once, and the error bounds everywhere.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "sweep.hpp"
#include "tessera/numeric/cbrt.hpp"
#include "tessera/numeric/exp10.hpp"
#include "tessera/numeric/hyperbolic_sine.hpp"
#include "tessera/numeric/inverse_hyperbolic.hpp"
#include "tessera/numeric/inverse_trigonometric.hpp"
#include "tessera/numeric/log10.hpp"

namespace {

using pack_test::check;
using pack_test::sweep;

template <class T>
std::uint64_t hash(T i) {
  return static_cast<std::uint64_t>(i + 1) * 0x9e3779b97f4a7c15U;
}

/// Special numbers in every lane; every stride-th float; doubles of any bits and from `low` to `high`.
template <class F, class Exact>
void check_function(const char* name, std::int64_t stride, F f, Exact exact, double low, double high, double with_fma,
                    double without) {
  const auto any_float = [=](std::int64_t i) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(i * stride)); };
  check(name, sweep<float>((std::int64_t{1} << 32) / stride, any_float, f, exact), with_fma, without);
  if (stride == 1) return;
  // The truth is rounded to double, so that half an ulp more is measured.
  const auto any_double = [](std::int64_t i) { return __builtin_bit_cast(double, hash(i)); };
  const auto between = [=](std::int64_t i) { return low + (high - low) * static_cast<double>(hash(i) >> 11) * 0x1p-53; };
  check(name, sweep<double>(100000, any_double, f, exact), with_fma + 0.5, without + 0.5);
  check(name, sweep<double>(200000, between, f, exact), with_fma + 0.5, without + 0.5);

  const auto in_every_lane = [&]<class T>(T inf, T least) {
    const T values[] = {T(0), T(-0.0), T(1),         T(-1), T(0.5), T(-0.5), T(1.5), T(2.5),
                        inf,  -inf,    T(inf - inf), least, -least, T(88),   T(710)};
    pack_test::check_every_lane<T>(name, values, f);
  };
  in_every_lane(std::numeric_limits<float>::infinity(), std::numeric_limits<float>::denorm_min());
  in_every_lane(std::numeric_limits<double>::infinity(), std::numeric_limits<double>::denorm_min());
}

void check_all(std::int64_t stride) {
  check_function(
      "exp10", stride, [](auto x) { return tessera::exp10(x); }, [](auto x) { return std::pow(decltype(x)(10), x); }, -320, 310,
      1.1, 1.1);
  check_function(
      "log10", stride, [](auto x) { return tessera::log10(x); }, [](auto x) { return std::log10(x); }, 0.5, 2, 1.1, 1.1);
  check_function("cbrt", stride, [](auto x) { return tessera::cbrt(x); }, [](auto x) { return std::cbrt(x); }, -9, 9, 0.502, 1);
  check_function("atan", stride, [](auto x) { return tessera::atan(x); }, [](auto x) { return std::atan(x); }, -3, 3, 1.95, 2);
  check_function("asin", stride, [](auto x) { return tessera::asin(x); }, [](auto x) { return std::asin(x); }, -1, 1, 0.7, 1.5);
  check_function("acos", stride, [](auto x) { return tessera::acos(x); }, [](auto x) { return std::acos(x); }, -1, 1, 0.7, 1.5);
  check_function("sinh", stride, [](auto x) { return tessera::sinh(x); }, [](auto x) { return std::sinh(x); }, -5, 5, 1.7, 1.7);
  check_function("cosh", stride, [](auto x) { return tessera::cosh(x); }, [](auto x) { return std::cosh(x); }, -5, 5, 1.7, 1.7);
  check_function("asinh", stride, [](auto x) { return tessera::asinh(x); }, [](auto x) { return std::asinh(x); }, -5, 5, 1.9, 2);
  check_function("acosh", stride, [](auto x) { return tessera::acosh(x); }, [](auto x) { return std::acosh(x); }, 1, 5, 1.9, 2);
  check_function("atanh", stride, [](auto x) { return tessera::atanh(x); }, [](auto x) { return std::atanh(x); }, -1, 1, 1.9, 2);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_more_functions)

BOOST_AUTO_TEST_CASE(a_shard_of_all_floats_and_doubles) { check_all(521); }

BOOST_AUTO_TEST_CASE(all_floats, *boost::unit_test::disabled() * boost::unit_test::label("full")) { check_all(1); }

BOOST_AUTO_TEST_SUITE_END()
