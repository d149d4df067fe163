// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Arrays in the memory of the device, with elements around them that nobody may touch.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tessera/cuda/error.cuh"
#include "tessera/tile/view.hpp"

namespace support {

/// `size` elements, `offset` elements past an address that cudaMalloc gives: what misaligns them.
template <class T>
class device_array {
 public:
  explicit device_array(std::int64_t size, std::int64_t offset = 0) : size_(size), offset_(offset) {
    tessera::cuda::check(cudaMalloc(&block_, bytes_of_all()), "cudaMalloc");
    tessera::cuda::check(cudaMemset(block_, 0xA5, bytes_of_all()), "cudaMemset");
  }
  explicit device_array(const std::vector<T>& values, std::int64_t offset = 0)
      : device_array(static_cast<std::int64_t>(values.size()), offset) {
    set(values);
  }
  device_array(const device_array&) = delete;
  device_array& operator=(const device_array&) = delete;
  ~device_array() { static_cast<void>(cudaFree(block_)); }

  [[nodiscard]] T* data() const { return static_cast<T*>(block_) + offset_; }
  [[nodiscard]] std::int64_t size() const { return size_; }
  [[nodiscard]] tessera::view<T, 1> view() const { return tessera::view<T, 1>(data(), size_); }
  [[nodiscard]] tessera::view<const T, 1> constant() const { return tessera::view<const T, 1>(data(), size_); }

  void set(const std::vector<T>& values) {
    if (!values.empty()) {
      tessera::cuda::check(cudaMemcpy(data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
    }
  }
  [[nodiscard]] std::vector<T> get() const {
    std::vector<T> values(static_cast<std::size_t>(size_));
    if (size_ != 0) {
      tessera::cuda::check(cudaMemcpy(values.data(), data(), values.size() * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
    }
    return values;
  }

  /// True while the elements before and after the array have kept their bytes.
  [[nodiscard]] bool borders_intact() const {
    std::vector<unsigned char> all(bytes_of_all());
    tessera::cuda::check(cudaMemcpy(all.data(), block_, all.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
    const std::size_t begin = static_cast<std::size_t>(offset_) * sizeof(T);
    const std::size_t end = begin + static_cast<std::size_t>(size_) * sizeof(T);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if ((i < begin || i >= end) && all[i] != 0xA5) return false;
    }
    return true;
  }

 private:
  static constexpr std::int64_t border = 32;

  [[nodiscard]] std::size_t bytes_of_all() const { return static_cast<std::size_t>(offset_ + size_ + border) * sizeof(T); }

  std::int64_t size_;
  std::int64_t offset_;
  void* block_ = nullptr;
};

/// Equal bit for bit.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace support
