// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The devices that the runtime of the emulator pretends to have (runtime.cpp).
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace tessera::emulator {

/// What a device says of itself; two of them, so that "the wrong device" can be tested.
struct device {
  int major = 9;
  int minor = 0;
  int multiprocessors = 132;
  /// What a block may have when it asks with cudaFuncSetAttribute.
  [[nodiscard]] std::size_t shared_bytes() const { return (major >= 9 ? 227u : 163u) * 1024u; }
};
inline constexpr int device_count = 2;
device& properties(int ordinal);

namespace detail {

/// What cudaLaunchKernel says of a launch before it runs. A failure is the thread's last error.
cudaError_t accept(dim3 grid, dim3 block, std::size_t shared_bytes, const void* kernel);
/// Null, or what is wrong with the bytes around an allocation.
const char* damage();

}  // namespace detail
}  // namespace tessera::emulator
