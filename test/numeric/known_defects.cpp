// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// What 16-bit and 8-bit types of other libraries get wrong, by what goes wrong: found by test or reported by their users. Where a
/// case counts how often the wrong way is wrong, that shows that its inputs are the ones that tell.
#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <unordered_set>

#include "oracle.hpp"
#include "tessera/numeric/log.hpp"

using numeric_test::all_formats;
using numeric_test::four_types;
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

BOOST_AUTO_TEST_SUITE(numeric_known_defects)

namespace {

float as_float(std::uint32_t code) { return tessera::from_bits<float>(code); }

/// The modes of the processor, restored at the end.
class rounding_mode {
 public:
  explicit rounding_mode(int mode) : before_(std::fegetround()) { std::fesetround(mode); }
  ~rounding_mode() { std::fesetround(before_); }

 private:
  int before_;
};

template <class A, class B>
concept can_or = requires(A a, B b) { a | b; } || requires(A a, B b) { a & b; } || requires(A a, B b) { a ^ b; };

}  // namespace

// digits 10 instead of 11, min() the smallest subnormal, epsilon() twice what it is.
BOOST_AUTO_TEST_CASE_TEMPLATE(limits_with_one_digit_too_few, T, four_types) {
  using limits = std::numeric_limits<T>;
  int digits = 0;
  for (double step = 1; static_cast<double>(T(1 + step)) == 1 + step; step /= 2) ++digits;
  BOOST_TEST(limits::digits == digits);
  BOOST_TEST(static_cast<double>(limits::epsilon()) == std::ldexp(1.0, 1 - digits));
  BOOST_TEST(static_cast<double>(limits::round_error()) == 0.5);  // made of the code for 0.5 taken for an integer, it is 16,128
  // min() is the smallest with all its digits: its neighbour is an epsilon away, relatively, and from there on down no longer.
  const auto code = [](T x) { return static_cast<std::uint32_t>(x.bits); };
  const double smallest = static_cast<double>(limits::min());
  BOOST_TEST(static_cast<double>(of_code<T>(code(limits::min()) + 1)) == smallest * (1 + std::ldexp(1.0, 1 - digits)));
  BOOST_TEST(static_cast<double>(of_code<T>(code(limits::min()) - 1)) == smallest * (1 - std::ldexp(1.0, 1 - digits)));
  BOOST_TEST(static_cast<double>(of_code<T>(code(limits::min()) - 2)) == smallest * (1 - std::ldexp(1.0, 2 - digits)));
  BOOST_TEST(static_cast<double>(limits::denorm_min()) == std::ldexp(smallest, 1 - digits));
}

// infinity named as the signalling NaN; a NaN constant of too many digits, which is a number.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_nan_constant_that_is_none, T, four_types) {
  using limits = std::numeric_limits<T>;
  BOOST_TEST(tessera::isnan(limits::quiet_NaN()));
  BOOST_TEST(tessera::isnan(limits::signaling_NaN()));
  BOOST_TEST(!tessera::isinf(limits::signaling_NaN()));
  BOOST_TEST(std::isnan(static_cast<float>(limits::signaling_NaN())));
  if (limits::has_infinity) {
    BOOST_TEST(tessera::isinf(limits::infinity()));
    BOOST_TEST(limits::signaling_NaN().bits != limits::quiet_NaN().bits);
  }
}

// 511 becomes 510: truncated, under the name of rounding.
BOOST_AUTO_TEST_CASE_TEMPLATE(integers_cut_off, T, all_formats) {
  BOOST_TEST(bfloat16(511).bits == 0x4400);
  BOOST_TEST(bfloat16(511ll).bits == 0x4400);
  const oracle& o = oracle_of<T>();
  tally wrong;
  std::uint64_t cut = 0;
  for (std::uint64_t i = 0; i < 1u << 20; ++i) {
    const auto n = static_cast<std::int32_t>(mix(i) >> 33 >> (i % 31));
    wrong.add(o.rounds_to(T(n).bits, static_cast<double>(n)), i);
    wrong.add(o.rounds_to(T(-n).bits, n == 0 ? 0.0 : -static_cast<double>(n)), i);
    cut += (tessera::to_bits(static_cast<float>(n)) >> 16) != bfloat16(n).bits;
  }
  NUMERIC_CHECK_TALLY(wrong);
  BOOST_TEST(cut > 1u << 18);
}

// An integer that becomes a float first: 16,256 of the non-negative 32-bit ones then round a second time, to another bfloat16.
BOOST_AUTO_TEST_CASE(integers_rounded_twice) {
  const oracle& o = oracle_of<bfloat16>();
  tally wrong;
  std::uint64_t through_float = 0;
  for (std::uint32_t code = 0; code < o.past(); ++code) {
    if (o.midpoint(code) < 0x1p24 || o.midpoint(code) >= 0x1p31) continue;
    const auto middle = static_cast<std::int64_t>(o.midpoint(code));
    for (std::int64_t n = middle - 200; n <= middle + 200; ++n) {
      if (n > std::numeric_limits<std::int32_t>::max()) break;
      const auto i = static_cast<std::int32_t>(n);
      wrong.add(o.rounds_to(bfloat16(i).bits, static_cast<double>(i)) && o.rounds_to(bfloat16(-i).bits, static_cast<double>(-i)),
                static_cast<std::uint64_t>(n));
      through_float += bfloat16(static_cast<float>(i)).bits != bfloat16(i).bits;
    }
  }
  NUMERIC_CHECK_TALLY(wrong);
  BOOST_TEST(through_float == 16256u);
  BOOST_TEST(bfloat16(2143289343).bits == 0x4eff);
  BOOST_TEST(bfloat16((std::int64_t{1} << 62) + (std::int64_t{1} << 54) + 1).bits == 0x5e81);  // through double 0x5e80
}

// A double that becomes a float first: half of those next to a midpoint go to the wrong side.
BOOST_AUTO_TEST_CASE_TEMPLATE(doubles_rounded_twice, T, four_types) {
  const oracle& o = oracle_of<T>();
  tally wrong;
  std::uint64_t through_float = 0;
  for (std::uint32_t code = 0; code + 1 < o.past(); ++code) {
    for (const double x : {o.midpoint(code) * (1 - 0x1p-40), o.midpoint(code) * (1 + 0x1p-40)}) {
      wrong.add(o.rounds_to(T(x).bits, x) && o.rounds_to(T(-x).bits, -x), code);
      through_float += T(static_cast<float>(x)).bits != T(x).bits;
    }
  }
  NUMERIC_CHECK_TALLY(wrong);
  BOOST_TEST(through_float == o.past() - 1);  // 31,743 of 63,486 in float16, 32,639 of 65,278 in bfloat16
}

// fma in float: a product that is a midpoint takes the tiny addend for nothing. In double bfloat16's are lost, too.
BOOST_AUTO_TEST_CASE_TEMPLATE(fma_rounded_twice, T, sixteen_bits) {
  const oracle& o = oracle_of<T>();
  const std::uint32_t one = T(1).bits;
  const std::uint32_t two = T(2).bits;
  const T tiny = std::is_same_v<T, float16> ? T(0x1p-24) : T(0x1p-126);
  tally wrong;
  int through_float = 0;
  int through_double = 0;
  for (std::uint32_t i = one; i < two; ++i) {
    for (std::uint32_t j = i; j < two; ++j) {
      const T a = of_code<T>(i);
      const T b = of_code<T>(j);
      const double product = static_cast<double>(a) * static_cast<double>(b);
      const std::uint32_t below = T(product * (1 - 0x1p-40)).bits;
      if (o.midpoint(below) != product) continue;
      for (const T c : {tiny, -tiny}) {
        const std::uint32_t right = tessera::signbit(c) ? below : below + 1;
        wrong.add(fma(a, b, c).bits == right && fma(-a, b, -c).bits == (right | o.sign()), i << 16 | j);
        const T in_float(std::fma(static_cast<float>(a), static_cast<float>(b), static_cast<float>(c)));
        const T in_double(std::fma(static_cast<double>(a), static_cast<double>(b), static_cast<double>(c)));
        through_float += in_float.bits != right;
        through_double += in_double.bits != right;
      }
    }
  }
  NUMERIC_CHECK_TALLY(wrong);
  BOOST_TEST(through_float > 10);
  BOOST_TEST((through_double > 10) == (std::is_same_v<T, bfloat16>));
  BOOST_TEST(fma(bfloat16::from_bits(0x3f82), bfloat16::from_bits(0x3fa0), bfloat16::from_bits(0x0080)).bits == 0x3fa3);
}

// A tie that is rounded away from zero, or cut off.
BOOST_AUTO_TEST_CASE_TEMPLATE(ties_not_to_even, T, four_types) {
  const oracle& o = oracle_of<T>();
  tally wrong;
  for (std::uint32_t code = 0; code < o.past(); ++code) {
    const auto x = static_cast<float>(o.midpoint(code));  // exact
    const std::uint32_t even = code + code % 2;
    wrong.add(T(x).bits == even && T(-x).bits == (even | o.sign()), code);
  }
  NUMERIC_CHECK_TALLY(wrong);
}

// A conversion that sets the rounding mode and leaves it so, or one that gives other results in another mode.
BOOST_AUTO_TEST_CASE_TEMPLATE(the_processors_rounding_mode, T, four_types) {
  const oracle& o = oracle_of<T>();
  for (const int mode : {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO}) {
    tally wrong;
    for (std::uint32_t code = 0; code < o.past(); ++code) {
      const auto middle = static_cast<float>(o.midpoint(code));
      const std::uint32_t even = code + code % 2;
      const rounding_mode guard(mode);
      const T from_float(middle);
      const T from_double(static_cast<double>(middle));
      const auto upward = tessera::round_to<T, tessera::rounding::upward>(middle).bits;
      const auto downward = tessera::round_to<T, tessera::rounding::downward>(middle).bits;
      wrong.add(from_float.bits == even && from_double.bits == even && upward == code + 1 && downward == code &&
                    std::fegetround() == mode,
                code);
    }
    NUMERIC_CHECK_TALLY(wrong);
  }
}

// Half an ulp added to the code of a NaN carries it into infinity, or past the sign into zero.
BOOST_AUTO_TEST_CASE_TEMPLATE(nan_becomes_infinity_or_zero, T, four_types) {
  tally wrong;
  for (std::uint32_t code = 0x7f800001; code < 0x80000000; ++code) {
    const T positive(as_float(code));
    const T negative(as_float(code | 0x80000000));
    wrong.add(tessera::isnan(positive) && tessera::isnan(negative), code);
  }
  NUMERIC_CHECK_TALLY(wrong);
  for (int bit = 0; bit < 52; ++bit) {
    const double x = tessera::from_bits<double>(0x7ff0000000000000u | std::uint64_t{1} << bit);
    BOOST_TEST(tessera::isnan(T(x)));
    BOOST_TEST(tessera::isnan(T(-x)));
  }
}

// A NaN that loses its sign on the way.
BOOST_AUTO_TEST_CASE_TEMPLATE(nan_loses_its_sign, T, four_types) {
  tally wrong;
  for (std::uint32_t code = 0x7f800001; code < 0x80000000; code += 61) {
    wrong.add(!tessera::signbit(T(as_float(code))) && tessera::signbit(T(as_float(code | 0x80000000))), code);
  }
  NUMERIC_CHECK_TALLY(wrong);
}

// Comparison by the order of the codes: +0 before -0, NaN equal to itself and above all numbers; <= and isinf true of a NaN.
BOOST_AUTO_TEST_CASE_TEMPLATE(comparison_by_total_order, T, four_types) {
  using limits = std::numeric_limits<T>;
  const T nan = limits::quiet_NaN();
  const T zero(0);
  BOOST_TEST((zero == -zero && !(zero != -zero) && !(zero < -zero) && !(-zero < zero) && zero <= -zero && zero >= -zero));
  for (const T x : {zero, T(1), T(-1), limits::max(), limits::infinity(), nan, -nan}) {
    BOOST_TEST((!(nan == x) && nan != x && !(nan < x) && !(nan <= x) && !(nan > x) && !(nan >= x)));
    BOOST_TEST((!(x == nan) && x != nan && !(x < nan) && !(x <= nan) && !(x > nan) && !(x >= nan)));
    BOOST_TEST((!(nan == 1) && !(nan <= 1.0f) && !(1.0 >= nan)));
  }
  BOOST_TEST(!tessera::isinf(nan));
  BOOST_TEST(!tessera::isfinite(nan));
}

// Equal keys in two places of a table.
BOOST_AUTO_TEST_CASE_TEMPLATE(zeros_hashed_apart, T, all_formats) {
  const T zero(0);
  BOOST_TEST(std::hash<T>()(zero) == std::hash<T>()(-zero));
  BOOST_TEST((std::unordered_set<T>{zero, -zero}.size()) == 1u);
}

// float's subnormals taken for zeros; some are values of bfloat16.
BOOST_AUTO_TEST_CASE(subnormals_flushed) {
  const oracle& o = oracle_of<bfloat16>();
  tally wrong;
  for (std::uint32_t code = 0; code < 0x00800000; code += 7) {
    const float x = as_float(code);
    wrong.add(o.rounds_to(bfloat16(x).bits, static_cast<double>(x)) && float16(x).bits == 0, code);
  }
  NUMERIC_CHECK_TALLY(wrong);
  for (std::uint32_t code = 0; code < 0x80; ++code) {
    BOOST_TEST(tessera::to_bits(static_cast<float>(of_code<bfloat16>(code))) == code << 16);
  }
}

// An operator on two values that writes its left one.
BOOST_AUTO_TEST_CASE_TEMPLATE(an_operator_that_changes_its_operand, T, four_types) {
  T x(1.5);
  const T y(0.5);
  (void)(x + y), (void)(x - y), (void)(x * y), (void)(x / y), (void)-x, (void)+x, (void)(x < y), (void)(x + 1), (void)(x * 2.0f);
  BOOST_TEST(x.bits == T(1.5).bits);
  static_assert(!can_or<T, T> && !can_or<T, int>);
}

// log2 made of log and a constant is not exact at powers of two.
BOOST_AUTO_TEST_CASE_TEMPLATE(log2_of_a_power_of_two, T, sixteen_bits) {
  for (int n = std::numeric_limits<T>::min_exponent - 1; n < std::numeric_limits<T>::max_exponent; ++n) {
    const T x(std::ldexp(1.0, n));
    BOOST_TEST(tessera::log2(static_cast<float>(x)) == static_cast<float>(n));
  }
}

// "half stops at 2048".
BOOST_AUTO_TEST_CASE_TEMPLATE(integers_past_the_last_exact_one, T, all_formats) {
  constexpr std::int64_t last = tessera::max_exact_integer<T>;
  tally wrong;
  for (std::int64_t n = 0; n <= last; ++n) {
    wrong.add(static_cast<double>(T(n)) == static_cast<double>(n) && static_cast<double>(T(-n)) == static_cast<double>(-n),
              static_cast<std::uint64_t>(n));
  }
  NUMERIC_CHECK_TALLY(wrong);
  BOOST_TEST(static_cast<double>(T(last + 1)) != static_cast<double>(last + 1));
  static_assert(tessera::max_exact_integer<float16> == 2048 && tessera::max_exact_integer<bfloat16> == 256);
  static_assert(tessera::max_exact_integer<float> == 1 << 24 && tessera::max_exact_integer<double> == std::int64_t{1} << 53);
  float16 count(2048);
  count += 1;
  BOOST_TEST((count == 2048));  // as in IEEE arithmetic of any kind; the constant is there to ask
}

namespace overloaded {

constexpr int which(float) { return 1; }
constexpr int which(double) { return 2; }
constexpr int which(long double) { return 3; }
constexpr int whole(float) { return 1; }
constexpr int whole(int) { return 2; }

}  // namespace overloaded

// Overloads between which a half cannot choose, and integer types that it cannot be made of.
BOOST_AUTO_TEST_CASE_TEMPLATE(ambiguous_calls, T, four_types) {
  const T x(4);
  static_assert(overloaded::which(T(1)) == 1 && overloaded::whole(T(1)) == 1);
  BOOST_TEST(std::sqrt(x) == 2.0f);
  BOOST_TEST((x * 2.0f == 8.0f && 2.0 * x == 8.0 && (x * 2).bits == T(8).bits && (std::int64_t{2} * x).bits == T(8).bits));
  BOOST_TEST((T(std::int64_t{4}) == x && T(4ul) == x && T(4ull) == x && T(short{4}) == x && T(static_cast<signed char>(4)) == x));
  BOOST_TEST((x == 4 && 4u == x && x == 4ll && x < 5ul && x > true));
  BOOST_TEST(((true ? x : T(1)) == x));
}

// std::is_floating_point may not be told of a type; a concept of our own is.
BOOST_AUTO_TEST_CASE(not_a_floating_point_type) {
  static_assert(tessera::floating<float16> && tessera::floating<const bfloat16> && tessera::floating<double>);
  static_assert(tessera::storage<float8_e4m3> && tessera::storage<float8_e5m2> && !tessera::floating<float8_e4m3>);
  static_assert(!tessera::floating<int> && !tessera::storage<long double>);
  BOOST_TEST(std::isfinite(float16(1)));
  BOOST_TEST(!std::isfinite(std::numeric_limits<bfloat16>::infinity()));
  BOOST_TEST(std::isnan(std::numeric_limits<float16>::quiet_NaN()));
  BOOST_TEST(std::signbit(-bfloat16(0)));
}

BOOST_AUTO_TEST_SUITE_END()
