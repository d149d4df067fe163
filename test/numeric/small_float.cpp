// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/small_float.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <compare>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "oracle.hpp"

using numeric_test::all_formats;
using numeric_test::eight_bits;
using numeric_test::extent;
using numeric_test::four_types;
using numeric_test::mix;
using numeric_test::of_code;
using numeric_test::oracle;
using numeric_test::oracle_of;
using numeric_test::sixteen_bits;
using numeric_test::sweep_32;
using numeric_test::sweep_pairs;
using numeric_test::tally;
using numeric_test::top;
using tessera::bfloat16;
using tessera::float16;
using tessera::float4_e2m1;
using tessera::float8_e4m3;
using tessera::float8_e5m2;

BOOST_AUTO_TEST_SUITE(numeric_small_float)

namespace {

template <class A, class B>
concept can_add = requires(A a, B b) { a + b; };
template <class A, class B>
concept can_subtract = requires(A a, B b) { a - b; };
template <class A, class B>
concept can_multiply = requires(A a, B b) { a* b; };
template <class A, class B>
concept can_divide = requires(A a, B b) { a / b; };
template <class A, class B>
concept can_compare = requires(A a, B b) { a == b; } || requires(A a, B b) { a != b; } || requires(A a, B b) { a < b; } ||
                      requires(A a, B b) { a <= b; } || requires(A a, B b) { a > b; } || requires(A a, B b) { a >= b; } ||
                      requires(A a, B b) { a <=> b; };
template <class A, class B>
concept can_accumulate = requires(A a, B b) { a += b; } || requires(A a, B b) { a -= b; } || requires(A a, B b) { a *= b; } ||
                         requires(A a, B b) { a /= b; };
template <class A>
concept can_index = requires(A a, int* p) { p[a]; };

template <class T>
constexpr bool layout_is_that_of_its_bits() {
  return std::is_trivially_copyable_v<T> && std::is_trivially_default_constructible_v<T> && std::is_standard_layout_v<T> &&
         std::is_trivially_destructible_v<T> && sizeof(T) == sizeof(typename T::bits_type) &&
         alignof(T) == alignof(typename T::bits_type);
}
static_assert(layout_is_that_of_its_bits<float16>() && sizeof(float16) == 2);
static_assert(layout_is_that_of_its_bits<bfloat16>() && sizeof(bfloat16) == 2);
static_assert(layout_is_that_of_its_bits<float8_e4m3>() && sizeof(float8_e4m3) == 1);
static_assert(layout_is_that_of_its_bits<float8_e5m2>() && sizeof(float8_e5m2) == 1);
static_assert(layout_is_that_of_its_bits<float4_e2m1>() && sizeof(float4_e2m1) == 1);

// What converts, and how.
static_assert(std::is_convertible_v<float16, float> && std::is_convertible_v<bfloat16, float>);
static_assert(!std::is_convertible_v<float16, double> && std::is_constructible_v<double, float16>);
static_assert(!std::is_convertible_v<float16, int> && std::is_constructible_v<int, float16>);
static_assert(!std::is_convertible_v<float16, bool> && std::is_constructible_v<bool, float16>);
static_assert(std::is_constructible_v<long double, float16> && !std::is_convertible_v<float16, long double>);
static_assert(!std::is_convertible_v<float, float16> && std::is_constructible_v<float16, float>);
static_assert(!std::is_convertible_v<double, float16> && std::is_constructible_v<float16, double>);
static_assert(!std::is_convertible_v<int, float16> && std::is_constructible_v<float16, int>);
static_assert(!std::is_convertible_v<float16, bfloat16> && std::is_constructible_v<bfloat16, float16>);
static_assert(!std::is_constructible_v<float16, long double>);  // would round twice
static_assert(!std::is_constructible_v<float16, void*>);
static_assert(!can_index<float16>);

// What mixes, and into what (P1467).
static_assert(std::is_same_v<decltype(float16() + float16()), float16> && std::is_same_v<decltype(-bfloat16()), bfloat16>);
static_assert(std::is_same_v<decltype(float16() * 1.0f), float> && std::is_same_v<decltype(1.0f - bfloat16()), float>);
static_assert(std::is_same_v<decltype(float16() / 1.0), double> && std::is_same_v<decltype(1.0 * bfloat16()), double>);
static_assert(std::is_same_v<decltype(float16() * 2), float16> && std::is_same_v<decltype(2u - bfloat16()), bfloat16>);
static_assert(std::is_same_v<decltype(+float16()), float16>);
static_assert(!can_add<float16, bfloat16> && !can_add<bfloat16, float16> && can_add<float16, float16>);
static_assert(!can_subtract<float16, bfloat16> && !can_subtract<bfloat16, float16> && can_subtract<float16, float>);
static_assert(!can_multiply<float16, bfloat16> && !can_multiply<bfloat16, float16> && can_multiply<double, float16>);
static_assert(!can_divide<float16, bfloat16> && !can_divide<bfloat16, float16> && can_divide<float16, int>);
static_assert(!can_compare<float16, bfloat16> && !can_compare<bfloat16, float16> && can_compare<float16, float>);
static_assert(!can_accumulate<float16, bfloat16> && !can_accumulate<bfloat16, float16> && can_accumulate<float16, double>);
static_assert(can_accumulate<float, bfloat16> && can_accumulate<double, float16>);
static_assert(!can_add<float8_e4m3, float8_e5m2> && !can_compare<float8_e5m2, float16> && !can_multiply<float8_e4m3, bfloat16>);
static_assert(std::is_same_v<decltype(float8_e4m3() + float8_e4m3()), float8_e4m3>);
static_assert(std::three_way_comparable<float16> && std::totally_ordered<bfloat16>);

// Everything in constant expressions.
static_assert(float16(1.0f).bits == 0x3c00 && float16(1.0).bits == 0x3c00 && float16(1).bits == 0x3c00);
static_assert(float16(0x1p-25f).bits == 0 && float16(0x1.000002p-25f).bits == 1 && float16(-0x1p-25f).bits == 0x8000);
static_assert(float16(65520.0).bits == 0x7c00 && float16(65519.999999999).bits == 0x7bff);
static_assert(float16(1.5) + float16(2.25) == float16(3.75) && float16(3) / float16(2) == float16(1.5f));
static_assert(float16(3) - 4 == float16(-1) && 2 * bfloat16(3) == bfloat16(6) && float16(3) < 4 && 3.5 > float16(3));
static_assert(static_cast<int>(bfloat16(-3.75)) == -3 && static_cast<double>(float16(0.1)) == 0.0999755859375);
static_assert((float16(1) <=> float16(2)) == std::partial_ordering::less);
static_assert([] {
  float16 x(1);
  x += float16(2);
  x *= 3;
  x -= 1.0f;
  x /= 2.0;
  return x;
}() == float16(4));
static_assert([] {
  float x = 1;
  x += bfloat16(2);
  x *= bfloat16(3);
  x -= bfloat16(1);
  x /= bfloat16(2);
  double y = 1;
  y += bfloat16(0.5);
  return x == 4.0f && y == 1.5;
}());

template <float16 X>
struct of_a_constant {
  static constexpr float value = X;
};
static_assert(of_a_constant<float16(0.5f)>::value == 0.5f);  // structural: usable as a template argument

/// Whether one integer converts correctly.
template <class T, class Integer>
bool integer_right(const oracle& o, Integer n) {
  const bool negative = n < 0;
  const std::uint64_t size = negative ? 0 - static_cast<std::uint64_t>(n) : static_cast<std::uint64_t>(n);
  return o.rounds_to(T(n).bits, negative, size);
}

/// The same for 32 bits, read as a signed and as an unsigned integer.
template <class T>
bool both_integers_right(std::uint32_t code) {
  const oracle& o = oracle_of<T>();
  const auto n = static_cast<std::int32_t>(code);
  const std::uint32_t got = T(n).bits;
  return o.rounds_to(got, static_cast<double>(n)) &&
         (n < 0 ? o.rounds_to(T(code).bits, static_cast<double>(code)) : T(code).bits == got);
}

/// The values of all codes, as doubles.
template <class T>
std::vector<double> all_values() {
  const oracle& o = oracle_of<T>();
  std::vector<double> value(o.codes());
  for (std::uint32_t code = 0; code < o.codes(); ++code) {
    value[code] = o.value(code);
  }
  return value;
}

/// + - * / on two codes whose values are x and y.
///
/// Products are exact in double, and sums but for some of bfloat16. Such a sum lies next to its larger operand, and a quotient that is
/// not exact at least 2^-30 (relative) from any midpoint: rounding them to double moves neither over an end of an interval.
template <class T>
bool computes_right(const oracle& o, std::uint32_t i, std::uint32_t j, double x, double y) {
  const T a = of_code<T>(i);
  const T b = of_code<T>(j);
  return o.rounds_to((a + b).bits, x + y) && o.rounds_to((a - b).bits, x - y) && o.rounds_to((a * b).bits, x * y) &&
         o.rounds_to((a / b).bits, x / y);
}

template <class T>
tally arithmetic_sweep(extent visited) {
  const std::vector<double> value = all_values<T>();
  return sweep_pairs(
      visited, 1, [&](std::uint16_t i, std::uint16_t j) { return computes_right<T>(oracle_of<T>(), i, j, value[i], value[j]); });
}

/// The comparisons of two codes whose values are x and y, among themselves and with float and double.
template <class T>
bool compares_right(std::uint32_t i, std::uint32_t j, double x, double y) {
  const T a = of_code<T>(i);
  const T b = of_code<T>(j);
  return (a == b) == (x == y) && (a != b) == (x != y) && (a < b) == (x < y) && (a <= b) == (x <= y) && (a > b) == (x > y) &&
         (a >= b) == (x >= y) && (a <=> b) == (x <=> y) && (a == y) == (x == y) && (x < b) == (x < y) &&
         (a >= static_cast<float>(y)) == (x >= y);
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(thirty_two_bit_integers_round_once, T, four_types) {
  NUMERIC_CHECK_TALLY(sweep_32(extent::sample, [](std::uint32_t code) { return both_integers_right<T>(code); }));
}

NUMERIC_FULL
BOOST_AUTO_TEST_CASE_TEMPLATE(all_thirty_two_bit_integers_round_once, T, four_types) {
  NUMERIC_CHECK_TALLY(sweep_32(extent::whole, [](std::uint32_t code) { return both_integers_right<T>(code); }));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(short_integers_round_once, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  for (int n = -0x8000; n < 0x10000; ++n) {
    const double x = n;
    const auto index = static_cast<std::uint64_t>(n + 0x8000);
    result.add(o.rounds_to(T(n).bits, x), index);
    if (n < 0x8000) {
      result.add(o.rounds_to(T(static_cast<std::int16_t>(n)).bits, x), index);
    }
    if (n >= 0) {
      result.add(o.rounds_to(T(static_cast<std::uint16_t>(n)).bits, x), index);
    }
    if (n >= -128 && n < 128) {
      result.add(o.rounds_to(T(static_cast<signed char>(n)).bits, x), index);
    }
    if (n >= 0 && n < 256) {
      result.add(o.rounds_to(T(static_cast<unsigned char>(n)).bits, x), index);
    }
  }
  NUMERIC_CHECK_TALLY(result);
  BOOST_TEST(o.rounds_to(T(true).bits, 1.0));
  BOOST_TEST(o.rounds_to(T(false).bits, 0.0));
}

// Past 2^53 double rounds too: each midpoint of the format, and its neighbours, tell one rounding from two.
BOOST_AUTO_TEST_CASE_TEMPLATE(sixty_four_bit_integers_round_once, T, all_formats) {
  const oracle& o = oracle_of<T>();
  tally result;
  std::uint64_t twice_rounded = 0;
  const auto visit = [&](std::uint64_t n) {
    result.add(integer_right<T>(o, n), n);
    const auto s = static_cast<std::int64_t>(n);
    result.add(integer_right<T>(o, s), n);
    result.add(integer_right<T>(o, -static_cast<std::int64_t>(n >> 1)), n);
    result.add(integer_right<T>(o, static_cast<long long>(s)) && integer_right<T>(o, static_cast<unsigned long>(n)), n);
    twice_rounded += o.rounds_to(T(static_cast<double>(n)).bits, false, n) ? 0 : 1;
  };
  for (std::uint32_t code = 0; code < o.past(); ++code) {
    const double x = o.midpoint(code);
    if (x >= 1 && x < 0x1p64) {
      const auto n = static_cast<std::uint64_t>(x);
      for (const std::uint64_t d : {0u, 1u, 2u, 3u, 1024u, 2047u, 2048u, 2049u}) {
        visit(n + d);
        visit(n - d);
      }
    }
  }
  for (int bit = 0; bit < 64; ++bit) {
    for (const std::uint64_t d : {0u, 1u, 2u, 3u}) {
      visit((std::uint64_t{1} << bit) + d);
      visit((std::uint64_t{1} << bit) - d);
    }
  }
  for (std::uint64_t i = 0; i < (1u << 18); ++i) {
    visit(mix(i) >> (i % 64));
  }
  NUMERIC_CHECK_TALLY(result);
  if (std::is_same_v<T, bfloat16>) {
    BOOST_TEST(twice_rounded > 1000u);  // the other formats overflow before double starts to round
  }
  BOOST_TEST(o.rounds_to(T(std::numeric_limits<std::int64_t>::min()).bits, -0x1p63));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(arithmetic_is_correctly_rounded, T, sixteen_bits) {
  NUMERIC_CHECK_TALLY(arithmetic_sweep<T>(extent::sample));
}

NUMERIC_FULL
BOOST_AUTO_TEST_CASE_TEMPLATE(arithmetic_on_all_pairs_is_correctly_rounded, T, sixteen_bits) {
  NUMERIC_CHECK_TALLY(arithmetic_sweep<T>(extent::whole));
}

using wide_formats = boost::mpl::list<float16, bfloat16, numeric_test::middle>;

// Every pair of the 8-bit types, and every pair of the 4-bit one.
using small_types = boost::mpl::list<float8_e4m3, float8_e5m2, float4_e2m1>;
BOOST_AUTO_TEST_CASE_TEMPLATE(every_pair_of_eight_bits, T, small_types) {
  const oracle& o = oracle_of<T>();
  const std::vector<double> value = all_values<T>();
  tally arithmetic;
  tally comparison;
  tally compound;
  for (std::uint32_t i = 0; i < o.codes(); ++i) {
    for (std::uint32_t j = 0; j < o.codes(); ++j) {
      arithmetic.add(computes_right<T>(o, i, j, value[i], value[j]), i << 16 | j);
      comparison.add(compares_right<T>(i, j, value[i], value[j]), i << 16 | j);
      const T a = of_code<T>(i);
      const T b = of_code<T>(j);
      T sum = a;
      T difference = a;
      T product = a;
      T quotient = a;
      sum += b;
      difference -= b;
      product *= b;
      quotient /= b;
      // The processor gives a NaN its sign; float4_e2m1 has none.
      const auto same = [&](T x, T y) { return x.bits == y.bits || (o.is_nan(x.bits) && o.is_nan(y.bits)); };
      compound.add(same(sum, a + b) && same(difference, a - b) && same(product, a * b) && same(quotient, a / b), i << 16 | j);
    }
    BOOST_TEST((-of_code<T>(i)).bits == (i ^ o.sign()));
  }
  NUMERIC_CHECK_TALLY(arithmetic);
  NUMERIC_CHECK_TALLY(comparison);
  NUMERIC_CHECK_TALLY(compound);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(arithmetic_at_the_landmarks, T, wide_formats) {
  const oracle& o = oracle_of<T>();
  std::vector<std::uint32_t> codes;
  const std::uint32_t min_normal = 1u << o.mantissa_bits();
  const std::uint32_t one = o.infinity() / 2 - min_normal / 2;
  for (const std::uint32_t centre : {2u, min_normal, one, one + min_normal, o.infinity() - 2}) {
    for (std::uint32_t code = centre - 2; code <= centre + 2; ++code) {
      codes.push_back(code);
      codes.push_back(code | o.sign());
    }
  }
  codes.push_back(o.infinity() + (min_normal >> 1));
  tally result;
  for (const std::uint32_t i : codes) {
    for (const std::uint32_t j : codes) {
      const double nan = std::numeric_limits<double>::quiet_NaN();
      const T a = T::from_bits(static_cast<typename T::bits_type>(i));
      const T b = T::from_bits(static_cast<typename T::bits_type>(j));
      const double x = (i & (o.sign() - 1)) > o.past() ? nan : o.value(i);
      const double y = (j & (o.sign() - 1)) > o.infinity() ? nan : o.value(j);
      T sum = a;
      T difference = a;
      T product = a;
      T quotient = a;
      sum += b;
      difference -= b;
      product *= b;
      quotient /= b;
      result.add(o.rounds_to(sum.bits, x + y) && o.rounds_to(difference.bits, x - y) && o.rounds_to(product.bits, x * y) &&
                     o.rounds_to(quotient.bits, x / y),
                 i << 16 | j);
    }
    const T a = T::from_bits(static_cast<typename T::bits_type>(i));
    BOOST_TEST((-a).bits == (i ^ o.sign()));
    BOOST_TEST((+a).bits == i);
  }
  NUMERIC_CHECK_TALLY(result);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(comparison_is_that_of_the_values, T, sixteen_bits) {
  const std::vector<double> value = all_values<T>();
  const auto right = [&](std::uint16_t i, std::uint16_t j) { return compares_right<T>(i, j, value[i], value[j]); };
  NUMERIC_CHECK_TALLY(sweep_pairs(extent::sample, 8, right));
  tally equal;  // which the sample meets seldom
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    for (const std::uint32_t j : {i, i ^ 0x8000, i + 1, std::uint32_t{0}, std::uint32_t{0x8000}}) {
      equal.add(right(static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(j)), i << 16 | (j & 0xffff));
    }
  }
  NUMERIC_CHECK_TALLY(equal);
}

NUMERIC_FULL
BOOST_AUTO_TEST_CASE_TEMPLATE(comparison_of_all_pairs_is_that_of_the_values, T, sixteen_bits) {
  const std::vector<double> value = all_values<T>();
  NUMERIC_CHECK_TALLY(sweep_pairs(extent::whole, 1,
                                  [&](std::uint16_t i, std::uint16_t j) { return compares_right<T>(i, j, value[i], value[j]); }));
}

BOOST_AUTO_TEST_CASE(mixed_operands) {
  // With float the 16-bit value widens and nothing is rounded to 16 bits; with double likewise.
  BOOST_TEST(float16(1) + 0x1p-20f == 1 + 0x1p-20f);
  BOOST_TEST(0x1p-40 + bfloat16(1) == 1 + 0x1p-40);
  BOOST_TEST((3.0f > bfloat16(2)));
  // An integer becomes 16-bit first, as C++23 has it: 2049 is 2048 in float16, 70000 is infinity.
  BOOST_TEST((float16(2048) == 2049));
  BOOST_TEST((float16(1) + 70000 == std::numeric_limits<float16>::infinity()));
  // Compound assignment computes in the wider type and rounds once.
  float16 x(2048);
  x += 1.5f;
  BOOST_TEST((x == 2050));
  float16 y(2048);
  y += 1;
  BOOST_TEST((y == 2048));
  double sum = 0x1p-40;
  sum += bfloat16(1);
  BOOST_TEST(sum == 1 + 0x1p-40);
  // Between the formats: by name only, and rounded once.
  BOOST_TEST((bfloat16(float16(257)).bits == 0x4380));
  BOOST_TEST((float16(bfloat16(1e30f)) == std::numeric_limits<float16>::infinity()));
  BOOST_TEST((float16(bfloat16(-0x1p-25f)).bits == 0x8000));
}

BOOST_AUTO_TEST_CASE(as_a_condition_and_an_argument) {
  const float16 zero(0);
  const float16 one(1);
  BOOST_TEST((zero ? 0 : 1) == 1);
  BOOST_TEST((one && !zero && !-zero));
  BOOST_TEST(bool(std::numeric_limits<float16>::quiet_NaN()));
  BOOST_TEST(std::sqrt(float16(4)) == 2.0f);  // the float overload, unambiguously
  BOOST_TEST(std::isnan(std::numeric_limits<bfloat16>::quiet_NaN()));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(limits_follow_from_the_values, T, all_formats) {
  using limits = std::numeric_limits<T>;
  const oracle& o = oracle_of<T>();
  const std::uint32_t min_normal = 1u << o.mantissa_bits();
  const auto value = [](T x) { return static_cast<double>(x); };
  const double largest = o.largest();
  BOOST_TEST(value(limits::max()) == largest);
  BOOST_TEST(value(limits::lowest()) == -largest);
  BOOST_TEST(value(limits::min()) == o.value(min_normal));
  BOOST_TEST(value(limits::denorm_min()) == o.value(1));
  BOOST_TEST(value(limits::epsilon()) == value(of_code<T>(T(1).bits + 1u)) - 1);
  BOOST_TEST(value(limits::round_error()) == 0.5);
  // What a format lacks is what the float of that name converts to.
  BOOST_TEST(limits::infinity().bits == T(std::numeric_limits<float>::infinity()).bits);
  BOOST_TEST(limits::quiet_NaN().bits == T(std::numeric_limits<float>::quiet_NaN()).bits);
  BOOST_TEST(limits::has_infinity == (o.specials() == top::ieee));
  BOOST_TEST(limits::has_quiet_NaN == (o.specials() != top::none));
  BOOST_TEST(limits::has_signaling_NaN == (o.specials() == top::ieee));
  BOOST_TEST(limits::is_iec559 == (o.specials() == top::ieee));
  if (limits::has_infinity) {
    BOOST_TEST(value(limits::infinity()) == std::numeric_limits<double>::infinity());
    BOOST_TEST(std::isnan(value(limits::signaling_NaN())));
    BOOST_TEST((limits::quiet_NaN().bits & (min_normal >> 1)) != 0);
    BOOST_TEST((limits::signaling_NaN().bits & (min_normal >> 1)) == 0);
  }
  BOOST_TEST(std::isnan(value(limits::quiet_NaN())) == limits::has_quiet_NaN);
  // By their definitions in the standard.
  BOOST_TEST(limits::digits == o.mantissa_bits() + 1);
  BOOST_TEST(limits::radix == 2);
  BOOST_TEST(limits::digits10 == static_cast<int>(std::floor((limits::digits - 1) * std::log10(2.0))));
  BOOST_TEST(limits::max_digits10 == static_cast<int>(std::ceil(limits::digits * std::log10(2.0) + 1)));
  BOOST_TEST(std::ldexp(1.0, limits::min_exponent - 1) == o.value(min_normal));
  BOOST_TEST((std::ldexp(1.0, limits::max_exponent - 1) <= largest && std::ldexp(1.0, limits::max_exponent) > largest));
  BOOST_TEST(limits::min_exponent10 == static_cast<int>(std::ceil(std::log10(o.value(min_normal)))));
  BOOST_TEST(limits::max_exponent10 == static_cast<int>(std::floor(std::log10(largest))));
  static_assert(limits::is_specialized && limits::is_signed && !limits::is_integer && !limits::is_exact && limits::is_bounded);
  static_assert(limits::has_denorm == std::denorm_present && !limits::has_denorm_loss && !limits::is_modulo && !limits::traps);
  static_assert(limits::round_style == std::round_to_nearest && !limits::tinyness_before);
  static_assert(std::numeric_limits<const T>::digits == limits::digits && std::numeric_limits<volatile T>::is_specialized);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(hash_agrees_with_equality, T, all_formats) {
  const oracle& o = oracle_of<T>();
  const std::hash<T> hash;
  BOOST_TEST(hash(T(0.0f)) == hash(T(-0.0f)));
  std::unordered_set<std::size_t> seen;
  std::unordered_set<T> values;
  for (std::uint32_t code = 0; code < o.codes(); ++code) {
    const T x = of_code<T>(code);
    seen.insert(hash(x));
    if (x == x) {
      values.insert(x);
    }
  }
  BOOST_TEST(seen.size() == o.codes() - 1);  // all apart but the zeros
  BOOST_TEST(values.size() == 2u * o.past() - (o.specials() == top::ieee ? 0u : 2u) + 1u);
}

BOOST_AUTO_TEST_SUITE_END()
