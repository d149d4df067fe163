// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Unsigned integers of 8 and 16 bits in memory as the 32-bit lanes of a register, and back.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/simd/compat.hpp"
#include "tessera/simd/pack.hpp"

namespace tessera::simd::detail {

// Pointers to storage become pointers to vectors of intrinsics, which may alias anything.
template <class Vector>
TESSERA_ALWAYS_INLINE const Vector* in(const void* p) {
  return static_cast<const Vector*>(p);
}
template <class Vector>
TESSERA_ALWAYS_INLINE Vector* out(void* p) {
  return static_cast<Vector*>(p);
}

template <class Arch>
using code_pack = pack<std::int32_t, Arch>;

template <int Bytes>
using code_of = std::conditional_t<Bytes == 1, std::uint8_t, std::uint16_t>;

/// Loads codes with zeros above them, stores lanes all of which are codes (0 to 2^(8 Bytes) - 1); p needs no alignment. By the size of
/// the register; here, one number after the other.
template <int Bytes, class Arch, int RegisterBytes>
struct code_transport {
  using P = code_pack<Arch>;
  TESSERA_ALWAYS_INLINE static P load(const void* p) {
    code_of<Bytes> code[P::lanes];
    __builtin_memcpy(code, p, sizeof code);
    alignas(P::alignment) std::int32_t x[P::lanes];
    for (int i = 0; i < P::lanes; ++i) x[i] = code[i];
    return P::load(x);
  }
  TESSERA_ALWAYS_INLINE static void store(void* p, P a) {
    alignas(P::alignment) std::int32_t x[P::lanes];
    a.store(x);
    code_of<Bytes> code[P::lanes];
    for (int i = 0; i < P::lanes; ++i) code[i] = static_cast<code_of<Bytes>>(x[i]);
    __builtin_memcpy(p, code, sizeof code);
  }
};

#if defined(__SSE2__)
template <class Arch>
  requires compat::is_x86<Arch>
struct code_transport<2, Arch, 16> {
  using P = code_pack<Arch>;
  TESSERA_ALWAYS_INLINE static P load(const void* p) {
    return P(typename P::batch(_mm_unpacklo_epi16(_mm_loadl_epi64(in<__m128i>(p)), _mm_setzero_si128())));
  }
  TESSERA_ALWAYS_INLINE static void store(void* p, P a) {
    const __m128i x = _mm_srai_epi32(_mm_slli_epi32(a.v, 16), 16);  // the pack saturates signed numbers
    _mm_storel_epi64(out<__m128i>(p), _mm_packs_epi32(x, x));
  }
};

template <class Arch>
  requires compat::is_x86<Arch>
struct code_transport<1, Arch, 16> {
  using P = code_pack<Arch>;
  TESSERA_ALWAYS_INLINE static P load(const void* p) {
    std::int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    const __m128i wide = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), _mm_setzero_si128());
    return P(typename P::batch(_mm_unpacklo_epi16(wide, _mm_setzero_si128())));
  }
  TESSERA_ALWAYS_INLINE static void store(void* p, P a) {
    const __m128i x = _mm_packs_epi32(a.v, a.v);
    const std::int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(x, x));
    __builtin_memcpy(p, &four, sizeof four);
  }
};
#endif

#if defined(__AVX__)
/// Eight codes: with AVX2's integers, or through two SSE halves.
template <int Bytes, class Arch>
  requires compat::is_x86<Arch>
struct code_transport<Bytes, Arch, 32> {
  using P = code_pack<Arch>;
  TESSERA_ALWAYS_INLINE static P load(const void* p) {
#if defined(__AVX2__)
    if constexpr (Bytes == 2) {
      return P(typename P::batch(_mm256_cvtepu16_epi32(_mm_loadu_si128(in<__m128i>(p)))));
    } else {
      return P(typename P::batch(_mm256_cvtepu8_epi32(_mm_loadl_epi64(in<__m128i>(p)))));
    }
#else
    const __m128i zero = _mm_setzero_si128();
    const __m128i codes = Bytes == 2 ? _mm_loadu_si128(in<__m128i>(p)) : _mm_unpacklo_epi8(_mm_loadl_epi64(in<__m128i>(p)), zero);
    const __m256i low = _mm256_castsi128_si256(_mm_unpacklo_epi16(codes, zero));
    return P(typename P::batch(_mm256_insertf128_si256(low, _mm_unpackhi_epi16(codes, zero), 1)));
#endif
  }
  TESSERA_ALWAYS_INLINE static void store(void* p, P a) {
    const __m256i x = a.v;
    const __m128i codes = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extractf128_si256(x, 1));
    if constexpr (Bytes == 2) {
      _mm_storeu_si128(out<__m128i>(p), codes);
    } else {
      _mm_storel_epi64(out<__m128i>(p), _mm_packus_epi16(codes, codes));
    }
  }
};
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
/// The first n lanes of 16 (of 8).
TESSERA_ALWAYS_INLINE __mmask16 first16(int n) { return static_cast<__mmask16>((1U << n) - 1U); }
TESSERA_ALWAYS_INLINE __mmask8 first8(int n) { return static_cast<__mmask8>((1U << n) - 1U); }

// Arithmetic is spelt with a mask of all lanes, which compilers drop: GCC 12 warns of an uninitialised operand inside the plain forms.
// Loads and stores of whole packs are plain: a masked store takes two instructions' time.
template <int Bytes, class Arch>
  requires compat::is_x86<Arch>
struct code_transport<Bytes, Arch, 64> {
  using P = code_pack<Arch>;
  TESSERA_ALWAYS_INLINE static P load(const void* p) {
    if constexpr (Bytes == 2) {
      return P(typename P::batch(_mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256(in<__m256i>(p)))));
    } else {
      return P(typename P::batch(_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(in<__m128i>(p)))));
    }
  }
  TESSERA_ALWAYS_INLINE static P load(const void* p, int n) {
    if constexpr (Bytes == 2) {
      return P(typename P::batch(_mm512_maskz_cvtepu16_epi32(0xffff, _mm256_maskz_loadu_epi16(first16(n), p))));
    } else {
      return P(typename P::batch(_mm512_maskz_cvtepu8_epi32(0xffff, _mm_maskz_loadu_epi8(first16(n), p))));
    }
  }
  TESSERA_ALWAYS_INLINE static void store(void* p, P a) {
    if constexpr (Bytes == 2) {
      _mm256_storeu_si256(out<__m256i>(p), _mm512_maskz_cvtepi32_epi16(0xffff, a.v));
    } else {
      _mm_storeu_si128(out<__m128i>(p), _mm512_maskz_cvtepi32_epi8(0xffff, a.v));
    }
  }
  TESSERA_ALWAYS_INLINE static void store(void* p, P a, int n) {
    if constexpr (Bytes == 2) {
      _mm256_mask_storeu_epi16(p, first16(n), _mm512_maskz_cvtepi32_epi16(0xffff, a.v));
    } else {
      _mm_mask_storeu_epi8(p, first16(n), _mm512_maskz_cvtepi32_epi8(0xffff, a.v));
    }
  }
};
#endif

template <int Bytes, class Arch>
using code_transport_for = code_transport<Bytes, Arch, static_cast<int>(sizeof(typename code_pack<Arch>::batch))>;

}  // namespace tessera::simd::detail
