// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// exp, exp2, log and log2 of packs: the functions of numeric/exp.hpp and numeric/log.hpp, named in this room too.
///
/// There is one text of each function. What AVX-512 does in one instruction (simd/detail/exponent.hpp) comes in through lane<pack>, with
/// the same bits as the long way.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/log.hpp"
#include "tessera/simd/pack.hpp"

namespace tessera::simd {

using tessera::exp;
using tessera::exp2;
using tessera::exp2_nonpositive;
using tessera::fma;
using tessera::log;
using tessera::log2;
using tessera::max;
using tessera::min;
using tessera::select;
using tessera::sqrt;

}  // namespace tessera::simd
