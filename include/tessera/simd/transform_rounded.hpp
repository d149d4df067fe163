// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A function applied to every number of an array of a 16-bit type, correctly rounded.
#pragma once

#include <cstdint>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/numeric/function_objects.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/pack.hpp"

namespace tessera::simd {
namespace detail {

/// The lanes of y that lie within `margin` ulp (of float) of the midpoint between two numbers of Format, where an error of that size could
/// change what they are rounded to.
template <class Format, class Arch>
TESSERA_ALWAYS_INLINE mask<std::int32_t, Arch> near_midpoint(pack<float, Arch> y) {
  using P = pack<float, Arch>;
  using Codes = pack<std::int32_t, Arch>;
  constexpr int cut = binary32::mantissa_bits - Format::mantissa_bits;
  constexpr std::int32_t margin = 4;
  constexpr std::int32_t midpoint = std::int32_t{1} << (cut - 1);
  static_assert(cut >= 8, "the margin must be small beside the bits that are rounded away");
  P place = y;
  if constexpr (Format::min_exponent != binary32::min_exponent) {
    // Adding the smallest normal number puts the bits of a subnormal one where those of the normal ones are.
    const P smallest(tessera::detail::power_of_two<binary32>(Format::min_exponent));
    const P size = abs(y);
    place = select(size < smallest, size + smallest, y);
  }
  // The bits that are rounded away, less the midpoint, taken as an unsigned number: small just above it, large just below.
  const Codes away = (bit_cast<std::int32_t>(place) + Codes(margin - midpoint)) & Codes(2 * midpoint - 1);
  return away <= Codes(2 * margin);
}

/// As many numbers as a pack of float has, in double.
template <class Arch, class Format, class F>
TESSERA_NOINLINE void rounded_from_double(const small_float<Format>* in, small_float<Format>* out, F f) {
  using P = pack<double, Arch>;
  for (int i = 0; i < pack<float, Arch>::lanes; i += P::lanes) {
    const P x = load_as<P>(in + i);
    if constexpr (requires { F::before_rounding(x); }) {
      store_as(out + i, F::before_rounding(x));
    } else {
      store_as(out + i, f(x));
    }
  }
}

template <int Packs, class Arch, class Format, class F>
TESSERA_ALWAYS_INLINE void rounded_packs(const small_float<Format>* in, small_float<Format>* out, F f) {
  using P = pack<float, Arch>;
  P y[Packs];
  mask<std::int32_t, Arch> close[Packs];
  TESSERA_UNROLL
  for (int k = 0; k < Packs; ++k) y[k] = load_as<P>(in + k * P::lanes);
  TESSERA_UNROLL
  for (int k = 0; k < Packs; ++k) {
    y[k] = f(y[k]);
    close[k] = near_midpoint<Format>(y[k]);
  }
  auto any_close = close[0];
  TESSERA_UNROLL
  for (int k = 1; k < Packs; ++k) any_close = any_close | close[k];
  if (!any(any_close)) [[likely]] {
    TESSERA_UNROLL
    for (int k = 0; k < Packs; ++k) store_as(out + k * P::lanes, y[k]);
    return;
  }
  for (int k = 0; k < Packs; ++k) {
    if (any(close[k])) {
      rounded_from_double<Arch>(in + k * P::lanes, out + k * P::lanes, f);
    } else {
      store_as(out + k * P::lanes, y[k]);
    }
  }
}

}  // namespace detail

/// out[i] = f(in[i]), rounded correctly, for 0 <= i < n: the bits of the function of the same name in numeric/functions.hpp.
///
/// f is computed in float. Where a result is so near a midpoint that its error could turn the rounding (one pack in 60 for float16 on
/// AVX-512, one in 450 for bfloat16), that pack is computed in double.
///
/// Shapes          in [n], out [n], each contiguous.
/// Ranges          n >= 0; `in` and `out` are one array, or do not overlap. Any alignment. f is an object of numeric/function_objects.hpp, or
///                 any function of packs of float and of double with an error below 4 ulp in float and 2^-40 in double that is on the right
///                 side wherever it is a tie.
/// Special values  those of numeric/functions.hpp. n = 0 touches nothing; the pointers may then be null.
/// Accuracy        correctly rounded for every function of function_objects.hpp and every input; test/simd/transform_rounded.cpp, for each
///                 instruction set.
/// Cost            one load, f, five instructions and one store a pack. f also sees zeros, in the lanes that the last pack has too many.
/// Determinism     the same bits on every machine.
/// Errors          argument_error for n < 0.
template <class Arch = default_arch, class Format, class F>
void transform_rounded(const small_float<Format>* in, small_float<Format>* out, std::int64_t n, F f) {
  constexpr std::int64_t lanes = pack<float, Arch>::lanes;
  tessera::detail::expects(n >= 0, "simd::transform_rounded", "n", [&] { return std::to_string(n); }, "needs to be 0 or more");
  constexpr int packs = 4;
  std::int64_t i = 0;
  for (; i + packs * lanes <= n; i += packs * lanes) detail::rounded_packs<packs, Arch>(in + i, out + i, f);
  for (; i + lanes <= n; i += lanes) detail::rounded_packs<1, Arch>(in + i, out + i, f);
  if (i < n) {
    small_float<Format> rest[lanes] = {};
    for (std::int64_t k = 0; k < lanes && i + k < n; ++k) rest[k] = in[i + k];
    detail::rounded_packs<1, Arch>(rest, rest, f);
    for (std::int64_t k = 0; k < lanes && i + k < n; ++k) out[i + k] = rest[k];
  }
}

}  // namespace tessera::simd
