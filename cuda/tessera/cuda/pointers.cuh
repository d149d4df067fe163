// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Whose memory an argument is in: a pointer of the host is refused with the argument's name before a kernel fails without one.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/cuda/error.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/tile/view.hpp"

/// 0 leaves out the question whose memory a pointer is in: about a tenth of a microsecond an argument, and the only checks that can be
/// switched off. Also for those who pass ordinary host memory on purpose, to devices that read it (Grace Hopper, HMM), or memory of
/// another device with peer access. Set it for all translation units of a program, or for none.
#if !defined(TESSERA_CUDA_CHECK_POINTERS)
#define TESSERA_CUDA_CHECK_POINTERS 1
#endif

namespace tessera::cuda::detail {

/// Whose memory it is, as the text of an error; empty where the device of the executor may use it.
inline std::string foreign_memory(const executor& exec, const void* pointer) {
  cudaPointerAttributes attributes = {};
  check(cudaPointerGetAttributes(&attributes, pointer), "cudaPointerGetAttributes");
  switch (attributes.type) {
    case cudaMemoryTypeDevice:
      return attributes.device == exec.device().ordinal ? "" : "memory of device " + std::to_string(attributes.device);
    case cudaMemoryTypeManaged:
      return "";
    case cudaMemoryTypeHost:
      return attributes.devicePointer == pointer ? "" : "host memory that the device does not see";
    default:
      return "host memory";
  }
}

/// Refuses a pointer that the device cannot use, or that is not aligned to one element.
///
/// Accepted: memory of the executor's device, managed memory, and pinned host memory that is mapped at the same address (slow, but somebody
/// asked for it). The pointer alone is looked at, not how far the memory goes.
/// Not here        null: whoever checks shapes knows where it matters
inline void check_pointer(const executor& exec, const void* pointer, std::size_t alignment, const char* function,
                          const char* argument) {
  if (pointer == nullptr) return;
  const auto beyond = reinterpret_cast<std::uintptr_t>(pointer) % alignment;
  if (beyond != 0) [[unlikely]] {
    const std::string needs = "needs a multiple of " + std::to_string(alignment) + " (the size of an element)";
    tessera::detail::fail(function, argument, "an address " + std::to_string(beyond) + " bytes past one of an element",
                          needs.c_str());
  }
#if TESSERA_CUDA_CHECK_POINTERS
  const std::string owner = foreign_memory(exec, pointer);
  if (!owner.empty()) [[unlikely]] {
    const std::string needs = "needs memory of the GPU (device " + std::to_string(exec.device().ordinal) + ")";
    tessera::detail::fail(function, argument, owner, needs.c_str());
  }
#else
  static_cast<void>(exec);
#endif
}

/// True where check_pointer has nothing to say.
inline bool usable(const executor& exec, const void* pointer, std::size_t alignment) {
  if (reinterpret_cast<std::uintptr_t>(pointer) % alignment != 0) return false;
#if TESSERA_CUDA_CHECK_POINTERS
  return pointer == nullptr || foreign_memory(exec, pointer).empty();
#else
  static_cast<void>(exec);
  return true;
#endif
}

/// check_pointer for each of a view's elements; a view without elements may have any pointer.
template <class T, std::size_t Rank>
void check_memory(const executor& exec, const view<T, Rank>& v, const char* function, const char* argument) {
  if (v.size() != 0) check_pointer(exec, v.data_handle(), alignof(T), function, argument);
}

}  // namespace tessera::cuda::detail
