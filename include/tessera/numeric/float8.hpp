// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// float8_e4m3 and float8_e5m2: the 8-bit formats of the Open Compute Project.
#pragma once

#include "tessera/numeric/format.hpp"
#include "tessera/numeric/small_float.hpp"

namespace tessera {

/// 4 significant bits; largest value 448, smallest normal 2^-6, smallest subnormal 2^-9; every integer to 16. No infinity: what
/// rounds past 448 (from just above 464 on) is NaN, and so is a converted infinity. Known as e4m3fn, too. See small_float.
using float8_e4m3 = small_float<ocp_e4m3>;

/// 3 significant bits; largest value 57344, smallest normal 2^-14, smallest subnormal 2^-16; every integer to 8. Specials as in
/// IEEE 754. See small_float.
using float8_e5m2 = small_float<ocp_e5m2>;

}  // namespace tessera
