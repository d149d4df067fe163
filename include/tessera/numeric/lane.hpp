// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The vocabulary in which scores, reducers and polynomials are written once: the same expression means one number (on the
/// host, on the device, in a reference loop) or one number in each lane of a SIMD register (simd/pack.hpp).
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"

namespace tessera {

/// What a number of type T can do besides arithmetic and comparison. Specialised for float and double here, for packs in simd/.
template <class T>
struct lane;

namespace detail {

template <class T, class Index, class Bits, int MantissaBits, int Bias>
struct scalar_lane {
  using value_type = T;  ///< the number in one lane
  using index = Index;   ///< an integer of the same width, for positions
  using bits = Bits;     ///< an unsigned integer of the same width, with the operators & | ^ ~ << >> + -
  using mask = bool;     ///< the result of a comparison
  static constexpr int width = 1;
  static constexpr bool fused = true;  ///< fma is one rounding

  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr T select(bool m, T a, T b) { return m ? a : b; }
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr T max(T a, T b) { return a > b ? a : b; }
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr T min(T a, T b) { return a < b ? a : b; }
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr bool any(bool m) { return m; }

  /// The code of a number, and back.
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr Bits to_bits(T x) { return __builtin_bit_cast(Bits, x); }
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr T from_bits(Bits b) { return __builtin_bit_cast(T, b); }
  static constexpr Bits sign_bit = Bits(1) << (8 * sizeof(T) - 1);

  /// x without its sign, of a zero and a NaN too.
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr T abs(T x) { return from_bits(to_bits(x) & static_cast<Bits>(~sign_bit)); }

  /// A position as a number, rounded to nearest.
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr T number(Index i) { return static_cast<T>(i); }

  /// Whether any lane is not in [low, high), both positive, or is NaN.
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr bool any_outside(T x, T low, T high) {
    return to_bits(x) - to_bits(low) >= to_bits(high) - to_bits(low);
  }
  /// Whether |x| of any lane is not below limit, or is NaN.
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr bool any_beyond(T x, T limit) { return to_bits(abs(x)) >= to_bits(limit); }

  /// Calls f(number&...) for every lane: for what is rare, and too long to be computed where no lane needs it.
  template <class F, class... X>
  TESSERA_HD TESSERA_ALWAYS_INLINE static void each(F f, X&... x) {
    f(x...);
  }

  /// Nearest integer, ties to even, for |x| below 2^(MantissaBits - 2): adding 1.5 * 2^MantissaBits pushes the fraction out.
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr T round(T x) {
    constexpr T magic = T(3) * T(Bits(1) << (MantissaBits - 1));
    return (x + magic) - magic;
  }

  /// The largest integer not above x, for |x| below 2^(MantissaBits - 2).
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr T floor(T x) {
    const T n = round(x);
    return n > x ? n - T(1) : n;
  }

  /// 2^n for an integral n in [1 - Bias, Bias]; +0 for n = -Bias. Any n, NaN too, gives some number.
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr T power_of_two(T n) {
    // n is read from the low bits of n + 1.5 * 2^MantissaBits: no conversion, which a NaN would make undefined.
    constexpr T magic = T(3) * T(Bits(1) << (MantissaBits - 1)) + T(Bias);
    return __builtin_bit_cast(T, static_cast<Bits>(__builtin_bit_cast(Bits, n + magic) << MantissaBits));
  }

  /// n = round(x), and 2^(n + Add) as power_of_two gives it, for an odd Add: the two share an addition.
  template <int Add>
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr T round_and_power(T x, T& n) {
    static_assert((Bias + Add) % 2 == 0, "an odd offset would turn ties to odd");
    constexpr T magic = T(3) * T(Bits(1) << (MantissaBits - 1)) + T(Bias + Add);
    const T shifted = x + magic;
    n = shifted - magic;
    return __builtin_bit_cast(T, static_cast<Bits>(__builtin_bit_cast(Bits, shifted) << MantissaBits));
  }

  /// x = significand * 2^exponent with the significand in [3/4, 3/2), for x normal or subnormal and above 0.
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr void split(T x, T& significand, T& exponent) {
    constexpr T scale = T(Bits(1) << MantissaBits);
    const bool subnormal = x < __builtin_bit_cast(T, Bits(1) << MantissaBits);
    const Bits bits = __builtin_bit_cast(Bits, subnormal ? x * scale : x);
    // Half of the implicit one is added, so that a mantissa from 1.5 on carries into the exponent.
    const Bits biased = static_cast<Bits>((bits + (Bits(1) << (MantissaBits - 1))) >> MantissaBits);
    significand = __builtin_bit_cast(T, static_cast<Bits>(bits - (biased << MantissaBits) + (Bits(Bias) << MantissaBits)));
    exponent = static_cast<T>(static_cast<Index>(biased)) - T(subnormal ? Bias + MantissaBits : Bias);
  }

  /// No single instruction takes numbers apart; see simd/detail/exponent.hpp for where one does.
  static constexpr bool native_exponent = false;
};

}  // namespace detail

template <>
struct lane<float> : detail::scalar_lane<float, std::int32_t, std::uint32_t, 23, 127> {
  TESSERA_HD TESSERA_ALWAYS_INLINE static float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  TESSERA_HD TESSERA_ALWAYS_INLINE static float sqrt(float a) { return __builtin_sqrtf(a); }
};

template <>
struct lane<double> : detail::scalar_lane<double, std::int64_t, std::uint64_t, 52, 1023> {
  TESSERA_HD TESSERA_ALWAYS_INLINE static double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
  TESSERA_HD TESSERA_ALWAYS_INLINE static double sqrt(double a) { return __builtin_sqrt(a); }
};

namespace detail {
template <class Integer>
struct integer_lane {
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr Integer select(bool m, Integer a, Integer b) { return m ? a : b; }
};
}  // namespace detail

/// Positions and bits can be selected, too.
template <>
struct lane<std::int32_t> : detail::integer_lane<std::int32_t> {};
template <>
struct lane<std::uint32_t> : detail::integer_lane<std::uint32_t> {};
template <>
struct lane<std::int64_t> : detail::integer_lane<std::int64_t> {};
template <>
struct lane<std::uint64_t> : detail::integer_lane<std::uint64_t> {};

/// The number in one lane of T.
template <class T>
using lane_value = typename lane<T>::value_type;
/// The integer that counts keys and rows beside a T.
template <class T>
using lane_index = typename lane<T>::index;
/// The unsigned integer that holds the code of a T.
template <class T>
using lane_bits_type = typename lane<T>::bits;

/// m ? a : b, lane by lane.
template <class M, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T select(M m, T a, T b) {
  return lane<T>::select(m, a, b);
}
/// a > b ? a : b: a NaN in b reaches the result.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T max(T a, T b) {
  return lane<T>::max(a, b);
}
/// a < b ? a : b: a NaN in b reaches the result.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T min(T a, T b) {
  return lane<T>::min(a, b);
}
/// a * b + c; rounded once where the hardware has it (everywhere but x86 without FMA packs).
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T fma(T a, T b, T c) {
  return lane<T>::fma(a, b, c);
}
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T sqrt(T a) {
  return lane<T>::sqrt(a);
}
/// The magnitude of a with the sign of b, of zeros and NaNs too.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T copysign(T a, T b) {
  using bits = typename lane<T>::bits;
  const bits sign = bits(lane<T>::sign_bit);
  return lane<T>::from_bits((lane<T>::to_bits(a) & ~sign) | (lane<T>::to_bits(b) & sign));
}
/// a, or -a where the sign bit of b is set.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T flip_sign(T a, T b) {
  using bits = typename lane<T>::bits;
  return lane<T>::from_bits(lane<T>::to_bits(a) ^ (lane<T>::to_bits(b) & bits(lane<T>::sign_bit)));
}

}  // namespace tessera
