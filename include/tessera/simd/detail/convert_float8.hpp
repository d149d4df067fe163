// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The 8-bit formats through float16, whose conversions are instructions, and whose registers hold twice the numbers.
///
/// A float8_e5m2 is the upper half of a float16. A float8_e4m3 is one scaled by 2^-8, cut elsewhere: then the smallest normal numbers, and
/// the codes below them, fall together. Floats are first rounded to odd, to two bits more than the format has, which leaves the rounding of
/// float16 its ties and their neighbours; so few bits reach float16 exactly, but for numbers that become 0 anyhow.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/numeric/float8.hpp"
#include "tessera/simd/detail/convert_avx512.hpp"

namespace tessera::simd::detail {

#if defined(__AVX2__) && defined(__F16C__)

template <class Format>
concept format_in_binary16 = std::is_same_v<Format, ocp_e4m3> || std::is_same_v<Format, ocp_e5m2>;

/// Bits of the significand that binary16 has and Format has not, those that float has beyond two more than Format, and what x is multiplied
/// by on the way.
template <format_in_binary16 Format>
inline constexpr int binary16_cut = binary16::mantissa_bits - Format::mantissa_bits;
template <format_in_binary16 Format>
inline constexpr std::int32_t beyond_odd = (1 << (binary32::mantissa_bits - Format::mantissa_bits - 2)) - 1;
template <format_in_binary16 Format>
inline constexpr float binary16_scale = Format::bias == binary16::bias ? 1.0F : 0x1p-8F;

template <format_in_binary16 Format, class Arch>
  requires compat::is_x86<Arch>
struct conversion<small_float<Format>, float, Arch, 32> : integer_conversion<Format, Arch> {
  using P = pack<float, Arch>;
  using S = small_float<Format>;

  TESSERA_ALWAYS_INLINE static P load(const S* p) {
    __m128i code = _mm_unpacklo_epi8(_mm_setzero_si128(), _mm_loadl_epi64(in<__m128i>(p)));
    if constexpr (Format::has_infinity) return P(typename P::batch(_mm256_cvtph_ps(code)));
    const __m128i magnitude = _mm_and_si128(code, _mm_set1_epi16(0x7f00));
    const __m128i nan = _mm_cmpeq_epi16(magnitude, _mm_set1_epi16(0x7f00));
    code = _mm_or_si128(_mm_srli_epi16(magnitude, 1), _mm_and_si128(code, _mm_set1_epi16(-0x8000)));
    code = _mm_xor_si128(code, _mm_and_si128(nan, _mm_set1_epi16(0x3f80 ^ binary16::quiet_nan)));
    return P(typename P::batch(_mm256_mul_ps(_mm256_cvtph_ps(code), _mm256_set1_ps(256.0F))));
  }
  using integer_conversion<Format, Arch>::store;
  TESSERA_ALWAYS_INLINE static void store_pair(S* p, P a, P b) {
    constexpr int cut = binary16_cut<Format>;
    const __m256i odd = _mm256_inserti128_si256(_mm256_castsi128_si256(odd_half(a.v)), odd_half(b.v), 1);
    __m256i magnitude = _mm256_and_si256(odd, _mm256_set1_epi16(0x7fff));
    if constexpr (Format::has_infinity) {  // a NaN's payload must not carry into its sign
      const __m256i nan = _mm256_cmpgt_epi16(magnitude, _mm256_set1_epi16(binary16::infinity));
      magnitude = _mm256_andnot_si256(_mm256_and_si256(nan, _mm256_set1_epi16((1 << cut) - 1)), magnitude);
    }
    const __m256i last = _mm256_and_si256(_mm256_srli_epi16(magnitude, cut), _mm256_set1_epi16(1));
    const __m256i sum = _mm256_add_epi16(_mm256_add_epi16(magnitude, last), _mm256_set1_epi16((1 << (cut - 1)) - 1));
    __m256i code = _mm256_srli_epi16(sum, cut);
    if constexpr (!Format::has_infinity) code = _mm256_min_epi16(code, _mm256_set1_epi16(Format::quiet_nan));
    code = _mm256_or_si256(code, _mm256_and_si256(_mm256_srli_epi16(odd, 8), _mm256_set1_epi16(0x80)));
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
    _mm_storeu_si128(out<__m128i>(p), bytes);
  }

 private:
  TESSERA_ALWAYS_INLINE static __m128i odd_half(__m256 x) {
    const __m256i u = _mm256_castps_si256(x);
    const __m256i beyond = _mm256_set1_epi32(beyond_odd<Format>);
    const __m256i carried = _mm256_or_si256(u, _mm256_add_epi32(_mm256_and_si256(u, beyond), beyond));
    const __m256 odd = _mm256_castsi256_ps(_mm256_andnot_si256(beyond, carried));
    if constexpr (binary16_scale<Format> == 1.0F) return _mm256_cvtps_ph(odd, _MM_FROUND_TO_ZERO);
    return _mm256_cvtps_ph(_mm256_mul_ps(odd, _mm256_set1_ps(binary16_scale<Format>)), _MM_FROUND_TO_ZERO);
  }
};

#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

template <format_in_binary16 Format, class Arch>
  requires compat::is_x86<Arch>
struct conversion<small_float<Format>, float, Arch, 64> : integer_conversion<Format, Arch> {
  using P = pack<float, Arch>;
  using S = small_float<Format>;

  TESSERA_ALWAYS_INLINE static P load(const S* p) { return widened(_mm_loadu_si128(in<__m128i>(p))); }
  TESSERA_ALWAYS_INLINE static P load(const S* p, int n) { return widened(_mm_maskz_loadu_epi8(first16(n), p)); }
  using integer_conversion<Format, Arch>::store;
  TESSERA_ALWAYS_INLINE static void store_pair(S* p, P a, P b) {
    constexpr int cut = binary16_cut<Format>;
    const __m512i odd = _mm512_castps_si512(joined(_mm256_castsi256_ps(odd_half(a.v)), _mm256_castsi256_ps(odd_half(b.v))));
    __m512i magnitude = _mm512_and_si512(odd, _mm512_set1_epi16(0x7fff));
    if constexpr (Format::has_infinity) {  // a NaN's payload must not carry into its sign
      const __mmask32 nan = _mm512_cmpgt_epi16_mask(magnitude, _mm512_set1_epi16(binary16::infinity));
      magnitude = _mm512_mask_mov_epi16(magnitude, nan, _mm512_and_si512(magnitude, _mm512_set1_epi16(-(1 << cut))));
    }
    const __m512i last = _mm512_and_si512(_mm512_srli_epi16(magnitude, cut), _mm512_set1_epi16(1));
    const __m512i sum = _mm512_add_epi16(_mm512_add_epi16(magnitude, last), _mm512_set1_epi16((1 << (cut - 1)) - 1));
    __m512i code = _mm512_srli_epi16(sum, cut);
    if constexpr (!Format::has_infinity) code = _mm512_min_epi16(code, _mm512_set1_epi16(Format::quiet_nan));
    // Bits of the sum below, the sign's bit above: 0x80 ? a : b.
    code = _mm512_ternarylogic_epi32(_mm512_set1_epi16(0x80), _mm512_srli_epi16(odd, 8), code, 0xca);
    _mm256_storeu_si256(out<__m256i>(p), _mm512_maskz_cvtepi16_epi8(0xffffffff, code));
  }

 private:
  TESSERA_ALWAYS_INLINE static __m256i odd_half(__m512 x) {
    const __m512i u = _mm512_castps_si512(x);
    const __m512i beyond = _mm512_set1_epi32(beyond_odd<Format>);
    const __m512i carried = _mm512_add_epi32(_mm512_and_si512(u, beyond), beyond);
    const __m512 odd = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(u, carried, beyond, 0x54));  // (u | carried) & ~beyond
    if constexpr (binary16_scale<Format> == 1.0F) return _mm512_maskz_cvtps_ph(0xffff, odd, _MM_FROUND_TO_ZERO);
    return _mm512_maskz_cvtps_ph(0xffff, _mm512_mul_ps(odd, _mm512_set1_ps(binary16_scale<Format>)), _MM_FROUND_TO_ZERO);
  }
  TESSERA_ALWAYS_INLINE static P widened(__m128i codes) {
    const __m256i code = _mm256_slli_epi16(_mm256_cvtepu8_epi16(codes), 8);
    if constexpr (Format::has_infinity) return P(typename P::batch(_mm512_maskz_cvtph_ps(0xffff, code)));
    const __m256i magnitude = _mm256_and_si256(code, _mm256_set1_epi16(0x7f00));
    const __mmask16 nan = _mm256_cmpeq_epi16_mask(magnitude, _mm256_set1_epi16(0x7f00));
    const __m256i number = _mm256_mask_mov_epi16(_mm256_srli_epi16(magnitude, 1), nan, _mm256_set1_epi16(binary16::quiet_nan));
    const __m256i half = _mm256_or_si256(number, _mm256_and_si256(code, _mm256_set1_epi16(-0x8000)));
    return P(typename P::batch(_mm512_mul_ps(_mm512_maskz_cvtph_ps(0xffff, half), _mm512_set1_ps(256.0F))));
  }
};

#endif

}  // namespace tessera::simd::detail
