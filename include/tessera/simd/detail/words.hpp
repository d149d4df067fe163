// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Registers of 32-bit words, each in the lower half of a 64-bit lane: what counter-based generators multiply in.
/// Apart from packs because it needs no xsimd, whose price the light headers do not pay.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"

// nvcc's front end need not read the intrinsics: a fill on the host takes the plain form there.
#if defined(__SSE2__) && !TESSERA_CUDA_COMPILER
#include <immintrin.h>
#define TESSERA_X86_WORDS 1
#else
#define TESSERA_X86_WORDS 0
#endif

namespace tessera::simd::detail {

/// Bytes / 8 lanes. The upper halves hold anything: no operation lets them reach a lower half, a product or a merged lane.
template <int Bytes>
struct words;

/// One lane, in plain C++: loops over it are left to the compiler's vectoriser.
template <>
struct words<8> {
  static constexpr int lanes = 1;
  std::uint64_t v;

  TESSERA_ALWAYS_INLINE static words all(std::uint64_t x) { return {x}; }
  /// Lane i holds x[i].
  TESSERA_ALWAYS_INLINE static words load(const std::uint64_t* x) { return {*x}; }
  /// The 64-bit products of the words.
  TESSERA_ALWAYS_INLINE friend words product(words a, words b) { return {(a.v & 0xFFFFFFFFu) * (b.v & 0xFFFFFFFFu)}; }
  /// The upper halves.
  TESSERA_ALWAYS_INLINE friend words high(words a) { return {a.v >> 32}; }
  TESSERA_ALWAYS_INLINE friend words exclusive_or(words a, words b, words c) { return {a.v ^ b.v ^ c.v}; }
  TESSERA_ALWAYS_INLINE friend words either(words a, words b) { return {a.v | b.v}; }
  /// Full lanes: the words of `low` below, those of `high` above.
  TESSERA_ALWAYS_INLINE friend words merge(words low, words high) { return {(low.v & 0xFFFFFFFFu) | high.v << 32}; }
  /// first, second = the full lanes a[0], b[0], a[1], b[1] …, where lanes are numbered as `zipped_lane` says.
  TESSERA_ALWAYS_INLINE friend void zip(words a, words b, words& first, words& second) {
    first = a;
    second = b;
  }
  /// The number that lane i must hold for zip to put the lanes of both arguments in the order of their numbers.
  static constexpr int zipped_lane(int) { return 0; }
  /// Full lanes as 64-bit numbers, or as the word below and then the word above. p is aligned to the register.
  TESSERA_ALWAYS_INLINE void store(std::uint64_t* p) const { *p = v; }
  TESSERA_ALWAYS_INLINE void store(std::uint32_t* p) const {
    p[0] = static_cast<std::uint32_t>(v);
    p[1] = static_cast<std::uint32_t>(v >> 32);
  }
};

#if TESSERA_X86_WORDS
template <>
struct words<16> {
  static constexpr int lanes = 2;
  __m128i v;

  TESSERA_ALWAYS_INLINE static words all(std::uint64_t x) { return {_mm_set1_epi64x(static_cast<long long>(x))}; }
  TESSERA_ALWAYS_INLINE static words load(const std::uint64_t* x) {
    return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))};
  }
  TESSERA_ALWAYS_INLINE friend words product(words a, words b) { return {_mm_mul_epu32(a.v, b.v)}; }
  TESSERA_ALWAYS_INLINE friend words high(words a) { return {_mm_srli_epi64(a.v, 32)}; }
  TESSERA_ALWAYS_INLINE friend words exclusive_or(words a, words b, words c) {
    return {_mm_xor_si128(_mm_xor_si128(a.v, c.v), b.v)};
  }
  TESSERA_ALWAYS_INLINE friend words either(words a, words b) { return {_mm_or_si128(a.v, b.v)}; }
  TESSERA_ALWAYS_INLINE friend words merge(words low, words high) {
    return {_mm_unpacklo_epi32(_mm_shuffle_epi32(low.v, 0x08), _mm_shuffle_epi32(high.v, 0x08))};
  }
  TESSERA_ALWAYS_INLINE friend void zip(words a, words b, words& first, words& second) {
    first = {_mm_unpacklo_epi64(a.v, b.v)};
    second = {_mm_unpackhi_epi64(a.v, b.v)};
  }
  static constexpr int zipped_lane(int i) { return i; }
  template <class Word>
  TESSERA_ALWAYS_INLINE void store(Word* p) const {
    _mm_store_si128(reinterpret_cast<__m128i*>(p), v);
  }
};

#if defined(__AVX2__)
template <>
struct words<32> {
  static constexpr int lanes = 4;
  __m256i v;

  TESSERA_ALWAYS_INLINE static words all(std::uint64_t x) { return {_mm256_set1_epi64x(static_cast<long long>(x))}; }
  TESSERA_ALWAYS_INLINE static words load(const std::uint64_t* x) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))};
  }
  TESSERA_ALWAYS_INLINE friend words product(words a, words b) { return {_mm256_mul_epu32(a.v, b.v)}; }
  TESSERA_ALWAYS_INLINE friend words high(words a) { return {_mm256_srli_epi64(a.v, 32)}; }
  TESSERA_ALWAYS_INLINE friend words exclusive_or(words a, words b, words c) {
    return {_mm256_xor_si256(_mm256_xor_si256(a.v, c.v), b.v)};
  }
  TESSERA_ALWAYS_INLINE friend words either(words a, words b) { return {_mm256_or_si256(a.v, b.v)}; }
  TESSERA_ALWAYS_INLINE friend words merge(words low, words high) {
    return {_mm256_blend_epi32(low.v, _mm256_slli_epi64(high.v, 32), 0xAA)};
  }
  TESSERA_ALWAYS_INLINE friend void zip(words a, words b, words& first, words& second) {
    first = {_mm256_unpacklo_epi64(a.v, b.v)};
    second = {_mm256_unpackhi_epi64(a.v, b.v)};
  }
  static constexpr int zipped_lane(int i) { return i / 2 + i % 2 * 2; }
  template <class Word>
  TESSERA_ALWAYS_INLINE void store(Word* p) const {
    _mm256_store_si256(reinterpret_cast<__m256i*>(p), v);
  }
};
#endif

#if defined(__AVX512F__)
// Zero-masked spellings with every lane in the mask: GCC 12 warns of an uninitialised operand inside the plain ones.
template <>
struct words<64> {
  static constexpr int lanes = 8;
  __m512i v;

  TESSERA_ALWAYS_INLINE static words all(std::uint64_t x) { return {_mm512_set1_epi64(static_cast<long long>(x))}; }
  TESSERA_ALWAYS_INLINE static words load(const std::uint64_t* x) { return {_mm512_loadu_si512(x)}; }
  TESSERA_ALWAYS_INLINE friend words product(words a, words b) { return {_mm512_maskz_mul_epu32(0xFF, a.v, b.v)}; }
  TESSERA_ALWAYS_INLINE friend words high(words a) { return {_mm512_maskz_srli_epi64(0xFF, a.v, 32)}; }
  TESSERA_ALWAYS_INLINE friend words exclusive_or(words a, words b, words c) {
    return {_mm512_ternarylogic_epi64(a.v, b.v, c.v, 0x96)};
  }
  TESSERA_ALWAYS_INLINE friend words either(words a, words b) { return {_mm512_or_si512(a.v, b.v)}; }
  TESSERA_ALWAYS_INLINE friend words merge(words low, words high) {
    return {_mm512_mask_shuffle_epi32(low.v, 0xAAAA, high.v, _MM_PERM_CCAA)};
  }
  TESSERA_ALWAYS_INLINE friend void zip(words a, words b, words& first, words& second) {
    first = {_mm512_maskz_unpacklo_epi64(0xFF, a.v, b.v)};
    second = {_mm512_maskz_unpackhi_epi64(0xFF, a.v, b.v)};
  }
  static constexpr int zipped_lane(int i) { return i / 2 + i % 2 * 4; }
  template <class Word>
  TESSERA_ALWAYS_INLINE void store(Word* p) const {
    _mm512_store_si512(p, v);
  }
};
#endif
#endif

/// The widest register of words that the compiler's flags allow, no wider than `Limit` bytes.
template <int Limit>
inline constexpr int word_bytes =
#if TESSERA_X86_WORDS
#if defined(__AVX512F__)
    Limit >= 64 ? 64 :
#endif
#if defined(__AVX2__)
    Limit >= 32 ? 32
    :
#endif
    Limit >= 16 ? 16
                :
#endif
                8;

}  // namespace tessera::simd::detail
