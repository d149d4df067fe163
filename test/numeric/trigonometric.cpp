// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Trigonometric functions of numbers against libm in double and long double. Packs are compared with these in test/simd/special.cpp.
#include "tessera/numeric/trigonometric.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "elementary.hpp"
#include "exact.hpp"

namespace {

using elementary_test::check;
using elementary_test::worst;
using elementary_test::worst_double;
using elementary_test::worst_float;

constexpr std::uint32_t shard = 263;

const auto sin_ = [](auto x) { return tessera::sin(x); };
const auto cos_ = [](auto x) { return tessera::cos(x); };
const auto tan_ = [](auto x) { return tessera::tan(x); };
const auto sinpi_ = [](auto x) { return tessera::sinpi(x); };
const auto cospi_ = [](auto x) { return tessera::cospi(x); };
const auto exact_sin = [](auto x) { return std::sin(x); };
const auto exact_cos = [](auto x) { return std::cos(x); };
const auto exact_tan = [](auto x) { return std::tan(x); };
const auto exact_sinpi = [](auto x) { return exact::sinpi(x); };
const auto exact_cospi = [](auto x) { return exact::cospi(x); };

template <class T>
void check_special_values() {
  using limits = std::numeric_limits<T>;
  constexpr T inf = limits::infinity();
  for (const T x : {inf, -inf, limits::quiet_NaN(), -limits::quiet_NaN()}) {
    BOOST_TEST(std::isnan(tessera::sin(x)));
    BOOST_TEST(std::isnan(tessera::cos(x)));
    BOOST_TEST(std::isnan(tessera::tan(x)));
    BOOST_TEST(std::isnan(tessera::sinpi(x)));
    BOOST_TEST(std::isnan(tessera::cospi(x)));
  }
  for (const T zero : {T(0), T(-0.0)}) {
    for (const T y : {tessera::sin(zero), tessera::tan(zero), tessera::sinpi(zero)}) {
      BOOST_TEST(y == T(0));
      BOOST_TEST(std::signbit(y) == std::signbit(zero));
    }
    BOOST_TEST(tessera::cos(zero) == T(1));
    BOOST_TEST(tessera::cospi(zero) == T(1));
  }
  for (int i = 1; i < 1000; ++i) {
    const T x = static_cast<T>(i) * limits::denorm_min();
    BOOST_TEST(tessera::sin(x) == x);
    BOOST_TEST(tessera::tan(-x) == -x);
    BOOST_TEST(tessera::cos(x) == T(1));
    const T count = tessera::sinpi(x) / limits::denorm_min();
    BOOST_TEST(std::fabs(static_cast<double>(count) - i * 3.14159265358979324) <= 1.0);
  }
  BOOST_TEST(std::fabs(tessera::sin(limits::max())) <= T(1));
}

template <class T>
void check_half_turns() {
  const T edge = T(1) / std::numeric_limits<T>::epsilon();  // the first number beside which there are no halves
  const auto check_integer = [](T x, bool odd) {
    for (const T y : {x, -x}) {
      BOOST_TEST(tessera::sinpi(y) == T(0));
      BOOST_TEST(std::signbit(tessera::sinpi(y)) == std::signbit(y));
      BOOST_TEST(tessera::cospi(y) == (odd ? T(-1) : T(1)));
    }
  };
  for (int i = 0; i < 5000; ++i) {
    const T n = static_cast<T>(i);
    check_integer(n, i % 2 != 0);
    check_integer(edge + n, i % 2 != 0);
    check_integer(2 * edge - 1 - n, i % 2 == 0);
    check_integer(2 * edge + 2 * n, false);
    check_integer(edge / 2 - n, i % 2 != 0);
    for (const T half : {n + T(0.5), edge / 2 + n + T(0.5), edge - T(0.5) - n}) {
      const bool down = static_cast<long long>(half) % 2 != 0;
      for (const T y : {half, -half}) {
        BOOST_TEST(tessera::sinpi(y) == (down != std::signbit(y) ? T(-1) : T(1)));
        BOOST_TEST(tessera::cospi(y) == T(0));
        BOOST_TEST(!std::signbit(tessera::cospi(y)));
      }
    }
  }
  for (T x = 4 * edge; x < std::numeric_limits<T>::max() / 2; x *= T(1.5)) check_integer(x, false);
}

struct known {
  double x;
  double value;
};

template <class T, class F>
void check_known(std::initializer_list<known> table, F f, double bound) {
  for (const known& k : table) {
    const double error = tessera::ulp_error(f(static_cast<T>(k.x)), k.value);
    BOOST_TEST(error <= bound, error << " ulp at " << k.x);
  }
}

/// The numbers on both sides of odd and even multiples of pi / 2, where one of the functions is small, and the edge of the fast path.
template <class See>
void near_multiples(See see) {
  for (int k = 1; k < 60000; k += k < 3000 ? 1 : 37) {
    const long double angle = 1.57079632679489661923132169163975144L * k;
    for (int scale = 0; scale < 40; scale += k < 3000 ? 1 : 40) see(std::ldexp(angle, scale));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_trigonometric)

BOOST_AUTO_TEST_CASE(special_values) {
  check_special_values<float>();
  check_special_values<double>();
}

BOOST_AUTO_TEST_CASE(half_turns_are_exact_at_integers_and_halves) {
  check_half_turns<float>();
  check_half_turns<double>();
}

BOOST_AUTO_TEST_CASE(known_values) {
  const std::initializer_list<known> of_sin = {
      {0.5, 0x1.eaee8744b05f0p-2}, {3, 0x1.210386db6d55bp-3},       {22, -0x1.220a29f6eb9f4p-7},    {355, -0x1.f9bd0307d1de3p-16},
      {1e5, 0x1.24daa9c527e96p-5}, {0x1p40, -0x1.9f7122716d5d9p-2}, {0x1p120, 0x1.82e34655e6fcbp-2}};
  const std::initializer_list<known> of_cos = {{0.5, 0x1.c1528065b7d50p-1},     {3, -0x1.fae04be85e5d2p-1},
                                               {22, -0x1.fffadd8d4acdap-1},     {355, -0x1.fffffffc18e4cp-1},
                                               {1e5, -0x1.ffac3841b3da7p-1},    {0x1p40, -0x1.d3f8577b3aa88p-1},
                                               {0x1p120, -0x1.da0cd0b66d8cep-1}};
  const std::initializer_list<known> of_tan = {{0.5, 0x1.17b4f5bf3474ap-1},  {3, -0x1.23ef71254b86fp-3},
                                               {22, 0x1.220d129b73ef8p-7},   {355, 0x1.f9bd030bacc16p-16},
                                               {1e5, -0x1.250a9d503313dp-5}, {0x1p40, 0x1.c68795c549234p-2}};
  const std::initializer_list<known> of_sinpi = {{0.125, 0x1.87de2a6aea963p-2},
                                                 {0.3125, 0x1.a9b66290ea1a3p-1},
                                                 {-7.375, 0x1.d906bcf328d46p-1},
                                                 {12345.0625, -0x1.8f8b83c69a60bp-3}};
  const std::initializer_list<known> of_cospi = {{0.125, 0x1.d906bcf328d46p-1},
                                                 {0.3125, 0x1.1c73b39ae68c8p-1},
                                                 {-7.375, -0x1.87de2a6aea963p-2},
                                                 {12345.0625, -0x1.f6297cff75cb0p-1}};
  const auto check_both = [](std::initializer_list<known> table, auto f, double bound) {
    check_known<float>(table, f, bound);
    check_known<double>(table, f, 1);
  };
  check_both(of_sin, sin_, 1);
  check_both(of_cos, cos_, 1);
  check_both(of_tan, tan_, 1.3);
  check_both(of_sinpi, sinpi_, 1);
  check_both(of_cospi, cospi_, 1);
  // The double that comes nearest to a multiple of pi / 2, found by W. Kahan: 61 bits cancel beyond the 797 of its exponent.
  const double worst_of_all = 0x1.6ac5b262ca1ffp+849;
  BOOST_TEST(tessera::cos(worst_of_all) == -0x1.14ae72e6ba22fp-61);
  BOOST_TEST(tessera::sin(worst_of_all) == 1.0);
  BOOST_TEST(tessera::tan(worst_of_all) == -0x1.d9ba9a7975636p+60);
}

// For exponents of every size a number that comes nearest to a multiple of pi / 2, from the continued fraction of 2^e 2/pi: there every
// word of 2/pi decides. Beside it tan x, or -1 / tan x if that is the small one.
template <class T>
void check_hard_angles(std::initializer_list<known> small_sine, std::initializer_list<known> small_cosine) {
  for (const known& k : small_sine) {
    const T x = static_cast<T>(k.x);
    BOOST_TEST(tessera::ulp_error(std::fabs(tessera::sin(x)), std::fabs(k.value)) <= 1);
    BOOST_TEST(tessera::ulp_error(tessera::tan(x), k.value) <= 1);
    BOOST_TEST(std::fabs(tessera::cos(x)) == T(1));
  }
  for (const known& k : small_cosine) {
    const T x = static_cast<T>(k.x);
    BOOST_TEST(tessera::ulp_error(std::fabs(tessera::cos(x)), std::fabs(k.value)) <= 1);
    BOOST_TEST(tessera::ulp_error(tessera::tan(x), -1 / k.value) <= 1.3);
    BOOST_TEST(std::fabs(tessera::sin(x)) == T(1));
  }
}

BOOST_AUTO_TEST_CASE(hard_angles_of_every_size) {
  check_hard_angles<double>({{0x1.5cba89af1f855p+52, -0x1.b5ebde2aae00bp-54},
                             {0x1.66bd5424e5655p+92, -0x1.7a6b2243e72f6p-56},
                             {0x1.b930d680374c2p+151, -0x1.4710c83c6a7d5p-55},
                             {0x1.1e58e52ea1a07p+212, -0x1.405e730019397p-53},
                             {0x1.a93b216e8dfbcp+330, 0x1.6ff5c7c00c5a6p-53},
                             {0x1.dfa8d18f2b3eep+691, 0x1.28904e0d7f525p-55},
                             {0x1.52f4fe34c0e00p+803, -0x1.73359896edc01p-53},
                             {0x1.e009c53148be1p+992, -0x1.295a3b0a64b1dp-58},
                             {0x1.61a3db8c8d129p+1023, -0x1.dd15f96b823f2p-56}},
                            {{0x1.5c9508c58aafap+32, -0x1.7091a64747dabp-54},
                             {0x1.16e59932ab3bcp+272, 0x1.8213126d82007p-54},
                             {0x1.cb5c087ce6ab4p+392, 0x1.b1ef15129967ap-54},
                             {0x1.1bc285fdf5532p+452, 0x1.0c98b1f76c508p-54},
                             {0x1.776ae889d49fcp+512, -0x1.a507d0c087a8ep-55},
                             {0x1.b46267827b27ep+572, -0x1.cf57fae859fc8p-55},
                             {0x1.5e13dc1c15d0ep+632, -0x1.6f061bfe375cap-54},
                             {0x1.1b21e01142fb4p+752, -0x1.1f7ba3d357dd1p-53},
                             {0x1.a5de46db774e4p+872, 0x1.179ba16b759d8p-56},
                             {0x1.4fc4137057ac6p+932, -0x1.0441c8d2bb189p-54}});
  check_hard_angles<float>({{0x1.4ac55cp+22, 0x1.4823bba96de76p-25},
                            {0x1.628d4cp+42, -0x1.db49e303ea77ap-26},
                            {0x1.7f4134p+102, -0x1.1e7cf9ec1091cp-25},
                            {0x1.80fea8p+116, -0x1.2ad373c058ef0p-24}},
                           {{0x1.a7624cp+68, 0x1.6af959c0c4b62p-25},
                            {0x1.8dc776p+83, -0x1.3d65dfff7370dp-25},
                            {0x1.7b9b40p+126, -0x1.8d47b9995cabbp-26}});
}

BOOST_AUTO_TEST_CASE(near_multiples_of_a_right_angle) {
  worst of_sin, of_cos, of_tan, of_sin_double, of_cos_double, of_tan_double;
  near_multiples([&](long double angle) {
    const auto around = [&](auto x, worst& s, worst& c, worst& t) {
      using T = decltype(x);
      T at = std::nextafter(x, T(0));
      for (int i = 0; i < 3; ++i, at = std::nextafter(at, std::numeric_limits<T>::infinity())) {
        const auto see = [&](worst& w, auto f, auto exact) {
          if constexpr (sizeof(T) == 4) {
            w.see(tessera::ulp_error(f(at), exact(static_cast<double>(at))), static_cast<double>(at));
          } else {
            w.see(elementary_test::ulp_error(f(at), exact(static_cast<long double>(at))), at);
          }
        };
        see(s, sin_, exact_sin);
        see(c, cos_, exact_cos);
        see(t, tan_, exact_tan);
      }
    };
    around(static_cast<float>(angle), of_sin, of_cos, of_tan);
    around(static_cast<double>(angle), of_sin_double, of_cos_double, of_tan_double);
  });
  check(of_sin, 1);
  check(of_cos, 1);
  check(of_tan, 1.3);
  check(of_sin_double, 1);
  check(of_cos_double, 1);
  check(of_tan_double, 1.3);
}

BOOST_AUTO_TEST_CASE(both_at_once_are_each_alone) {
  for (std::uint64_t code = 0; code < (std::uint64_t(1) << 32); code += 1048573) {
    const auto x = __builtin_bit_cast(float, static_cast<std::uint32_t>(code));
    if (!std::isfinite(x)) continue;
    float s = 0, c = 0;
    tessera::sincos(x, s, c);
    BOOST_TEST((s == tessera::sin(x) && c == tessera::cos(x)));
    tessera::sincospi(x, s, c);
    BOOST_TEST((s == tessera::sinpi(x) && c == tessera::cospi(x)));
  }
}

void check_floats(std::uint32_t stride) {
  check(worst_float(stride, sin_, exact_sin), 1);
  check(worst_float(stride, cos_, exact_cos), 1);
  check(worst_float(stride, tan_, exact_tan), 1.3);
  check(worst_float(stride, sinpi_, exact_sinpi), 1);
  check(worst_float(stride, cospi_, exact_cospi), 1);
}

BOOST_AUTO_TEST_CASE(floats_are_within_their_bounds) { check_floats(shard); }

BOOST_AUTO_TEST_CASE(all_floats_are_within_their_bounds, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check_floats(1);
}

BOOST_AUTO_TEST_CASE(doubles_are_within_their_bounds) {
  for (const double range : {10.0, 1e5, 0x1p31, 1e15}) {
    check(worst_double(-range, range, {0, 0.785398163397448, 1.5707963267948966, 0x1p30, 0x1p53}, sin_, exact_sin), 1);
    check(worst_double(-range, range, {0, 0.785398163397448, 1.5707963267948966, 0x1p30, 0x1p53}, cos_, exact_cos), 1);
  }
  check(worst_double(-10, 10, {0, 0.785398163397448, 1.5707963267948966, 0x1p30}, tan_, exact_tan), 1.3);
  check(worst_double(-1e10, 1e10, {0, 0x1p30, 0x1p53}, tan_, exact_tan), 1.3);
  for (const double range : {10.0, 1e5, 0x1p53}) {
    check(worst_double(-range, range, {0, 0.25, 0.5, 1, 0x1p50, 0x1p52, 0x1p53}, sinpi_, exact_sinpi), 1);
    check(worst_double(-range, range, {0, 0.25, 0.5, 1, 0x1p50, 0x1p52, 0x1p53}, cospi_, exact_cospi), 1);
  }
}

BOOST_AUTO_TEST_SUITE_END()
