// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/formatter.hpp"

#include <boost/test/unit_test.hpp>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "oracle.hpp"

using numeric_test::all_formats;
using numeric_test::of_code;
using numeric_test::oracle_of;
using numeric_test::tally;
using tessera::bfloat16;
using tessera::float16;

BOOST_AUTO_TEST_SUITE(numeric_formatter)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_float_prints_alike, T, all_formats) {
  tally wrong;
  for (std::uint32_t code = 0; code < oracle_of<T>().codes(); ++code) {
    const T x = of_code<T>(code);
    if (x != x) continue;  // standard libraries differ in what they say of a NaN
    char text[32];
    const char* const end = std::to_chars(text, text + sizeof text, tessera::detail::printed_alike(x)).ptr;
    wrong.add(to_string(x) == std::string_view(text, static_cast<std::size_t>(end - text)), code);
  }
  NUMERIC_CHECK_TALLY(wrong);
}

BOOST_AUTO_TEST_CASE(a_specification_asks_for_digits_or_not) {
  const auto shortest = [](std::string_view text) { return tessera::detail::wants_shortest(text.begin(), text.end()); };
  for (const char* const text : {"", ">8", ".<8", "+", "#", "010", "L", "8L", "e>{}", "{}", ".<", "f^+#012L", ".>{1}", "-"}) {
    BOOST_TEST(shortest(text), text);
  }
  for (const char* const text :
       {"g", ".3", "8.3", ">8.3", ".{}", "8.{1}", ".3L", "f", "e", "A", "8.3e", ".<.3", "LE", "Lf", ".0"}) {
    BOOST_TEST(!shortest(text), text);
  }
}

#if defined(__cpp_lib_format)
BOOST_AUTO_TEST_CASE_TEMPLATE(without_a_type_it_is_the_shortest_text, T, all_formats) {
  tally wrong;
  for (std::uint32_t code = 0; code < oracle_of<T>().codes(); ++code) {
    const T x = of_code<T>(code);
    if (x != x) continue;
    wrong.add(std::format("{}", x) == to_string(x), code);
    wrong.add(std::format("{:e}", x) == std::format("{:e}", static_cast<float>(x)), code);
    wrong.add(std::format("{:.9}", x) == std::format("{:.9}", static_cast<float>(x)), code);
  }
  NUMERIC_CHECK_TALLY(wrong);
}

BOOST_AUTO_TEST_CASE(golden_formats) {
  BOOST_TEST(std::format("{}", float16(0.1)) == "0.1");
  BOOST_TEST(std::format("{:>8}", float16(0.1)) == "     0.1");
  BOOST_TEST(std::format("{:.<8}", bfloat16(-0.1)) == "-0.1....");
  BOOST_TEST(std::format("{:+08}", float16(1.5)) == "+00001.5");
  BOOST_TEST(std::format("{:.4f}", float16(0.1)) == "0.1000");
  BOOST_TEST(std::format("{:.9f}", float16(0.1)) == "0.099975586");
  BOOST_TEST(std::format("{:.{}f}", float16(0.1), 5) == "0.09998");
  BOOST_TEST(std::format("{:*^{}}", float16(65504), 9) == "**65504**");
  BOOST_TEST(std::format("{:a}", float16(0.1)) == "1.998p-4");
  BOOST_TEST((std::format(L"{:6}|", bfloat16(0.1)) == L"   0.1|"));
}
#else
BOOST_AUTO_TEST_CASE(the_standard_library_has_no_format) { BOOST_TEST_MESSAGE("std::format is missing"); }
#endif

BOOST_AUTO_TEST_SUITE_END()
