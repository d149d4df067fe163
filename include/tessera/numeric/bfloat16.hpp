// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// bfloat16: float with its lower 16 bits rounded away.
#pragma once

#include "tessera/numeric/format.hpp"
#include "tessera/numeric/small_float.hpp"

namespace tessera {

/// Brain float: 8 significant bits and the range of float; smallest normal 2^-126, smallest subnormal 2^-133; every integer
/// to 256. See small_float.
using bfloat16 = small_float<brain16>;

}  // namespace tessera
