// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Barriers of a part of a block.
#pragma once

#include "tessera/cuda/kernel.cuh"

namespace tessera::cuda {

/// Waits until `threads` threads (whole warps) have come to barrier `id`, 1 to 15; 0 is that of __syncthreads. Orders shared memory among them.
TESSERA_DEVICE void named_barrier(int id, int threads, [[maybe_unused]] code_place place = code_place::current()) {
#if TESSERA_CUDA_EMULATOR
  emulator::named_barrier(id, threads, place);
#else
  asm volatile("bar.sync %0, %1;\n" ::"r"(id), "r"(threads) : "memory");
#endif
}

/// Comes to barrier `id` without waiting.
TESSERA_DEVICE void named_barrier_arrive(int id, int threads, [[maybe_unused]] code_place place = code_place::current()) {
#if TESSERA_CUDA_EMULATOR
  emulator::named_barrier_arrive(id, threads, place);
#else
  asm volatile("bar.arrive %0, %1;\n" ::"r"(id), "r"(threads) : "memory");
#endif
}

}  // namespace tessera::cuda
