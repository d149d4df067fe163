// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Where the bits of a binary floating-point format lie, and the codes of its landmarks.
#pragma once

#include <cstdint>

namespace tessera {

/// What the codes with the largest exponent mean.
enum class special_codes : std::uint8_t {
  ieee,     ///< infinity, and after it NaNs
  one_nan,  ///< numbers, but for the last code, which is NaN; no infinity (the "fn" formats)
  none      ///< numbers; neither infinity nor NaN
};

/// A binary format: sign, biased exponent, trailing significand; subnormals; specials by choice.
///
/// Every landmark is a code, that is the bits of the value read as an unsigned integer. Codes of the same sign are ordered
/// as the values are, and where there are specials, the code after `max_finite` is infinity or the NaN; the rounding code relies on
/// both. A format narrower than its storage lies in the low bits, and the bits above are 0.
template <class Bits, int ExponentBits, int MantissaBits, special_codes Specials>
struct binary_format {
  static_assert(1 + ExponentBits + MantissaBits <= 8 * static_cast<int>(sizeof(Bits)), "the fields must fit in the storage");
  static_assert(ExponentBits >= 2 && MantissaBits >= 1);

  using bits_type = Bits;

  static constexpr bool has_infinity = Specials == special_codes::ieee;
  static constexpr bool has_nan = Specials != special_codes::none;

  static constexpr int width = 1 + ExponentBits + MantissaBits;
  static constexpr int exponent_bits = ExponentBits;
  static constexpr int mantissa_bits = MantissaBits;  ///< stored bits; the leading one is implied
  static constexpr int precision = MantissaBits + 1;  ///< p of the literature
  static constexpr int bias = (1 << (ExponentBits - 1)) - 1;
  static constexpr int max_exponent = has_infinity ? bias : bias + 1;  ///< of the leading bit of the largest finite value
  static constexpr int min_exponent = 1 - bias;                        ///< of the leading bit of the smallest normal value

  static constexpr Bits sign_mask = static_cast<Bits>(Bits{1} << (ExponentBits + MantissaBits));
  static constexpr Bits magnitude_mask = static_cast<Bits>(sign_mask - 1);
  static constexpr Bits mantissa_mask = static_cast<Bits>((Bits{1} << MantissaBits) - 1);

  static constexpr Bits min_subnormal = 1;
  static constexpr Bits min_normal = static_cast<Bits>(Bits{1} << MantissaBits);
  static constexpr Bits one = static_cast<Bits>(static_cast<Bits>(bias) << MantissaBits);
  static constexpr Bits max_finite =
      static_cast<Bits>(magnitude_mask - (has_infinity ? mantissa_mask + 1 : static_cast<Bits>(has_nan ? 1 : 0)));
  /// What a magnitude that is too large becomes: infinity; else the NaN; else the largest value.
  static constexpr Bits overflow = static_cast<Bits>(has_nan ? max_finite + 1 : max_finite);
  /// The largest magnitude that is not a NaN: infinity, or the largest finite value.
  static constexpr Bits max_number = has_infinity ? overflow : max_finite;
};

/// A format laid out as IEEE 754 lays them out, with infinities, quiet and signalling NaNs; it fills its storage.
template <class Bits, int ExponentBits, int MantissaBits>
struct ieee_format : binary_format<Bits, ExponentBits, MantissaBits, special_codes::ieee> {
  static_assert(1 + ExponentBits + MantissaBits == 8 * static_cast<int>(sizeof(Bits)), "the fields must fill the storage");
  static_assert(MantissaBits >= 2, "NaN needs a quiet bit and one bit more");

  static constexpr Bits quiet_bit = static_cast<Bits>(Bits{1} << (MantissaBits - 1));
  static constexpr Bits infinity = ieee_format::overflow;
  static constexpr Bits quiet_nan = static_cast<Bits>(infinity | quiet_bit);
  static constexpr Bits signaling_nan = static_cast<Bits>(infinity | (quiet_bit >> 1));
};

/// IEEE 754 binary16: 11 significant bits, 2^-24 to 65504.
struct binary16 : ieee_format<std::uint16_t, 5, 10> {};

/// The upper half of binary32: 8 significant bits, the range of float.
struct brain16 : ieee_format<std::uint16_t, 8, 7> {};

/// OCP E4M3: 4 significant bits, 2^-9 to 448; no infinity, one NaN of each sign (0x7F, 0xFF).
struct ocp_e4m3 : binary_format<std::uint8_t, 4, 3, special_codes::one_nan> {
  static constexpr std::uint8_t quiet_nan = magnitude_mask;
};

/// OCP E5M2: 3 significant bits, 2^-16 to 57344; specials as in IEEE 754.
struct ocp_e5m2 : ieee_format<std::uint8_t, 5, 2> {};

/// OCP E2M1: 2 significant bits in the low half of a byte: 0, 0.5, 1, 1.5, 2, 3, 4, 6; no infinity, no NaN.
struct ocp_e2m1 : binary_format<std::uint8_t, 2, 1, special_codes::none> {};

/// The format of float.
struct binary32 : ieee_format<std::uint32_t, 8, 23> {};

/// The format of double.
struct binary64 : ieee_format<std::uint64_t, 11, 52> {};

}  // namespace tessera
