// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The whole of the simd room: packs, converting loads and stores, elementary functions, folds.
#pragma once

#include "tessera/simd/compat.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/map.hpp"
#include "tessera/simd/math.hpp"
#include "tessera/simd/pack.hpp"
#include "tessera/simd/transform_rounded.hpp"
