// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Elementary functions of packs: their errors in ulp, and whether their bits are those of the numbers' functions.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tessera/numeric/ulp.hpp"
#include "tessera/simd/pack.hpp"

namespace pack_test {

namespace simd = tessera::simd;
constexpr bool fused = simd::compat::has_fma<tessera::default_arch>;

template <class T>
using bits_of = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

template <class T>
bool same(T a, T b) {
  return __builtin_bit_cast(bits_of<T>, a) == __builtin_bit_cast(bits_of<T>, b) || (std::isnan(a) && std::isnan(b));
}

struct outcome {
  double error = 0;
  double at = 0;
  std::int64_t unlike_scalar = 0;
};

/// f over x(i), i < n, as packs: against `exact` in ulp, and against f of the number in bits.
template <class T, class X, class F, class Exact>
outcome sweep(std::int64_t n, X x, F f, Exact exact) {
  using P = simd::pack<T>;
  outcome o;
  T in[P::lanes], out[P::lanes];
  for (std::int64_t i = 0; i < n; i += P::lanes) {
    for (int j = 0; j < P::lanes; ++j) in[j] = x(i + j);
    f(P::load_unaligned(in)).store_unaligned(out);
    for (int j = 0; j < P::lanes; ++j) {
      // For doubles the truth itself is rounded to double: what is measured may be half an ulp too much or too little.
      using wide = std::conditional_t<sizeof(T) == 4, double, long double>;
      const double error = tessera::ulp_error(out[j], static_cast<double>(exact(static_cast<wide>(in[j]))));
      if (!(error <= o.error)) {
        o.error = error;
        o.at = static_cast<double>(in[j]);
      }
      if constexpr (fused) o.unlike_scalar += !same(out[j], f(in[j]));
    }
  }
  return o;
}

inline void check(const char* name, const outcome& o, double bound) {
  BOOST_TEST(o.error <= bound, name << ": " << o.error << " ulp at " << o.at << ", bound " << bound);
  BOOST_TEST(o.unlike_scalar == 0, name);
  BOOST_TEST_MESSAGE(name << ": " << o.error << " ulp at " << o.at);
}

/// Bounds with a fused fma, and without.
inline void check(const char* name, const outcome& o, double with_fma, double without) {
  check(name, o, fused ? with_fma : without);
}

/// Each of `values` alone among ordinary numbers, in every lane: no lane may touch another, and each has the bits of the scalar function.
template <class T, class Values, class F>
void check_every_lane(const char* name, const Values& values, F f) {
  using P = simd::pack<T>;
  using limits = std::numeric_limits<T>;
  for (const T special : values) {
    for (int at = 0; at < P::lanes; ++at) {
      T in[P::lanes], out[P::lanes];
      for (int i = 0; i < P::lanes; ++i) in[i] = i == at ? special : T(-1);
      f(P::load_unaligned(in)).store_unaligned(out);
      for (int i = 0; i < P::lanes; ++i) {
        const T want = f(in[i]);
        const bool close = std::abs(out[i] - want) <= 4 * limits::epsilon() * std::abs(want) + 2 * limits::denorm_min();
        BOOST_TEST((same(out[i], want) || (!fused && close)), name << '(' << in[i] << ") = " << out[i] << ", scalar " << want);
      }
    }
  }
}

}  // namespace pack_test
