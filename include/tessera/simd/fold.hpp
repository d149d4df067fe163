// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// From many lanes to one number, in an order that does not depend on the width of a register.
///
/// The order is the halving tree over all n = count * lanes elements x_0 … x_(n-1) (n a power of two, element i in lane i % lanes of
/// pack i / lanes): x_i is combined with x_(i + n/2) for all i < n/2, and so on with the n/2 results. So 16 numbers give the same
/// bits as one pack of 16, two of 8 or four of 4.
#pragma once

#include "tessera/numeric/lane.hpp"
#include "tessera/simd/compat.hpp"
#include "tessera/simd/pack.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace tessera::simd {
namespace detail {

struct add_two {
  template <class T>
  TESSERA_ALWAYS_INLINE T operator()(T a, T b) const {
    return a + b;
  }
};
// max(a, b) is b when b is NaN; these are a when a is.
struct max_of_two {
  template <class T>
  TESSERA_ALWAYS_INLINE T operator()(T a, T b) const {
    return select(a != a, a, max(a, b));
  }
};
struct min_of_two {
  template <class T>
  TESSERA_ALWAYS_INLINE T operator()(T a, T b) const {
    return select(a != a, a, min(a, b));
  }
};

/// x with lane i + Half in lane i for i < Half; the other lanes are anything.
template <int Half, class T, class Arch>
TESSERA_ALWAYS_INLINE pack<T, Arch> lowered(pack<T, Arch> x) {
  using P = pack<T, Arch>;
  alignas(P::alignment) T lanes[P::lanes];
  x.store(lanes);
  for (int i = 0; i < Half; ++i) lanes[i] = lanes[i + Half];
  return P::load(lanes);
}

#if defined(__SSE2__)
// The same for registers of x86, by a swap of neighbouring groups of Bytes bytes.

template <int Bytes>
TESSERA_ALWAYS_INLINE __m128 swapped(__m128 x) {
  return _mm_shuffle_ps(x, x, Bytes == 8 ? 0x4e : 0xb1);
}
#if defined(__AVX__)
template <int Bytes>
TESSERA_ALWAYS_INLINE __m256 swapped(__m256 x) {
  if constexpr (Bytes == 16) {
    return _mm256_permute2f128_ps(x, x, 1);
  } else {
    return _mm256_permute_ps(x, Bytes == 8 ? 0x4e : 0xb1);
  }
}
#endif
#if defined(__AVX512F__)
template <int Bytes>
TESSERA_ALWAYS_INLINE __m512 swapped(__m512 x) {
  if constexpr (Bytes >= 16) {
    return _mm512_maskz_shuffle_f32x4(0xffff, x, x, Bytes == 32 ? 0x4e : 0xb1);
  } else {
    return _mm512_maskz_permute_ps(0xffff, x, Bytes == 8 ? 0x4e : 0xb1);
  }
}
#endif

template <int Half, class T, class Arch>
  requires compat::is_x86<Arch>
TESSERA_ALWAYS_INLINE pack<T, Arch> lowered(pack<T, Arch> x) {
  const typename xsimd::batch<float, Arch>::register_type bits = bit_cast<float>(x).v;
  return bit_cast<T>(pack<float, Arch>(xsimd::batch<float, Arch>(swapped<Half* static_cast<int>(sizeof(T))>(bits))));
}
#endif  // __SSE2__

template <int Half, class T, class Arch, class Combine>
TESSERA_ALWAYS_INLINE pack<T, Arch> fold_lanes(pack<T, Arch> x, Combine combine) {
  if constexpr (Half == 0) {
    return x;
  } else {
    return fold_lanes<Half / 2>(combine(x, lowered<Half>(x)), combine);
  }
}

template <int Count, class T, class Arch, class Combine>
TESSERA_ALWAYS_INLINE T fold(const pack<T, Arch> (&x)[Count], Combine combine) {
  using P = pack<T, Arch>;
  static_assert((Count & (Count - 1)) == 0 && (P::lanes & (P::lanes - 1)) == 0, "the halving tree needs a power of two");
  P y[Count];
  for (int i = 0; i < Count; ++i) y[i] = x[i];
  for (int half = Count / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) y[i] = combine(y[i], y[i + half]);
  }
  return fold_lanes<P::lanes / 2>(y[0], combine).first();
}

}  // namespace detail

/// x_0 + x_1 + … in the order of the halving tree (see the file's comment).
///
/// Accuracy        |error| <= log2(n) u sum |x_i|, to first order.
/// Determinism     the same bits for every Arch, given the same n.
template <int Count, class T, class Arch>
[[nodiscard]] TESSERA_ALWAYS_INLINE T fold_add(const pack<T, Arch> (&x)[Count]) {
  return detail::fold(x, detail::add_two{});
}
template <class T, class Arch>
[[nodiscard]] TESSERA_ALWAYS_INLINE T fold_add(pack<T, Arch> x) {
  const pack<T, Arch> one[] = {x};
  return fold_add(one);
}

/// The largest element; NaN if any is NaN.
template <int Count, class T, class Arch>
[[nodiscard]] TESSERA_ALWAYS_INLINE T fold_max(const pack<T, Arch> (&x)[Count]) {
  return detail::fold(x, detail::max_of_two{});
}
template <class T, class Arch>
[[nodiscard]] TESSERA_ALWAYS_INLINE T fold_max(pack<T, Arch> x) {
  const pack<T, Arch> one[] = {x};
  return fold_max(one);
}

/// The smallest element; NaN if any is NaN.
template <int Count, class T, class Arch>
[[nodiscard]] TESSERA_ALWAYS_INLINE T fold_min(const pack<T, Arch> (&x)[Count]) {
  return detail::fold(x, detail::min_of_two{});
}
template <class T, class Arch>
[[nodiscard]] TESSERA_ALWAYS_INLINE T fold_min(pack<T, Arch> x) {
  const pack<T, Arch> one[] = {x};
  return fold_min(one);
}

}  // namespace tessera::simd
