// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Random numbers on CUDA: views filled, with the bits of the CPU.
#pragma once

#include "tessera/cuda/random/fill.cuh"
#include "tessera/cuda/random/fill_shapes.cuh"
