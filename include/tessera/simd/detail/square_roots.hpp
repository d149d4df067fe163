// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Square roots of arrays by the instruction: compilers that keep errno make no vector loop of a scalar root.
#pragma once

#include <cstddef>

#include "tessera/core/config.hpp"

#if defined(__SSE2__) && !TESSERA_CUDA_COMPILER
#include <immintrin.h>
#endif

namespace tessera::simd::detail {

/// x[i] = sqrt(x[i]), correctly rounded, in registers of no more than Bytes bytes. N is a multiple of their lanes, and x aligned to them.
template <int Bytes, class T, std::size_t N>
TESSERA_ALWAYS_INLINE void square_roots(T (&x)[N]) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  constexpr bool single = sizeof(T) == 4;
#if defined(__SSE2__) && !TESSERA_CUDA_COMPILER
#if defined(__AVX512F__)
  if constexpr (Bytes >= 64 && N % (64 / sizeof(T)) == 0) {
    for (std::size_t i = 0; i < N; i += 64 / sizeof(T)) {
      // Zero-masked with every lane in the mask: GCC 12 warns of an uninitialised operand inside the plain spelling.
      if constexpr (single) {
        _mm512_store_ps(x + i, _mm512_maskz_sqrt_ps(0xFFFF, _mm512_load_ps(x + i)));
      } else {
        _mm512_store_pd(x + i, _mm512_maskz_sqrt_pd(0xFF, _mm512_load_pd(x + i)));
      }
    }
    return;
  }
#endif
#if defined(__AVX__)
  if constexpr (Bytes >= 32 && N % (32 / sizeof(T)) == 0) {
    for (std::size_t i = 0; i < N; i += 32 / sizeof(T)) {
      if constexpr (single) {
        _mm256_store_ps(x + i, _mm256_sqrt_ps(_mm256_load_ps(x + i)));
      } else {
        _mm256_store_pd(x + i, _mm256_sqrt_pd(_mm256_load_pd(x + i)));
      }
    }
    return;
  }
#endif
  for (std::size_t i = 0; i < N; i += 16 / sizeof(T)) {
    if constexpr (single) {
      _mm_store_ps(x + i, _mm_sqrt_ps(_mm_load_ps(x + i)));
    } else {
      _mm_store_pd(x + i, _mm_sqrt_pd(_mm_load_pd(x + i)));
    }
  }
#else
  for (std::size_t i = 0; i < N; ++i) {
    if constexpr (single) {
      x[i] = __builtin_sqrtf(x[i]);
    } else {
      x[i] = __builtin_sqrt(x[i]);
    }
  }
#endif
}

}  // namespace tessera::simd::detail
