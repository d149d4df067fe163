// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The AVX-512 instructions that take a floating-point number apart and put it together. They replace four to eight others each.
#pragma once

#include <type_traits>

#include "tessera/simd/compat.hpp"

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>
#endif

namespace tessera::simd::detail {

#if defined(__AVX512F__) && defined(__AVX512DQ__)

/// True where vreduce, vscalef, vgetexp and vgetmant exist.
template <class Arch>
inline constexpr bool native_exponent = std::is_base_of_v<xsimd::avx512dq, Arch>;

/// Rounding to nearest, ties to even, inexactness not recorded: the immediate of vreduce. (It rounds the difference the same way.)
inline constexpr int to_nearest_quietly = 0x08;

template <class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<float, Arch> remainder(const xsimd::batch<float, Arch>& x) {
  return _mm512_maskz_reduce_ps(0xffff, x, to_nearest_quietly);
}
template <class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<double, Arch> remainder(const xsimd::batch<double, Arch>& x) {
  return _mm512_maskz_reduce_pd(0xff, x, to_nearest_quietly);
}

/// Lanes below `from` are masked, not computed: a vscalef that underflows takes a microcode assist of about 200 cycles.
template <class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<float, Arch> scale_from(const xsimd::batch<float, Arch>& a, const xsimd::batch<float, Arch>& x,
                                                           const xsimd::batch<float, Arch>& from) {
  return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, from, _CMP_NLT_UQ), a, x);
}
template <class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<double, Arch> scale_from(const xsimd::batch<double, Arch>& a,
                                                            const xsimd::batch<double, Arch>& x,
                                                            const xsimd::batch<double, Arch>& from) {
  return _mm512_maskz_scalef_pd(_mm512_cmp_pd_mask(x, from, _CMP_NLT_UQ), a, x);
}

/// x / 2^exponent in [3/4, 3/2), with the sign of x.
template <class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<float, Arch> significand(const xsimd::batch<float, Arch>& x) {
  return _mm512_maskz_getmant_ps(0xffff, x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
}
template <class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<double, Arch> significand(const xsimd::batch<double, Arch>& x) {
  return _mm512_maskz_getmant_pd(0xff, x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
}

/// floor(log2 |x|), of subnormal numbers too.
template <class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<float, Arch> exponent(const xsimd::batch<float, Arch>& x) {
  return _mm512_maskz_getexp_ps(0xffff, x);
}
template <class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<double, Arch> exponent(const xsimd::batch<double, Arch>& x) {
  return _mm512_maskz_getexp_pd(0xff, x);
}

#else

template <class Arch>
inline constexpr bool native_exponent = false;

// Named by the templates of pack.hpp, called by none.
template <class B>
B remainder(const B&);
template <class B>
B scale_from(const B&, const B&, const B&);
template <class B>
B significand(const B&);
template <class B>
B exponent(const B&);

#endif

}  // namespace tessera::simd::detail
