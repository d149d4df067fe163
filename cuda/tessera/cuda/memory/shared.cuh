// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Shared memory of a block: one run of bytes given at the launch, cut into arrays. Accesses go through functions that know their place in
/// the source, so that the emulator can say which of them is wrong; on a device they are plain loads and stores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tessera/cuda/kernel.cuh"

namespace tessera::cuda {

/// The dynamic shared memory of the block, aligned to 1024 bytes (what the swizzles of tensor copies ask for).
TESSERA_DEVICE std::byte* dynamic_shared_memory() {
#if TESSERA_CUDA_EMULATOR
  return emulator::dynamic_shared_memory();
#else
  extern __shared__ __align__(1024) unsigned char tessera_dynamic_shared_memory[];
  return reinterpret_cast<std::byte*>(tessera_dynamic_shared_memory);
#endif
}

/// An address as instructions for shared memory want it.
#if TESSERA_CUDA_EMULATOR
using shared_address = std::byte*;
TESSERA_DEVICE shared_address to_shared_address(const void* p) { return static_cast<std::byte*>(const_cast<void*>(p)); }
#else
using shared_address = std::uint32_t;
TESSERA_DEVICE shared_address to_shared_address(const void* p) { return static_cast<std::uint32_t>(__cvta_generic_to_shared(p)); }
#endif

/// An array in shared memory.
template <class T>
class shared_array {
 public:
  TESSERA_HD static constexpr std::size_t bytes(std::size_t count) { return (count * sizeof(T) + 127) / 128 * 128; }

  TESSERA_DEVICE shared_array(T* data, int size) : data_(data), size_(size) {}

  [[nodiscard]] TESSERA_DEVICE int size() const { return size_; }
  [[nodiscard]] TESSERA_DEVICE T* address(int i) const { return data_ + i; }

  /// Elements [first, first + count).
  [[nodiscard]] TESSERA_DEVICE shared_array part(int first, int count) const { return {data_ + first, count}; }

  [[nodiscard]] TESSERA_DEVICE T load(int i, code_place place = code_place::current()) const { return load_as<T>(i, place); }
  TESSERA_DEVICE void store(int i, T x, code_place place = code_place::current()) const { store_as<T>(i, x, place); }

  /// Elements from i on as one V, aligned as V is: a vector of several.
  template <class V>
  [[nodiscard]] TESSERA_DEVICE V load_as(int i, [[maybe_unused]] code_place place = code_place::current()) const {
#if TESSERA_CUDA_EMULATOR
    check<V>(i, emulator::access::read, place);
    V x;
    std::memcpy(&x, data_ + i, sizeof x);
    return x;
#else
    return *reinterpret_cast<const V*>(data_ + i);
#endif
  }
  template <class V>
  TESSERA_DEVICE void store_as(int i, const V& x, [[maybe_unused]] code_place place = code_place::current()) const {
#if TESSERA_CUDA_EMULATOR
    check<V>(i, emulator::access::write, place);
    std::memcpy(static_cast<void*>(data_ + i), &x, sizeof x);
#else
    *reinterpret_cast<V*>(data_ + i) = x;
#endif
  }

 private:
#if TESSERA_CUDA_EMULATOR
  template <class V>
  void check(int i, emulator::access how, code_place place) const {
    const bool inside =
        i >= 0 && (static_cast<std::size_t>(i) * sizeof(T) + sizeof(V)) <= static_cast<std::size_t>(size_) * sizeof(T);
    if (!inside) emulator::out_of_bounds(i, size_, place);
    emulator::check_shared(data_ + i, sizeof(V), how, place);
  }
#endif

  T* data_;
  int size_;
};

/// Cuts shared memory into arrays, each from a multiple of 128 bytes on (shared_array::bytes says how many it takes).
class shared_cursor {
 public:
  TESSERA_DEVICE explicit shared_cursor(std::byte* at) : at_(at) {}

  template <class T>
  TESSERA_DEVICE shared_array<T> take(int count) {
    T* const data = reinterpret_cast<T*>(at_);
    at_ += shared_array<T>::bytes(static_cast<std::size_t>(count));
    return {data, count};
  }

 private:
  std::byte* at_;
};

}  // namespace tessera::cuda
