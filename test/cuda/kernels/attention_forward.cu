// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// target sm_90a: 255 registers; those of Hopper change hands at run time
// target sm_80: 255 registers, of which two blocks of 128 threads share a multiprocessor's 65536
/// \file
/// Attention's forward kernels of 16-bit arrays, as users get them.
#include "tessera/cuda/attention/forward.cuh"

void attend(const tessera::cuda::executor& exec, const tessera::view<const tessera::bfloat16, 4>& q,
            const tessera::view<const tessera::bfloat16, 4>& k, const tessera::view<const tessera::bfloat16, 4>& v,
            const tessera::view<tessera::bfloat16, 4>& out, const tessera::view<float, 3>& lse) {
  tessera::attention::forward(exec, q, k, v, out, lse, {.mask = tessera::attention::causal});
}
