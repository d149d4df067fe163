// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Every header, in the second of two translation units that are linked, among the short macros that complex.h, termios.h and
/// windows.h are known for.
#include <xsimd/xsimd.hpp>

#define I _Complex_I
#define B0 0
#define small char
#define near
#define far
#define interface struct

#include "all_headers.hpp"
