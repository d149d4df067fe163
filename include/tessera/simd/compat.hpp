// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The only header that includes xsimd and the only one that reads its version. From 8.1 to 14.3 names were moved, the
/// NaN side of min and max was flipped, and some functions miss IEEE's corners; one spelling with one meaning is given here.
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
#if defined(__SSE2__)
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
inline constexpr bool has_fma =
    is_avx512<Arch> ||
#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
    std::is_base_of_v<xsimd::fma3<xsimd::avx2>, Arch> || std::is_base_of_v<xsimd::fma3<xsimd::avx>, Arch> ||
    std::is_base_of_v<xsimd::fma3<xsimd::sse4_2>, Arch>;
#elif defined(__wasm__)
    false;
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

/// The same bits seen as another element type of the same size. (xsimd::bitwise_cast changed its template argument in version 11.)
template <class To, class From, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<To, Arch> bitwise_cast(const xsimd::batch<From, Arch>& x) {
  return __builtin_bit_cast(xsimd::batch<To, Arch>, x);
}

/// The mask of another element type of the same size. (xsimd's function changed its name in version 9.)
template <class To, class From, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch_bool<To, Arch> mask_cast(const xsimd::batch_bool<From, Arch>& m) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(xsimd::batch_bool<To, Arch>, m);
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

#if defined(__SSE2__)
namespace detail {

TESSERA_ALWAYS_INLINE void stream(float* p, __m128 x) { _mm_stream_ps(p, x); }
TESSERA_ALWAYS_INLINE void stream(double* p, __m128d x) { _mm_stream_pd(p, x); }
#if defined(__AVX__)
TESSERA_ALWAYS_INLINE void stream(float* p, __m256 x) { _mm256_stream_ps(p, x); }
TESSERA_ALWAYS_INLINE void stream(double* p, __m256d x) { _mm256_stream_pd(p, x); }
#endif
#if defined(__AVX512F__)
TESSERA_ALWAYS_INLINE void stream(float* p, __m512 x) { _mm512_stream_ps(p, x); }
TESSERA_ALWAYS_INLINE void stream(double* p, __m512d x) { _mm512_stream_pd(p, x); }
#endif

TESSERA_ALWAYS_INLINE bool any_sign(__m128 x) { return _mm_movemask_ps(x) != 0; }
TESSERA_ALWAYS_INLINE bool any_sign(__m128d x) { return _mm_movemask_pd(x) != 0; }
#if defined(__AVX__)
TESSERA_ALWAYS_INLINE bool any_sign(__m256 x) { return _mm256_movemask_ps(x) != 0; }
TESSERA_ALWAYS_INLINE bool any_sign(__m256d x) { return _mm256_movemask_pd(x) != 0; }
#endif

// The instructions give the second operand where either is NaN; xsimd's own functions pass the operands on in one order up to version 13
// and in the other from 14 on.
TESSERA_ALWAYS_INLINE __m128 max(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
TESSERA_ALWAYS_INLINE __m128d max(__m128d a, __m128d b) { return _mm_max_pd(a, b); }
TESSERA_ALWAYS_INLINE __m128 min(__m128 a, __m128 b) { return _mm_min_ps(a, b); }
TESSERA_ALWAYS_INLINE __m128d min(__m128d a, __m128d b) { return _mm_min_pd(a, b); }
#if defined(__AVX__)
TESSERA_ALWAYS_INLINE __m256 max(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
TESSERA_ALWAYS_INLINE __m256d max(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
TESSERA_ALWAYS_INLINE __m256 min(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
TESSERA_ALWAYS_INLINE __m256d min(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }
#endif
#if defined(__AVX512F__)
// With a full mask, because GCC 12 warns of an uninitialised operand inside the forms without.
TESSERA_ALWAYS_INLINE __m512 max(__m512 a, __m512 b) { return _mm512_maskz_max_ps(0xffff, a, b); }
TESSERA_ALWAYS_INLINE __m512d max(__m512d a, __m512d b) { return _mm512_maskz_max_pd(0xff, a, b); }
TESSERA_ALWAYS_INLINE __m512 min(__m512 a, __m512 b) { return _mm512_maskz_min_ps(0xffff, a, b); }
TESSERA_ALWAYS_INLINE __m512d min(__m512d a, __m512d b) { return _mm512_maskz_min_pd(0xff, a, b); }
#endif

TESSERA_ALWAYS_INLINE std::uint32_t lane_bits(__m128 m) { return static_cast<std::uint32_t>(_mm_movemask_ps(m)); }
TESSERA_ALWAYS_INLINE std::uint32_t lane_bits(__m128d m) { return static_cast<std::uint32_t>(_mm_movemask_pd(m)); }
#if defined(__AVX__)
TESSERA_ALWAYS_INLINE std::uint32_t lane_bits(__m256 m) { return static_cast<std::uint32_t>(_mm256_movemask_ps(m)); }
TESSERA_ALWAYS_INLINE std::uint32_t lane_bits(__m256d m) { return static_cast<std::uint32_t>(_mm256_movemask_pd(m)); }
#endif
#if defined(__AVX512F__)
TESSERA_ALWAYS_INLINE std::uint32_t lane_bits(__mmask16 m) { return m; }
TESSERA_ALWAYS_INLINE std::uint32_t lane_bits(__mmask8 m) { return m; }
#endif

template <class T, class Arch>
using register_of = typename xsimd::batch<T, Arch>::register_type;

}  // namespace detail
#endif

/// m ? a : b in every lane. (Up to 8.1 xsimd's selection of integers does not compile for AVX-512 where the optimiser is off.)
template <class T, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<T, Arch> select(const xsimd::batch_bool<T, Arch>& m, const xsimd::batch<T, Arch>& a,
                                                   const xsimd::batch<T, Arch>& b) {
  if constexpr (is_avx512<Arch> && std::is_integral_v<T> && sizeof(T) >= 4) {
    using F = std::conditional_t<sizeof(T) == 4, float, double>;
    return compat::bitwise_cast<T>(xsimd::select(mask_cast<F>(m), compat::bitwise_cast<F>(a), compat::bitwise_cast<F>(b)));
  } else {
    return xsimd::select(m, a, b);
  }
}

/// a > b ? a : b in every lane, hence b where either is NaN or both are zeros.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<T, Arch> max(const xsimd::batch<T, Arch>& a, const xsimd::batch<T, Arch>& b) {
#if defined(__SSE2__)
  if constexpr (is_x86<Arch> && std::is_floating_point_v<T>) {
    using R = detail::register_of<T, Arch>;
    return detail::max(static_cast<R>(a), static_cast<R>(b));
  } else {
    return compat::select(a > b, a, b);
  }
#else
  return compat::select(a > b, a, b);
#endif
}

/// a < b ? a : b in every lane, hence b where either is NaN or both are zeros.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<T, Arch> min(const xsimd::batch<T, Arch>& a, const xsimd::batch<T, Arch>& b) {
#if defined(__SSE2__)
  if constexpr (is_x86<Arch> && std::is_floating_point_v<T>) {
    using R = detail::register_of<T, Arch>;
    return detail::min(static_cast<R>(a), static_cast<R>(b));
  } else {
    return compat::select(a < b, a, b);
  }
#else
  return compat::select(a < b, a, b);
#endif
}

/// Whether the sign bit of any lane is set.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE bool any_sign(const xsimd::batch<T, Arch>& x) {
#if defined(__SSE2__)
  if constexpr (is_x86<Arch> && !is_avx512<Arch>) return detail::any_sign(static_cast<detail::register_of<T, Arch>>(x));
#endif
  using I = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  return xsimd::any(compat::bitwise_cast<I>(x) < xsimd::batch<I, Arch>(I(0)));
}

/// Bit l is lane l of a mask of floating-point lanes.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE std::uint32_t lane_bits(const xsimd::batch_bool<T, Arch>& m) {
#if defined(__SSE2__)
  if constexpr (is_x86<Arch>) return detail::lane_bits(static_cast<typename xsimd::batch_bool<T, Arch>::register_type>(m));
#endif
  alignas(Arch::alignment()) bool lanes[xsimd::batch_bool<T, Arch>::size];
  m.store_aligned(lanes);
  std::uint32_t bits = 0;
  for (std::size_t l = 0; l < xsimd::batch_bool<T, Arch>::size; ++l) bits |= static_cast<std::uint32_t>(lanes[l]) << l;
  return bits;
}

/// Stores to p, aligned to the register, past the caches where there is an instruction for it; others see it after `stream_fence`.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE void stream(T* p, const xsimd::batch<T, Arch>& x) {
#if defined(__SSE2__)
  if constexpr (is_x86<Arch> && std::is_floating_point_v<T>) {
    detail::stream(p, static_cast<detail::register_of<T, Arch>>(x));
  } else {
    x.store_aligned(p);
  }
#else
  x.store_aligned(p);
#endif
}
TESSERA_ALWAYS_INLINE void stream_fence() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace simd::compat
}  // namespace tessera
