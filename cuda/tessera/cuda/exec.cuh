// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The executor of a CUDA stream. Plain C++: a compiler without CUDA reads it, too.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "tessera/core/config.hpp"
#include "tessera/cuda/error.cuh"

namespace tessera::cuda {

/// What a call has to know of a device: asked once, when an executor is made, and carried by it.
struct device_properties {
  /// The number that cudaSetDevice takes.
  int ordinal = 0;
  /// The compute capability: 80 for 8.0, 90 for 9.0.
  int capability = 0;
  int multiprocessors = 0;
  /// The most dynamic shared memory that a block may ask for.
  std::size_t shared_bytes = 0;
};

/// Says that a call runs on a stream of a CUDA device; what `on` returns.
///
/// A value: copies are cheap and independent. Calls only put work in the stream. They do not wait for it, start no thread and keep no
/// state between them; scratch memory is the caller's block (`workspace`), or comes from and returns to the stream's own pool
/// (cudaMallocAsync), in the order of the stream, so that a call may be captured in a graph.
class executor {
 public:
  executor(cudaStream_t stream, const device_properties& device) noexcept : stream_(stream), device_(device) {}

  /// The same executor with scratch memory of its own: `bytes` at `block` on the device, which must stay until the work is done.
  ///
  /// Nothing is allocated then: a call that needs more refuses with the size it needs. Calls in one stream may share a block.
  [[nodiscard]] executor workspace(void* block, std::size_t bytes) const noexcept {
    executor result = *this;
    result.workspace_ = static_cast<std::byte*>(block);
    result.workspace_bytes_ = bytes;
    result.has_workspace_ = true;
    return result;
  }

  /// The same executor, whose products of float32 numbers may be made on the tensor cores, of 11 bits of each (tf32): several times as fast,
  /// with errors near those of float16 inputs. Sums stay float32. Without it float32 is exact to its own roundings.
  [[nodiscard]] executor tf32(bool allowed = true) const noexcept {
    executor result = *this;
    result.tf32_ = allowed;
    return result;
  }
  [[nodiscard]] bool allows_tf32() const noexcept { return tf32_; }

  [[nodiscard]] cudaStream_t stream() const noexcept { return stream_; }
  [[nodiscard]] const device_properties& device() const noexcept { return device_; }
  /// The compute capability of the device: 80 for 8.0, 90 for 9.0.
  [[nodiscard]] int capability() const noexcept { return device_.capability; }

  /// False where calls take scratch memory from the pool.
  [[nodiscard]] bool has_workspace() const noexcept { return has_workspace_; }
  [[nodiscard]] std::byte* workspace_data() const noexcept { return workspace_; }
  [[nodiscard]] std::size_t workspace_bytes() const noexcept { return workspace_bytes_; }

 private:
  cudaStream_t stream_;
  device_properties device_;
  std::byte* workspace_ = nullptr;
  std::size_t workspace_bytes_ = 0;
  bool has_workspace_ = false;
  bool tf32_ = false;
};

/// Makes a device the current one of this thread, and the one before it again at the end.
class device_scope {
 public:
  explicit device_scope(const executor& exec) : device_scope(exec.device().ordinal) {}
  explicit device_scope(int ordinal) {
    check(cudaGetDevice(&before_), "cudaGetDevice");
    changed_ = before_ != ordinal;
    if (changed_) check(cudaSetDevice(ordinal), "cudaSetDevice");
  }
  device_scope(const device_scope&) = delete;
  device_scope& operator=(const device_scope&) = delete;
  ~device_scope() {
    if (changed_) static_cast<void>(cudaSetDevice(before_));
  }

 private:
  int before_ = 0;
  bool changed_ = false;
};

namespace detail {

inline int attribute(cudaDeviceAttr which, int ordinal) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, ordinal), "cudaDeviceGetAttribute");
  return value;
}

/// The device that a stream belongs to; the streams of no name are those of the current device.
inline int device_of(cudaStream_t stream) {
  int ordinal = 0;
#if CUDART_VERSION >= 12080
  if (stream != nullptr && stream != cudaStreamLegacy && stream != cudaStreamPerThread) {
    check(cudaStreamGetDevice(stream, &ordinal), "cudaStreamGetDevice");
    return ordinal;
  }
#endif
  check(cudaGetDevice(&ordinal), "cudaGetDevice");
  return ordinal;
}

}  // namespace detail

/// The executor of a stream: `attention::forward(cuda::on(stream), q, k, v, out)`. Without a stream, the default one of the current device.
///
/// Cost            five questions to the runtime, together less than a microsecond on most systems; keep the executor where that counts
/// Errors          cuda::error: no device, or no such stream
/// Before CUDA 12.8 a stream cannot tell its device: it must then belong to the current one.
[[nodiscard]] inline executor on(cudaStream_t stream = nullptr) {
  device_properties device;
  device.ordinal = detail::device_of(stream);
  device.capability = 10 * detail::attribute(cudaDevAttrComputeCapabilityMajor, device.ordinal) +
                      detail::attribute(cudaDevAttrComputeCapabilityMinor, device.ordinal);
  device.multiprocessors = detail::attribute(cudaDevAttrMultiProcessorCount, device.ordinal);
  device.shared_bytes = static_cast<std::size_t>(detail::attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device.ordinal));
  return {stream, device};
}

}  // namespace tessera::cuda
