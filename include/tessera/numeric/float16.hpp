// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// float16: IEEE 754 binary16.
#pragma once

#include "tessera/numeric/format.hpp"
#include "tessera/numeric/small_float.hpp"

namespace tessera {

/// IEEE half precision: 11 significant bits; largest value 65504, smallest normal 2^-14, smallest subnormal 2^-24; every
/// integer to 2048. See small_float.
using float16 = small_float<binary16>;

}  // namespace tessera
