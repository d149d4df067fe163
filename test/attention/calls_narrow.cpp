// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The calls of calls.hpp over narrow storage.
#include <boost/test/unit_test.hpp>

#include "calls_impl.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float8.hpp"

FORWARD_CALL(tessera::bfloat16, tessera::float8_e5m2, tessera::float8_e4m3, float, calls::plain_score);
BACKWARD_CALL(tessera::bfloat16, tessera::float8_e5m2, tessera::float8_e4m3, float, calls::plain_score);
