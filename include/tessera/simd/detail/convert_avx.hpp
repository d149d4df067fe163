// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Conversion of whole packs with the 256-bit registers of x86.
#pragma once

#include <cstdint>

#include "tessera/simd/detail/convert_sse.hpp"

namespace tessera::simd::detail {

#if defined(__AVX__)

/// Eight bfloat16 through two SSE halves, or in one step with AVX2's integers.
template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<bfloat16, float, Arch, 32> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const bfloat16* p) {
    const __m128i codes = _mm_loadu_si128(in<__m128i>(p));
#if defined(__AVX2__)
    return P(typename P::batch(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(codes), 16))));
#else
    const __m128 low = _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), codes));
    const __m128 high = _mm_castsi128_ps(_mm_unpackhi_epi16(_mm_setzero_si128(), codes));
    return P(typename P::batch(_mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1)));
#endif
  }
  TESSERA_ALWAYS_INLINE static void store(bfloat16* p, P a) {
    const __m256 x = a.v;
#if defined(__AVX2__)
    const __m256i halves = narrowed_halves(x);
    const __m128i codes = _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
#else
    const __m128i codes = _mm_packs_epi32(narrowed(_mm256_castps256_ps128(x)), narrowed(_mm256_extractf128_ps(x, 1)));
#endif
    _mm_storeu_si128(out<__m128i>(p), codes);
  }
#if defined(__AVX2__)
  TESSERA_ALWAYS_INLINE static void store_pair(bfloat16* p, P a, P b) {
    _mm256_storeu_si256(out<__m256i>(p), in_order(narrowed_halves(a.v), narrowed_halves(b.v)));
  }
  TESSERA_ALWAYS_INLINE static void store_stochastic_pair(bfloat16* p, P a, P b, const std::uint16_t* halves) {
    _mm256_storeu_si256(out<__m256i>(p), in_order(stochastic_halves(a.v, halves), stochastic_halves(b.v, halves + 8)));
  }

 private:
  /// The 16-bit numbers in the lanes of a, then of b; the pack instruction works on halves of the registers.
  TESSERA_ALWAYS_INLINE static __m256i in_order(__m256i a, __m256i b) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
  }
  /// The upper half of `rounded`, or of x made quiet where that is NaN.
  TESSERA_ALWAYS_INLINE static __m256i upper_half(__m256i rounded, __m256 x) {
    const __m256i quiet = _mm256_or_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x00400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  }
  TESSERA_ALWAYS_INLINE static __m256i narrowed_halves(__m256 x) {
    const __m256i u = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    return upper_half(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd), x);
  }
  /// All that is discarded is 16 bits, and a sum of 16 bits carries into the code.
  TESSERA_ALWAYS_INLINE static __m256i stochastic_halves(__m256 x, const std::uint16_t* halves) {
    const __m256i half = _mm256_cvtepu16_epi32(_mm_loadu_si128(in<__m128i>(halves)));
    return upper_half(_mm256_add_epi32(_mm256_castps_si256(x), half), x);
  }
#endif
};

#if defined(__F16C__)
template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float16, float, Arch, 32> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float16* p) {
    return P(typename P::batch(_mm256_cvtph_ps(_mm_loadu_si128(in<__m128i>(p)))));
  }
  TESSERA_ALWAYS_INLINE static void store(float16* p, P a) {
    _mm_storeu_si128(out<__m128i>(p), _mm256_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
  }
};
#endif

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float, double, Arch, 32> {
  using P = pack<double, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float* p) { return P(typename P::batch(_mm256_cvtps_pd(_mm_loadu_ps(p)))); }
  TESSERA_ALWAYS_INLINE static void store(float* p, P a) { _mm_storeu_ps(p, _mm256_cvtpd_ps(a.v)); }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<double, float, Arch, 32> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const double* p) {
    const __m128 low = _mm256_cvtpd_ps(_mm256_loadu_pd(p));
    const __m128 high = _mm256_cvtpd_ps(_mm256_loadu_pd(p + 4));
    return P(typename P::batch(_mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1)));
  }
  TESSERA_ALWAYS_INLINE static void store(double* p, P a) {
    const __m256 x = a.v;
    _mm256_storeu_pd(p, _mm256_cvtps_pd(_mm256_castps256_ps128(x)));
    _mm256_storeu_pd(p + 4, _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
  }
};

// As in convert_sse.hpp.
template <class Arch>
  requires(compat::is_x86<Arch> && sizeof(typename pack<double, Arch>::batch) == 32)
TESSERA_ALWAYS_INLINE pack<double, Arch> widened_half(pack<float, Arch> x) {
  return pack<double, Arch>(typename pack<double, Arch>::batch(_mm256_cvtps_pd(_mm256_castps256_ps128(x.v))));
}

template <class Arch>
  requires(compat::is_x86<Arch> && sizeof(typename pack<double, Arch>::batch) == 32)
TESSERA_ALWAYS_INLINE pack<float, Arch> narrowed_pair(pack<double, Arch> a, pack<double, Arch> b) {
  const __m256 low = _mm256_castps128_ps256(_mm256_cvtpd_ps(a.v));
  return pack<float, Arch>(typename pack<float, Arch>::batch(_mm256_insertf128_ps(low, _mm256_cvtpd_ps(b.v), 1)));
}

#endif  // __AVX__

}  // namespace tessera::simd::detail
