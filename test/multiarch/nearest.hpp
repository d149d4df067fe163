// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A function that is compiled once for each instruction set, and its declaration for those who only call it.
#pragma once

#include "tessera/simd/compat.hpp"
#include "tessera/tile/view.hpp"

/// nearest[i] is the code closest to point i; smoothed[i] the mean of all codes, weighted by how close they are.
template <class Arch>
void nearest_codes(tessera::view<const float, 2> points, tessera::view<const float, 2> codes, tessera::view<int, 1> nearest,
                   tessera::view<float, 2> smoothed);
