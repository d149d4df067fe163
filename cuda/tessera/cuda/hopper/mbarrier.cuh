// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A barrier in shared memory that also waits for bytes (mbarrier, sm_90): how a kernel knows that a bulk copy has come.
#pragma once

#include <cstdint>

#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/shared.cuh"

namespace tessera::cuda::hopper {

/// Counts arrivals and bytes; a phase is complete when both have come, and the next begins. Whoever waits says the parity of the phase that is to be
/// complete: 0, 1, 0, … from the first on. A wait for parity 1 of a fresh barrier returns at once.
class mbarrier {
 public:
  TESSERA_DEVICE explicit mbarrier(std::uint64_t* in_shared_memory) : at_(in_shared_memory) {}

  [[nodiscard]] TESSERA_DEVICE std::uint64_t* address() const { return at_; }

  /// By one thread, before fence_init and a barrier of the block.
  TESSERA_DEVICE void init([[maybe_unused]] unsigned arrivals, [[maybe_unused]] code_place place = code_place::current()) const {
#if TESSERA_CUDA_EMULATOR
    emulator::mbarrier_init(at_, arrivals, place);
#elif TESSERA_HOPPER_PASS
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(to_shared_address(at_)), "r"(arrivals) : "memory");
#endif
  }
  /// Makes fresh barriers known to the copy engine.
  TESSERA_DEVICE static void fence_init([[maybe_unused]] code_place place = code_place::current()) {
#if TESSERA_CUDA_EMULATOR
    emulator::fence_async(place);
#elif TESSERA_HOPPER_PASS
    asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
  }
  TESSERA_DEVICE void arrive([[maybe_unused]] code_place place = code_place::current()) const {
#if TESSERA_CUDA_EMULATOR
    emulator::mbarrier_arrive(at_, place);
#elif TESSERA_HOPPER_PASS
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(to_shared_address(at_)) : "memory");
#endif
  }
  /// Arrives, and lets the phase wait for so many bytes more.
  TESSERA_DEVICE void arrive_and_expect([[maybe_unused]] unsigned bytes,
                                        [[maybe_unused]] code_place place = code_place::current()) const {
#if TESSERA_CUDA_EMULATOR
    emulator::mbarrier_arrive_expect(at_, bytes, place);
#elif TESSERA_HOPPER_PASS
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(to_shared_address(at_)), "r"(bytes) : "memory");
#endif
  }
  TESSERA_DEVICE void wait([[maybe_unused]] unsigned parity, [[maybe_unused]] code_place place = code_place::current()) const {
#if TESSERA_CUDA_EMULATOR
    emulator::mbarrier_wait(at_, parity, place);
#elif TESSERA_HOPPER_PASS
    asm volatile(
        "{\n"
        ".reg .pred complete;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 complete, [%0], %1;\n"
        "@complete bra done;\n"
        "bra again;\n"
        "done:\n"
        "}\n" ::"r"(to_shared_address(at_)),
        "r"(parity)
        : "memory");
#endif
  }

 private:
  std::uint64_t* at_;
};

/// Which of several buffers is next, and the parity of its phase.
template <int Stages>
struct pipeline_position {
  int stage = 0;
  unsigned parity = 0;

  TESSERA_DEVICE void advance() {
    if (++stage == Stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

}  // namespace tessera::cuda::hopper
