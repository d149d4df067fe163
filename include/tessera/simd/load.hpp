// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Loads and stores that convert between the type in memory and the type computed in, whole and partial.
///
/// Widening is exact, narrowing rounds once, to nearest with ties to even, whatever the rounding mode: the bits of
/// `static_cast<V>(p[i])` and `static_cast<S>(x)`, NaN payloads included. Subnormals are kept. Addresses need the alignment of S only.
#pragma once

#include <type_traits>

#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/simd/compat.hpp"
#include "tessera/simd/pack.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace tessera::simd {
namespace detail {

/// Conversion of whole packs, one number after the other: what every storage type can do and some machines must.
template <class S, class T, class Arch>
struct scalar_conversion {
  using P = pack<T, Arch>;

  TESSERA_ALWAYS_INLINE static P load(const S* p) {
    alignas(P::alignment) T x[P::lanes];
    for (int i = 0; i < P::lanes; ++i) x[i] = static_cast<T>(p[i]);
    return P::load(x);
  }
  TESSERA_ALWAYS_INLINE static void store(S* p, P a) {
    alignas(P::alignment) T x[P::lanes];
    a.store(x);
    for (int i = 0; i < P::lanes; ++i) p[i] = static_cast<S>(x[i]);
  }
};

/// Conversion of whole packs between S in memory and pack<T, Arch>. Specialised for instruction sets by the size of their register.
template <class S, class T, class Arch, int RegisterBytes>
struct conversion : scalar_conversion<S, T, Arch> {};

template <class T, class Arch, int RegisterBytes>
struct conversion<T, T, Arch, RegisterBytes> {
  using P = pack<T, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const T* p) { return P::load_unaligned(p); }
  TESSERA_ALWAYS_INLINE static void store(T* p, P a) { a.store_unaligned(p); }
};

// Pointers to storage become pointers to vectors of intrinsics, which may alias anything.
template <class Vector>
TESSERA_ALWAYS_INLINE const Vector* in(const void* p) {
  return static_cast<const Vector*>(p);
}
template <class Vector>
TESSERA_ALWAYS_INLINE Vector* out(void* p) {
  return static_cast<Vector*>(p);
}

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
};

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

#if defined(__AVX__)
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
    const __m256i u = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x00400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i halves = _mm256_srai_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    const __m128i codes = _mm_packs_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
#else
    const __m128i codes = _mm_packs_epi32(narrowed(_mm256_castps256_ps128(x)), narrowed(_mm256_extractf128_ps(x, 1)));
#endif
    _mm_storeu_si128(out<__m128i>(p), codes);
  }
};
#endif  // __AVX__

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
// Whole and partial in one: with every lane in the mask these are the plain instructions. (The unmasked spellings would do, but GCC 12
// warns of an uninitialised operand inside them.)

/// The first n lanes of 16 (of 8).
TESSERA_ALWAYS_INLINE __mmask16 first16(int n) { return static_cast<__mmask16>((1U << n) - 1U); }
TESSERA_ALWAYS_INLINE __mmask8 first8(int n) { return static_cast<__mmask8>((1U << n) - 1U); }

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float, float, Arch, 64> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float* p, int n = 16) {
    return P(typename P::batch(_mm512_maskz_loadu_ps(first16(n), p)));
  }
  TESSERA_ALWAYS_INLINE static void store(float* p, P a, int n = 16) { _mm512_mask_storeu_ps(p, first16(n), a.v); }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<double, double, Arch, 64> {
  using P = pack<double, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const double* p, int n = 8) {
    return P(typename P::batch(_mm512_maskz_loadu_pd(first8(n), p)));
  }
  TESSERA_ALWAYS_INLINE static void store(double* p, P a, int n = 8) { _mm512_mask_storeu_pd(p, first8(n), a.v); }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float16, float, Arch, 64> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float16* p, int n = 16) {
    return P(typename P::batch(_mm512_maskz_cvtph_ps(0xffff, _mm256_maskz_loadu_epi16(first16(n), p))));
  }
  TESSERA_ALWAYS_INLINE static void store(float16* p, P a, int n = 16) {
    _mm256_mask_storeu_epi16(p, first16(n), _mm512_maskz_cvtps_ph(0xffff, a.v, _MM_FROUND_TO_NEAREST_INT));
  }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<bfloat16, float, Arch, 64> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const bfloat16* p, int n = 16) {
    const __m512i wide = _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_maskz_loadu_epi16(first16(n), p));
    return P(typename P::batch(_mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, wide, 16))));
  }
  TESSERA_ALWAYS_INLINE static void store(bfloat16* p, P a, int n = 16) {
    const __m512 x = a.v;
    const __m512i u = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_maskz_srli_epi32(0xffff, u, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i chosen =
        _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x00400000));
    const __m256i codes = _mm512_maskz_cvtepi32_epi16(0xffff, _mm512_maskz_srli_epi32(0xffff, chosen, 16));
    _mm256_mask_storeu_epi16(p, first16(n), codes);
  }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float, double, Arch, 64> {
  using P = pack<double, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float* p, int n = 8) {
    return P(typename P::batch(_mm512_maskz_cvtps_pd(0xff, _mm256_maskz_loadu_ps(first8(n), p))));
  }
  TESSERA_ALWAYS_INLINE static void store(float* p, P a, int n = 8) {
    _mm256_mask_storeu_ps(p, first8(n), _mm512_maskz_cvtpd_ps(0xff, a.v));
  }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<float16, double, Arch, 64> : scalar_conversion<float16, double, Arch> {
  using P = pack<double, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const float16* p) {
    return P(typename P::batch(_mm512_maskz_cvtps_pd(0xff, _mm256_maskz_cvtph_ps(0xff, _mm_loadu_si128(in<__m128i>(p))))));
  }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<bfloat16, double, Arch, 64> : scalar_conversion<bfloat16, double, Arch> {
  using P = pack<double, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const bfloat16* p) {
    const __m256i wide = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(in<__m128i>(p))), 16);
    return P(typename P::batch(_mm512_maskz_cvtps_pd(0xff, _mm256_castsi256_ps(wide))));
  }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct conversion<double, float, Arch, 64> {
  using P = pack<float, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const double* p, int n = 16) {
    const __m256d low = _mm256_castps_pd(_mm512_maskz_cvtpd_ps(0xff, _mm512_maskz_loadu_pd(low_half(n), p)));
    const __m256d high = _mm256_castps_pd(_mm512_maskz_cvtpd_ps(0xff, _mm512_maskz_loadu_pd(high_half(n), p + 8)));
    const __m512d both = _mm512_mask_broadcast_f64x4(_mm512_maskz_broadcast_f64x4(0x0f, low), 0xf0, high);
    return P(typename P::batch(_mm512_castpd_ps(both)));
  }
  TESSERA_ALWAYS_INLINE static void store(double* p, P a, int n = 16) {
    const __m512d x = _mm512_castps_pd(a.v);
    const __m512d low = _mm512_maskz_cvtps_pd(0xff, _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xff, x, 0)));
    const __m512d high = _mm512_maskz_cvtps_pd(0xff, _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xff, x, 1)));
    _mm512_mask_storeu_pd(p, low_half(n), low);
    _mm512_mask_storeu_pd(p + 8, high_half(n), high);
  }

 private:
  static TESSERA_ALWAYS_INLINE __mmask8 low_half(int n) { return static_cast<__mmask8>(first16(n)); }
  static TESSERA_ALWAYS_INLINE __mmask8 high_half(int n) { return static_cast<__mmask8>(first16(n) >> 8); }
};
#endif  // __AVX512F__

#endif  // __SSE2__

template <class S, class P>
using conversion_for = conversion<S, typename P::value_type, typename P::arch, static_cast<int>(sizeof(typename P::batch))>;

}  // namespace detail

/// p[0], p[1] … p[P::lanes - 1], each as P's number.
///
/// S is float, double, float16, bfloat16 or whatever converts by static_cast.
/// Special values  exact; a signalling NaN may become quiet, sign and payload stay.
/// Backends        AVX-512, AVX2, F16C, SSE2 instructions as far as the compiler's flags allow; one number at a time elsewhere.
template <class P, class S>
[[nodiscard]] TESSERA_ALWAYS_INLINE P load_as(const S* p) {
  return detail::conversion_for<S, P>::load(p);
}

/// p[i] = x_i for every lane, rounded once, to nearest with ties to even.
///
/// Special values  too large gives infinity, NaN a quiet NaN with its sign, subnormals are kept: the bits of static_cast<S>(x_i).
template <class S, class T, class Arch>
TESSERA_ALWAYS_INLINE void store_as(S* p, pack<T, Arch> x) {
  detail::conversion_for<S, pack<T, Arch>>::store(p, x);
}

/// p[0] … p[n - 1] and then zeros, for 0 <= n <= P::lanes. Reads nothing from p + n on: p may be null for n = 0.
template <class P, class S>
[[nodiscard]] TESSERA_ALWAYS_INLINE P load_partial(const S* p, int n) {
  using conversion = detail::conversion_for<S, P>;
  if constexpr (requires { conversion::load(p, n); }) {
    return conversion::load(p, n);
  } else {
    S x[P::lanes] = {};
    for (int i = 0; i < n; ++i) x[i] = p[i];
    return conversion::load(x);
  }
}

/// p[i] = x_i for i < n, rounded as store_as does, for 0 <= n <= lanes. Writes nothing from p + n on.
template <class S, class T, class Arch>
TESSERA_ALWAYS_INLINE void store_partial(S* p, int n, pack<T, Arch> x) {
  using conversion = detail::conversion_for<S, pack<T, Arch>>;
  if constexpr (requires { conversion::store(p, x, n); }) {
    conversion::store(p, x, n);
  } else {
    S y[pack<T, Arch>::lanes];
    conversion::store(y, x);
    for (int i = 0; i < n; ++i) p[i] = y[i];
  }
}

}  // namespace tessera::simd
