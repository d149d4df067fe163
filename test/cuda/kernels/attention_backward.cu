// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// target sm_90a: 255 registers; those of Hopper change hands at run time
// target sm_80: 255 registers, of which a block of 256 threads, or two of 128, take a multiprocessor's 65536
// target sm_90: 255 registers, likewise
/// \file
/// Attention's backward kernels of 16-bit arrays, as users get them.
#include "tessera/cuda/attention/backward.cuh"

void differentiate(const tessera::cuda::executor& exec, const tessera::view<const tessera::bfloat16, 4>& q,
                   const tessera::view<const tessera::bfloat16, 4>& k, const tessera::view<const tessera::bfloat16, 4>& v,
                   const tessera::view<const tessera::bfloat16, 4>& out, const tessera::view<const float, 3>& lse,
                   const tessera::view<const tessera::bfloat16, 4>& dout, const tessera::view<tessera::bfloat16, 4>& dq,
                   const tessera::view<tessera::bfloat16, 4>& dk, const tessera::view<tessera::bfloat16, 4>& dv) {
  tessera::attention::backward(exec, q, k, v, out, lse, dout, dq, dk, dv, {.mask = tessera::attention::causal});
}
