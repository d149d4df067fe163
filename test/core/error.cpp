// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/core/error.hpp"

#include <boost/test/unit_test.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "../support/error.hpp"

namespace {

using tessera::detail::expects;

}  // namespace

BOOST_AUTO_TEST_SUITE(core_error)

static_assert(std::is_base_of_v<std::invalid_argument, tessera::argument_error>);

BOOST_AUTO_TEST_CASE(the_text_names_function_argument_what_it_got_and_what_it_needs) {
  const std::string text = support::refusal([] { expects(false, "matmul", "b", [] { return "shape [3, 4]"; }, "needs [k, n]"); });
  BOOST_TEST(text == "matmul: b: shape [3, 4]; needs [k, n]");
}

BOOST_AUTO_TEST_CASE(no_text_is_made_while_all_is_well) {
  int asked = 0;
  const auto got = [&] {
    ++asked;
    return "";
  };
  expects(true, "f", "x", got, "nothing");
  BOOST_TEST(asked == 0);
}

BOOST_AUTO_TEST_CASE(numbers_are_shown_with_the_digits_that_tell_them_apart) {
  using tessera::detail::number;
  BOOST_TEST(number(1e-9) == "1e-09");
  BOOST_TEST(number(-0.5) == "-0.5");
  BOOST_TEST(number(1e300) == "1e+300");
  BOOST_TEST(number(-1.23456789e-308) == "-1.23456789e-308");  // the longest
}

BOOST_AUTO_TEST_SUITE_END()
