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
  double wide_worst = 0;
  for (int i = 0; i < 1000000; ++i) {
    const float x = std::bit_cast<float>(0x2F800000u + static_cast<std::uint32_t>(random() % 0x13000000u));  // 2^-32 … 64
    worst = std::max(worst, relative_error(detail::square_root(x), std::sqrt(static_cast<double>(x))));
    const double y = std::bit_cast<double>(0x3BE0000000000000u + random() % 0x0480000000000000u);  // 2^-65 … 128
    const long double root = std::sqrt(static_cast<long double>(y));
    wide_worst = std::max(wide_worst, relative_error(detail::square_root(y), root));
  }
  BOOST_TEST(worst < 1.02);  // half an ulp at the lower end of a binade, and a little
  BOOST_TEST(wide_worst < 1.02);
}

BOOST_AUTO_TEST_SUITE_END()
