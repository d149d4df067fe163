// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Where the bits of a binary floating-point format lie, and the codes of its landmarks.
#pragma once

#include <cstdint>

namespace tessera {

/// A binary format laid out as IEEE 754 lays them out: sign, biased exponent, trailing significand; subnormals, infinities, NaNs.
///
/// Every landmark is a code, that is the bits of the value read as an unsigned integer. Codes of the same sign are ordered
/// as the values are, and `infinity` is the code after `max_finite`; the rounding code relies on both.
template <class Bits, int ExponentBits, int MantissaBits>
struct ieee_format {
  static_assert(1 + ExponentBits + MantissaBits == 8 * static_cast<int>(sizeof(Bits)), "the fields must fill the storage");
  static_assert(ExponentBits >= 2 && MantissaBits >= 2, "NaN needs a quiet bit and one bit more");

  using bits_type = Bits;

  static constexpr int exponent_bits = ExponentBits;
  static constexpr int mantissa_bits = MantissaBits;  ///< stored bits; the leading one is implied
  static constexpr int precision = MantissaBits + 1;  ///< p of the literature
  static constexpr int bias = (1 << (ExponentBits - 1)) - 1;
  static constexpr int max_exponent = bias;      ///< of the leading bit of the largest finite value
  static constexpr int min_exponent = 1 - bias;  ///< of the leading bit of the smallest normal value

  static constexpr Bits sign_mask = static_cast<Bits>(Bits{1} << (ExponentBits + MantissaBits));
  static constexpr Bits magnitude_mask = static_cast<Bits>(sign_mask - 1);
  static constexpr Bits mantissa_mask = static_cast<Bits>((Bits{1} << MantissaBits) - 1);
  static constexpr Bits quiet_bit = static_cast<Bits>(Bits{1} << (MantissaBits - 1));

  static constexpr Bits min_subnormal = 1;
  static constexpr Bits min_normal = static_cast<Bits>(Bits{1} << MantissaBits);
  static constexpr Bits one = static_cast<Bits>(static_cast<Bits>(bias) << MantissaBits);
  static constexpr Bits infinity = static_cast<Bits>(magnitude_mask - mantissa_mask);
  static constexpr Bits max_finite = static_cast<Bits>(infinity - 1);
  static constexpr Bits quiet_nan = static_cast<Bits>(infinity | quiet_bit);
  static constexpr Bits signaling_nan = static_cast<Bits>(infinity | (quiet_bit >> 1));
};

/// IEEE 754 binary16: 11 significant bits, 2^-24 to 65504.
struct binary16 : ieee_format<std::uint16_t, 5, 10> {};

/// The upper half of binary32: 8 significant bits, the range of float.
struct brain16 : ieee_format<std::uint16_t, 8, 7> {};

/// The format of float.
struct binary32 : ieee_format<std::uint32_t, 8, 23> {};

/// The format of double.
struct binary64 : ieee_format<std::uint64_t, 11, 52> {};

}  // namespace tessera
