// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Loads and stores that convert between the type in memory and the type computed in, whole and partial.
///
/// Widening is exact, narrowing rounds once, to nearest with ties to even, whatever the rounding mode: the bits of
/// `static_cast<V>(p[i])` and `static_cast<S>(x)`, NaN payloads included. Subnormals are kept. Addresses need the alignment of S only.
#pragma once

#include <cstdint>

#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/simd/detail/convert_double.hpp"
#include "tessera/simd/pack.hpp"

namespace tessera::simd {

/// p[0], p[1] … p[P::lanes - 1], each as P's number.
///
/// S is float, double, float16, bfloat16 or whatever converts by static_cast.
/// Special values  exact; a signalling NaN may become quiet, sign and payload stay.
/// Backends        AVX-512, AVX2, F16C, SSE2 instructions as far as the compiler's flags allow; one number at a time elsewhere.
template <class P, class S>
[[nodiscard]] TESSERA_ALWAYS_INLINE P load_as(const S* p) {
  return detail::conversion_for<S, P>::load(p);
}

/// p[i] = x_i for every lane, rounded once, to nearest with ties to even.
///
/// Special values  too large gives infinity, NaN a quiet NaN with its sign, subnormals are kept: the bits of static_cast<S>(x_i).
template <class S, class T, class Arch>
TESSERA_ALWAYS_INLINE void store_as(S* p, pack<T, Arch> x) {
  detail::conversion_for<S, pack<T, Arch>>::store(p, x);
}

/// p[i] = x_i, p[lanes + i] = y_i: store_as of two packs, for which some instruction sets take fewer steps together.
template <class S, class T, class Arch>
TESSERA_ALWAYS_INLINE void store_as(S* p, pack<T, Arch> x, pack<T, Arch> y) {
  using conversion = detail::conversion_for<S, pack<T, Arch>>;
  if constexpr (requires { conversion::store_pair(p, x, y); }) {
    conversion::store_pair(p, x, y);
  } else {
    conversion::store(p, x);
    conversion::store(p + pack<T, Arch>::lanes, y);
  }
}

/// The same for four packs, one after another.
template <class S, class T, class Arch>
TESSERA_ALWAYS_INLINE void store_as(S* p, pack<T, Arch> x, pack<T, Arch> y, pack<T, Arch> z, pack<T, Arch> w) {
  using conversion = detail::conversion_for<S, pack<T, Arch>>;
  if constexpr (requires { conversion::store_four(p, x, y, z, w); }) {
    conversion::store_four(p, x, y, z, w);
  } else {
    store_as(p, x, y);
    store_as(p + 2 * pack<T, Arch>::lanes, z, w);
  }
}

/// p[i] = x_i, p[lanes + i] = y_i, rounded by chance: the bits of round_stochastic<small_float<Format>>(x_i, halves[i] << 16), and of
/// y_i with halves[lanes + i].
template <class Format, class Arch>
TESSERA_ALWAYS_INLINE void store_stochastic(small_float<Format>* p, pack<float, Arch> x, pack<float, Arch> y,
                                            const std::uint16_t* halves) {
  using conversion = detail::conversion_for<small_float<Format>, pack<float, Arch>>;
  constexpr int lanes = pack<float, Arch>::lanes;
  if constexpr (requires { conversion::store_stochastic_pair(p, x, y, halves); }) {
    conversion::store_stochastic_pair(p, x, y, halves);
  } else {
    using codes = detail::code_transport_for<sizeof(small_float<Format>), Arch>;
    using words = detail::code_transport_for<2, Arch>;
    codes::store(p, detail::narrow_stochastic<Format>(x, words::load(halves)));
    codes::store(p + lanes, detail::narrow_stochastic<Format>(y, words::load(halves + lanes)));
  }
}

/// p[0] … p[n - 1] and then zeros, for 0 <= n <= P::lanes. Reads nothing from p + n on: p may be null for n = 0.
template <class P, class S>
[[nodiscard]] TESSERA_ALWAYS_INLINE P load_partial(const S* p, int n) {
  return detail::load_first<P>(p, n);
}

/// p[i] = x_i for i < n, rounded as store_as does, for 0 <= n <= lanes. Writes nothing from p + n on.
template <class S, class T, class Arch>
TESSERA_ALWAYS_INLINE void store_partial(S* p, int n, pack<T, Arch> x) {
  detail::store_first(p, n, x);
}

}  // namespace tessera::simd
