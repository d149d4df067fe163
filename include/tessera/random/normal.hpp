// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Standard normal numbers, addressed by (seed, stream, index).
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/logarithm.hpp"
#include "tessera/random/detail/parameters.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/uniform.hpp"

namespace tessera::random {
namespace detail {

/// Two numbers of one radius and angle.
template <class T>
struct normal_pair {
  T cosine;
  T sine;
};

/// sqrt(-2 ln u) for u = (a | 1) 2^-32, or, where a is below 2^16, u = (a 2^16 + e | 1) 2^-48 with e the low half of `more`.
/// Written as u = m 2^(k - depth), m in [sqrt(1/2), sqrt(2)): -2 ln u = (depth - k) 2 ln 2 - 2 ln m.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float normal_radius(std::uint32_t a, std::uint32_t more) noexcept {
  const bool deep = a < 0x10000u;
  const std::uint32_t bits = (deep ? a << 16 | (more & 0xFFFFu) : a) | 1u;
  const std::uint32_t depth = deep ? 48u : 32u;

  // Two halves that a signed conversion takes exactly; m - 1 then costs one rounding, also where u is next to 1.
  const float high = static_cast<float>(static_cast<std::int32_t>(bits >> 8));
  const float low = static_cast<float>(static_cast<std::int32_t>(bits & 0xFFu));
  const auto rounded = __builtin_bit_cast(std::uint32_t, fma(high, 256.0f, low));
  const std::uint32_t exponent = (rounded - 0x3F3504F3u) >> 23;  // the bits of sqrt(1/2); never negative
  const float scale = __builtin_bit_cast(float, (127u - exponent) << 23);
  const float f = fma(low, scale, fma(high, 256.0f * scale, -1.0f));

  return square_root(fma(static_cast<float>(static_cast<std::int32_t>(depth - exponent)), 1.38629436f, minus_two_log1p(f)));
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

TESSERA_HD constexpr TESSERA_ALWAYS_INLINE normal_pair<float> normal_pair_from(std::uint32_t a, std::uint32_t b) noexcept {
  const float radius = normal_radius(a, b);
  const normal_pair<float> direction = normal_direction(b);
  return {radius * direction.cosine, radius * direction.sine};
}

/// sqrt(-2 ln u) for u = (a | 1) 2^-64.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double normal_radius(std::uint64_t a) noexcept {
  const double high = exact_double(a >> 32);
  const double low = exact_double((a & 0xFFFFFFFFu) | 1u);
  const auto rounded = __builtin_bit_cast(std::uint64_t, fma(high, 0x1p32, low));
  const std::uint64_t exponent = (rounded - 0x3FE6A09E667F3BCDu) >> 52;  // the bits of sqrt(1/2); never negative
  const double scale = __builtin_bit_cast(double, (1023u - exponent) << 52);
  const double f = fma(low, scale, fma(high, 0x1p32 * scale, -1.0));

  return square_root(fma(exact_double(64u - exponent), 1.3862943611198906, minus_two_log1p(f)));
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

TESSERA_HD constexpr TESSERA_ALWAYS_INLINE normal_pair<double> normal_pair_from(std::uint64_t a, std::uint64_t b) noexcept {
  const double radius = normal_radius(a);
  const normal_pair<double> direction = normal_direction(b);
  return {radius * direction.cosine, radius * direction.sine};
}

template <class T>
struct normal_law {
  using word = word_of<T>;
  using value = made_as<T>;
  static constexpr reads reading = reads::pair;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE two<value> operator()(word a, word b) const noexcept {
    const normal_pair<value> z = normal_pair_from(a, b);
    return {z.cosine, z.sine};
  }
};

template <class T>
struct scaled_normal_law {
  using word = word_of<T>;
  using value = made_as<T>;
  static constexpr reads reading = reads::pair;

  value mean;
  value stddev;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE two<value> operator()(word a, word b) const noexcept {
    const normal_pair<value> z = normal_pair_from(a, b);
    return {fma(stddev, z.cosine, mean), fma(stddev, z.sine, mean)};
  }

  constexpr TESSERA_ALWAYS_INLINE void check(const char* function) const {
    check_location(function, "mean", mean);
    check_scale(function, "stddev", stddev);
  }
};

}  // namespace detail

/// The numbers at indices n * block … n * block + n - 1 of a stream, n = values_per_block<T>: one evaluation of Philox.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE block_values<T> normal_block(std::uint64_t seed, std::uint64_t stream,
                                                                                      std::uint64_t block) noexcept {
  return detail::numbers_of_block<T>(detail::normal_law<T>{}, seed, stream, block);
}

/// The standard normal number at an address.
///
/// sqrt(-2 ln u) cos(2 pi v) at even and sqrt(-2 ln u) sin(2 pi v) at odd indices, u and v from two random words a and b:
///   float (and narrower types, which round it)   words 2p and 2p + 1 of block i / 4, p = i / 2 % 2;
///                                                v = (2b + 1) 2^-33; u = (a | 1) 2^-32, but where a < 2^16 that has 16 more
///                                                bits, for the tail: u = (2^16 a + b % 2^16 | 1) 2^-48
///   double                                       the two 64-bit words of block i / 2; u = (a | 1) 2^-64, v = (2b + 1) 2^-65
/// Logarithm, root, sine and cosine are our own polynomials, so that no standard library has a say in the bits.
/// Range          |z| <= 8.16 for float, 9.42 for double; 0 does not occur (in float16 by rounding only)
/// Accuracy       relative error below 5 * 2^-24 for float, 5 * 2^-53 for double; all radii and angles of float swept in test/random/normal.cpp
/// Cost           one Philox block and one pair, of which one value is kept: fill_normal and normal_block keep all
/// Determinism    the same bits with every compiler, instruction set and device, in constant expressions, alone or in a fill: each
///                step is one IEEE operation, rounded to nearest. Where fused multiply-add is no instruction (x86 without
///                -mfma, or -march=x86-64-v3) it is emulated: exactly, at a tenth of the speed
/// Backends       host, device, constant expressions
/// Source         Box, Muller, "A note on the generation of random normal deviates", Ann. Math. Statist. 29 (1958)
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T normal(std::uint64_t seed, std::uint64_t stream,
                                                                  std::uint64_t index) noexcept {
  return detail::number_at<T>(detail::normal_law<T>{}, seed, stream, index);
}

/// The normal number of a mean and a standard deviation at an address: mean + stddev normal<T>(seed, stream, index), rounded once more.
///
/// Range          mean finite, stddev at least 0 and finite
/// Special values a stddev at which results leave the range of T rounds them to infinity
/// Accuracy       that of normal times stddev, and one rounding
/// Errors         argument_error on the host: mean not finite, stddev negative, not finite or NaN. Not checked in device code
/// Backends       host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T normal(detail::made_as<T> mean, detail::made_as<T> stddev,
                                                                  std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const detail::scaled_normal_law<T> law{mean, stddev};
  return detail::number_at<T>(detail::checked(law, "random::normal"), seed, stream, index);
}

}  // namespace tessera::random
