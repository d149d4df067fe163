// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/core/config.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

#include "tessera/core/version.hpp"

// Always defined, to 0 or 1: a typing error in an #if would go unseen otherwise.
#define IS_0_OR_1(x) (std::string(#x) == "0" || std::string(#x) == "1")
#define VALUE_IS_0_OR_1(x) IS_0_OR_1(x)

BOOST_AUTO_TEST_SUITE(core_config)

BOOST_AUTO_TEST_CASE(feature_macros_are_0_or_1) {
  BOOST_TEST(VALUE_IS_0_OR_1(TESSERA_CUDA_COMPILER));
  BOOST_TEST(VALUE_IS_0_OR_1(TESSERA_DEVICE_PASS));
  BOOST_TEST(VALUE_IS_0_OR_1(TESSERA_EXCEPTIONS));
  BOOST_TEST(VALUE_IS_0_OR_1(TESSERA_OPENMP));
}

BOOST_AUTO_TEST_CASE(they_say_what_this_file_is_compiled_with) {
  BOOST_TEST(TESSERA_CUDA_COMPILER == 0);
  BOOST_TEST(TESSERA_DEVICE_PASS == 0);
  BOOST_TEST(TESSERA_EXCEPTIONS == 1);
#if defined(_OPENMP)
  BOOST_TEST(TESSERA_OPENMP == 1);
#else
  BOOST_TEST(TESSERA_OPENMP == 0);
#endif
}

BOOST_AUTO_TEST_CASE(the_version_is_three_numbers) {
  BOOST_TEST((TESSERA_VERSION_MAJOR >= 0 && TESSERA_VERSION_MINOR >= 0 && TESSERA_VERSION_PATCH >= 0));
}

BOOST_AUTO_TEST_SUITE_END()
