// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The host layer, as a program without a GPU can use it: kernels are found and named, and the runtime's refusal has a name.
#include <cstdint>

#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/workspace.cuh"

namespace cuda_device {

template <class T>
TESSERA_KERNEL void fill(T* out, std::int64_t n, T value) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) out[i] = value;
}

TESSERA_KERNEL void nothing() {}

/// A filled array, by way of scratch memory.
TESSERA_HIDDEN void use(const tessera::cuda::executor& exec, const tessera::view<float, 1>& out) {
  namespace cuda = tessera::cuda;
  cuda::detail::check_memory(exec, out, "cuda_device::use", "out");
  const cuda::workspace memory(exec, 1024, "cuda_device::use");
  cuda::launch(exec, {.grid = dim3(4), .block = dim3(64), .shared_bytes = 64 * 1024, .function = "cuda_device::use"}, fill<float>,
               out.data_handle(), 256, 1);
  cuda::launch(exec, cuda::shape{dim3(1), dim3(32), 0}, nothing);
}

}  // namespace cuda_device

void use_all() {
  try {
    cuda_device::use(tessera::cuda::on(), tessera::view<float, 1>(nullptr, 0));
  } catch (const tessera::cuda::error&) {
  }
}
