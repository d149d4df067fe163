// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The functions of the 16-bit types on every input against MPFR, and the hashes of the tables that other implementations are held to.
#include "tessera/numeric/functions.hpp"

#include <boost/test/unit_test.hpp>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>

#include "golden_hashes.hpp"
#include "mpfr_oracle.hpp"
#include "oracle.hpp"
#include "tessera/numeric.hpp"

namespace {

using numeric_test::mpfr_oracle;
using numeric_test::mpfr_oracle_of;
using numeric_test::tally;
using tessera::bfloat16;
using tessera::float16;

std::uint64_t golden_hash(const char* name, std::uint64_t golden::entry::* of) {
  for (const golden::entry& e : golden::tables) {
    if (std::strcmp(e.name, name) == 0) return e.*of;
  }
  return 0;
}
template <class T>
constexpr std::uint64_t golden::entry::* hash_of =
    std::same_as<T, float16> ? &golden::entry::of_float16 : &golden::entry::of_bfloat16;

/// f against MPFR's function on every input, and the golden hash against the hash of MPFR's table, which then is that of f's too.
template <class T, class F, class Exact>
void check(const char* name, F f, Exact exact) {
  static_assert(std::same_as<decltype(f(T())), T>);
  tally wrong;
  golden::fnv1a hash;
  for (std::uint32_t code = 0; code < 0x10000; ++code) {
    const std::uint32_t want = mpfr_oracle_of<T>()(exact, code);
    wrong.add(canonical(f(T::from_bits(static_cast<std::uint16_t>(code)))).bits == want, code);
    hash.add<2>(want);
  }
  BOOST_TEST_CONTEXT(name << (std::same_as<T, float16> ? " of float16" : " of bfloat16")) {
    NUMERIC_CHECK_TALLY(wrong);
    BOOST_CHECK_MESSAGE(hash.value() == golden_hash(name, hash_of<T>),
                        "the hash of MPFR's table is 0x" << std::hex << hash.value());
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_functions)

#define CHECK_FUNCTION(name, exact)                                         \
  BOOST_AUTO_TEST_CASE(name##_is_correctly_rounded) {                       \
    check<float16>(#name, [](auto x) { return tessera::name(x); }, exact);  \
    check<bfloat16>(#name, [](auto x) { return tessera::name(x); }, exact); \
  }
#define CHECK_AGAINST_MPFR(name) CHECK_FUNCTION(name, static_cast<mpfr_oracle::mpfr_function>(mpfr_##name))
#define CHECK_AGAINST_COMPOSED(name) \
  CHECK_FUNCTION(name, static_cast<mpfr_oracle::composed_function>(numeric_test::composed::name))
GOLDEN_FUNCTIONS(CHECK_AGAINST_MPFR, CHECK_AGAINST_COMPOSED)

BOOST_AUTO_TEST_CASE(square_root_is_correctly_rounded) {
  const auto root = [](auto x) { return tessera::sqrt(x); };
  check<float16>("sqrt", root, static_cast<mpfr_oracle::mpfr_function>(mpfr_sqrt));
  check<bfloat16>("sqrt", root, static_cast<mpfr_oracle::mpfr_function>(mpfr_sqrt));
}

BOOST_AUTO_TEST_SUITE_END()

namespace {

template <class T>
void check_conversions() {
  golden::fnv1a widened, wide_exact;
  for (std::uint32_t code = 0; code < 0x10000; ++code) {
    const float wide = T::from_bits(static_cast<std::uint16_t>(code));
    const double exact = mpfr_oracle_of<T>().value(code);
    constexpr std::uint32_t nan = tessera::binary32::quiet_nan;
    widened.add<4>(std::isnan(wide) ? nan : tessera::to_bits(wide));
    wide_exact.add<4>(std::isnan(exact) ? nan : tessera::to_bits(static_cast<float>(exact)));
  }
  BOOST_CHECK_MESSAGE(wide_exact.value() == golden_hash("widening", hash_of<T>),
                      "MPFR's is 0x" << std::hex << wide_exact.value());
  BOOST_TEST(widened.value() == wide_exact.value());

  golden::fnv1a narrowed, narrow_exact;
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
    for (const std::uint32_t lower : golden::lower_halves.of) {
      const auto x = tessera::from_bits<float>(upper << 16 | lower);
      narrowed.add<2>(canonical(T(x)).bits);
      narrow_exact.add<2>(mpfr_oracle_of<T>().narrowed(x));
    }
  }
  BOOST_CHECK_MESSAGE(narrow_exact.value() == golden_hash("narrowing", hash_of<T>),
                      "MPFR's is 0x" << std::hex << narrow_exact.value());
  BOOST_TEST(narrowed.value() == narrow_exact.value());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numeric_functions)

BOOST_AUTO_TEST_CASE(conversions_have_the_golden_hashes) {
  check_conversions<float16>();
  check_conversions<bfloat16>();
}

/// A call without a namespace finds the same function, beside those of the standard library and of C.
BOOST_AUTO_TEST_CASE(argument_dependent_lookup_finds_them) {
  using std::exp;
  using std::tanh;
  static_assert(std::same_as<decltype(exp(float16(1))), float16> && std::same_as<decltype(tanh(bfloat16(1))), bfloat16>);
  static_assert(std::same_as<decltype(sigmoid(float16(1))), float16> && std::same_as<decltype(log1p(bfloat16(1))), bfloat16>);
  static_assert(std::same_as<decltype(exp(1.0F)), float> && std::same_as<decltype(tessera::exp(1.0F)), float>);
  BOOST_TEST(static_cast<float>(exp(float16(1))) == 2.71875F);
  BOOST_TEST(static_cast<float>(tanh(bfloat16(1))) == 0.76171875F);
}

/// Every format that a small_float can have, as one of 8 bits.
BOOST_AUTO_TEST_CASE(other_formats_are_served) {
  using quarter = tessera::float8_e5m2;
  mpfr_oracle exact(5, 2);
  for (std::uint32_t code = 0; code < 0x100; ++code) {
    const auto x = quarter::from_bits(static_cast<std::uint8_t>(code));
    const auto code_of = [&](quarter y) { return tessera::isnan(y) ? exact.nan() : y.bits; };
    BOOST_TEST(code_of(tessera::log(x)) == exact(static_cast<mpfr_oracle::mpfr_function>(mpfr_log), code));
    BOOST_TEST(code_of(tessera::cos(x)) == exact(static_cast<mpfr_oracle::mpfr_function>(mpfr_cos), code));
    BOOST_TEST(code_of(tessera::gelu(x)) == exact(numeric_test::composed::gelu, code));
  }
}

BOOST_AUTO_TEST_SUITE_END()
