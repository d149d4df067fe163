// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/arithmetic.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "oracle.hpp"
#include "tessera/numeric/lane.hpp"

using numeric_test::all_formats;
using numeric_test::eight_bits;
using numeric_test::extent;
using numeric_test::in_parallel;
using numeric_test::mix;
using numeric_test::of_code;
using numeric_test::oracle;
using numeric_test::oracle_of;
using numeric_test::sixteen_bits;
using numeric_test::tally;
using tessera::bfloat16;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::float8_e5m2;
using tessera::rounding;

BOOST_AUTO_TEST_SUITE(numeric_arithmetic)

namespace {

/// A sum of doubles without any rounding: a fixed-point number of so many words, its last place worth 2^Lowest.
template <int Words, int Lowest>
class exact_sum {
 public:
  void add(double x) {
    if (x == 0) {
      return;
    }
    int exponent = 0;
    auto m = static_cast<std::uint64_t>(std::ldexp(std::frexp(std::fabs(x), &exponent), 53));
    int shift = exponent - 53 - Lowest;
    if (shift < 0) {
      m >>= -shift;  // zeros, by the choice of Lowest
      shift = 0;
    }
    std::uint64_t parts[2] = {m << (shift % 64), shift % 64 == 0 ? 0 : m >> (64 - shift % 64)};
    unsigned __int128 carry = 0;
    __int128 borrow = 0;
    for (int i = shift / 64, j = 0; i < Words; ++i, ++j) {
      const std::uint64_t part = j < 2 ? parts[j] : 0;
      if (x > 0) {
        carry += static_cast<unsigned __int128>(word_[i]) + part;
        word_[i] = static_cast<std::uint64_t>(carry);
        carry >>= 64;
      } else {
        borrow += static_cast<__int128>(word_[i]) - static_cast<__int128>(part);
        word_[i] = static_cast<std::uint64_t>(borrow);
        borrow >>= 64;
      }
    }
  }

  int sign() const {
    if (static_cast<std::int64_t>(word_[Words - 1]) < 0) {
      return -1;
    }
    for (const std::uint64_t word : word_) {
      if (word != 0) {
        return 1;
      }
    }
    return 0;
  }

 private:
  std::uint64_t word_[Words] = {};
};

// Wide enough for every product, sum and midpoint of the format.
template <class T>
struct accumulator {
  using type = exact_sum<2, -50>;  // products of binary16 end at 2^-48
};
template <>
struct accumulator<bfloat16> {
  using type = exact_sum<10, -270>;  // 2^-266 and 2^256
};
template <>
struct accumulator<numeric_test::middle> {
  using type = exact_sum<4, -90>;  // 2^-78 and 2^64
};

/// Whether `code` is x * y + z rounded once. The product of two values of the format is exact in double.
template <class T>
bool fma_rounds_to(const oracle& o, std::uint32_t code, double x, double y, double z) {
  const double product = x * y;
  if (!std::isfinite(product) || !std::isfinite(z)) {
    return o.rounds_to(code, product + z);
  }
  typename accumulator<T>::type sum;
  sum.add(product);
  sum.add(z);
  const int sign = sum.sign();
  const bool negative = sign < 0 || (sign == 0 && std::signbit(product) && std::signbit(z));
  return o.follows(code, negative, rounding::nearest_even, tessera::overflow::ieee, [&](double bound) {
    if (std::isinf(bound)) {
      return -1;
    }
    auto difference = sum;
    difference.add(negative ? bound : -bound);
    return negative ? -difference.sign() : difference.sign();
  });
}

template <class T>
bool fma_right(const oracle& o, T a, T b, T c) {
  const double x = o.value(a.bits);
  const double y = o.value(b.bits);
  const double z = o.value(c.bits);
  return fma_rounds_to<T>(o, fma(a, b, c).bits, x, y, z);
}

/// Triples of any bits.
template <class T>
tally random_triples(std::uint64_t n) {
  const oracle& o = oracle_of<T>();
  return in_parallel(n, [&](std::uint64_t first, std::uint64_t last) {
    tally result;
    for (std::uint64_t i = first; i < last; ++i) {
      const std::uint64_t bits = mix(i + 1);
      const auto pick = [&](int shift) { return of_code<T>(bits >> shift & (o.codes() - 1)); };
      result.add(fma_right(o, pick(0), pick(16), pick(32)), bits & 0xffffffffffffu);
    }
    return result;
  });
}

/// Products that end half way between two values, with addends that decide; and sums that cancel.
template <class T, class Visit>
void hard_triples(Visit visit) {
  const oracle& o = oracle_of<T>();
  const int p = o.mantissa_bits() + 1;
  const std::uint32_t normal = 1u << o.mantissa_bits();
  std::vector<T> tiny;
  for (const std::uint32_t code : {0u, 1u, 2u, normal - 1, normal, normal + 1, 3 * normal, o.past() - 1}) {
    tiny.push_back(of_code<T>(code));
    tiny.push_back(of_code<T>(code | o.sign()));
  }
  for (std::uint64_t i = 0; i < (1u << 15); ++i) {
    // Odd significands of k and p + 1 - k bits: the product has p + 1 bits, or one less.
    const int k = 1 + static_cast<int>(mix(i) % static_cast<unsigned>(p));
    const auto odd = [&](int n, std::uint64_t seed) {
      return static_cast<double>((mix(seed) & ((std::uint64_t{1} << n) - 1)) | (std::uint64_t{1} << (n - 1)) | 1);
    };
    const auto exponent = [&](std::uint64_t seed) {
      const int range = static_cast<int>(std::ilogb(o.largest()) - std::ilogb(o.value(1)));
      return static_cast<int>(mix(seed) % static_cast<unsigned>(range)) + std::ilogb(o.value(1));
    };
    const T a(std::ldexp(odd(k, 3 * i), exponent(5 * i) - k));
    const T b(std::ldexp(odd(p + 1 - k > p ? p : p + 1 - k, 7 * i), exponent(11 * i) - p));
    const double product = static_cast<double>(a) * static_cast<double>(b);
    for (const T c : tiny) {
      visit(a, b, c);
      visit(-a, b, c);
    }
    const T rounded(product);
    visit(a, b, -rounded);
    visit(a, b, of_code<T>(((rounded.bits ^ o.sign()) + 1u) & (o.codes() - 1)));
    // Addends about an ulp of the product and about 2^-53 of it, where double stops.
    for (const int distance : {-p - 2, -p - 1, -p, -p + 1, p, p + 1, p + 2, -52, -53, -54, 30}) {
      visit(a, b, T(product * std::ldexp(1.0, distance)));
      visit(a, b, T(-product * std::ldexp(1.5, distance)));
    }
  }
}

static_assert(std::is_same_v<decltype(fma(float16(), float16(), float16())), float16>);
static_assert(fma(float16(2), float16(3), float16(1)) == float16(7) && sqrt(bfloat16(9)) == bfloat16(3));
static_assert(fma(bfloat16::from_bits(0x3f82), bfloat16::from_bits(0x3fa0), bfloat16::from_bits(0x0080)).bits == 0x3fa3);
static_assert(fma(float8_e4m3(448), float8_e4m3(1), float8_e4m3(18)).bits == 0x7f);
static_assert(fma(bfloat16(3e38f), bfloat16(3e38f), bfloat16(-3e38f)).bits == 0x7f80);
static_assert(fma(bfloat16::from_bits(0x7f80), bfloat16(1), bfloat16(-3e38f)).bits == 0x7f80);
static_assert(sqrt(float16(2)).bits == 0x3da8 && sqrt(float8_e5m2(-1)).bits == 0x7e && sqrt(float16(-0.0)).bits == 0x8000);

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(square_root_of_every_code, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (std::uint32_t code = 0; code < o.codes(); ++code) {
    const T root = sqrt(of_code<T>(code));
    const double x = o.value(code);
    if (!(x > 0) || std::isinf(x)) {
      result.add(o.rounds_to(root.bits, std::sqrt(x)), code);
      result.add(!(x < 0) || root.bits == std::numeric_limits<T>::quiet_NaN().bits, code);
      result.add(x < 0 || root.bits == T(static_cast<float>(of_code<T>(code))).bits, code);  // a NaN keeps its payload
      continue;
    }
    // root is right if x lies between the squares of the midpoints about it, which are exact in double.
    result.add(o.follows(root.bits, false, rounding::nearest_even, tessera::overflow::ieee,
                         [x](double y) {
                           return y < 0 ? 1 : x < y * y ? -1 : x > y * y ? 1 : 0;
                         }),
               code);
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(fma_of_random_bits, T, sixteen_bits) { NUMERIC_CHECK_TALLY(random_triples<T>(1u << 22)); }

NUMERIC_FULL
BOOST_AUTO_TEST_CASE_TEMPLATE(fma_of_many_random_bits, T, sixteen_bits) { NUMERIC_CHECK_TALLY(random_triples<T>(1u << 28)); }

BOOST_AUTO_TEST_CASE_TEMPLATE(fma_of_hard_triples, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  std::uint64_t through_float = 0;
  std::uint64_t through_double = 0;
  hard_triples<T>([&](T a, T b, T c) {
    const double x = o.value(a.bits);
    const double y = o.value(b.bits);
    const double z = o.value(c.bits);
    result.add(fma_right(o, a, b, c),
               static_cast<std::uint64_t>(a.bits) << 32 | static_cast<std::uint64_t>(b.bits) << 16 | c.bits);
    if (x * y == x * y && z == z) {
      const float single = static_cast<float>(x) * static_cast<float>(y);
      const volatile float sum = single + static_cast<float>(z);
      through_float += fma_rounds_to<T>(o, T(static_cast<float>(sum)).bits, x, y, z) ? 0 : 1;
      through_double += fma_rounds_to<T>(o, T(x * y + z).bits, x, y, z) ? 0 : 1;
    }
  });
  NUMERIC_CHECK_TALLY(result);
  // The set is one that the usual short cuts do not survive: through float, and for bfloat16 through double.
  if (sizeof(T) == 2) {
    BOOST_TEST(through_float > 1000u);
  }
  if (std::is_same_v<T, bfloat16>) {
    BOOST_TEST(through_double > 1000u);
  }
}

// All of 2^24 triples, or one in 16.
namespace {

template <class T>
tally eight_bit_triples(std::uint64_t step) {
  const oracle& o = oracle_of<T>();
  return in_parallel((std::uint64_t{1} << 24) / step, [&](std::uint64_t first, std::uint64_t last) {
    tally result;
    for (std::uint64_t i = first; i < last; ++i) {
      const std::uint64_t bits = i * step + mix(i) % step;
      result.add(fma_right(o, of_code<T>(bits & 0xff), of_code<T>(bits >> 8 & 0xff), of_code<T>(bits >> 16)), bits);
    }
    return result;
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(fma_of_eight_bits, T, eight_bits) { NUMERIC_CHECK_TALLY(eight_bit_triples<T>(16)); }

NUMERIC_FULL
BOOST_AUTO_TEST_CASE_TEMPLATE(fma_of_all_triples_of_eight_bits, T, eight_bits) { NUMERIC_CHECK_TALLY(eight_bit_triples<T>(1)); }

BOOST_AUTO_TEST_CASE_TEMPLATE(fma_of_specials, T, all_formats) {
  const oracle& o = oracle_of<T>();
  const std::uint32_t normal = 1u << o.mantissa_bits();
  std::vector<T> numbers;
  for (const std::uint32_t code : {0u, 1u, normal, o.past() - 1, o.past() < o.sign() ? o.past() : 2u, o.sign() - 1}) {
    numbers.push_back(of_code<T>(code));
    numbers.push_back(of_code<T>(code | o.sign()));
  }
  tally result;
  for (const T a : numbers) {
    for (const T b : numbers) {
      for (const T c : numbers) {
        result.add(fma_right(o, a, b, c), a.bits);
      }
    }
  }
  NUMERIC_CHECK_TALLY(result);
}

// The narrow types beside the lane vocabulary, which has functions of the same names: neither gets in the way of the other.
BOOST_AUTO_TEST_CASE(beside_the_lanes) {
  BOOST_TEST((tessera::fma(float16(2), float16(3), float16(4)) == float16(10)));
  BOOST_TEST((tessera::sqrt(float8_e4m3(16)) == float8_e4m3(4)));
  BOOST_TEST(tessera::fma(2.0f, 3.0f, 4.0f) == 10.0f);
  BOOST_TEST(tessera::sqrt(16.0) == 4.0);
  using std::sqrt;
  static_assert(std::is_same_v<decltype(sqrt(float16(2))), float16>);
}

BOOST_AUTO_TEST_SUITE_END()
