// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A source of a plain C++ compiler that calls the CUDA runtime.
#include "tessera/cuda/error.cuh"

void release(void* memory) { tessera::cuda::check(cudaFree(memory), "cudaFree"); }
