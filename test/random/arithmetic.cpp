// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/detail/arithmetic.hpp"

#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>

#include "statistics.hpp"

using random_test::mixer;
using random_test::relative_error;
namespace detail = tessera::random::detail;

BOOST_AUTO_TEST_SUITE(random_arithmetic)

// The emulation against the standard library's fma, where a single rounding differs from two.
BOOST_AUTO_TEST_CASE(emulated_fma_is_fma) {
  mixer random;
  int wrong = 0;
  int doubly_rounded = 0;
  for (int i = 0; i < 1000000; ++i) {
    // Significands of few bits make exact products end half way between two results; exponents keep the terms close.
    const int few = static_cast<int>(random() % 24);
    const auto number = [&](int drop) {
      const auto bits = static_cast<std::uint32_t>(random());
      return std::bit_cast<float>((bits & 0x807FFFFFu & (~0u << drop)) | (127u + static_cast<std::uint32_t>(random() % 40) - 20u)
                                                                             << 23);
    };
    const float a = number(i % 2 == 0 ? few : 0);
    const float b = number(i % 4 == 0 ? 23 - few : 0);
    const float c = number(0);
    const float want = std::fma(a, b, c);
    if (std::abs(want) > 1e-30f || want == 0) wrong += detail::fma_emulated(a, b, c) != want;
    wrong += detail::fma(a, b, c) != want;
    const double wide = static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(c);
    doubly_rounded += static_cast<float>(wide) != want;
  }
  BOOST_TEST(wrong == 0);

  wrong = 0;
  int fused = 0;
  for (int i = 0; i < 1000000; ++i) {
    const int few = static_cast<int>(random() % 53);
    const auto number = [&](int drop) {
      const std::uint64_t bits = random() & 0x800FFFFFFFFFFFFFu & (~std::uint64_t{0} << drop);
      return std::bit_cast<double>(bits | (1023 + random() % 120 - 60) << 52);
    };
    const double a = number(i % 2 == 0 ? few : 0);
    const double b = number(i % 4 == 0 ? 52 - few : 0);
    const double c = i % 3 == 0 ? -a * b * (1 + 0x1p-50 * static_cast<double>(random() % 8)) : number(0);
    const double want = std::fma(a, b, c);
    wrong += detail::fma_emulated(a, b, c) != want;
    wrong += detail::fma(a, b, c) != want;
    volatile double product = a * b;
    fused += product + c != want;
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(fused > 1000);  // else the inputs show nothing
  BOOST_TEST(doubly_rounded > 0);
}

BOOST_AUTO_TEST_CASE(square_root_is_close) {
  mixer random;
  double worst = 0;
  for (int i = 0; i < 1000000; ++i) {
    const double x = std::bit_cast<double>(0x3BE0000000000000u + random() % 0x0480000000000000u);  // 2^-65 … 128
    worst = std::max(worst, relative_error(detail::square_root(x), std::sqrt(static_cast<long double>(x))));
  }
  BOOST_TEST(worst < 1.02);  // half an ulp at the lower end of a binade, and a little
}

// The form without the instruction, for constant expressions, against the library's: all floats of two binades, for the
// exponent only adds to that of the root; doubles at random, and the nearest to squares of midpoints.
BOOST_AUTO_TEST_CASE(emulated_root_is_correctly_rounded) {
  std::int64_t wrong = 0;
  for (std::uint32_t code = 0x3F800000u; code < 0x40800000u; ++code) {
    const float x = std::bit_cast<float>(code);
    wrong += detail::rounded_root_emulated(x) != std::sqrt(x);
  }
  BOOST_TEST(wrong == 0);

  mixer random;
  for (int i = 0; i < 1000000; ++i) {
    const double x = std::bit_cast<double>(0x3BE0000000000000u + random() % 0x0480000000000000u);
    wrong += detail::rounded_root_emulated(x) != std::sqrt(x) || detail::rounded_root(x) != std::sqrt(x);
  }
  BOOST_TEST(wrong == 0);

  // The hardest: x 2^54 = m^2 - c for midpoints m, of 54 bits, and small c of either sign. Square roots of c modulo 2^55, bit by bit.
  int moved = 0;
  for (std::int64_t c = -40007; c < 40000; c += 8) {
    std::uint64_t m = 1;
    for (int bit = 3; bit < 55; ++bit) m += ((m * m - static_cast<std::uint64_t>(c)) >> bit & 1u) << (bit - 1);
    m &= (std::uint64_t{1} << 54) - 1;
    if (m >> 53 == 0) m = (std::uint64_t{1} << 54) - m;
    __extension__ using wide = __int128;
    const wide scaled = static_cast<wide>(m) * static_cast<wide>(m) - c;
    const auto x = static_cast<double>(scaled >> 54);
    BOOST_REQUIRE(static_cast<wide>(x) << 54 == scaled);
    wrong += detail::rounded_root_emulated(x) != std::sqrt(x) || detail::rounded_root(x) != std::sqrt(x);
    moved += detail::square_root(x) != std::sqrt(x);
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(moved > 1000);  // else the inputs show nothing
}

BOOST_AUTO_TEST_SUITE_END()
