// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Errors of elementary functions in units in the last place, over shards of all floats and over doubles.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tessera/numeric/ulp.hpp"

namespace elementary_test {

/// |got - want| in ulp of double; 0 where both are NaN, the same infinity, or want lies beyond the largest double and got is infinite.
inline double ulp_error(double got, long double want) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : HUGE_VAL;
  const auto rounded = static_cast<double>(want);
  if (std::isinf(rounded) || std::isinf(got)) return rounded == got ? 0 : HUGE_VAL;
  int exponent = 0;
  (void)std::frexp(rounded, &exponent);
  const long double ulp = std::ldexp(1.0L, std::max(exponent, -1021) - 53);
  return static_cast<double>(std::fabs(static_cast<long double>(got) - want) / ulp);
}

struct worst {
  double error = 0;
  double at = 0;
  void see(double e, double x) {
    if (!(e <= error)) {
      error = e;
      at = x;
    }
  }
};

/// The largest error of f over every `stride`-th float; an odd stride lets the low bits take every value. `exact` is a function of double.
template <class F, class Exact>
worst worst_float(std::uint32_t stride, F f, Exact exact) {
  worst w;
  for (std::uint64_t code = 0; code < (std::uint64_t(1) << 32); code += stride) {
    const auto x = __builtin_bit_cast(float, static_cast<std::uint32_t>(code));
    w.see(tessera::ulp_error(f(x), exact(static_cast<double>(x))), static_cast<double>(x));
  }
  return w;
}

/// A generator of doubles: uniform on [low, high], or of any bits at all.
class doubles {
 public:
  double uniform(double low, double high) { return low + (high - low) * static_cast<double>(next() >> 11) * 0x1p-53; }
  double any() { return __builtin_bit_cast(double, next()); }

 private:
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
  }
  std::uint64_t state_ = 88172645463325252U;
};

/// The largest error of f over uniform doubles of [low, high], doubles of any bits, and the neighbours of the numbers in `special`.
template <class F, class Exact>
worst worst_double(double low, double high, std::initializer_list<double> special, F f, Exact exact) {
  worst w;
  doubles random;
  const auto see = [&](double x) { w.see(ulp_error(f(x), exact(static_cast<long double>(x))), x); };
  for (int i = 0; i < 500000; ++i) {
    see(random.uniform(low, high));
    see(random.uniform(-1, 1));
    if (i % 8 == 0) see(random.any());
  }
  for (const double s : special) {
    double below = s, above = s;
    for (int i = 0; i < 1000; ++i) {
      see(below);
      see(above);
      below = std::nextafter(below, -HUGE_VAL);
      above = std::nextafter(above, HUGE_VAL);
    }
  }
  return w;
}

inline void check(const worst& w, double bound) {
  BOOST_TEST(w.error <= bound, w.error << " ulp at " << w.at << ", bound " << bound);
}

}  // namespace elementary_test
