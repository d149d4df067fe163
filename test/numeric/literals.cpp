// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/literals.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>
#include <type_traits>

#include "tessera/numeric/text.hpp"

using tessera::bfloat16;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::float8_e5m2;

BOOST_AUTO_TEST_SUITE(numeric_literals)

namespace alone {
using namespace tessera::literals;
static_assert(std::is_same_v<decltype(1.5_f16), float16> && std::is_same_v<decltype(1.5_bf16), bfloat16>);
static_assert(std::is_same_v<decltype(1.5_e4m3), float8_e4m3> && std::is_same_v<decltype(1.5_e5m2), float8_e5m2>);
}  // namespace alone

using namespace tessera::literals;

// One rounding: through double each of these would be its neighbour.
static_assert((1.0004882812500000001_f16).bits == 0x3c01 && float16(1.0004882812500000001).bits == 0x3c00);
static_assert((1.00146484374999999999_f16).bits == 0x3c01 && float16(1.00146484374999999999).bits == 0x3c02);
static_assert((1.00390625000000000000001_bf16).bits == 0x3f81 && bfloat16(1.00390625000000000000001).bits == 0x3f80);
static_assert((0x1.0080000000000000001p0_bf16).bits == 0x3f80 && (0x1.0100000000000000001p0_bf16).bits == 0x3f81);
static_assert((0x1.01p0_bf16).bits == 0x3f80 && (0x1.03p0_bf16).bits == 0x3f82);
static_assert((9223653511831486464_bf16).bits == 0x5f00 && (9259400833873739776_bf16).bits == 0x5f00 &&
              (9259400833873739777_bf16).bits == 0x5f01);

// The ends of the formats.
static_assert((65504_f16).bits == 0x7bff && (65519.999999999999999999999999_f16).bits == 0x7bff);
static_assert((5.9604644775390625e-8_f16).bits == 1 && (2.98023223876953125000000000001e-8_f16).bits == 1);
static_assert((3.3895313892515354759e38_bf16).bits == 0x7f7f && (9.2e-41_bf16).bits == 1);
static_assert((448_e4m3).bits == 0x7e && (464_e4m3).bits == 0x7e && (0.001953125_e4m3).bits == 1);
static_assert((57344_e5m2).bits == 0x7b && (0x1p-16_e5m2).bits == 1);
static_assert((0_f16).bits == 0 && (0.0_f16).bits == 0 && (0e99999_f16).bits == 0 && (-0.0_f16).bits == 0x8000);

// Every spelling of C++.
static_assert(010_f16 == 8_f16 && 0b101_f16 == 5_f16 && 0xff_f16 == 255_f16 && 1'000_f16 == 1000_f16);
static_assert(010.5_f16 == 10.5_f16 && 010e1_f16 == 100_f16 && .5_f16 == 0.5_f16 && 5._f16 == 5_f16);
static_assert(1E+2_f16 == 100_f16 && 0X1.8P1_f16 == 3_f16 && 0B11_f16 == 3_f16 && 1'0.2'5_f16 == 10.25_f16);
static_assert(100000000000000000000000000000000000000_bf16 == 1e38_bf16 && 1e38_bf16 > 9.9e37_bf16);

// What does not fit, which no literal compiles with.
using tessera::detail::read_literal;
static_assert(read_literal<tessera::binary16>("65520").code > tessera::binary16::max_finite);
static_assert(read_literal<tessera::binary16>("65519").code == tessera::binary16::max_finite);
static_assert(read_literal<tessera::binary16>("0x1p16").code > tessera::binary16::max_finite);
static_assert(read_literal<tessera::ocp_e4m3>("465").code > tessera::ocp_e4m3::max_finite);
static_assert(read_literal<tessera::binary16>("1e-8").code == 0 && !read_literal<tessera::binary16>("1e-8").zero);
static_assert(read_literal<tessera::binary16>("0.0").zero);

// A literal is the text read at run time.
BOOST_AUTO_TEST_CASE(a_literal_is_what_from_chars_reads) {
#define TESSERA_TEST_LITERAL(text, suffix, type)                                \
  do {                                                                          \
    const char digits[] = #text;                                                \
    type x(0);                                                                  \
    tessera::from_chars(digits, digits + sizeof digits - 1, x);                 \
    BOOST_TEST((text##suffix).bits == x.bits, #text << " is " << to_string(x)); \
  } while (false)
  TESSERA_TEST_LITERAL(0.1, _f16, float16);
  TESSERA_TEST_LITERAL(0.1, _bf16, bfloat16);
  TESSERA_TEST_LITERAL(0.1, _e4m3, float8_e4m3);
  TESSERA_TEST_LITERAL(0.1, _e5m2, float8_e5m2);
  TESSERA_TEST_LITERAL(3.14159265358979323846264338327950288419716939937510, _f16, float16);
  TESSERA_TEST_LITERAL(3.14159265358979323846264338327950288419716939937510, _bf16, bfloat16);
  TESSERA_TEST_LITERAL(6.02214076e23, _bf16, bfloat16);
  TESSERA_TEST_LITERAL(1.602176634e-19, _bf16, bfloat16);
  TESSERA_TEST_LITERAL(1.00048828125, _f16, float16);
  TESSERA_TEST_LITERAL(1.00048828125000000000000000000000000000000000000000000000000001, _f16, float16);
#undef TESSERA_TEST_LITERAL
}

BOOST_AUTO_TEST_SUITE_END()
