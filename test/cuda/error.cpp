// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/cuda/error.cuh"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(cuda_error)

BOOST_AUTO_TEST_CASE(success_is_silent) { BOOST_CHECK_NO_THROW(tessera::cuda::check(cudaSuccess, "cudaFree")); }

BOOST_AUTO_TEST_CASE(failure_names_the_function_and_the_code) {
  BOOST_CHECK_EXCEPTION(tessera::cuda::check(cudaErrorInvalidValue, "cudaMemcpy"), tessera::cuda::error, [](const auto& e) {
    return e.code() == cudaErrorInvalidValue && e.what() == std::string("cudaMemcpy: cudaErrorInvalidValue (invalid argument)");
  });
}

BOOST_AUTO_TEST_SUITE_END()
