// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Logarithms and exponentials of doubles on which samplers decide: the same bits with every compiler, instruction set and device, and
/// in constant expressions. Every step is one IEEE operation; loops over them become SIMD code.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/logarithm.hpp"

namespace tessera::random::detail {

/// m ? a : b by masks: of a conditional expression compilers make a branch where an operand is costly, and then no vector loop.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double chosen(bool m, double a, double b) noexcept {
  const std::uint64_t mask = std::uint64_t{0} - static_cast<std::uint64_t>(m);
  return __builtin_bit_cast(double,
                            (__builtin_bit_cast(std::uint64_t, a) & mask) | (__builtin_bit_cast(std::uint64_t, b) & ~mask));
}

/// log x for positive, normal, finite x, within 1.5 ulp. x = m 2^k, m in [sqrt(1/2), sqrt(2)).
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double natural_log(double x) noexcept {
  const auto bits = __builtin_bit_cast(std::uint64_t, x);
  const std::uint64_t exponent = (bits - 0x3FE6A09E667F3BCDu + 0x4000000000000000u) >> 52;  // k + 1024
  const double f = __builtin_bit_cast(double, bits - (exponent << 52) + 0x4000000000000000u) - 1.0;
  const double k = exact_double(exponent) - 1024.0;
  // log 2 in two parts, the upper one with 42 bits: its product with k is exact.
  const double rest = fma(k, 0x1.ef35793c76730p-45, -0.5 * twice_log1p_gap(f));
  return fma(k, 0x1.62e42fefa3800p-1, f + rest);
}

/// log(1 + t) - t for finite t > -1, within 4 ulp near 0 and 2^-52 |t| elsewhere.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double log1p_gap(double t) noexcept {
  if (t > -0.29 && t < 0.41) return -0.5 * twice_log1p_gap(t);
  const double w = 1.0 + t;
  return natural_log(w) + ((t - (w - 1.0)) / w - t);
}

/// e^x within 1 ulp; +0 below -745.13, +inf from 709.79 on; x finite or -inf. Results that are subnormal are kept, rounded twice.
/// Minimax of the relative error on |r| <= 0.3468 with the first two terms held at 1 + r: 2^-63.5,
/// sollya: fpminimax(exp(x), 12, [|1,1,D...|], [-0.3468;0.3468], relative).
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double exponential_of(double x) noexcept {
  const double low = x > -746.0 ? x : -746.0;
  const double y = low < 710.0 ? low : 710.0;
  // Adding 1.5 * 2^52 leaves the nearest integer in the low bits.
  const double shifted = fma(y, 1.44269504088896341, 0x1.8p52);
  const double n = shifted - 0x1.8p52;
  const double r = fma(n, -0x1.ef35793c76730p-45, fma(n, -0x1.62e42fefa3800p-1, y));
  double p = 0x1.1eda42e69e81ep-29;
  p = fma(p, r, 0x1.af6e8435ba18cp-26);
  p = fma(p, r, 0x1.27e540698e3f2p-22);
  p = fma(p, r, 0x1.71ddee723d221p-19);
  p = fma(p, r, 0x1.a01a01770494fp-16);
  p = fma(p, r, 0x1.a01a01b444684p-13);
  p = fma(p, r, 0x1.6c16c16c1fa74p-10);
  p = fma(p, r, 0x1.111111110e9fcp-7);
  p = fma(p, r, 0x1.5555555555541p-5);
  p = fma(p, r, 0x1.555555555555cp-3);
  p = fma(p, r, 0.5);
  p = fma(p, r, 1.0);
  p = fma(p, r, 1.0);
  // 2^n in two factors, for n from -1077 to 1025: the second product rounds.
  const auto integer = __builtin_bit_cast(std::uint64_t, shifted) - 0x4338000000000000u + 2048u;
  const std::uint64_t half = integer >> 1;
  const double first = __builtin_bit_cast(double, (half - 1024u + 1023u) << 52);
  const double second = __builtin_bit_cast(double, (integer - half - 1024u + 1023u) << 52);
  return p * first * second;
}

}  // namespace tessera::random::detail
