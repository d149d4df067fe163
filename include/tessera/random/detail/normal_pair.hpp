// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Two standard normal numbers from two random words: the polar form of Box and Muller.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/logarithm.hpp"

namespace tessera::random::detail {

/// Two numbers of one radius and angle.
template <class T>
struct normal_pair {
  T cosine;
  T sine;
};

/// -2 ln u for u = bits 2^-depth, bits odd. Written as u = m 2^(k - depth), m in [sqrt(1/2), sqrt(2)): (depth - k) 2 ln 2 - 2 ln m.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float minus_two_log_of(std::uint32_t bits, std::uint32_t depth) noexcept {
  // Two halves that a signed conversion takes exactly; m - 1 then costs one rounding, also where u is next to 1.
  const float high = static_cast<float>(static_cast<std::int32_t>(bits >> 8));
  const float low = static_cast<float>(static_cast<std::int32_t>(bits & 0xFFu));
  const auto rounded = __builtin_bit_cast(std::uint32_t, fma(high, 256.0f, low));
  const std::uint32_t exponent = (rounded - 0x3F3504F3u) >> 23;  // the bits of sqrt(1/2); never negative
  const float scale = __builtin_bit_cast(float, (127u - exponent) << 23);
  const float f = fma(low, scale, fma(high, 256.0f * scale, -1.0f));
  return fma(static_cast<float>(static_cast<std::int32_t>(depth - exponent)), 1.38629436f, minus_two_log1p(f));
}

/// -2 ln u for u = (a | 1) 2^-32, or, where a is below `deep_below`, u = (a 2^16 + e | 1) 2^-48 with e the low half of `more`.
inline constexpr std::uint32_t deep_below = 0x10000u;
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float normal_squared_radius(std::uint32_t a, std::uint32_t more) noexcept {
  const bool deep = a < deep_below;
  return minus_two_log_of((deep ? a << 16 | (more & 0xFFFFu) : a) | 1u, deep ? 48u : 32u);
}

/// Cosine and sine of 2 pi (b + 1/2) 2^-32: never zero, and symmetric in sign.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE normal_pair<float> normal_direction(std::uint32_t b) noexcept {
  // The nearest quarter turn, and the rest as t in (-1/2, 1/2) quarter turns.
  const std::uint32_t quarter = b + 0x20000000u;
  const float t = static_cast<float>(static_cast<std::int32_t>(b << 2 | 2u)) * 0x1p-32f;
  const float z = t * t;
  // sin(pi/2 t) = pi/2 t + t z P(z), pi/2 in two parts: relative error 2^-27.1.
  float s = -0.00460483553f;
  s = fma(s, z, 0.0796814114f);
  s = fma(s, z, -0.645963609f);
  s = fma(s, z, -4.37113883e-8f);
  s = fma(t, 1.57079637f, t * s);
  // cos(pi/2 t), relative error 2^-31.
  float c = 0.000894486438f;
  c = fma(c, z, -0.0208555963f);
  c = fma(c, z, 0.253668547f);
  c = fma(c, z, -1.23370051f);
  c = fma(c, z, 1.0f);
  const bool odd = (quarter & 0x40000000u) != 0;
  const auto cosine = __builtin_bit_cast(std::uint32_t, odd ? s : c) ^ ((quarter + 0x40000000u) & 0x80000000u);
  const auto sine = __builtin_bit_cast(std::uint32_t, odd ? c : s) ^ (quarter & 0x80000000u);
  return {__builtin_bit_cast(float, cosine), __builtin_bit_cast(float, sine)};
}

/// -2 ln u for u = (a | 1) 2^-64.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double normal_squared_radius(std::uint64_t a, std::uint64_t) noexcept {
  const double high = exact_double(a >> 32);
  const double low = exact_double((a & 0xFFFFFFFFu) | 1u);
  const auto rounded = __builtin_bit_cast(std::uint64_t, fma(high, 0x1p32, low));
  const std::uint64_t exponent = (rounded - 0x3FE6A09E667F3BCDu) >> 52;  // the bits of sqrt(1/2); never negative
  const double scale = __builtin_bit_cast(double, (1023u - exponent) << 52);
  const double f = fma(low, scale, fma(high, 0x1p32 * scale, -1.0));

  return fma(exact_double(64u - exponent), 1.3862943611198906, minus_two_log1p(f));
}

/// Cosine and sine of 2 pi (b + 1/2) 2^-64.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE normal_pair<double> normal_direction(std::uint64_t b) noexcept {
  const std::uint64_t quarter = b + 0x2000000000000000u;
  const std::uint64_t rest = (b << 2 | 2u) ^ 0x8000000000000000u;  // offset by 2^63, so that both halves are unsigned
  const double t = fma(exact_double(rest & 0xFFFFFFFFu), 0x1p-64, fma(exact_double(rest >> 32), 0x1p-32, -0.5));
  const double z = t * t;
  // sin(pi/2 t) = pi/2 t + t z P(z), pi/2 in two parts: relative error 2^-56.9.
  double s = 5.6344628681755008e-8;
  s = fma(s, z, -3.5986477737824417e-6);
  s = fma(s, z, 1.6044115216792536e-4);
  s = fma(s, z, -4.6817541325625215e-3);
  s = fma(s, z, 7.9692626246059786e-2);
  s = fma(s, z, -0.64596409750624484);
  s = fma(s, z, 6.1232339957367660e-17);
  s = fma(t, 1.5707963267948966, t * s);
  // cos(pi/2 t), relative error 2^-59.
  double c = -6.2893860380444111e-9;
  c = fma(c, z, 4.7103340974835693e-7);
  c = fma(c, z, -2.5202027446930691e-5);
  c = fma(c, z, 9.1926027263237813e-4);
  c = fma(c, z, -2.0863480763180970e-2);
  c = fma(c, z, 0.25366950790104170);
  c = fma(c, z, -1.2337005501361697);
  c = fma(c, z, 1.0);
  // Exchanged by a mask: a comparison of 64-bit integers is no vector operation on the oldest x86.
  const auto sine_bits = __builtin_bit_cast(std::uint64_t, s);
  const auto cosine_bits = __builtin_bit_cast(std::uint64_t, c);
  const std::uint64_t exchange = (sine_bits ^ cosine_bits) & (std::uint64_t{0} - ((quarter >> 62) & 1u));
  const std::uint64_t cosine = cosine_bits ^ exchange ^ ((quarter + 0x4000000000000000u) & 0x8000000000000000u);
  const std::uint64_t sine = sine_bits ^ exchange ^ (quarter & 0x8000000000000000u);
  return {__builtin_bit_cast(double, cosine), __builtin_bit_cast(double, sine)};
}

/// sqrt(-2 ln u).
template <class Word>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE auto normal_radius(Word a, Word b) noexcept {
  return rounded_root(normal_squared_radius(a, b));
}

/// The numbers at an even index and the next, whose words are a and b.
template <class Word>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE auto normal_pair_from(Word a, Word b) noexcept {
  const auto radius = normal_radius(a, b);
  const auto direction = normal_direction(b);
  return normal_pair<decltype(radius + radius)>{radius * direction.cosine, radius * direction.sine};
}

}  // namespace tessera::random::detail
