// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The main function of every room's test program.
#define BOOST_TEST_MODULE tessera
#include <boost/test/unit_test.hpp>
