// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// isnan, isinf, isfinite, signbit, abs and canonical by the bits alone: constexpr, on host and device, for every storage type.
#pragma once

#include "tessera/core/config.hpp"
#include "tessera/numeric/traits.hpp"

namespace tessera {

/// True for a NaN of either kind.
template <storage T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr bool isnan(T x) noexcept {
  return (to_bits(x) & format_of_t<T>::magnitude_mask) > format_of_t<T>::max_number;
}

/// True for +infinity and -infinity.
template <storage T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr bool isinf(T x) noexcept {
  using format = format_of_t<T>;
  return format::has_infinity && (to_bits(x) & format::magnitude_mask) == format::max_number;
}

/// True for all but infinities and NaNs.
template <storage T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr bool isfinite(T x) noexcept {
  return (to_bits(x) & format_of_t<T>::magnitude_mask) <= format_of_t<T>::max_finite;
}

/// The sign bit, of a zero or NaN too.
template <storage T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr bool signbit(T x) noexcept {
  return (to_bits(x) & format_of_t<T>::sign_mask) != 0;
}

/// The value with its sign bit cleared.
template <storage T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T abs(T x) noexcept {
  using format = format_of_t<T>;
  return from_bits<T>(static_cast<typename format::bits_type>(to_bits(x) & format::magnitude_mask));
}

/// The value with every NaN made the one positive quiet NaN without payload: for bits that are compared or hashed across machines.
template <storage T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T canonical(T x) noexcept {
  if constexpr (format_of_t<T>::has_nan) {
    return isnan(x) ? quiet_nan<T>() : x;
  } else {
    return x;
  }
}

}  // namespace tessera
