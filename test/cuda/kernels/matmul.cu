// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// target sm_90a: 255 registers; those of Hopper change hands at run time
// target sm_80: 255 registers, of which a block of 256 threads has a multiprocessor's 65536; 128 of 16-bit products, two blocks
/// \file
/// Matrix products, as users get them.
#include "tessera/cuda/tile/matmul.cuh"
#include "tessera/numeric/bfloat16.hpp"

template <class T>
using matrix = tessera::view<T, 2>;

void product_of(const tessera::cuda::executor& exec, const matrix<const tessera::bfloat16>& a,
                const matrix<const tessera::bfloat16>& b, const matrix<tessera::bfloat16>& c) {
  tessera::matmul(exec, a, b, c);
}
void product_of(const tessera::cuda::executor& exec, const matrix<const float>& a, const matrix<const float>& b,
                const matrix<float>& c) {
  tessera::matmul(exec, a, b, c);
}
void product_of(const tessera::cuda::executor& exec, const matrix<const double>& a, const matrix<const double>& b,
                const matrix<double>& c) {
  tessera::matmul(exec, a, b, c);
}
