// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Conversion of whole and partial packs with the 512-bit registers of x86.
#pragma once

#include <cstdint>

#include "tessera/simd/detail/convert_avx.hpp"

namespace tessera::simd::detail {

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
// As in codes.hpp: arithmetic is spelt with a mask of all lanes, loads and stores of whole packs are plain.

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float, float, Arch, 64> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float* p) { return P(typename P::batch(_mm512_loadu_ps(p))); }
  TESSERA_ALWAYS_INLINE static P load(const float* p, int n) {
    return P(typename P::batch(_mm512_maskz_loadu_ps(first16(n), p)));
  }
  TESSERA_ALWAYS_INLINE static void store(float* p, P a) { _mm512_storeu_ps(p, a.v); }
  TESSERA_ALWAYS_INLINE static void store(float* p, P a, int n) { _mm512_mask_storeu_ps(p, first16(n), a.v); }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<double, double, Arch, 64> {
  using P = pack<double, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const double* p) { return P(typename P::batch(_mm512_loadu_pd(p))); }
  TESSERA_ALWAYS_INLINE static P load(const double* p, int n) {
    return P(typename P::batch(_mm512_maskz_loadu_pd(first8(n), p)));
  }
  TESSERA_ALWAYS_INLINE static void store(double* p, P a) { _mm512_storeu_pd(p, a.v); }
  TESSERA_ALWAYS_INLINE static void store(double* p, P a, int n) { _mm512_mask_storeu_pd(p, first8(n), a.v); }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float16, float, Arch, 64> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float16* p) { return widened(_mm256_loadu_si256(in<__m256i>(p))); }
  TESSERA_ALWAYS_INLINE static P load(const float16* p, int n) { return widened(_mm256_maskz_loadu_epi16(first16(n), p)); }
  TESSERA_ALWAYS_INLINE static void store(float16* p, P a) { _mm256_storeu_si256(out<__m256i>(p), narrowed(a)); }
  TESSERA_ALWAYS_INLINE static void store(float16* p, P a, int n) { _mm256_mask_storeu_epi16(p, first16(n), narrowed(a)); }

 private:
  TESSERA_ALWAYS_INLINE static P widened(__m256i codes) { return P(typename P::batch(_mm512_maskz_cvtph_ps(0xffff, codes))); }
  TESSERA_ALWAYS_INLINE static __m256i narrowed(P a) { return _mm512_maskz_cvtps_ph(0xffff, a.v, _MM_FROUND_TO_NEAREST_INT); }
};

/// The upper 16 bits of the lanes of a, then of b.
TESSERA_ALWAYS_INLINE __m512i upper_halves(__m512i a, __m512i b) {
  const __m512i odd = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25, 23, 21, 19,
                                       17, 15, 13, 11, 9, 7, 5, 3, 1);
  return _mm512_permutex2var_epi16(a, odd, b);
}

/// `rounded`, but where x is NaN: x, quiet.
TESSERA_ALWAYS_INLINE __m512i with_quiet_nans(__m512i rounded, __m512 x) {
  // A table of what becomes of each class of numbers, four bits each: the first two are the NaNs, and 2 says "x, made quiet".
  return _mm512_castps_si512(_mm512_fixupimm_ps(_mm512_castsi512_ps(rounded), x, _mm512_set1_epi32(0x22), 0));
}

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<bfloat16, float, Arch, 64> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const bfloat16* p) { return widened(_mm256_loadu_si256(in<__m256i>(p))); }
  TESSERA_ALWAYS_INLINE static P load(const bfloat16* p, int n) { return widened(_mm256_maskz_loadu_epi16(first16(n), p)); }
  TESSERA_ALWAYS_INLINE static void store(bfloat16* p, P a) { _mm256_storeu_si256(out<__m256i>(p), narrowed(a)); }
  TESSERA_ALWAYS_INLINE static void store(bfloat16* p, P a, int n) { _mm256_mask_storeu_epi16(p, first16(n), narrowed(a)); }
  TESSERA_ALWAYS_INLINE static void store_pair(bfloat16* p, P a, P b) {
    _mm512_storeu_si512(p, upper_halves(rounded(a.v), rounded(b.v)));
  }
  TESSERA_ALWAYS_INLINE static void store_stochastic_pair(bfloat16* p, P a, P b, const std::uint16_t* halves) {
    _mm512_storeu_si512(p, upper_halves(stochastic(a.v, halves), stochastic(b.v, halves + 16)));
  }

 private:
  TESSERA_ALWAYS_INLINE static P widened(__m256i codes) {
    const __m512i wide = _mm512_maskz_cvtepu16_epi32(0xffff, codes);
    return P(typename P::batch(_mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, wide, 16))));
  }
  /// What is added depends on one bit of x: a masked addition after the other.
  TESSERA_ALWAYS_INLINE static __m512i rounded(__m512 x) {
    const __m512i u = _mm512_castps_si512(x);
    const __mmask16 odd = _mm512_test_epi32_mask(u, _mm512_set1_epi32(0x10000));
    const __m512i down = _mm512_add_epi32(u, _mm512_set1_epi32(0x7fff));
    return with_quiet_nans(_mm512_mask_add_epi32(down, odd, u, _mm512_set1_epi32(0x8000)), x);
  }
  TESSERA_ALWAYS_INLINE static __m256i narrowed(P a) {
    return _mm512_maskz_cvtepi32_epi16(0xffff, _mm512_maskz_srli_epi32(0xffff, rounded(a.v), 16));
  }
  /// All that is discarded is 16 bits, and a sum of 16 bits carries into the code.
  TESSERA_ALWAYS_INLINE static __m512i stochastic(__m512 x, const std::uint16_t* halves) {
    const __m512i half = _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256(in<__m256i>(halves)));
    return with_quiet_nans(_mm512_add_epi32(_mm512_castps_si512(x), half), x);
  }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float, double, Arch, 64> {
  using P = pack<double, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float* p) { return widened(_mm256_loadu_ps(p)); }
  TESSERA_ALWAYS_INLINE static P load(const float* p, int n) { return widened(_mm256_maskz_loadu_ps(first8(n), p)); }
  TESSERA_ALWAYS_INLINE static void store(float* p, P a) { _mm256_storeu_ps(p, _mm512_maskz_cvtpd_ps(0xff, a.v)); }
  TESSERA_ALWAYS_INLINE static void store(float* p, P a, int n) {
    _mm256_mask_storeu_ps(p, first8(n), _mm512_maskz_cvtpd_ps(0xff, a.v));
  }

 private:
  TESSERA_ALWAYS_INLINE static P widened(__m256 x) { return P(typename P::batch(_mm512_maskz_cvtps_pd(0xff, x))); }
};

TESSERA_ALWAYS_INLINE __m512 joined(__m256 low, __m256 high) {
  const __m512d both = _mm512_castpd256_pd512(_mm256_castps_pd(low));
  return _mm512_castpd_ps(_mm512_maskz_insertf64x4(0xff, both, _mm256_castps_pd(high), 1));
}

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<double, float, Arch, 64> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const double* p) { return narrowed(_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)); }
  TESSERA_ALWAYS_INLINE static P load(const double* p, int n) {
    return narrowed(_mm512_maskz_loadu_pd(low_half(n), p), _mm512_maskz_loadu_pd(high_half(n), p + 8));
  }
  TESSERA_ALWAYS_INLINE static void store(double* p, P a) {
    _mm512_storeu_pd(p, half<0>(a.v));
    _mm512_storeu_pd(p + 8, half<1>(a.v));
  }
  TESSERA_ALWAYS_INLINE static void store(double* p, P a, int n) {
    _mm512_mask_storeu_pd(p, low_half(n), half<0>(a.v));
    _mm512_mask_storeu_pd(p + 8, high_half(n), half<1>(a.v));
  }

 private:
  static TESSERA_ALWAYS_INLINE __mmask8 low_half(int n) { return static_cast<__mmask8>(first16(n)); }
  static TESSERA_ALWAYS_INLINE __mmask8 high_half(int n) { return static_cast<__mmask8>(first16(n) >> 8); }
  static TESSERA_ALWAYS_INLINE P narrowed(__m512d low, __m512d high) {
    return P(typename P::batch(joined(_mm512_maskz_cvtpd_ps(0xff, low), _mm512_maskz_cvtpd_ps(0xff, high))));
  }
  template <int Half>
  static TESSERA_ALWAYS_INLINE __m512d half(__m512 x) {
    return _mm512_maskz_cvtps_pd(0xff, _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xff, _mm512_castps_pd(x), Half)));
  }
};

// As in convert_sse.hpp.
template <class Arch>
  requires(compat::is_x86<Arch> && sizeof(typename pack<double, Arch>::batch) == 64)
TESSERA_ALWAYS_INLINE pack<double, Arch> widened_half(pack<float, Arch> x) {
  // Not _mm512_castps512_ps256: GCC 12 finds something uninitialised in it.
  const __m256 low = _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xff, _mm512_castps_pd(x.v), 0));
  return pack<double, Arch>(typename pack<double, Arch>::batch(_mm512_maskz_cvtps_pd(0xff, low)));
}

template <class Arch>
  requires(compat::is_x86<Arch> && sizeof(typename pack<double, Arch>::batch) == 64)
TESSERA_ALWAYS_INLINE pack<float, Arch> narrowed_pair(pack<double, Arch> a, pack<double, Arch> b) {
  return pack<float, Arch>(
      typename pack<float, Arch>::batch(joined(_mm512_maskz_cvtpd_ps(0xff, a.v), _mm512_maskz_cvtpd_ps(0xff, b.v))));
}

#endif

}  // namespace tessera::simd::detail
