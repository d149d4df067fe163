// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Normal numbers from arrays of words: the same bits as normal_pair_from, in loops that compilers turn into SIMD code. The roots
/// have a pass of their own, in the divider, which runs beside the arithmetic of the other two.
#pragma once

#include <cstddef>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/normal_pair.hpp"
#include "tessera/simd/detail/square_roots.hpp"

namespace tessera::random::detail {

/// The radii of the pairs whose words are a[p] and b[p]. The arrays are aligned to 64 bytes.
template <int Bytes, class Word, class V, std::size_t N>
TESSERA_ALWAYS_INLINE void normal_radii(const Word (&a)[N], const Word (&b)[N], V (&radius)[N]) {
  if constexpr (sizeof(Word) == 4) {
    // One word in 2^16 has more bits: those are done again.
    Word least = ~Word{0};
    for (std::size_t p = 0; p < N; ++p) {
      radius[p] = minus_two_log_of(a[p] | 1u, 32);
      least = a[p] < least ? a[p] : least;
    }
    for (std::size_t p = 0; least < deep_below && p < N; ++p) {
      if (a[p] < deep_below) radius[p] = normal_squared_radius(a[p], b[p]);
    }
  } else {
    for (std::size_t p = 0; p < N; ++p) radius[p] = normal_squared_radius(a[p], b[p]);
  }
  simd::detail::square_roots<Bytes>(radius);
}

/// out[2 p], out[2 p + 1] = the numbers of words a[p] and b[p], as law(z) of standard normal numbers z.
template <int Bytes, class Word, std::size_t N, class V, class Law>
TESSERA_ALWAYS_INLINE void normal_pairs(const Word (&a)[N], const Word (&b)[N], V* TESSERA_RESTRICT out, const Law& law) {
  alignas(64) V radius[N];
  normal_radii<Bytes>(a, b, radius);
  for (std::size_t p = 0; p < N; ++p) {
    const normal_pair<V> direction = normal_direction(b[p]);
    out[2 * p] = law(radius[p] * direction.cosine);
    out[2 * p + 1] = law(radius[p] * direction.sine);
  }
}

}  // namespace tessera::random::detail
