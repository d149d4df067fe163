// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Copies from global to shared memory that run beside the thread which asked for them (cp.async, sm_80).
#pragma once

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/shared.cuh"

namespace tessera::cuda {

/// Starts copying source_bytes (0 to 16) from `from` to the 16 bytes at `to`; the rest becomes 0. Both aligned to 16 bytes. Past the first-level
/// cache: what is loaded here is read once a block.
TESSERA_DEVICE void copy_async_16(void* to, const void* from, int source_bytes,
                                  [[maybe_unused]] code_place place = code_place::current()) {
#if TESSERA_CUDA_EMULATOR
  emulator::copy_async(to, from, 16, source_bytes, place);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to_shared_address(to)), "l"(from), "r"(source_bytes)
               : "memory");
#endif
}

/// Makes one group of the copies that this thread has started since the last group.
TESSERA_DEVICE void commit_copies() {
#if TESSERA_CUDA_EMULATOR
  emulator::commit_copies();
#else
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

/// Waits until at most Pending of this thread's groups are under way. Other threads see the bytes after the next barrier.
template <int Pending>
TESSERA_DEVICE void wait_copies() {
#if TESSERA_CUDA_EMULATOR
  emulator::wait_copies(Pending);
#else
  asm volatile("cp.async.wait_group %0;\n" ::"n"(Pending) : "memory");
#endif
}

}  // namespace tessera::cuda
