// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The numeric room: float16, bfloat16, the 8-bit floats, what kernels ask of element types, and distances in ulps.
#pragma once

#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/classify.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float4.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/numeric/format.hpp"
#include "tessera/numeric/round_to.hpp"
#include "tessera/numeric/rounding.hpp"
#include "tessera/numeric/small_float.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/numeric/ulp.hpp"
