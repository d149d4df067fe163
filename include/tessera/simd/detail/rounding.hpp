// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// numeric/rounding.hpp on all lanes of a register: codes of small formats from floats and back, by integers.
#pragma once

#include <cstdint>

#include "tessera/numeric/format.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/rounding.hpp"
#include "tessera/simd/compat.hpp"
#include "tessera/simd/detail/codes.hpp"
#include "tessera/simd/pack.hpp"

namespace tessera::simd::detail {

/// The float of a code; exact. The bits of tessera::detail::widen.
template <class Format, class Arch>
TESSERA_ALWAYS_INLINE pack<float, Arch> widen(code_pack<Arch> code) {
  using I = code_pack<Arch>;
  constexpr int cut = binary32::mantissa_bits - Format::mantissa_bits;
  const I sign = (code & I(Format::sign_mask)) << (32 - Format::width);
  const I magnitude = code & I(Format::magnitude_mask);
  I wide = magnitude << cut;
  if constexpr (Format::bias != binary32::bias) {
    constexpr std::int32_t rebias = (binary32::bias - Format::bias) << binary32::mantissa_bits;
    constexpr float least = tessera::detail::power_of_two<binary32>(Format::min_exponent - Format::mantissa_bits);
    const pack<float, Arch> linear = pack<float, Arch>(xsimd::to_float(magnitude.v)) * pack<float, Arch>(least);
    wide = select(magnitude < I(Format::min_normal), bit_cast<std::int32_t>(linear), wide + I(rebias));
    if constexpr (Format::has_infinity) {
      wide = select(magnitude < I(Format::infinity), wide, wide + I(rebias));
      wide = select(I(Format::infinity) < magnitude, wide | I(binary32::quiet_bit), wide);
    } else if constexpr (Format::has_nan) {
      wide = select(I(Format::max_finite) < magnitude, I(binary32::quiet_nan), wide);
    }
  }
  return bit_cast<float>(wide | sign);
}

/// Magnitudes of floats as codes of Format with Fraction more bits below the point: truncated, or with Sticky, where the last bit
/// also tells whether anything was lost. What is too large, and a NaN, becomes the code that Format gives to what is too large.
///
/// A normal value only needs its exponent shifted. A subnormal code is linear in the value: scale (exactly) and truncate. At the
/// smallest normal value the two forms meet, below it the linear one is the larger.
template <class Format, int Fraction, bool Sticky, class Arch>
TESSERA_ALWAYS_INLINE code_pack<Arch> fixed_point(code_pack<Arch> magnitude) {
  using I = code_pack<Arch>;
  using P = pack<float, Arch>;
  constexpr int cut = binary32::mantissa_bits - Format::mantissa_bits;
  static_assert(!Sticky || Fraction == cut);
  static_assert((std::int64_t{Format::overflow} + 1) << Fraction <= std::int64_t{1} << 31);
  I fixed = magnitude;
  if constexpr (Format::bias != binary32::bias) fixed = fixed - I((binary32::bias - Format::bias) << binary32::mantissa_bits);
  fixed = min(fixed, I(static_cast<std::int32_t>(Format::overflow) << cut));
  if constexpr (Fraction < cut) fixed = fixed >> (cut - Fraction);
  if constexpr (Fraction > cut) fixed = max(fixed, I(0)) << (Fraction - cut);
  if constexpr (Format::min_exponent != binary32::min_exponent) {
    constexpr std::int32_t smallest_normal = (Format::min_exponent + binary32::bias) << binary32::mantissa_bits;
    constexpr float scale = tessera::detail::power_of_two<binary32>(Format::mantissa_bits - Format::min_exponent + Fraction);
    const P scaled = bit_cast<float>(min(magnitude, I(smallest_normal))) * P(scale);
    I linear = I(xsimd::to_int(scaled.v));
    if constexpr (Sticky) {
      // A comparison: the difference of equal numbers is -0 where the processor rounds down.
      linear = linear | select(P(xsimd::to_float(linear.v)) < scaled, I(1), I(0));
    }
    fixed = max(fixed, linear);
  }
  return fixed;
}

/// A rounded magnitude with the sign of the float `code`; where that is a NaN, what tessera::detail::narrow makes of it.
template <class Format, class Arch>
TESSERA_ALWAYS_INLINE code_pack<Arch> with_sign_and_nan(code_pack<Arch> rounded, code_pack<Arch> code) {
  using I = code_pack<Arch>;
  constexpr int cut = binary32::mantissa_bits - Format::mantissa_bits;
  const I magnitude = code & I(binary32::magnitude_mask);
  I sign = (code >> (32 - Format::width)) & I(Format::sign_mask);
  if constexpr (Format::has_infinity) {
    const I payload = (magnitude >> cut) & I(Format::mantissa_mask);
    rounded = select(I(binary32::infinity) < magnitude, payload | I(Format::quiet_nan), rounded);
  } else if constexpr (Format::has_nan) {
    rounded = select(I(binary32::infinity) < magnitude, I(Format::quiet_nan), rounded);
  } else {
    sign = select(I(binary32::infinity) < magnitude, I(0), sign);
  }
  return rounded | sign;
}

/// The code that x rounds to, to nearest with ties to even: the bits of tessera::detail::narrow, in any rounding mode.
template <class Format, class Arch>
TESSERA_ALWAYS_INLINE code_pack<Arch> narrow(pack<float, Arch> x) {
  using I = code_pack<Arch>;
  constexpr int cut = binary32::mantissa_bits - Format::mantissa_bits;
  const I code = bit_cast<std::int32_t>(x);
  const I fixed = fixed_point<Format, cut, true>(code & I(binary32::magnitude_mask));
  const I odd = (fixed >> cut) & I(1);
  return with_sign_and_nan<Format>((fixed + odd + I((1 << (cut - 1)) - 1)) >> cut, code);
}

/// The code that x rounds to by chance: up in magnitude iff the discarded part, in units of 2^-16 of the last place and truncated, and
/// `half` (0 to 2^16 - 1) sum to 2^16. The bits of tessera::detail::narrow_stochastic for the word half * 2^16.
template <class Format, class Arch>
TESSERA_ALWAYS_INLINE code_pack<Arch> narrow_stochastic(pack<float, Arch> x, code_pack<Arch> half) {
  using I = code_pack<Arch>;
  const I code = bit_cast<std::int32_t>(x);
  const I fixed = fixed_point<Format, 16, false>(code & I(binary32::magnitude_mask));
  return with_sign_and_nan<Format>((fixed + half) >> 16, code);
}

}  // namespace tessera::simd::detail
