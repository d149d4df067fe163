// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The elementary functions of packs: those of numeric/exp.hpp, log.hpp and their neighbours, named in this room too.
///
/// There is one text of each function. What AVX-512 does in one instruction (simd/detail/exponent.hpp) comes in through lane<pack>, with
/// the same bits as the long way.
#pragma once

#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/expm1.hpp"
#include "tessera/numeric/hyperbolic.hpp"
#include "tessera/numeric/log.hpp"
#include "tessera/numeric/log1p.hpp"
#include "tessera/numeric/rsqrt.hpp"
#include "tessera/numeric/sigmoid.hpp"
#include "tessera/simd/pack.hpp"

namespace tessera::simd {

using tessera::exp;
using tessera::exp2;
using tessera::exp2_nonpositive;
using tessera::exp2_nonpositive_approximate;
using tessera::expm1;
using tessera::fma;
using tessera::log;
using tessera::log1p;
using tessera::log2;
using tessera::log_sigmoid;
using tessera::max;
using tessera::min;
using tessera::rsqrt;
using tessera::select;
using tessera::sigmoid;
using tessera::silu;
using tessera::softplus;
using tessera::sqrt;
using tessera::tanh;
using tessera::tanh_approximate;

}  // namespace tessera::simd
