// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What reads and writes sign and exponent: AVX-512's instructions, which replace four to eight others each, and the test for unusual numbers.
#pragma once

#include <type_traits>

#include "tessera/numeric/lane.hpp"
#include "tessera/simd/compat.hpp"

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>
#endif

namespace tessera::simd::detail {

/// Whether the code of any lane is not in [low, high): both codes of positive numbers, so that one comparison without sign is enough.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE bool any_outside(const xsimd::batch<T, Arch>& x, typename lane<T>::bits low, typename lane<T>::bits high) {
  using B = typename lane<T>::bits;
  using Codes = xsimd::batch<B, Arch>;
  const Codes code = compat::bitwise_cast<B>(x);
  const Codes above = code - Codes(low);
  if constexpr (compat::is_x86<Arch> && !compat::is_avx512<Arch>) {
    // There is no such comparison before AVX-512. Both of these differences are positive, as signed numbers, inside and nowhere else.
    const Codes below = Codes(static_cast<B>(high - 1)) - code;
    return compat::any_sign(compat::bitwise_cast<T>(above | below));
  } else {
    return xsimd::any(above >= Codes(static_cast<B>(high - low)));
  }
}

/// Whether |x| of any lane is not below limit, or is NaN.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE bool any_beyond(const xsimd::batch<T, Arch>& x, typename lane<T>::bits limit) {
  using B = typename lane<T>::bits;
  using Codes = xsimd::batch<B, Arch>;
  const Codes magnitude = compat::bitwise_cast<B>(x) & Codes(static_cast<B>(~lane<T>::sign_bit));
  if constexpr (compat::is_x86<Arch> && !compat::is_avx512<Arch>) {
    return compat::any_sign(compat::bitwise_cast<T>(Codes(static_cast<B>(limit - 1)) - magnitude));
  } else {
    return xsimd::any(magnitude >= Codes(limit));
  }
}

#if defined(__AVX512F__) && defined(__AVX512DQ__)

/// True where vscalef, vgetexp and vgetmant exist.
template <class Arch>
inline constexpr bool native_exponent = std::is_base_of_v<xsimd::avx512dq, Arch>;

/// Lanes below `from` are cleared before: on Intel a vscalef that underflows takes a microcode assist of about 200 cycles. By the sign of a
/// difference, not by a comparison, which on Zen 4 would take a turn of an FMA unit.
template <class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<float, Arch> scale_from(const xsimd::batch<float, Arch>& a, const xsimd::batch<float, Arch>& x,
                                                           const xsimd::batch<float, Arch>& from) {
  const __m512 below = x - from;
  const __m512i cleared = _mm512_maskz_srai_epi32(0xffff, _mm512_castps_si512(below), 31);
  const __m512i kept = _mm512_andnot_si512(cleared, _mm512_castps_si512(a));
  return _mm512_maskz_scalef_ps(0xffff, _mm512_castsi512_ps(kept), x);
}
template <class Arch>
TESSERA_ALWAYS_INLINE xsimd::batch<double, Arch> scale_from(const xsimd::batch<double, Arch>& a,
                                                            const xsimd::batch<double, Arch>& x,
                                                            const xsimd::batch<double, Arch>& from) {
  const __m512d below = x - from;
  const __m512i cleared = _mm512_maskz_srai_epi64(0xff, _mm512_castpd_si512(below), 63);
  const __m512i kept = _mm512_andnot_si512(cleared, _mm512_castpd_si512(a));
  return _mm512_maskz_scalef_pd(0xff, _mm512_castsi512_pd(kept), x);
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
B scale_from(const B&, const B&, const B&);
template <class B>
B significand(const B&);
template <class B>
B exponent(const B&);

#endif

}  // namespace tessera::simd::detail
