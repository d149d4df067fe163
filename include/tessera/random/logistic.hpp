// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Logistic numbers, addressed by (seed, stream, index).
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/logarithm.hpp"
#include "tessera/random/detail/parameters.hpp"

namespace tessera::random {
namespace detail {

/// x where the mask is all ones, y where it is 0.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float choose(std::uint32_t mask, float x, float y) noexcept {
  return __builtin_bit_cast(float,
                            (__builtin_bit_cast(std::uint32_t, x) & mask) | (__builtin_bit_cast(std::uint32_t, y) & ~mask));
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double choose(std::uint64_t mask, double x, double y) noexcept {
  return __builtin_bit_cast(double,
                            (__builtin_bit_cast(std::uint64_t, x) & mask) | (__builtin_bit_cast(std::uint64_t, y) & ~mask));
}

/// ln(u / (1 - u)) for the number u in (0, 1) that a word stands for: as minus_log_unit has it, but that it is u or 1 - u, whichever is
/// smaller, that has more bits, and that the middle is as exact as the ends.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float logit_unit(std::uint32_t a, std::uint32_t more) noexcept {
  const std::uint32_t flip = std::uint32_t{0} - (a >> 31);
  const std::uint32_t n = a ^ flip;
  const end_distance d = distance_of(n, more ^ flip);
  const auto scale = __builtin_bit_cast(float, (127u - d.depth) << 23);
  const float t = fma(d.low, scale, d.high * scale);  // u or 1 - u, at most 1/2
  // The odds (1 - t) / t are 1 + f or 2^k (1 + f). Next to 1 from f = (1 - 2 t) / t, whose numerator is an integer over 2^32.
  const std::uint32_t odd = ~(n << 1);
  const std::uint32_t near = std::uint32_t{0} - ((n + (0x80000000u - 0x6A09E668u)) >> 31);  // t above 1 / (1 + sqrt(2))
  const float rest = fma(static_cast<float>(static_cast<std::int32_t>(odd >> 8)), 0x1p-24f,
                         static_cast<float>(static_cast<std::int32_t>(odd & 0xFFu)) * 0x1p-32f);
  const float ratio = choose(near, rest, 1.0f - t) / t;
  const auto bits = __builtin_bit_cast(std::uint32_t, ratio);
  const std::uint32_t exponent = (bits + (0x40000000u - 0x3F3504F3u)) >> 23;  // offset by 128
  const auto m = __builtin_bit_cast(float, bits - (exponent << 23) + 0x40000000u);
  const float minus = minus_log(choose(near, ratio, m - 1.0f), static_cast<std::int32_t>((exponent - 128u) & ~near));
  return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, minus) ^ (flip & 0x80000000u));
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double logit_unit(std::uint64_t a, std::uint64_t) noexcept {
  const std::uint64_t flip = std::uint64_t{0} - (a >> 63);
  const std::uint64_t n = a ^ flip;
  const double t = fma(exact_double(n >> 32), 0x1p-32, (exact_double(n & 0xFFFFFFFFu) + 0.5) * 0x1p-64);
  const std::uint64_t odd = ~(n << 1);
  const std::uint64_t near = std::uint64_t{0} - (((n >> 32) + (0x100000000u - 0x6A09E668u)) >> 32);
  const double rest = fma(exact_double(odd >> 32), 0x1p-32, exact_double(odd & 0xFFFFFFFFu) * 0x1p-64);
  const double ratio = choose(near, rest, 1.0 - t) / t;
  const auto bits = __builtin_bit_cast(std::uint64_t, ratio);
  const std::uint64_t exponent = (bits + (0x4000000000000000u - 0x3FE6A09E667F3BCDu)) >> 52;  // offset by 1024
  const double m = __builtin_bit_cast(double, bits - (exponent << 52) + 0x4000000000000000u);
  const double minus = minus_log(choose(near, ratio, m - 1.0), choose(near, 0.0, exact_double(exponent) - 1024.0));
  return __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, minus) ^ (flip & 0x8000000000000000u));
}

template <class T>
struct logistic_law {
  using word = word_of<T>;
  using value = made_as<T>;
  static constexpr reads reading = reads::neighbour;

  value loc = 0;
  value scale = 1;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value operator()(word w, word more) const noexcept {
    return fma(scale, logit_unit(w, more), loc);
  }

  constexpr void check(const char* function) const {
    check_location(function, "loc", loc);
    check_scale(function, "scale", scale);
  }
};

}  // namespace detail

/// The logistic number at an address: loc + scale ln(u / (1 - u)).
///
/// u as for exponential, finer near both ends. The law is symmetric to the last bit: complementary words give opposite numbers.
/// Range          loc finite, scale at least 0 and finite. |x - loc| / scale <= 33.97 for float, 45.06 for double; the standard number is never 0
/// Special values a scale at which results leave the range of T rounds them to infinity
/// Accuracy       of the standard number: relative error below 6 * 2^-24 for float, 6 * 2^-53 for double; test/random/logistic.cpp
/// Cost           one Philox block, of which the other numbers are thrown away: fill_logistic and logistic_block keep them
/// Determinism    as for normal: the same bits everywhere
/// Errors         argument_error on the host: loc not finite, scale negative, not finite or NaN. Not checked in device code
/// Backends       host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T logistic(detail::made_as<T> loc, detail::made_as<T> scale,
                                                                    std::uint64_t seed, std::uint64_t stream,
                                                                    std::uint64_t index) {
  const detail::logistic_law<T> law{loc, scale};
  return detail::number_at<T>(detail::checked(law, "random::logistic"), seed, stream, index);
}

/// The standard number at an address: loc 0, scale 1.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T logistic(std::uint64_t seed, std::uint64_t stream,
                                                                    std::uint64_t index) noexcept {
  return detail::number_at<T>(detail::logistic_law<T>{}, seed, stream, index);
}

/// The standard numbers at indices n * block … n * block + n - 1 of a stream, n = values_per_block<T>: one evaluation of Philox.
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE block_values<T> logistic_block(std::uint64_t seed, std::uint64_t stream,
                                                                                        std::uint64_t block) noexcept {
  return detail::numbers_of_block<T>(detail::logistic_law<T>{}, seed, stream, block);
}

}  // namespace tessera::random
