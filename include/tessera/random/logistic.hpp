// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Logistic numbers, addressed by (seed, stream, index).
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/logarithm.hpp"
#include "tessera/random/detail/parameters.hpp"

namespace tessera::random {
namespace detail {

/// ln(u / (1 - u)) for the number u in (0, 1) that a word stands for: as minus_log_unit has it, but that it is u or 1 - u, whichever is
/// smaller, that has more bits.
///
/// With t the smaller, the odds (1 - t) / t are 2^k (1 + f). A first quotient finds k; then f = (1 - (2^k + 1) t) / (2^k t), whose numerator
/// takes t in two exact parts, is as good where the odds are next to 1 or to the border of two k as it is elsewhere.
struct standard_logistic {
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float operator()(std::uint32_t a, std::uint32_t more) const noexcept {
    const std::uint32_t upper = std::uint32_t{0} - (a >> 31);
    const end_distance d = distance_of(a ^ upper, more ^ upper);
    const auto scale = __builtin_bit_cast(float, (127u - d.depth) << 23);
    const float high = d.high * scale;
    const float low = d.low * scale;
    const float t = high + low;
    const auto odds = __builtin_bit_cast(std::uint32_t, divide(1.0f - t, t));
    const std::uint32_t exponent = (odds + (0x40000000u - 0x3F3504F3u)) >> 23;  // k, offset by 128
    const auto power = __builtin_bit_cast(float, (exponent - 1u) << 23);
    const float factor = -1.0f - power;
    const float f = divide(fma(factor, low, fma(factor, high, 1.0f)), power * t);
    const float minus = minus_log(f, static_cast<std::int32_t>(exponent - 128u));
    return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, minus) ^ (upper & 0x80000000u));
  }
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double operator()(std::uint64_t a, std::uint64_t) const noexcept {
    const std::uint64_t upper = std::uint64_t{0} - (a >> 63);
    const std::uint64_t n = a ^ upper;
    const double high = exact_double(n >> 32) * 0x1p-32;
    const double low = (exact_double(n & 0xFFFFFFFFu) + 0.5) * 0x1p-64;
    const double t = high + low;
    const auto odds = __builtin_bit_cast(std::uint64_t, (1.0 - t) / t);
    const std::uint64_t exponent = (odds + (0x4000000000000000u - 0x3FE6A09E667F3BCDu)) >> 52;  // k, offset by 1024
    const auto power = __builtin_bit_cast(double, (exponent - 1u) << 52);
    const double factor = -1.0 - power;
    const double f = fma(factor, low, fma(factor, high, 1.0)) / (power * t);
    const double minus = minus_log(f, exact_double(exponent) - 1024.0);
    return __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, minus) ^ (upper & 0x8000000000000000u));
  }
};
template <class T>
using logistic_law = location_scale_law<T, standard_logistic>;

}  // namespace detail

/// The logistic number at an address: loc + scale ln(u / (1 - u)).
///
/// u as for exponential, finer near both ends. The law is symmetric to the last bit: complementary words give opposite numbers.
/// Range          loc finite, scale at least 0 and finite. |x - loc| / scale <= 33.97 for float, 45.06 for double;
///                the standard number is never 0
/// Special values a scale at which results leave the range of T rounds them to infinity
/// Accuracy       of the standard number: relative error below 4 * 2^-24 for float, 4 * 2^-53 for double; test/random/logistic.cpp
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
