// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The neighbours of a number among the values of its type.
#pragma once

#include "tessera/core/config.hpp"
#include "tessera/numeric/classify.hpp"
#include "tessera/numeric/traits.hpp"

namespace tessera {

namespace detail {

/// -x by its bits, for any storage type.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T negated(T x) noexcept {
  using format = format_of_t<T>;
  return from_bits<T>(static_cast<typename format::bits_type>(to_bits(x) ^ format::sign_mask));
}

}  // namespace detail

/// The smallest value above x.
///
/// Special values  from either zero the smallest subnormal; from the smallest negative one -0; the largest value stays where it is:
///                 infinity, in a type without it the largest finite value. A NaN becomes quiet.
/// Accuracy        exact; every code is tried in test/numeric/next.cpp
/// Backends        host, device
/// Source          IEEE 754-2019, section 5.3.1, nextUp
template <storage T>
  requires(format_of_t<T>::sign_mask != 0)
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T next_up(T x) noexcept {
  using format = format_of_t<T>;
  using bits = typename format::bits_type;
  const bits code = to_bits(x);
  if (isnan(x)) {
    if constexpr (format::has_infinity) {
      return from_bits<T>(static_cast<bits>(code | format::quiet_bit));
    } else {
      return x;
    }
  }
  if (code == format::sign_mask) {
    return from_bits<T>(format::min_subnormal);
  }
  if (signbit(x)) {
    return from_bits<T>(static_cast<bits>(code - 1));
  }
  return from_bits<T>(static_cast<bits>(code + (code < format::max_number ? 1 : 0)));
}

/// The largest value below x: -next_up(-x).
template <storage T>
  requires(format_of_t<T>::sign_mask != 0)
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T next_down(T x) noexcept {
  return detail::negated(next_up(detail::negated(x)));
}

/// The next value after x on the way to y; y itself where they are equal. A NaN in either becomes the result, x first.
///
/// Source  C23, 7.12.11.3
template <storage T>
  requires(format_of_t<T>::sign_mask != 0)
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T nextafter(T x, T y) noexcept {
  if (isnan(x) || isnan(y)) {
    return next_up(isnan(x) ? x : y);
  }
  return x < y ? next_up(x) : y < x ? next_down(x) : y;
}

}  // namespace tessera
