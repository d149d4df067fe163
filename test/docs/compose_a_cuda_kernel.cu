// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// The text of docs/how-to/compose-a-cuda-kernel.md, as nvcc reads it.
#include <cstdint>

#include "tessera/cuda/tile/contraction.cuh"

namespace {
#include "docs/how-to/compose-a-cuda-kernel_1.inc"
}  // namespace

void find_margins(cudaStream_t stream, const tessera::view<const float, 2>& queries, const tessera::view<const float, 2>& keys,
                  const int* query_labels, const int* key_labels, float* margins) {
#include "docs/how-to/compose-a-cuda-kernel_2.inc"
}
