// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The elementary functions of packs: those of numeric/, named in this room too.
///
/// There is one text of each function. What AVX-512 does in one instruction (simd/detail/exponent.hpp) comes in through lane<pack>, with
/// the same bits as the long way.
#pragma once

#include "tessera/numeric/cbrt.hpp"
#include "tessera/numeric/erf.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/exp10.hpp"
#include "tessera/numeric/expm1.hpp"
#include "tessera/numeric/gelu.hpp"
#include "tessera/numeric/hyperbolic.hpp"
#include "tessera/numeric/hyperbolic_sine.hpp"
#include "tessera/numeric/inverse_hyperbolic.hpp"
#include "tessera/numeric/inverse_trigonometric.hpp"
#include "tessera/numeric/log.hpp"
#include "tessera/numeric/log10.hpp"
#include "tessera/numeric/log1p.hpp"
#include "tessera/numeric/rsqrt.hpp"
#include "tessera/numeric/sigmoid.hpp"
#include "tessera/numeric/trigonometric.hpp"
#include "tessera/simd/pack.hpp"

namespace tessera::simd {

using tessera::acos;
using tessera::acosh;
using tessera::asin;
using tessera::asinh;
using tessera::atan;
using tessera::atanh;
using tessera::cbrt;
using tessera::copysign;
using tessera::cos;
using tessera::cosh;
using tessera::cospi;
using tessera::erf;
using tessera::erfc;
using tessera::exp;
using tessera::exp10;
using tessera::exp2;
using tessera::exp2_nonpositive;
using tessera::exp2_nonpositive_approximate;
using tessera::expm1;
using tessera::fma;
using tessera::gelu;
using tessera::gelu_tanh;
using tessera::log;
using tessera::log10;
using tessera::log1p;
using tessera::log2;
using tessera::log_sigmoid;
using tessera::max;
using tessera::min;
using tessera::rsqrt;
using tessera::select;
using tessera::sigmoid;
using tessera::silu;
using tessera::sin;
using tessera::sincos;
using tessera::sincospi;
using tessera::sinh;
using tessera::sinpi;
using tessera::softplus;
using tessera::sqrt;
using tessera::tan;
using tessera::tanh;
using tessera::tanh_approximate;

}  // namespace tessera::simd
