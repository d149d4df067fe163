// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The calls of calls.hpp.
#include <boost/test/unit_test.hpp>

#include "calls_impl.hpp"

FORWARD_CALL(float, float, float, float, calls::plain_score);
FORWARD_CALL(float, float, float, float, calls::every_score);
FORWARD_CALL(double, double, double, double, calls::every_score);
BACKWARD_CALL(float, float, float, float, calls::plain_score);
BACKWARD_CALL(float, float, float, float, calls::every_score);
BACKWARD_CALL(double, double, double, double, calls::every_score);
JVP_CALL(float, calls::plain_score);
JVP_CALL(float, calls::every_score);
JVP_CALL(double, calls::every_score);
