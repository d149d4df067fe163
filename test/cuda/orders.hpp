// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What tests vary: the order of threads and blocks, which only the emulator can, and what the host layer takes the device for.
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

/// The executor of an older device, whose kernels a newer one runs, too: 8 takes no kernel that Hopper alone has.
inline tessera::cuda::executor on_generation(int major) {
  const auto exec = tessera::cuda::on();
  auto device = exec.device();
  if (device.capability < 10 * (major + 1)) return exec;
  device.capability = 10 * major;
  if (major < 9 && device.shared_bytes > 163 * 1024) device.shared_bytes = 163 * 1024;
  return {exec.stream(), device};
}

/// The executor of a device with one multiprocessor: as the host layer sees it, which bounds grids by it. The device may have more.
inline tessera::cuda::executor on_one_multiprocessor() {
  const auto exec = tessera::cuda::on();
  auto device = exec.device();
  device.multiprocessors = 1;
  return {exec.stream(), device};
}

}  // namespace support
