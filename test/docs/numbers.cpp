// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The code of docs/explanation/numbers.md: the build cuts its code blocks out, this file compiles and runs them.
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <string>
#include <system_error>

#include "tessera/numeric.hpp"

namespace {
struct their_half {
  unsigned short code;
};
}  // namespace
#include "docs/explanation/numbers_3.inc"

BOOST_AUTO_TEST_SUITE(docs_numbers)

BOOST_AUTO_TEST_CASE(its_conversions_do_what_it_says) {
#include "docs/explanation/numbers_1.inc"
  BOOST_TEST(third.bits == 0x3555);
  BOOST_TEST(step.bits == 0x3c01);
  BOOST_TEST(wide == 0.333251953125f);
  BOOST_TEST(other.bits == 0x3eab);
  BOOST_TEST(up.bits == 0x3dcd);
  BOOST_TEST((most == 448));
}

BOOST_AUTO_TEST_CASE(its_text_comes_back) {
#include "docs/explanation/numbers_2.inc"
  BOOST_TEST(std::string(text, static_cast<std::size_t>(end - text)) == "0.1");
  BOOST_TEST(again.bits == tessera::float16(0.1).bits);
  BOOST_CHECK(result.ec == std::errc{});
}

BOOST_AUTO_TEST_CASE(its_array_is_seen_as_ours) {
  their_half halves[] = {{0x3c00}, {0x4000}, {0x4200}};
  const int n = 3;
#include "docs/explanation/numbers_4.inc"
  BOOST_TEST(doubled[0].code == 0x4000);
  BOOST_TEST(doubled[1].code == 0x4400);
  BOOST_TEST(doubled[2].code == 0x4600);
}

BOOST_AUTO_TEST_SUITE_END()
