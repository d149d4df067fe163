// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Conversion of whole packs between a type in memory and the type in the lanes: what every machine can do. The instruction sets
/// specialise it in convert_sse.hpp, convert_avx.hpp and convert_avx512.hpp.
#pragma once

#include "tessera/numeric/small_float.hpp"
#include "tessera/simd/compat.hpp"
#include "tessera/simd/detail/codes.hpp"
#include "tessera/simd/detail/rounding.hpp"
#include "tessera/simd/pack.hpp"

namespace tessera::simd::detail {

/// One number after the other.
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
///
/// load(p) and store(p, x) are there always. store_pair(p, x, y), two packs one after the other, load(p, n) and store(p, x, n), the first n
/// lanes, are where an instruction set does better than what load.hpp makes of the first two.
template <class S, class T, class Arch, int RegisterBytes>
struct conversion : scalar_conversion<S, T, Arch> {};

template <class T, class Arch, int RegisterBytes>
struct conversion<T, T, Arch, RegisterBytes> {
  using P = pack<T, Arch>;
  TESSERA_ALWAYS_INLINE static P load(const T* p) { return P::load_unaligned(p); }
  TESSERA_ALWAYS_INLINE static void store(T* p, P a) { a.store_unaligned(p); }
};

/// Small formats in the lanes of float: integer arithmetic on all lanes at once.
template <class Format, class Arch>
struct integer_conversion {
  using P = pack<float, Arch>;
  using S = small_float<Format>;
  using transport = code_transport_for<sizeof(S), Arch>;

  TESSERA_ALWAYS_INLINE static P load(const S* p) { return widen<Format>(transport::load(p)); }
  TESSERA_ALWAYS_INLINE static P load(const S* p, int n)
    requires(requires { transport::load(p, n); })
  {
    return widen<Format>(transport::load(p, n));
  }
  TESSERA_ALWAYS_INLINE static void store(S* p, P a) { transport::store(p, narrow<Format>(a)); }
  TESSERA_ALWAYS_INLINE static void store(S* p, P a, int n)
    requires(requires { transport::load(p, n); })
  {
    transport::store(p, narrow<Format>(a), n);
  }
};

template <class Format, class Arch, int RegisterBytes>
struct conversion<small_float<Format>, float, Arch, RegisterBytes> : integer_conversion<Format, Arch> {};

template <class S, class P>
using conversion_for = conversion<S, typename P::value_type, typename P::arch, static_cast<int>(sizeof(typename P::batch))>;

/// p[0] … p[n - 1] and then zeros.
template <class P, class S>
TESSERA_ALWAYS_INLINE P load_first(const S* p, int n) {
  using conversion = conversion_for<S, P>;
  if constexpr (requires { conversion::load(p, n); }) {
    return conversion::load(p, n);
  } else {
    S x[P::lanes] = {};
    for (int i = 0; i < n; ++i) x[i] = p[i];
    return conversion::load(x);
  }
}

/// p[0] … p[n - 1] = the first n lanes.
template <class P, class S>
TESSERA_ALWAYS_INLINE void store_first(S* p, int n, P x) {
  using conversion = conversion_for<S, P>;
  if constexpr (requires { conversion::store(p, x, n); }) {
    conversion::store(p, x, n);
  } else {
    S y[P::lanes];
    conversion::store(y, x);
    for (int i = 0; i < n; ++i) p[i] = y[i];
  }
}

}  // namespace tessera::simd::detail
