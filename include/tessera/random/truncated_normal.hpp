// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Standard normal numbers of an interval, addressed by (seed, stream, index).
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/logarithm.hpp"
#include "tessera/random/detail/normal_pair.hpp"
#include "tessera/random/detail/parameters.hpp"

namespace tessera::random {
namespace detail {

/// A proposal and whether it stands.
struct truncated_trial {
  double x;
  bool accepted;
};

/// What is proposed: where the interval holds 0 and is wide, a normal number; next to or beyond 0, an exponential one from the near end on
/// (Robert's rate); in a narrow interval, a uniform one. Every choice accepts 49 % of its proposals or more.
enum class proposal : std::uint8_t { normal, exponential, uniform };

/// With u and e = -ln v from the two words: x stands where e is above ln(highest ratio of densities) - ln(ratio at x), which is
///   exponential   x = left + t / rate, t = -ln u          ((t - 1) / rate)^2 / 2
///   uniform       x = left + u (right - left)             (x^2 - c^2) / 2, c the point of the interval next to 0
template <class T>
struct truncated_normal_law {
  using word = std::uint64_t;
  using value = double;
  static constexpr reads reading = reads::block;
  static constexpr bool repairs = true;

  double low;
  double high;
  proposal kind = proposal::normal;
  double sign = 1;  // the interval is reflected where that brings its near end to the left
  double left;
  double right;
  double nearest;  // c
  double rate = 1;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE truncated_normal_law(made_as<T> a, made_as<T> b) noexcept
      : low(static_cast<double>(static_cast<T>(a))),
        high(static_cast<double>(static_cast<T>(b))),
        left(low),
        right(high),
        nearest(0) {
    if (!(low < high)) return;
    if (high <= 0.0 || (low < 0.0 && high < -low)) {
      sign = -1;
      left = -high;
      right = -low;
    }
    if (left >= 0.0) {
      nearest = left;
      // (left + sqrt(left^2 + 4)) / 2, without squares of large numbers
      const double inverse = left > 1.0 ? 1.0 / left : 1.0;
      rate = left > 1.0 ? 0.5 * left * (1.0 + square_root(fma(4.0 * inverse, inverse, 1.0)))
                        : 0.5 * (left + square_root(fma(left, left, 4.0)));
      kind = (right - left) * rate < 1.5 ? proposal::uniform : proposal::exponential;
    } else if (right - left < 2.5) {
      kind = proposal::uniform;
    }
  }

  template <proposal Kind>
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE truncated_trial trial(word a, word b) const noexcept {
    if constexpr (Kind == proposal::normal) {
      const double x = square_root(normal_squared_radius(a, b)) * normal_direction(b).cosine;
      return {sign * x, x >= left && x <= right};
    } else if constexpr (Kind == proposal::exponential) {
      const double t = minus_log_unit(a, 0);
      const double x = left + t / rate;
      const double from_mean = (t - 1.0) / rate;
      return {sign * x, x <= right && minus_log_unit(b, 0) > 0.5 * (from_mean * from_mean)};
    } else {
      const double u = fma(exact_double(a >> 32), 0x1p-32, (exact_double(a & 0xFFFFFFFFu) + 0.5) * 0x1p-64);
      const double y = fma(u, right - left, left);
      const double x = y < right ? y : right;
      return {sign * x, minus_log_unit(b, 0) > 0.5 * ((x - nearest) * (x + nearest))};
    }
  }
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE truncated_trial trial(word a, word b) const noexcept {
    if (kind == proposal::normal) return trial<proposal::normal>(a, b);
    if (kind == proposal::exponential) return trial<proposal::exponential>(a, b);
    return trial<proposal::uniform>(a, b);
  }
  /// f(integral constant of the kind): so a fill has a loop for each.
  template <class F>
  TESSERA_ALWAYS_INLINE void with_kind(F f) const {
    if (kind == proposal::normal) {
      f(std::integral_constant<proposal, proposal::normal>{});
    } else if (kind == proposal::exponential) {
      f(std::integral_constant<proposal, proposal::exponential>{});
    } else {
      f(std::integral_constant<proposal, proposal::uniform>{});
    }
  }

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value repaired(further_blocks further) const noexcept {
    for (std::uint64_t k = 1;; ++k) {
      const philox_block bits = further(k);
      const truncated_trial t = trial(bits.pair(0), bits.pair(1));
      if (t.accepted) return t.x;
    }
  }

  constexpr TESSERA_ALWAYS_INLINE void check(const char* function) const {
    if (low != low) refuse(function, "low", low, "needs a number");
    if (high != high) refuse(function, "high", high, "needs a number");
    if (!(low < high)) refuse(function, "high", high, "needs a number above low (both in the type of the result)");
  }
};

}  // namespace detail

/// The standard normal number, given that it lies in [low, high], at an address; low and high may be infinite.
///
/// Exact rejection: block `index` holds the two words of a proposal, and where that is refused, further blocks that belong to the address
/// alone hold the next ones. The far tail is as right as the middle: [8, 9], [100, inf) and [-40, -39.9] have no special cost.
/// Range          low < high after rounding to T. (x - mean) / stddev limits are yours to take: mean + stddev times the result
/// Accuracy       the law is exact but for the words' 64 bits; the number is made in double and rounded once to T, and lies in [low, high]
/// Cost           one Philox block and two logarithms in double a proposal; 49 % or more of the proposals stand
/// Determinism    as for normal: the same bits everywhere
/// Errors         argument_error on the host: low or high NaN, an empty interval. Not checked in device code, where an empty interval
///                must not be asked for
/// Backends       host, device, constant expressions
/// Source         Robert, "Simulation of truncated normal variables", Statistics and Computing 5 (1995), section 2
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T truncated_normal(detail::made_as<T> low, detail::made_as<T> high,
                                                                            std::uint64_t seed, std::uint64_t stream,
                                                                            std::uint64_t index) {
  const detail::truncated_normal_law<T> law(low, high);
  return detail::number_at<T>(detail::checked(law, "random::truncated_normal"), seed, stream, index);
}

}  // namespace tessera::random
