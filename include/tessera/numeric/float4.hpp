// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// float4_e2m1: the 4-bit format of the Open Compute Project.
#pragma once

#include "tessera/numeric/format.hpp"
#include "tessera/numeric/small_float.hpp"

namespace tessera {

/// 2 significant bits in the low half of a byte: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives; the high half is 0. Neither infinity
/// nor NaN: what is too large becomes 6, and a NaN becomes +6, as CUDA has it. See small_float.
///
/// A value takes a byte; two in a byte are the business of whoever packs blocks.
using float4_e2m1 = small_float<ocp_e2m1>;

}  // namespace tessera
