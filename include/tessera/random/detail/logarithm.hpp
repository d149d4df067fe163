// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Logarithms for distributions with tails: of a random word that stands for a number in (0, 1), and of their results.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"

namespace tessera::random::detail {

/// A 32-bit integer as double, by placing it in the mantissa of 2^52: a vector operation on every SIMD unit.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double exact_double(std::uint64_t below_2_to_32) noexcept {
  return __builtin_bit_cast(double, below_2_to_32 | 0x4330000000000000u) - 0x1p52;
}

/// -2 ln(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1].
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float minus_two_log1p(float f) noexcept {
  // -2 f + f^2 P(f), minimax: relative error 2^-27.5.
  float p = 0.152436778f;
  p = fma(p, f, -0.258089632f);
  p = fma(p, f, 0.264859736f);
  p = fma(p, f, -0.283636332f);
  p = fma(p, f, 0.332181633f);
  p = fma(p, f, -0.400039494f);
  p = fma(p, f, 0.50003165f);
  p = fma(p, f, -0.666666508f);
  p = fma(p, f, 0.999999762f);
  return fma(f * f, p, -2.0f * f);
}
/// 2 (f - ln(1 + f)), also where f is so small that the difference would lose all its bits.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double twice_log1p_gap(double f) noexcept {
  // With s = f / (2 + f), z = s^2: ln(1 + f) = f - f^2/2 + s (f^2/2 + z P(z)), P from the series of the inverse hyperbolic tangent.
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double f2 = f * f;
  double p = 0.29590609419330777;
  p = fma(p, z, 0.30628235285912042);
  p = fma(p, z, 0.36367123199357781);
  p = fma(p, z, 0.44444397255282725);
  p = fma(p, z, 0.57142857483676412);
  p = fma(p, z, 0.79999999998834448);
  p = fma(p, z, 1.3333333333333468);
  return fma(-s, fma(p, z, f2), f2);
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double minus_two_log1p(double f) noexcept { return fma(-2.0, f, twice_log1p_gap(f)); }

/// A distance t = (bits + 1/2) 2^-depth from one end of (0, 1): the 32 bits of `n` below the point, or, where n is below 2^16, 48 bits,
/// the low half of `more` behind it. As two parts that are exact in float: high and low times 2^-depth.
struct end_distance {
  float high;
  float low;
  std::uint32_t depth;
};
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE end_distance distance_of(std::uint32_t n, std::uint32_t more) noexcept {
  const std::uint32_t deep = std::uint32_t{0} - (((n >> 16) - 1u) >> 31);  // all ones or 0
  const std::uint32_t bits = ((n << 16 | (more & 0xFFFFu)) & deep) | (n & ~deep);
  return {static_cast<float>(static_cast<std::int32_t>(bits >> 8)) * 256.0f,
          static_cast<float>(static_cast<std::int32_t>(bits & 0xFFu)) + 0.5f, 32u + (deep & 16u)};
}

/// -ln x for x = 2^exponent (1 + f), f in [sqrt(1/2) - 1, sqrt(2) - 1].
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float minus_log(float f, std::int32_t exponent) noexcept {
  return fma(static_cast<float>(-exponent), 0.693147182f, 0.5f * minus_two_log1p(f));
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double minus_log(double f, double exponent) noexcept {
  return fma(-exponent, 0.69314718055994531, 0.5 * minus_two_log1p(f));
}

/// -ln x for a normal x > 0.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float minus_log(float x) noexcept {
  const auto bits = __builtin_bit_cast(std::int32_t, x);
  const std::int32_t exponent = (bits - 0x3F3504F3) >> 23;  // the bits of sqrt(1/2)
  return minus_log(__builtin_bit_cast(float, bits - exponent * 0x800000) - 1.0f, exponent);
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double minus_log(double x) noexcept {
  const auto bits = __builtin_bit_cast(std::uint64_t, x);
  // Offset by 1024, because a shift that keeps the sign is no vector operation before AVX-512.
  const std::uint64_t exponent = (bits + (0x4000000000000000u - 0x3FE6A09E667F3BCDu)) >> 52;
  const double m = __builtin_bit_cast(double, bits - (exponent << 52) + 0x4000000000000000u);
  return minus_log(m - 1.0, exact_double(exponent) - 1024.0);
}

/// -ln u for the number u in (0, 1) that a word stands for, as fine near 1 as near 0: never 0, never infinite.
///
/// float   u = (a + 1/2) 2^-32; where u or 1 - u is below 2^-16, it has 16 more bits, those of `more` (or their complement). So -ln u lies
///         in [2^-49, 33.97].
/// double  u = (a + 1/2) 2^-64; in [2^-65, 45.06].
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float minus_log_unit(std::uint32_t a, std::uint32_t more) noexcept {
  // Above sqrt(1/2) from 1 - u, which has all its bits: 1 + f = u without cancellation. Masks instead of conditions: compilers make
  // branches of several conditional values of one condition, and then no vector loop.
  const std::uint32_t upper = std::uint32_t{0} - (((a >> 1) + (0x80000000u - 0x5A82799Au)) >> 31);
  const end_distance t = distance_of(a ^ upper, more ^ upper);
  const auto sum = __builtin_bit_cast(std::uint32_t, t.high + t.low);
  const std::uint32_t exponent = (sum + (0x00800000u - 0x3F3504F3u)) >> 23;  // offset by 1
  const std::uint32_t below = (128u - exponent) << 23;
  const std::uint32_t above = (127u - t.depth) << 23 | 0x80000000u;
  const auto scale = __builtin_bit_cast(float, (below & ~upper) | (above & upper));
  const auto base = __builtin_bit_cast(float, 0xBF800000u & ~upper);  // -1 or 0
  const float f = fma(t.low, scale, fma(t.high, scale, base));
  return minus_log(f, static_cast<std::int32_t>((exponent - 1u - t.depth) & ~upper));
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double minus_log_unit(std::uint64_t a, std::uint64_t) noexcept {
  // Masks instead of conditions: comparing 64-bit integers is no vector operation on the oldest x86.
  const std::uint64_t upper = std::uint64_t{0} - (((a >> 32) + (0x100000000u - 0xB504F334u)) >> 32);
  const std::uint64_t n = a ^ upper;
  const double high = exact_double(n >> 32) * 0x1p32;
  const double low = exact_double(n & 0xFFFFFFFFu) + 0.5;
  const auto sum = __builtin_bit_cast(std::uint64_t, high + low);
  const std::uint64_t exponent = (sum + (0x0400000000000000u - 0x3FE6A09E667F3BCDu)) >> 52;  // offset by 64
  const std::uint64_t below = (1023u + 64u - exponent) << 52;
  const auto scale = __builtin_bit_cast(double, (below & ~upper) | (0xBBF0000000000000u & upper));  // or -2^-64
  const auto base = __builtin_bit_cast(double, 0xBFF0000000000000u & ~upper);                       // -1 or 0
  const double f = fma(low, scale, fma(high, scale, base));
  return minus_log(f, exact_double(exponent & ~upper) - __builtin_bit_cast(double, 0x4060000000000000u & ~upper));  // 128
}

}  // namespace tessera::random::detail
