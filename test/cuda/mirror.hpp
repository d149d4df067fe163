// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Arrays of the host for calls on the device: what a view reaches is copied there, and back.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "tessera/cuda/error.cuh"
#include "tessera/tile/view.hpp"

namespace support {

/// Device memory that mirrors views of the host, gaps between rows included, at the same distance from a multiple of 256 bytes.
class mirror {
 public:
  mirror() = default;
  mirror(const mirror&) = delete;
  mirror& operator=(const mirror&) = delete;
  ~mirror() {
    for (const block& b : blocks_) static_cast<void>(cudaFree(b.device));
  }

  /// The view on the device.
  template <class T, std::size_t Rank>
  tessera::view<T, Rank> operator()(const tessera::view<T, Rank>& host) {
    if (host.size() == 0) return host;
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
    tessera::detail::byte_range(host, first, last);
    const std::size_t skip = first % 256;
    block b{nullptr, reinterpret_cast<std::byte*>(first), skip, last - first, !std::is_const_v<T>};
    tessera::cuda::check(cudaMalloc(&b.device, skip + b.bytes), "cudaMalloc");
    blocks_.push_back(b);
    std::byte* const to = static_cast<std::byte*>(b.device) + skip;
    tessera::cuda::check(cudaMemcpy(to, b.host, b.bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    std::int64_t extents[Rank];
    std::int64_t strides[Rank];
    for (std::size_t r = 0; r < Rank; ++r) {
      extents[r] = host.extent(r);
      strides[r] = host.stride(r);
    }
    const auto offset = reinterpret_cast<std::uintptr_t>(host.data_handle()) - first;
    return {reinterpret_cast<T*>(to + offset), extents, strides};
  }

  /// Copies everything back that was not const.
  void bring_back() const {
    for (const block& b : blocks_) {
      if (!b.written) continue;
      tessera::cuda::check(cudaMemcpy(b.host, static_cast<std::byte*>(b.device) + b.skip, b.bytes, cudaMemcpyDeviceToHost),
                           "cudaMemcpy");
    }
  }

 private:
  struct block {
    void* device;
    std::byte* host;
    std::size_t skip;
    std::size_t bytes;
    bool written;
  };
  std::vector<block> blocks_;
};

/// An array of n results on the device.
template <class T>
class results {
 public:
  explicit results(std::int64_t n) : host_(static_cast<std::size_t>(n)) {
    if (n > 0) tessera::cuda::check(cudaMalloc(&device_, host_.size() * sizeof(T)), "cudaMalloc");
  }
  results(const results&) = delete;
  results& operator=(const results&) = delete;
  ~results() { static_cast<void>(cudaFree(device_)); }

  [[nodiscard]] T* device() const { return static_cast<T*>(device_); }
  const std::vector<T>& bring_back() {
    if (device_ != nullptr) {
      tessera::cuda::check(cudaMemcpy(host_.data(), device_, host_.size() * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
    }
    return host_;
  }

 private:
  void* device_ = nullptr;
  std::vector<T> host_;
};

}  // namespace support
