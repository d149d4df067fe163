// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Everything. For trying things out; a program includes what it uses.
#pragma once

#include "tessera/attention.hpp"
#include "tessera/core.hpp"
#include "tessera/diffusion.hpp"
#include "tessera/exec.hpp"
#include "tessera/numeric.hpp"
#include "tessera/online.hpp"
#include "tessera/random.hpp"
#include "tessera/reference.hpp"
#include "tessera/simd.hpp"
#include "tessera/tile.hpp"
#include "tessera/training.hpp"
