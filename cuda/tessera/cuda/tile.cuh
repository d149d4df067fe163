// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Tiles on CUDA: the contraction and what stands on it, and the matrix product.
#pragma once

#include "tessera/cuda/tile/contraction.cuh"
#include "tessera/cuda/tile/convert.cuh"
#include "tessera/cuda/tile/matmul.cuh"
#include "tessera/cuda/tile/nearest.cuh"
