// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Elementary functions of packs: the bits of the scalar functions where fma rounds once, and the error bounds everywhere.
#include "tessera/simd/math.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "sweep.hpp"

namespace {

namespace simd = tessera::simd;
using pack_test::check;
using pack_test::fused;
using pack_test::same;
using pack_test::sweep;

const auto exp2_ = [](auto x) { return tessera::exp2(x); };
const auto exp_ = [](auto x) { return tessera::exp(x); };
const auto log_ = [](auto x) { return tessera::log(x); };
const auto log2_ = [](auto x) { return tessera::log2(x); };
const auto exp2_nonpositive_ = [](auto x) { return tessera::exp2_nonpositive(tessera::min(decltype(x)(0), x)); };
const auto exact_exp2 = [](auto x) { return std::exp2(x); };
const auto exact_exp = [](auto x) { return std::exp(x); };
const auto exact_log = [](auto x) { return std::log(x); };
const auto exact_log2 = [](auto x) { return std::log2(x); };

/// Every stride-th float.
void check_floats(std::int64_t stride) {
  const auto x = [=](std::int64_t i) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(i * stride)); };
  const std::int64_t n = (std::int64_t(1) << 32) / stride;
  check("exp2", sweep<float>(n, x, exp2_, exact_exp2), 0.88, 0.88);
  check("exp", sweep<float>(n, x, exp_, exact_exp), 0.9, 0.9);
  check("log", sweep<float>(n, x, log_, exact_log), 0.9, 1);
  check("log2", sweep<float>(n, x, log2_, exact_log2), 1, 1.1);
  // Its bound in ulp is 1.02e-4 2^24.
  check("exp2_nonpositive_approximate",
        sweep<float>(
            n, x, [](auto y) { return tessera::exp2_nonpositive_approximate(tessera::min(decltype(y)(0), y)); },
            [](double y) { return y <= -125.5 ? 0.0
                                  : y > 0     ? 1.0
                                              : std::exp2(y); }),
        1720, 1720);
  check("exp2_nonpositive",
        sweep<float>(n, x, exp2_nonpositive_, [](double y) { return y <= -125.5 ? 0.0
                                                                    : y > 0     ? 1.0
                                                                                : std::exp2(y); }), 0.8,
        0.88);
}

template <class T>
void check_special_values() {
  using P = simd::pack<T>;
  using limits = std::numeric_limits<T>;
  const T least = sizeof(T) == 4 ? -126 : -1022;
  const T values[] = {T(0),
                      T(-0.0),
                      T(1),
                      T(-1),
                      T(0.5),
                      T(-0.5),
                      limits::infinity(),
                      -limits::infinity(),
                      limits::max(),
                      limits::lowest(),
                      limits::min(),
                      -limits::min(),
                      limits::denorm_min(),
                      -limits::denorm_min(),
                      limits::quiet_NaN(),
                      -limits::quiet_NaN(),
                      least,
                      least + T(0.5),
                      least + T(0.5625),
                      least - T(0.5),
                      least - T(23),
                      least - T(24),
                      least - T(52),
                      least - T(53),
                      -least,
                      -least + T(2),
                      T(1.5),
                      T(0.75),
                      T(2.5),
                      T(-2.5)};
  pack_test::check_every_lane<T>("exp2", values, exp2_);
  pack_test::check_every_lane<T>("exp", values, exp_);
  pack_test::check_every_lane<T>("log", values, log_);
  pack_test::check_every_lane<T>("log2", values, log2_);
  pack_test::check_every_lane<T>("exp2_nonpositive", values,
                                 [](auto x) { return tessera::exp2_nonpositive(tessera::min(decltype(x)(0), x)); });
  const auto alone = [](auto f, T x) { return f(P(x)).first(); };
  BOOST_TEST(alone(exp2_, -limits::infinity()) == T(0));
  BOOST_TEST(alone(exp2_nonpositive_, -limits::infinity()) == T(0));
  BOOST_TEST(alone(exp2_nonpositive_, T(0)) == T(1));
  BOOST_TEST(alone(exp2_, least - (sizeof(T) == 4 ? T(23) : T(52))) == limits::denorm_min());
  BOOST_TEST(alone(exp2_, limits::max()) == limits::infinity());
  BOOST_TEST(alone(log_, T(0)) == -limits::infinity());
  BOOST_TEST(std::isnan(alone(log_, T(-1))));
  BOOST_TEST(std::isnan(alone(exp2_nonpositive_, limits::quiet_NaN())));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_math)

BOOST_AUTO_TEST_CASE(special_values_in_every_lane) {
  check_special_values<float>();
  check_special_values<double>();
}

/// Where the caller says that small weights do not matter, they are exactly +0; all others are untouched.
template <class T, int From>
void check_from() {
  using P = simd::pack<T>;
  const T edge = T(From) - T(0.5);
  const T values[] = {T(0),
                      T(-1),
                      T(From) + T(1),
                      T(From),
                      std::nextafter(edge, T(0)),
                      edge,
                      std::nextafter(edge, T(2 * From)),
                      T(From) - T(1),
                      T(From) - T(64),
                      sizeof(T) == 4 ? T(-126.25) : T(-1022.25),
                      T(-300),
                      T(-5000),
                      T(-1e9),
                      T(-1e30),
                      std::numeric_limits<T>::lowest(),
                      -std::numeric_limits<T>::infinity(),
                      std::numeric_limits<T>::quiet_NaN()};
  for (const T x : values) {
    const bool kept = !(x <= edge);
    for (const T got : {tessera::exp2_nonpositive<From>(P(x)).first(), tessera::exp2_nonpositive<From>(x)}) {
      if (kept) {
        const T whole = tessera::exp2_nonpositive(x);
        BOOST_TEST((same(got, whole) || (!fused && std::abs(got - whole) <= 2 * std::numeric_limits<T>::epsilon() * whole)),
                   x << ": " << got);
      } else {
        BOOST_TEST(same(got, T(0)), x << ": " << got);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(small_weights_can_be_dropped) {
  check_from<float, -63>();
  check_from<float, -41>();
  check_from<float, -125>();
  check_from<float, -1>();
  check_from<double, -511>();
  check_from<double, -81>();
  check_from<double, -1021>();
}

BOOST_AUTO_TEST_CASE(a_shard_of_all_floats) { check_floats(131); }

BOOST_AUTO_TEST_CASE(all_floats, *boost::unit_test::disabled() * boost::unit_test::label("full")) { check_floats(1); }

BOOST_AUTO_TEST_CASE(doubles) {
  const auto hash = [](std::int64_t i) { return static_cast<std::uint64_t>(i + 1) * 0x9e3779b97f4a7c15U; };
  const auto unit = [=](std::int64_t i) { return static_cast<double>(hash(i) >> 11) * 0x1p-53; };
  const auto any = [=](std::int64_t i) { return __builtin_bit_cast(double, hash(i)); };
  constexpr std::int64_t n = 200000;
  const auto on = [=](double low, double high) { return [=](std::int64_t i) { return low + (high - low) * unit(i); }; };
  check("exp2", sweep<double>(n, on(-1080, 1030), exp2_, exact_exp2), 1.6, 1.6);
  check("exp2 near 0", sweep<double>(n, on(-1, 1), exp2_, exact_exp2), 1.6, 1.6);
  check("exp2 of any bits", sweep<double>(n, any, exp2_, exact_exp2), 1.6, 1.6);
  check("exp", sweep<double>(n, on(-750, 715), exp_, exact_exp), 1.5, 1.5);
  check("exp of any bits", sweep<double>(n, any, exp_, exact_exp), 1.5, 1.5);
  check("log", sweep<double>(n, any, log_, exact_log), 1.5, 2);
  check("log near 1", sweep<double>(n, on(0.5, 2), log_, exact_log), 1.5, 2);
  check("log2", sweep<double>(n, any, log2_, exact_log2), 1.6, 1.6);
  check("log2 near 1", sweep<double>(n, on(0.5, 2), log2_, exact_log2), 1.6, 1.6);
  check("exp2_nonpositive", sweep<double>(n, on(-1021, 0), exp2_nonpositive_, exact_exp2), 1.6, 1.6);
}

BOOST_AUTO_TEST_SUITE_END()
