// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Scratch memory of one call on a device: the caller's block, or a block of the stream's pool.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/cuda/error.cuh"
#include "tessera/cuda/exec.cuh"

namespace tessera::cuda {

/// Cuts a block into arrays, each aligned as cudaMalloc aligns; over a null block it only counts bytes.
using bump = tessera::detail::aligned_bump<256>;

/// The block itself: taken at once, given back in the order of the stream, when the work put in the stream until then is done.
///
///   cuda::bump needed;            needed.take<float>(n);
///   const cuda::workspace memory(exec, needed.bytes(), "room::function");
///   cuda::bump block(memory.data());
///   float* const partial = block.take<float>(n);
///
/// Cost            none for the caller's block; else cudaMallocAsync and cudaFreeAsync, which take memory from the driver the first time only
/// Errors          argument_error: the caller's block is too small (with the bytes it needs) or not aligned to 16 bytes; cuda::error: no memory left
class workspace {
 public:
  workspace(const executor& exec, std::size_t bytes, const char* function) : stream_(exec.stream()) {
    if (bytes == 0) return;
    if (exec.has_workspace()) {
      block_ = aligned(exec, bytes, function);
      return;
    }
    void* block = nullptr;  // of the stream's device, whatever the current one
    check(cudaMallocAsync(&block, bytes, stream_), "cudaMallocAsync");
    block_ = static_cast<std::byte*>(block);
    owned_ = true;
  }
  workspace(const workspace&) = delete;
  workspace& operator=(const workspace&) = delete;
  ~workspace() {
    if (owned_) static_cast<void>(cudaFreeAsync(block_, stream_));
  }

  /// Null where no bytes were asked for. Its alignment is that of cuda::bump.
  [[nodiscard]] std::byte* data() const noexcept { return block_; }

  /// What `executor::workspace` has to be given for a call that needs `bytes`: a block of any alignment then serves.
  static constexpr std::size_t to_give(std::size_t bytes) { return bytes == 0 ? 0 : bytes + bump::alignment; }

 private:
  static std::byte* aligned(const executor& exec, std::size_t bytes, const char* function) {
    const auto at = reinterpret_cast<std::uintptr_t>(exec.workspace_data());
    const std::size_t skip = (bump::alignment - at % bump::alignment) % bump::alignment;
    const std::string needs = "needs " + std::to_string(bytes) + " bytes (" + std::to_string(to_give(bytes)) +
                              " where they are not aligned to " + std::to_string(bump::alignment) + ")";
    tessera::detail::expects(
        at != 0 && skip + bytes <= exec.workspace_bytes(), function, "workspace",
        [&] {
          return at == 0 ? std::string("null")
                         : std::to_string(exec.workspace_bytes()) + " bytes, " + std::to_string(skip) +
                               " of them before the first aligned one";
        },
        needs.c_str());
    return exec.workspace_data() + skip;
  }

  cudaStream_t stream_;
  std::byte* block_ = nullptr;
  bool owned_ = false;
};

}  // namespace tessera::cuda
