// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Small formats in the lanes of double: through float, exactly or rounded to odd on the way.
#pragma once

#include <cstdint>

#include "tessera/simd/detail/convert_float8.hpp"

namespace tessera::simd::detail {

/// A double is rounded to odd on its way to float: to one of its two neighbours of two bits more than the format has, the odd one, unless
/// it is one. The rounding of float then gives what one rounding would have given. So few bits reach float exactly, in any rounding mode,
/// but for numbers that become 0 anyhow, or infinity.
template <class Format, class Arch, int RegisterBytes>
  requires compat::is_x86<Arch>
struct conversion<small_float<Format>, double, Arch, RegisterBytes> {
  using P = pack<double, Arch>;
  using F = pack<float, Arch>;
  using S = small_float<Format>;

  TESSERA_ALWAYS_INLINE static P load(const S* p) { return widened_half(load_first<F>(p, P::lanes)); }
  TESSERA_ALWAYS_INLINE static void store(S* p, P a) { store_first(p, P::lanes, narrowed_pair(odd(a), odd(a))); }
  TESSERA_ALWAYS_INLINE static void store_pair(S* p, P a, P b) { conversion_for<S, F>::store(p, narrowed_pair(odd(a), odd(b))); }
  /// Four packs of double, for which float has a pair.
  TESSERA_ALWAYS_INLINE static void store_four(S* p, P a, P b, P c, P d)
    requires(requires(S* q, F x) { conversion_for<S, F>::store_pair(q, x, x); })
  {
    conversion_for<S, F>::store_pair(p, narrowed_pair(odd(a), odd(b)), narrowed_pair(odd(c), odd(d)));
  }

 private:
  // A number that is half the smallest of Format, or more, has bits down to 2^-(precision + 1) of itself.
  static_assert(Format::min_exponent - Format::mantissa_bits - 1 - (Format::precision + 1) >=
                binary32::min_exponent - binary32::mantissa_bits);

  TESSERA_ALWAYS_INLINE static P odd(P x) {
    using U = pack<std::uint64_t, Arch>;
    constexpr std::uint64_t below = (std::uint64_t{1} << (binary64::precision - Format::precision - 2)) - 1;
    const U bits = bit_cast<std::uint64_t>(x);
    const U carried = (bits & U(below)) + U(below);  // into the last bit that stays, if anything is lost
    return bit_cast<double>((bits | carried) & U(~below));
  }
};

}  // namespace tessera::simd::detail
