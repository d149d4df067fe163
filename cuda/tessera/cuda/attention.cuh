// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention on CUDA.
#pragma once

#include "tessera/cuda/attention/append.cuh"
#include "tessera/cuda/attention/backward.cuh"
#include "tessera/cuda/attention/block_map.cuh"
#include "tessera/cuda/attention/forward.cuh"
#include "tessera/cuda/attention/rotate.cuh"
