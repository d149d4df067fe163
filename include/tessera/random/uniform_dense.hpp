// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Uniform numbers in (0, 1) that reach every number of the type, addressed by (seed, stream, index).
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/logarithm.hpp"
#include "tessera/random/uniform.hpp"

namespace tessera::random {
namespace detail {

/// 2^n in the subnormal range too.
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE V any_power_of_two(int n) noexcept {
  using Bits = word_of<V>;
  constexpr int mantissa = std::numeric_limits<V>::digits - 1;
  constexpr int bias = std::numeric_limits<V>::max_exponent - 1;
  return __builtin_bit_cast(V, n > -bias ? static_cast<Bits>(n + bias) << mantissa : Bits{1} << (n + bias + mantissa - 1));
}

/// word / 2^bits rounded down to a number of V.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float rounded_down(std::uint32_t w) noexcept {
  const float high = static_cast<float>(static_cast<std::int32_t>(w >> 8));
  const float low = static_cast<float>(static_cast<std::int32_t>(w & 0xFFu));
  const float nearest = fma(high, 256.0f, low);
  const bool above = fma(high, -256.0f, nearest) > low;  // both sides exact
  return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, nearest) - (above ? 1u : 0u)) * 0x1p-32f;
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double rounded_down(std::uint64_t w) noexcept {
  const double high = exact_double(w >> 32);
  const double low = exact_double(w & 0xFFFFFFFFu);
  const double nearest = fma(high, 0x1p32, low);
  const bool above = fma(high, -0x1p32, nearest) > low;
  return __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, nearest) - (above ? 1u : 0u)) * 0x1p-64;
}

template <class T>
struct uniform_dense_law {
  using word = word_of<T>;
  using value = made_as<T>;
  static constexpr reads reading = reads::word;
  static constexpr bool repairs = true;
  static constexpr int bits = std::numeric_limits<word>::digits;
  static constexpr int digits = std::numeric_limits<T>::digits;
  static constexpr int least = std::numeric_limits<T>::min_exponent - 1;  // of the smallest normal number

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value operator()(word w) const noexcept {
    constexpr word rest = (word{1} << (std::numeric_limits<value>::digits - digits)) - 1;
    return __builtin_bit_cast(value, static_cast<word>(__builtin_bit_cast(word, rounded_down(w)) & ~rest));
  }

  /// Whether the word has all the digits of a normal number.
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool accepts(word w) const noexcept {
    return w >= word{1} << (digits - 1 > bits + least ? digits - 1 : bits + least);
  }

  /// The number whose binary digits are those of w and then of the further words, `further(k)` the k-th of them, from 1.
  template <class Further>
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value repaired(word w, Further further) const noexcept {
    std::uint64_t k = 1;
    for (std::uint64_t draw = 1;; ++draw) {
      int zeros = 0;
      for (; w == 0 && zeros < 2048; zeros += bits) w = further(k++);
      int lead = 0;
      while (lead < bits && (w << lead >> (bits - 1)) == 0) ++lead;
      const int exponent = -(1 + zeros + lead);
      const int kept = exponent >= least ? digits : digits - (least - exponent);
      if (kept > 0) {
        const word digit = lead == 0 ? w : static_cast<word>(w << lead | further(k) >> (bits - lead));
        return static_cast<value>(static_cast<std::make_signed_t<word>>(digit >> (bits - kept))) *
               any_power_of_two<value>(exponent - kept + 1);
      }
      // Below the smallest number of T, hence not in (0, 1): drawn again, from words that no draw before has seen.
      k = 64 * draw;
      w = further(k++);
    }
  }
};

}  // namespace detail

/// The uniform number in (0, 1) at an address that can be any number of T there, each as likely as its distance to the next.
///
/// A real number drawn from (0, 1) and rounded down to T: its digits are those of the word of the address and, where leading zeros leave
/// too few of them (once in 2^8 for float, 2^11 for double), of further words that belong to the address alone. Subnormal numbers
/// are as likely as they should be; 0 and 1 do not occur. `uniform` is this number rounded down to its grid. The mean is 1/2 less half
/// the mean distance of numbers, 2^-26 for float.
/// Accuracy       exact
/// Cost           one Philox block; where digits are missing three more or, very rarely, another two
/// Determinism    the same bits on every machine and device
/// Backends       host, device, constant expressions
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T uniform_dense(std::uint64_t seed, std::uint64_t stream,
                                                                         std::uint64_t index) noexcept {
  return detail::number_at<T>(detail::uniform_dense_law<T>{}, seed, stream, index);
}

}  // namespace tessera::random
