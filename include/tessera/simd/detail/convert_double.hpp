// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Small formats in the lanes of double: through float, exactly or rounded to odd on the way.
#pragma once

#include "tessera/simd/detail/convert_avx512.hpp"

namespace tessera::simd::detail {

/// A small format has at most 13 significant bits and none of its values below float's smallest, which leaves float rounded to odd the two
/// bits more that make the second rounding innocuous.
template <class Format, class Arch, int RegisterBytes>
  requires compat::is_x86<Arch>
struct conversion<small_float<Format>, double, Arch, RegisterBytes> {
  using P = pack<double, Arch>;
  using F = pack<float, Arch>;
  using S = small_float<Format>;
  static_assert(Format::precision + 2 <= binary32::precision &&
                Format::min_exponent - Format::mantissa_bits - 2 >= binary32::min_exponent - binary32::mantissa_bits);

  TESSERA_ALWAYS_INLINE static P load(const S* p) { return widened_half(load_first<F>(p, P::lanes)); }
  TESSERA_ALWAYS_INLINE static void store(S* p, P a) { store_first(p, P::lanes, rounded_to_odd(a, a)); }
  TESSERA_ALWAYS_INLINE static void store_pair(S* p, P a, P b) { conversion_for<S, F>::store(p, rounded_to_odd(a, b)); }
};

}  // namespace tessera::simd::detail
