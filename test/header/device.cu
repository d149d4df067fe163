// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The light headers in device code, beside CUDA's own half types.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "light_headers.hpp"

__global__ void row_sums(tessera::view<const float, 2> matrix, tessera::view<float, 1> sums) {
  const std::int64_t row = threadIdx.x;
  const auto values = matrix[row];
  float sum = 0;
  for (std::int64_t i = 0; i < values.extent(0); ++i) sum += values(i);
  sums(row) = sum;
}
