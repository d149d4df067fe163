// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The numeric room: float16, bfloat16, the 8-bit floats, their text, literals and foreign
/// twins, what kernels ask of element types, and distances in ulps. Apart: formatter.hpp, for <format> is dear.
#pragma once

#include "tessera/numeric/arithmetic.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/classify.hpp"
#include "tessera/numeric/e8m0.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float4.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/numeric/format.hpp"
#include "tessera/numeric/function_objects.hpp"
#include "tessera/numeric/functions.hpp"
#include "tessera/numeric/interop.hpp"
#include "tessera/numeric/literals.hpp"
#include "tessera/numeric/next.hpp"
#include "tessera/numeric/round_to.hpp"
#include "tessera/numeric/rounding.hpp"
#include "tessera/numeric/small_float.hpp"
#include "tessera/numeric/text.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/numeric/ulp.hpp"
