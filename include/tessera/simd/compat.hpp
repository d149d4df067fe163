// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The only header that includes xsimd and the only one that reads its version. From 8.1 to 14.3 names were moved and the
/// NaN side of min and max was flipped; whatever differs between versions is given one spelling here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 finds the "undefined" operand inside its own AVX-512 intrinsics uninitialised.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <xsimd/xsimd.hpp>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#include "tessera/core/config.hpp"

#if XSIMD_VERSION_MAJOR * 100 + XSIMD_VERSION_MINOR < 801
#error "tessera: needs xsimd 8.1 or newer"
#endif

namespace tessera {

/// The widest instruction set that the compiler's flags allow.
using default_arch = xsimd::default_arch;

namespace simd::compat {

/// True for every AVX-512 flavour: 32 registers, mask registers, vscalef.
template <class Arch>
inline constexpr bool is_avx512 = std::is_base_of_v<xsimd::avx512f, Arch>;

/// True for the instruction sets of x86, whose registers are __m128, __m256 and __m512.
template <class Arch>
inline constexpr bool is_x86 = is_avx512<Arch> || std::is_base_of_v<xsimd::avx, Arch> || std::is_base_of_v<xsimd::sse2, Arch>;

/// True where xsimd::fma is one rounding. Elsewhere it is a multiply and an add.
template <class Arch>
inline constexpr bool has_fma = is_avx512<Arch> ||
#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
                                std::is_base_of_v<xsimd::fma3<xsimd::avx2>, Arch> ||
                                std::is_base_of_v<xsimd::fma3<xsimd::avx>, Arch> ||
                                std::is_base_of_v<xsimd::fma3<xsimd::sse4_2>, Arch>;
#else
                                true;
#endif

/// True where rounding to an integral value is an instruction. On x86 that came with SSE 4.1.
template <class Arch>
inline constexpr bool has_floor = is_avx512<Arch> || has_fma<Arch> ||
#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
                                  std::is_base_of_v<xsimd::avx, Arch> || std::is_base_of_v<xsimd::sse4_1, Arch>;
#else
                                  true;
#endif

/// a * b + c, one rounding where has_fma. Up to 8.1 xsimd::fma multiplies and adds on AVX-512.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<T, Arch> fma(const xsimd::batch<T, Arch>& a, const xsimd::batch<T, Arch>& b,
                                                const xsimd::batch<T, Arch>& c) {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch> && std::is_same_v<T, float>) {
    return _mm512_fmadd_ps(a, b, c);
  } else if constexpr (is_avx512<Arch> && std::is_same_v<T, double>) {
    return _mm512_fmadd_pd(a, b, c);
  } else {
    return xsimd::fma(a, b, c);
  }
#else
  return xsimd::fma(a, b, c);
#endif
}

/// The same bits seen as another element type of the same size.
template <class To, class From, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<To, Arch> bitwise_cast(const xsimd::batch<From, Arch>& x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else {
#if XSIMD_VERSION_MAJOR >= 11
    return xsimd::bitwise_cast<To>(x);
#else
    return xsimd::bitwise_cast<xsimd::batch<To, Arch>>(x);
#endif
  }
}

/// The mask of another element type of the same size.
template <class To, class From, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch_bool<To, Arch> mask_cast(const xsimd::batch_bool<From, Arch>& m) {
  if constexpr (std::is_same_v<To, From>) {
    return m;
  } else {
#if XSIMD_VERSION_MAJOR >= 9
    return xsimd::batch_bool_cast<To>(m);
#else
    return xsimd::bool_cast(m);
#endif
  }
}

/// a != b, true where either is NaN. (xsimd 8.1 uses the ordered comparison on AVX, in which NaN != NaN is false.)
template <class T, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch_bool<T, Arch> not_equal(const xsimd::batch<T, Arch>& a, const xsimd::batch<T, Arch>& b) {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch> && std::is_same_v<T, float>) {
    return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ);
  } else if constexpr (is_avx512<Arch> && std::is_same_v<T, double>) {
    return _mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ);
  } else {
    return !(a == b);
  }
#else
  return !(a == b);
#endif
}

/// a > b ? a : b in every lane, hence b where either is NaN (x86; other machines may give NaN for a NaN in a, too).
template <class T, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<T, Arch> max(const xsimd::batch<T, Arch>& a, const xsimd::batch<T, Arch>& b) {
#if XSIMD_VERSION_MAJOR >= 14
  return xsimd::max(b, a);
#else
  return xsimd::max(a, b);
#endif
}

/// a < b ? a : b in every lane, hence b where either is NaN.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<T, Arch> min(const xsimd::batch<T, Arch>& a, const xsimd::batch<T, Arch>& b) {
#if XSIMD_VERSION_MAJOR >= 14
  return xsimd::min(b, a);
#else
  return xsimd::min(a, b);
#endif
}

}  // namespace simd::compat
}  // namespace tessera
