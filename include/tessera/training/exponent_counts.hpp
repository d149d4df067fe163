// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// How many numbers lie in each binade, and what that says of a scale: the arithmetic of loss scaling in numbers of gradients.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/traits.hpp"

namespace tessera::training {

/// Numbers counted by their binary exponent, floor(log2(|x|)): those of `exponent` e have magnitudes from 2^e up to 2^(e + 1). Plain bytes;
/// counts of parts of a model join by `add`.
struct exponent_counts {
  static constexpr int lowest = -149;  ///< of the smallest number of float, bfloat16 and all narrower types
  static constexpr int highest = 127;  ///< of the largest
  static constexpr int exponents = highest - lowest + 1;

  std::int64_t counts[exponents] = {};  ///< of exponent lowest + i
  std::int64_t zeros = 0;
  std::int64_t below = 0;  ///< numbers of double that are not 0, and below 2^lowest
  std::int64_t above = 0;  ///< numbers of double from 2^128 on
  std::int64_t infinities = 0;
  std::int64_t nans = 0;

  /// How many have this exponent.
  [[nodiscard]] constexpr std::int64_t of(int exponent) const {
    return exponent < lowest || exponent > highest ? 0 : counts[exponent - lowest];
  }
  /// How many are finite, and not 0.
  [[nodiscard]] constexpr std::int64_t nonzero() const {
    std::int64_t sum = below + above;
    for (const std::int64_t n : counts) sum += n;
    return sum;
  }
  /// How many there are.
  [[nodiscard]] constexpr std::int64_t elements() const { return nonzero() + zeros + infinities + nans; }
  /// How many that are not 0 have an exponent below this one.
  [[nodiscard]] constexpr std::int64_t less(int exponent) const {
    std::int64_t sum = exponent > lowest - 1 ? below : 0;
    for (int e = lowest; e < exponent && e <= highest; ++e) sum += counts[e - lowest];
    return sum;
  }
  /// The largest exponent of a finite number; 128 for numbers from 2^128 on, lowest - 1 where there is none within reach.
  [[nodiscard]] constexpr int largest() const {
    if (above > 0) return highest + 1;
    int e = highest;
    while (e >= lowest && counts[e - lowest] == 0) --e;
    return e;
  }
  /// Joins what was counted elsewhere.
  constexpr void add(const exponent_counts& more) {
    for (int i = 0; i < exponents; ++i) counts[i] += more.counts[i];
    zeros += more.zeros;
    below += more.below;
    above += more.above;
    infinities += more.infinities;
    nans += more.nans;
  }
};

/// What becomes of the counted numbers that are finite and not 0 when they are multiplied by a scale and stored in a format.
struct scale_outlook {
  std::int64_t nonzero = 0;    ///< all of them
  std::int64_t lost = 0;       ///< become 0: below half the format's smallest number
  std::int64_t subnormal = 0;  ///< below its smallest normal number, and not lost: they keep fewer digits than the format has
  std::int64_t last = 0;       ///< in its last binade, the end of which lies beyond its largest number: they may overflow
  std::int64_t overflow = 0;   ///< too large for it

  /// The part of them below the smallest normal number.
  [[nodiscard]] constexpr double share_below() const {
    return nonzero == 0 ? 0 : static_cast<double>(lost + subnormal) / static_cast<double>(nonzero);
  }
};

namespace detail {

/// n for 2^n, of a number that is one.
TESSERA_ALWAYS_INLINE int exponent_of_scale(float scale, const char* function) {
  const std::uint32_t code = to_bits(scale);
  const bool power =
      scale > 0 && scale <= tessera::max_finite<float>() && code >= binary32::min_normal && (code & binary32::mantissa_mask) == 0;
  tessera::detail::expects(
      power, function, "scale", [&] { return tessera::detail::number(static_cast<double>(scale)); },
      "needs a power of two from 2^-126 to 2^127");
  return static_cast<int>(code >> binary32::mantissa_bits) - binary32::bias;
}

}  // namespace detail

/// What a scale would lose of the counted numbers in the format S, and what would overflow.
///
/// Range           scale: a power of two
/// Errors          argument_error: a scale that is none
template <storage S = float16>
[[nodiscard]] scale_outlook outlook(const exponent_counts& numbers, float scale) {
  using format = format_of_t<S>;
  const int shift = detail::exponent_of_scale(scale, "training::outlook");
  const int smallest = format::min_exponent - format::mantissa_bits - shift;  // whose lower neighbour's upper half rounds up
  scale_outlook result{.nonzero = numbers.nonzero()};
  result.lost = numbers.less(smallest - 1);
  result.subnormal = numbers.less(format::min_exponent - shift) - result.lost;
  result.last = numbers.of(format::max_exponent - shift);
  result.overflow = result.nonzero - numbers.less(format::max_exponent + 1 - shift);
  return result;
}

/// The scale of a loss that these gradients ask for in the format S: the smallest power of two, from 1 on, that leaves at most `share` of those
/// that are not 0 below the format's smallest normal number, as long as none can overflow.
///
/// Why losses are scaled: a format has an exponent of few bits, and what lies below them is lost. float16 has all its digits from 2^-14 on, fewer
/// and fewer down to 2^-24, and nothing below 2^-25, while gradients of 2^-30 are common, and move a weight all the same once there are enough
/// of them. Above, it reaches 2^16, where hardly a gradient is. Multiplying the loss by 2^k multiplies every gradient by 2^k, which moves all
/// exponents k places up, out of the part that is lost, and rounds nothing; unscale divides before the gradients are used. How far to move
/// them is what the exponents say: `count` those of a step in float or bfloat16, or in float16 with the scale that is in use (then the scale
/// proposed comes on top of that one), and this gives k. Where training overflows now and then, a smaller scale than the one proposed is the
/// better one: that is what loss_scaler finds by trying, beginning here.
///
/// Range           share: from 0 to 1
/// Special values  infinities and NaNs do not count: no scale changes them. No number that counts: 1. Where even a scale of 1 might overflow, the
///                 largest that does not, below 1; where both cannot be had, the one without overflow. Never beyond 2^-126 and 2^127
/// Errors          argument_error: a share out of range, or NaN
/// Source          Micikevicius et al. 2018, arXiv:1710.03740, section 3.2, whose figure 3 is such a histogram
template <storage S = float16>
[[nodiscard]] float proposed_scale(const exponent_counts& numbers, double share = 0.001) {
  using format = format_of_t<S>;
  tessera::detail::expects(
      share >= 0 && share <= 1, "training::proposed_scale", "share", [&] { return tessera::detail::number(share); },
      "needs a part of the gradients, from 0 to 1");
  const std::int64_t nonzero = numbers.nonzero();
  if (nonzero == 0) return 1;
  const auto allowed = static_cast<std::int64_t>(share * static_cast<double>(nonzero));
  // The largest exponent that may become the smallest normal one.
  int least = exponent_counts::lowest;
  while (least < exponent_counts::highest && numbers.less(least + 1) <= allowed) ++least;
  // The last binade is not full, so that the largest number is to stay below it.
  const int most = format::max_exponent - 1 - numbers.largest();
  const int wanted = std::max(0, format::min_exponent - least);
  return tessera::detail::power_of_two<binary32>(std::clamp(std::min(wanted, most), -126, 127));
}

}  // namespace tessera::training
