// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Conversion of whole packs with the 128-bit registers of x86.
#pragma once

#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/simd/detail/conversion.hpp"

namespace tessera::simd::detail {

#if defined(__SSE2__)

// bfloat16. Half of an ulp is added to the bits of the float, less one where that keeps a tie even, and the upper halves are
// taken; a NaN skips the addition and becomes quiet. The AVX512_BF16 conversions are of no use: they flush subnormals.

TESSERA_ALWAYS_INLINE __m128i narrowed(__m128 x) {
  const __m128i u = _mm_castps_si128(x);
  const __m128i odd = _mm_and_si128(_mm_srli_epi32(u, 16), _mm_set1_epi32(1));
  const __m128i rounded = _mm_add_epi32(_mm_add_epi32(u, _mm_set1_epi32(0x7fff)), odd);
  const __m128i quiet = _mm_or_si128(u, _mm_set1_epi32(0x00400000));
  const __m128i nan = _mm_castps_si128(_mm_cmpunord_ps(x, x));
  const __m128i chosen = _mm_or_si128(_mm_and_si128(nan, quiet), _mm_andnot_si128(nan, rounded));
  return _mm_srai_epi32(chosen, 16);  // keeps the sign, so that a signed pack to 16 bits does not saturate
}

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<bfloat16, float, Arch, 16> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const bfloat16* p) {
    const __m128i low = _mm_loadl_epi64(in<__m128i>(p));
    return P(typename P::batch(_mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), low))));
  }
  TESSERA_ALWAYS_INLINE static void store(bfloat16* p, P a) {
    const __m128i low = narrowed(a.v);
    _mm_storel_epi64(out<__m128i>(p), _mm_packs_epi32(low, low));
  }
  TESSERA_ALWAYS_INLINE static void store_pair(bfloat16* p, P a, P b) {
    _mm_storeu_si128(out<__m128i>(p), _mm_packs_epi32(narrowed(a.v), narrowed(b.v)));
  }
};

#if defined(__F16C__)
template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float16, float, Arch, 16> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float16* p) {
    return P(typename P::batch(_mm_cvtph_ps(_mm_loadl_epi64(in<__m128i>(p)))));
  }
  TESSERA_ALWAYS_INLINE static void store(float16* p, P a) {
    _mm_storel_epi64(out<__m128i>(p), _mm_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
  }
};
#endif

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float, double, Arch, 16> {
  using P = pack<double, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float* p) {
    return P(typename P::batch(_mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64(in<__m128i>(p))))));
  }
  TESSERA_ALWAYS_INLINE static void store(float* p, P a) {
    _mm_storel_epi64(out<__m128i>(p), _mm_castps_si128(_mm_cvtpd_ps(a.v)));
  }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<double, float, Arch, 16> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const double* p) {
    return P(typename P::batch(_mm_movelh_ps(_mm_cvtpd_ps(_mm_loadu_pd(p)), _mm_cvtpd_ps(_mm_loadu_pd(p + 2)))));
  }
  TESSERA_ALWAYS_INLINE static void store(double* p, P a) {
    const __m128 x = a.v;
    _mm_storeu_pd(p, _mm_cvtps_pd(x));
    _mm_storeu_pd(p + 2, _mm_cvtps_pd(_mm_movehl_ps(x, x)));
  }
};

/// The first half of the lanes; exact.
template <class Arch>
  requires(compat::is_x86<Arch> && sizeof(typename pack<double, Arch>::batch) == 16)
TESSERA_ALWAYS_INLINE pack<double, Arch> widened_half(pack<float, Arch> x) {
  return pack<double, Arch>(typename pack<double, Arch>::batch(_mm_cvtps_pd(x.v)));
}

/// a and then b, rounded as the processor is told to.
template <class Arch>
  requires(compat::is_x86<Arch> && sizeof(typename pack<double, Arch>::batch) == 16)
TESSERA_ALWAYS_INLINE pack<float, Arch> narrowed_pair(pack<double, Arch> a, pack<double, Arch> b) {
  return pack<float, Arch>(typename pack<float, Arch>::batch(_mm_movelh_ps(_mm_cvtpd_ps(a.v), _mm_cvtpd_ps(b.v))));
}

#endif  // __SSE2__

}  // namespace tessera::simd::detail
