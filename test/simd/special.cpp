// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Special and trigonometric functions of packs: the bits of the numbers' functions where fma rounds once, and bounds everywhere.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../numeric/exact.hpp"
#include "tessera/numeric/erf.hpp"
#include "tessera/numeric/gelu.hpp"
#include "tessera/numeric/trigonometric.hpp"
#include "tessera/numeric/ulp.hpp"
#include "tessera/simd/math.hpp"

namespace {

namespace simd = tessera::simd;
constexpr bool fused = simd::compat::has_fma<tessera::default_arch>;

template <class T>
bool same(T a, T b) {
  return tessera::to_bits(a) == tessera::to_bits(b) || (std::isnan(a) && std::isnan(b));
}

/// Calls see(name, f, exact, bound with a fused fma, bound without) for every function.
template <class See>
void for_functions(See see) {
  see("erf", [](auto x) { return tessera::erf(x); }, [](auto x) { return std::erf(x); }, 1.2, 1.45);
  see("erfc", [](auto x) { return tessera::erfc(x); }, [](auto x) { return std::erfc(x); }, 1.5, 1.7);
  see("gelu", [](auto x) { return tessera::gelu(x); }, [](auto x) { return exact::gelu(x); }, 1.7, 1.8);
  see("gelu_tanh", [](auto x) { return tessera::gelu_tanh(x); }, [](auto x) { return exact::gelu_tanh(x); }, 1.9, 1.9);
  see("sin", [](auto x) { return tessera::sin(x); }, [](auto x) { return std::sin(x); }, 1, 1.6);
  see("cos", [](auto x) { return tessera::cos(x); }, [](auto x) { return std::cos(x); }, 1, 1.6);
  see("tan", [](auto x) { return tessera::tan(x); }, [](auto x) { return std::tan(x); }, 1.3, 1.5);
  see("sinpi", [](auto x) { return tessera::sinpi(x); }, [](auto x) { return exact::sinpi(x); }, 1, 1.7);
  see("cospi", [](auto x) { return tessera::cospi(x); }, [](auto x) { return exact::cospi(x); }, 1, 1.3);
}

/// f over x(i), i < n, as packs: against `exact` in ulp, and against f of the number in bits.
template <class T, class X, class F, class Exact>
void sweep(const char* name, std::int64_t n, X x, F f, Exact exact, double bound) {
  using P = simd::pack<T>;
  // For doubles the truth itself is rounded to double: what is measured may be half an ulp too much.
  using wide = std::conditional_t<sizeof(T) == 4, double, long double>;
  double worst = 0, at = 0;
  std::int64_t unlike_scalar = 0;
  T in[P::lanes], out[P::lanes];
  for (std::int64_t i = 0; i < n; i += P::lanes) {
    for (int l = 0; l < P::lanes; ++l) in[l] = x(i + l);
    f(P::load_unaligned(in)).store_unaligned(out);
    for (int l = 0; l < P::lanes; ++l) {
      const double error = tessera::ulp_error(out[l], static_cast<double>(exact(static_cast<wide>(in[l]))));
      if (!(error <= worst)) {
        worst = error;
        at = static_cast<double>(in[l]);
      }
      if constexpr (fused) unlike_scalar += !same(out[l], f(in[l]));
    }
  }
  BOOST_TEST(worst <= bound, name << ": " << worst << " ulp at " << at << ", bound " << bound);
  BOOST_TEST(unlike_scalar == 0, name);
  BOOST_TEST_MESSAGE(name << ": " << worst << " ulp at " << at);
}

void check_floats(std::int64_t stride) {
  for_functions([=](const char* name, auto f, auto exact, double bound, double unfused) {
    const auto x = [=](std::int64_t i) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(i * stride)); };
    sweep<float>(name, (std::int64_t(1) << 32) / stride, x, f, exact, fused ? bound : unfused);
  });
}

/// Values where a function has a corner, a branch or an end.
template <class T>
std::vector<T> corners() {
  using limits = std::numeric_limits<T>;
  std::vector<T> v = {T(0),          limits::denorm_min(), 3 * limits::denorm_min(), limits::min(), limits::epsilon(),
                      limits::max(), limits::infinity(),   limits::quiet_NaN(),      T(0x1p-26),    T(0x1p-55)};
  for (const double x : {0.25,   0.5,    0.75,   0.785398163397448,
                         1.0,    1.05,   1.5,    1.5707963267948966,
                         3.92,   4.0,    5.93,   10.05,
                         10.06,  10.25,  10.78,  11.0,
                         14.35,  14.5,   21.55,  21.65,
                         27.23,  27.4,   38.58,  38.8,
                         355.0,  0x1p21, 0x1p22, 0x1p23,
                         0x1p24, 0x1p30, 0x1p51, 0x1p52,
                         0x1p53, 1e15,   1e30}) {
    const T at = static_cast<T>(x);
    v.insert(v.end(), {std::nextafter(at, T(0)), at, std::nextafter(at, limits::infinity())});
  }
  for (std::size_t i = 0, n = v.size(); i < n; ++i) v.push_back(-v[i]);
  return v;
}

/// Each value alone among ordinary ones, in every lane: no lane may touch another, and each has the bits of the scalar function.
template <class T>
void check_corners() {
  using P = simd::pack<T>;
  for_functions([](const char* name, auto f, auto, double, double) {
    for (const T special : corners<T>()) {
      for (int at = 0; at < P::lanes; ++at) {
        T in[P::lanes], out[P::lanes];
        for (int l = 0; l < P::lanes; ++l) in[l] = l == at ? special : T(-1.25);
        f(P::load_unaligned(in)).store_unaligned(out);
        for (int l = 0; l < P::lanes; ++l) {
          const T want = f(in[l]);
          const T slack = 8 * std::numeric_limits<T>::epsilon() * std::abs(want) + 2 * std::numeric_limits<T>::denorm_min();
          BOOST_TEST((same(out[l], want) || (!fused && std::abs(out[l] - want) <= slack)),
                     name << '(' << in[l] << ") = " << out[l] << ", scalar " << want);
        }
      }
    }
  });
}

template <class T>
void check_pairs() {
  using P = simd::pack<T>;
  for (const T x : corners<T>()) {
    P s, c;
    tessera::sincos(P(x), s, c);
    BOOST_TEST(same(s.first(), tessera::sin(P(x)).first()));
    BOOST_TEST(same(c.first(), tessera::cos(P(x)).first()));
    tessera::sincospi(P(x), s, c);
    BOOST_TEST(same(s.first(), tessera::sinpi(P(x)).first()));
    BOOST_TEST(same(c.first(), tessera::cospi(P(x)).first()));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_special)

BOOST_AUTO_TEST_CASE(corners_in_every_lane) {
  check_corners<float>();
  check_corners<double>();
}

BOOST_AUTO_TEST_CASE(both_at_once_are_each_alone) {
  check_pairs<float>();
  check_pairs<double>();
}

BOOST_AUTO_TEST_CASE(a_shard_of_all_floats) { check_floats(521); }

BOOST_AUTO_TEST_CASE(all_floats, *boost::unit_test::disabled() * boost::unit_test::label("full")) { check_floats(1); }

BOOST_AUTO_TEST_CASE(doubles) {
  for_functions([](const char* name, auto f, auto exact, double bound, double unfused) {
    const auto hash = [](std::int64_t i) { return static_cast<std::uint64_t>(i + 1) * 0x9e3779b97f4a7c15U; };
    const auto any = [=](std::int64_t i) { return __builtin_bit_cast(double, hash(i)); };
    const auto on = [=](double low, double high) {
      return [=](std::int64_t i) { return low + (high - low) * static_cast<double>(hash(i) >> 11) * 0x1p-53; };
    };
    const double limit = (fused ? bound : unfused) + 0.5;
    sweep<double>(name, 100000, any, f, exact, limit);
    sweep<double>(name, 100000, on(-3, 3), f, exact, limit);
    sweep<double>(name, 100000, on(-39, 39), f, exact, limit);
  });
}

BOOST_AUTO_TEST_SUITE_END()
