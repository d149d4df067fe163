// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The language of kernels: CUDA C++ of a CUDA compiler, or the same names from test/emulator, where an ordinary compiler reads the file.
#pragma once

#include "tessera/core/config.hpp"

#if TESSERA_CUDA_EMULATOR
#include "tessera/emulator/cuda.hpp"
#elif TESSERA_CUDA_COMPILER
#include <cuda_runtime.h>
#else
#error "tessera: a header with kernels needs a CUDA compiler"
#endif

namespace tessera::cuda {

/// Where an access stands in the source: the emulator reports it; on a device it is nothing.
#if TESSERA_CUDA_EMULATOR
using code_place = emulator::code_place;
#else
struct code_place {
  TESSERA_HD static constexpr code_place current() { return {}; }
};
#endif

/// Threads of a warp.
inline constexpr int warp_threads = 32;

/// The number of this thread in its warp.
TESSERA_DEVICE int lane_id() { return static_cast<int>(threadIdx.x % 32); }
/// The number of this thread's warp in its block (blocks of one dimension).
TESSERA_DEVICE int warp_id() { return static_cast<int>(threadIdx.x / 32); }

/// x, of which the compiler no longer knows where it is from: what is computed from it is computed again, not kept in registers until here.
TESSERA_DEVICE unsigned made_anew(unsigned x) {
#if TESSERA_DEVICE_PASS
  asm volatile("" : "+r"(x));
#endif
  return x;
}

/// Loads below are not made above: where many that a loop allows at once would take registers from the usual way.
TESSERA_DEVICE void load_no_earlier() {
#if TESSERA_DEVICE_PASS
  asm volatile("" ::: "memory");
#endif
}

}  // namespace tessera::cuda
