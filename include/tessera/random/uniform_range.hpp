// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Uniform numbers in [low, high), addressed by (seed, stream, index).
#pragma once

#include <cstdint>
#include <limits>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/parameters.hpp"
#include "tessera/random/uniform.hpp"

namespace tessera::random {
namespace detail {

// Not inside functions, where device code may not call what makes them.
template <class T>
inline constexpr made_as<T> smallest_subnormal = static_cast<made_as<T>>(std::numeric_limits<T>::denorm_min());
template <class T>
inline constexpr made_as<T> smallest_normal = static_cast<made_as<T>>((std::numeric_limits<T>::min)());

/// The largest T below x, a finite T in the type it is computed in.
template <class T>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE made_as<T> next_below(made_as<T> x) noexcept {
  using V = made_as<T>;
  using Bits = word_of<T>;
  if (x <= smallest_normal<T> && x >= -smallest_normal<T>) return x - smallest_subnormal<T>;
  // T's steps, in codes of V; from a power of two down the step is half of it, which borrowing from the exponent does.
  constexpr Bits step = Bits{1} << (std::numeric_limits<V>::digits - std::numeric_limits<T>::digits);
  const auto code = __builtin_bit_cast(Bits, x);
  return __builtin_bit_cast(V, x > V(0) ? code - step : code + step);
}

template <class T>
struct uniform_range_law {
  using word = word_of<T>;
  using value = made_as<T>;
  static constexpr reads reading = reads::word;
  static constexpr bool repairs = false;

  value low;
  value high;
  value width;
  value last;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE uniform_range_law(value from, value to) noexcept
      : low(static_cast<value>(static_cast<T>(from))),
        high(static_cast<value>(static_cast<T>(to))),
        width(high - low),
        last(next_below<T>(high)) {}

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value operator()(word w) const noexcept {
    // Low and last are numbers of T, so that rounding to T leaves the result between them.
    const value x = fma(half_open_grid<value>(w), width, low);
    return x < last ? x : last;
  }

  constexpr TESSERA_ALWAYS_INLINE void check(const char* function) const {
    check_location(function, "low", low);
    check_location(function, "high", high);
    if (!(low < high))
      refuse(function, "high", static_cast<double>(high), "needs a number above low (both in the type of the result)");
    if (!is_finite(width)) refuse(function, "high - low", static_cast<double>(width), "needs a finite width");
  }
};

}  // namespace detail

/// The uniform number in [low, high) at an address: low + (high - low) u, u = uniform<float> of the word (double: uniform<double>).
///
/// low and high are first rounded to T. The result is never high: what rounds to it becomes the largest T below.
/// Range          low < high, both finite, their distance finite
/// Accuracy       absolute error below 2^-23 (|low| + |high|) for float, 2^-52 for double, 2^-10 and 2^-7 for float16 and bfloat16;
///                test/random/uniform_range.cpp
/// Determinism    as for normal: the same bits everywhere
/// Errors         argument_error on the host: low or high not finite or NaN, an empty range, a width that overflows. Not checked in
///                device code
/// Backends       host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T uniform(detail::made_as<T> low, detail::made_as<T> high,
                                                                   std::uint64_t seed, std::uint64_t stream,
                                                                   std::uint64_t index) {
  const detail::uniform_range_law<T> law(low, high);
  return detail::number_at<T>(detail::checked(law, "random::uniform"), seed, stream, index);
}

}  // namespace tessera::random
