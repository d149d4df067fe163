// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Kernels put in a stream: the one place that knows a device from the emulator.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/cuda/error.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"

namespace tessera::cuda {

/// Blocks, threads of a block, and bytes of dynamic shared memory of a block.
struct shape {
  dim3 grid{1, 1, 1};
  dim3 block{1, 1, 1};
  std::size_t shared_bytes = 0;
  /// Blocks of a cluster (sm_90).
  dim3 cluster{1, 1, 1};
  /// Who asks, in the text of errors.
  const char* function = "cuda::launch";
};

namespace detail {

/// What blocks may take without being asked.
inline constexpr std::size_t shared_bytes_by_default = 48 * 1024;

/// Allows a kernel the shared memory it asks for, on the current device.
inline void allow_shared_bytes(const executor& exec, const shape& shape, const void* kernel) {
  if (shape.shared_bytes <= shared_bytes_by_default) return;
  const std::string needs = "needs at most " + std::to_string(exec.device().shared_bytes) + " on device " +
                            std::to_string(exec.device().ordinal) + " of compute capability " +
                            std::to_string(exec.capability() / 10) + "." + std::to_string(exec.capability() % 10);
  tessera::detail::expects(
      shape.shared_bytes <= exec.device().shared_bytes, shape.function, "shared memory",
      [&] { return std::to_string(shape.shared_bytes) + " bytes a block"; }, needs.c_str());
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes)),
        "cudaFuncSetAttribute");
}

/// Hands the arguments over, each of the type of the kernel's parameter.
template <class... P>
TESSERA_HIDDEN void launch_with(const executor& exec, const shape& shape, void (*kernel)(P...), P... arguments) {
#if TESSERA_CUDA_EMULATOR
  static_cast<void>(exec);
  emulator::launch(shape.grid, shape.block, shape.shared_bytes, kernel, arguments...);
  check(cudaGetLastError(), "cudaLaunchKernelExC");
#else
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = exec.stream();
  cudaLaunchAttribute cluster = {};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = shape.cluster.x;
  cluster.val.clusterDim.y = shape.cluster.y;
  cluster.val.clusterDim.z = shape.cluster.z;
  config.attrs = &cluster;
  config.numAttrs = shape.cluster.x * shape.cluster.y * shape.cluster.z > 1 ? 1 : 0;
  // One pointer more than arguments, as a kernel may have none.
  void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))..., nullptr};
  check(cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), pointers), "cudaLaunchKernelExC");
#endif
}

}  // namespace detail

/// Puts a kernel in the executor's stream: `launch(exec, {.grid = dim3(n), .block = dim3(256)}, kernel<float>, out, n)`.
///
/// Arguments are converted to the types of the kernel's parameters. The stream's device is the current one during the call. On the
/// emulator the kernel has run to its end when the call returns.
/// The caller is to be TESSERA_HIDDEN, as it holds the address of a kernel.
/// Cost            on a device: a look at the current device and a launch; above 48 KiB of shared memory also the call that allows it
/// Errors          argument_error: more shared memory than a block of the device may have (what it asks for, and what there is).
///                 cuda::error: whatever the runtime refuses; a grid or a block without threads among it
template <class... P, class... A>
TESSERA_HIDDEN void launch(const executor& exec, const shape& shape, void (*kernel)(P...), A&&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "cuda::launch: needs as many arguments as the kernel has parameters");
  const device_scope scope(exec);
  detail::allow_shared_bytes(exec, shape, reinterpret_cast<const void*>(kernel));
  detail::launch_with<P...>(exec, shape, kernel, static_cast<P>(std::forward<A>(arguments))...);
}

}  // namespace tessera::cuda
