// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Hashes of whole tables of results, one for all implementations: scalar, SIMD, constexpr, device.
///
/// A hash is FNV-1a, 64 bits, over the bytes of the result codes, the low byte of each first, in the order of the inputs. Every NaN
/// counts as the positive quiet one. The inputs are all 65,536 codes in order, but for `narrowing`: there the floats whose upper
/// half runs through all codes, and for each of them whose lower half runs through lower_halves.
///
/// The hashes come from MPFR (mpfr_oracle.hpp). test/numeric/functions.cpp makes all of them again on every run, and prints those that
/// differ.
#pragma once

#include <cstdint>

/// F(name) for every function; G(name) for those that are not MPFR's own function of that name.
// clang-format off
#define GOLDEN_FUNCTIONS(F, G)                                                             \
  F(exp) F(exp2) F(exp10) F(expm1) F(log) F(log2) F(log10) F(log1p) F(sin) F(cos) F(tan)   \
  F(asin) F(acos) F(atan) F(sinh) F(cosh) F(tanh) F(asinh) F(acosh) F(atanh)               \
  F(erf) F(erfc) F(cbrt) G(rsqrt) G(sigmoid) G(silu) G(gelu) G(softplus)
// clang-format on

namespace golden {

class fnv1a {
 public:
  /// The lowest `Bytes` bytes of a code.
  template <int Bytes>
  constexpr void add(std::uint32_t code) {
    for (int i = 0; i < Bytes; ++i) hash_ = (hash_ ^ (code >> (8 * i) & 0xff)) * 0x100000001b3u;
  }
  constexpr std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325u;
};

struct entry {
  const char* name;
  std::uint64_t of_float16;
  std::uint64_t of_bfloat16;
};

inline constexpr entry tables[] = {
    {"exp", 0xd720e0c9549fb68e, 0x2f0338f6cb02a675},       {"exp2", 0x2fbe583498c784d4, 0xc149274cebae3b1f},
    {"exp10", 0x55572e52ac6e0fc9, 0x4c1802c30b64021d},     {"expm1", 0xe3475ca4ccef5b8c, 0xf23b2b29c606b14c},
    {"log", 0x53012cdbd3a646d4, 0xd7acb6237090231a},       {"log2", 0xb90cf84ee51e56ce, 0x56b9df38a7829798},
    {"log10", 0x89df8d73abc282be, 0xe00780b0af5e9116},     {"log1p", 0x1ba22bfbad5ba17c, 0x2ac5372aa47533c9},
    {"sin", 0x8c1487ed15e8f001, 0xc1f3a73c15ed0089},       {"cos", 0x486a0e4243ab42a5, 0x3f871463675d6f0d},
    {"tan", 0x00d611f323fdb0bd, 0x8c499867d6afa2b1},       {"asin", 0xac82b65cd0867e2d, 0xbdd3b02dc7b986b9},
    {"acos", 0x11fe18e3ff7c71a4, 0xbffdbd2c1bb2eab8},      {"atan", 0x62ce73720d24e21d, 0x24dcb6701611c001},
    {"sinh", 0x2232687cbb92b9a5, 0xfd22b36ffba34b29},      {"cosh", 0x903c6a0231e58c85, 0xafb2ecd6080d7d8d},
    {"tanh", 0xec5bee069d2d49d5, 0xd9a66b7026211b89},      {"asinh", 0xb5ee21cfe1d366cd, 0x4a22aed33f0daa5d},
    {"acosh", 0x09c53d9a89f1285f, 0x1ca820f2a973c385},     {"atanh", 0xa0058898d67644c5, 0x48379747896ec3dd},
    {"erf", 0x24de5a0f90ea3485, 0xa0e474c1d27782d5},       {"erfc", 0x6f28a8d50ce8a3e5, 0x447a0cf7fca570ff},
    {"cbrt", 0x591ef2c3e0da9f69, 0x3af5809938214295},      {"rsqrt", 0x8e191e686c986ab7, 0xd514bf5d8eec702f},
    {"sigmoid", 0x5bda09d946e60a90, 0x9f478685cf8211fe},   {"silu", 0xdcd1dfa57b11a4ec, 0x7156af1fcfd181b1},
    {"gelu", 0x549228d12f43c1c9, 0x0cb8e91bec0946cd},      {"softplus", 0xa6d8ac68365984b8, 0xf569fec329399851},
    {"sqrt", 0xb5f443afbb022619, 0x96e52adca9d109e1},      {"widening", 0x1f87f165810ea7c5, 0xcf8e09175d8f5ba5},
    {"narrowing", 0x9c65de8d28781095, 0x04adf0a3110bdd25},
};

/// Every bit alone, the neighbourhoods of both formats' midpoints, and a few of no pattern.
struct sixty_four {
  std::uint16_t of[64];
};
inline constexpr sixty_four lower_halves = {
    {0x0000, 0x0001, 0x0002, 0x0004, 0x0008, 0x0010, 0x0020, 0x0040, 0x0080, 0x0100, 0x0200, 0x0400, 0x0800,
     0x0fff, 0x1000, 0x1001, 0x1234, 0x1fff, 0x2000, 0x2001, 0x2aaa, 0x2fff, 0x3000, 0x3001, 0x3fff, 0x4000,
     0x4001, 0x4fff, 0x5000, 0x5001, 0x5555, 0x5678, 0x5fff, 0x6000, 0x6001, 0x6fff, 0x7000, 0x7001, 0x7fff,
     0x8000, 0x8001, 0x8fff, 0x9000, 0x9001, 0x9abc, 0x9fff, 0xa000, 0xa001, 0xafff, 0xb000, 0xb001, 0xbfff,
     0xc000, 0xc001, 0xcfff, 0xd000, 0xd001, 0xdef0, 0xdfff, 0xe000, 0xe001, 0xefff, 0xf000, 0xffff}};

}  // namespace golden
