// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What only the emulator can vary: the order of threads and blocks, and the size of the device. On a GPU these do nothing.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/cuda/exec.cuh"

#if TESSERA_CUDA_EMULATOR
#include "tessera/emulator/device.hpp"
#include "tessera/emulator/options.hpp"
#endif

namespace support {

/// Calls f() under several orders of lanes, warps and blocks.
template <class F>
void in_several_orders(const F& f) {
#if TESSERA_CUDA_EMULATOR
  using tessera::emulator::block_order;
  for (const std::uint64_t seed : {1, 2, 3}) {
    for (const block_order order : {block_order::ascending, block_order::descending, block_order::shuffled}) {
      tessera::emulator::settings().order = order;
      tessera::emulator::seed(seed);
      f();
    }
  }
  tessera::emulator::settings() = {};
#else
  f();
#endif
}

/// The executor of a device with one multiprocessor: as the host layer sees it, which bounds grids by it. The device may have more.
inline tessera::cuda::executor on_one_multiprocessor() {
  const auto exec = tessera::cuda::on();
  auto device = exec.device();
  device.multiprocessors = 1;
  return {exec.stream(), device};
}

}  // namespace support
