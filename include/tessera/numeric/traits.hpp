// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a kernel asks of an element type: is it one of ours, what does it compute in, how finely does it round.
#pragma once

#include <concepts>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/numeric/format.hpp"
#include "tessera/numeric/rounding.hpp"
#include "tessera/numeric/small_float.hpp"

namespace tessera {

namespace detail {

template <class T>
struct format_of;
template <>
struct format_of<float> {
  using type = binary32;
};
template <>
struct format_of<double> {
  using type = binary64;
};
template <class Format>
struct format_of<small_float<Format>> {
  using type = Format;
};

}  // namespace detail

/// An element type of arrays: float, double or a small_float. Not long double, whose layout differs from machine to machine.
template <class T>
concept storage = std::same_as<std::remove_cv_t<T>, float> || std::same_as<std::remove_cv_t<T>, double> ||
                  detail::is_small_float<std::remove_cv_t<T>>;

/// A storage type of 16 bits or more: float, double, float16, bfloat16. (std::floating_point must not be told of new types.)
template <class T>
concept floating = storage<T> && sizeof(T) >= 2;

/// The format of a storage type: `format_of_t<float>` is binary32.
template <storage T>
using format_of_t = typename detail::format_of<std::remove_cv_t<T>>::type;

/// What an element type is computed and accumulated in: double for double, float for all others.
template <storage T>
using compute_t = std::conditional_t<std::same_as<std::remove_cv_t<T>, double>, double, float>;

/// 2^-p, as a double: the largest relative error of one rounding to T (normal range, to nearest). Error bounds are written in it.
template <storage T>
inline constexpr double unit_roundoff = detail::power_of_two<binary64>(-format_of_t<T>::precision);

/// 2^(1-p), as a double: the distance from 1 to the next value; twice the unit roundoff.
template <storage T>
inline constexpr double machine_epsilon = 2 * unit_roundoff<T>;

/// The code of a value: its bits as an unsigned integer.
template <storage T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto to_bits(T x) noexcept {
  return __builtin_bit_cast(typename format_of_t<T>::bits_type, x);
}

/// The value of a code: `from_bits<float>(0x3f800000)` is 1.
template <storage T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T from_bits(typename format_of_t<T>::bits_type code) noexcept {
  return __builtin_bit_cast(T, code);
}

// std::numeric_limits<float> has the same values, but its functions cannot be called from device code.

/// +infinity, of a type that has it.
template <storage T>
  requires format_of_t<T>::has_infinity
[[nodiscard]] TESSERA_HD constexpr T infinity() noexcept {
  return from_bits<T>(format_of_t<T>::infinity);
}

/// The positive quiet NaN without payload, of a type that has NaNs.
template <storage T>
  requires format_of_t<T>::has_nan
[[nodiscard]] TESSERA_HD constexpr T quiet_nan() noexcept {
  return from_bits<T>(format_of_t<T>::quiet_nan);
}

/// The largest finite value; its negative is the lowest.
template <storage T>
[[nodiscard]] TESSERA_HD constexpr T max_finite() noexcept {
  return from_bits<T>(format_of_t<T>::max_finite);
}

/// The smallest positive normal value.
template <storage T>
[[nodiscard]] TESSERA_HD constexpr T min_normal() noexcept {
  return from_bits<T>(format_of_t<T>::min_normal);
}

}  // namespace tessera
