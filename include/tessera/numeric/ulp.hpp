// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Distances in units in the last place: how many values lie between two, and how far a result is from a float64 reference.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/classify.hpp"
#include "tessera/numeric/format.hpp"
#include "tessera/numeric/rounding.hpp"
#include "tessera/numeric/traits.hpp"

namespace tessera {

/// The place of a value among its type's values: monotone in the value, consecutive for neighbours, 0 for both zeros.
///
/// Special values  infinity follows the largest finite value; NaNs lie beyond the infinities.
template <storage T>
[[nodiscard]] TESSERA_HD constexpr std::int64_t ulp_index(T x) noexcept {
  const auto magnitude = static_cast<std::int64_t>(to_bits(x) & format_of_t<T>::magnitude_mask);
  return signbit(x) ? -magnitude : magnitude;
}

/// The number of steps from one value to the other through the values of T.
///
/// Special values  two NaNs are 0 apart, a NaN and a number 2^64 - 1; +0 and -0 are 0 apart; infinity is one step past the
///                 largest value.
template <storage T>
[[nodiscard]] TESSERA_HD constexpr std::uint64_t ulp_distance(T a, T b) noexcept {
  if (isnan(a) || isnan(b)) {
    return isnan(a) && isnan(b) ? 0 : ~std::uint64_t{0};
  }
  const std::int64_t i = ulp_index(a);
  const std::int64_t j = ulp_index(b);
  // Subtracted as unsigned: the two ends of double are more than 2^63 apart.
  return i > j ? static_cast<std::uint64_t>(i) - static_cast<std::uint64_t>(j)
               : static_cast<std::uint64_t>(j) - static_cast<std::uint64_t>(i);
}

/// |got - want| / ulp(want), where ulp(want) is the spacing of T's values in the binade of `want`.
///
/// A correctly rounded result is within 0.5. In the subnormal range of T the spacing is that of the subnormals; past its
/// largest value that of its last binade, and an infinite `got` counts as the value that would follow the largest.
///
/// Special values  both NaN, or equal infinities: 0. One NaN, infinities of unlike signs, an infinite `want` and a finite `got`:
///                 infinity. An infinite `got` whose `want` rounds to it: 0. In a type without infinity, what the conversion of
///                 `want` gives where `want` or `got` is special: 0.
/// Accuracy        the result carries a relative error of at most 2^-52.
template <storage T>
[[nodiscard]] TESSERA_HD constexpr double ulp_error(T got, double want) noexcept {
  using format = format_of_t<T>;
  if constexpr (!format::has_infinity) {
    if (isnan(got) != isnan(want) || isinf(want)) {
      const T due(want);
      return to_bits(canonical(got)) == to_bits(canonical(due)) ? 0.0 : infinity<double>();
    }
  }
  if (isnan(got) || isnan(want)) {
    return isnan(got) && isnan(want) ? 0.0 : infinity<double>();
  }
  double value = static_cast<double>(got);
  if (isinf(want)) {
    return value == want ? 0.0 : infinity<double>();
  }
  int exponent = static_cast<int>((to_bits(want) & binary64::magnitude_mask) >> binary64::mantissa_bits) - binary64::bias;
  exponent = exponent < format::min_exponent ? format::min_exponent : exponent;
  exponent = exponent > format::max_exponent ? format::max_exponent : exponent;

  // Everything times 1/ulp(want), in two steps because the factor itself may exceed double's range.
  const int shift = format::mantissa_bits - exponent;
  const double first = detail::power_of_two<binary64>(shift / 2);
  const double second = detail::power_of_two<binary64>(shift - shift / 2);
  const double target = want * first * second;
  if (isinf(got)) {
    if (signbit(got) != signbit(want)) {
      return infinity<double>();
    }
    const double limit = detail::power_of_two<binary64>(format::max_exponent) * first * second * 2;
    const double past = abs(target) - limit;
    // Half an ulp of the last binade below the limit is where rounding turns to infinity.
    return past >= -0.5 && exponent == format::max_exponent ? 0.0 : -past;
  }
  value = value * first * second;
  return abs(value - target);
}

}  // namespace tessera
