// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Whether this pass generates code for Hopper's own instructions (sm_90a), which no other chip has.
#pragma once

#include <cuda_runtime_api.h>

#include "tessera/cuda/error.cuh"
#include "tessera/cuda/kernel.cuh"

/// 1 in the pass for sm_90a (nvcc: -gencode arch=compute_90a,code=sm_90a). Kernels that need it are empty in the others, and not launched.
#if TESSERA_DEVICE_PASS && defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define TESSERA_HOPPER_PASS 1
#else
#define TESSERA_HOPPER_PASS 0
#endif

namespace tessera::cuda::hopper {

/// Gives registers back, or takes more: a warpgroup at a time, all of it. Count is a multiple of 8 from 24 to 256.
template <int Count>
TESSERA_DEVICE void release_registers() {
#if TESSERA_HOPPER_PASS
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(Count));
#endif
}
template <int Count>
TESSERA_DEVICE void claim_registers() {
#if TESSERA_HOPPER_PASS
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(Count));
#endif
}

/// Threads of a warpgroup: four warps from a multiple of four on.
inline constexpr int warpgroup_threads = 128;

/// The number of this thread's warpgroup in its block, the same register in all of its threads.
TESSERA_DEVICE int warpgroup_id() {
  const int id = static_cast<int>(threadIdx.x / 128);
#if TESSERA_HOPPER_PASS
  return __shfl_sync(0xFFFFFFFFu, id, 0);
#else
  return id;
#endif
}

/// Whether a kernel was compiled for sm_90a: otherwise what the device has of it is empty, and needs hardly a register.
inline bool holds_hopper_code([[maybe_unused]] const void* kernel) {
#if TESSERA_CUDA_EMULATOR
  return true;
#else
  cudaFuncAttributes attributes = {};
  check(cudaFuncGetAttributes(&attributes, kernel), "cudaFuncGetAttributes");
  return attributes.numRegs >= 64;
#endif
}

}  // namespace tessera::cuda::hopper
