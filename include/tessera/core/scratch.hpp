// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Scratch memory of one call: one block from the executor's memory resource, cut into aligned arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>

#include "tessera/core/config.hpp"

namespace tessera::detail {

/// Cuts a block into arrays, each from a multiple of Alignment bytes on. Over a null block it only counts, so that the same code that
/// lays the arrays out also says how many bytes they need.
template <std::size_t Alignment>
class aligned_bump {
 public:
  static constexpr std::size_t alignment = Alignment;

  explicit aligned_bump(std::byte* block = nullptr) : block_(block) {}

  template <class T>
  T* take(std::int64_t count) {
    T* const result = block_ != nullptr ? reinterpret_cast<T*>(block_ + used_) : nullptr;
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + alignment - 1) / alignment * alignment;
    return result;
  }

  [[nodiscard]] std::size_t bytes() const { return used_; }

 private:
  std::byte* block_;
  std::size_t used_ = 0;
};

/// Arrays on cache lines of their own.
using bump = aligned_bump<64>;

/// The block itself, given back at the end of the call.
///
/// It is asked for with the alignment of any object and cut to a cache line here: allocators keep the remainders of over-aligned
/// blocks apart, so that the block of the next call, of the same size, would not fit into the place of this one.
class scratch {
 public:
  TESSERA_ALWAYS_INLINE scratch(std::pmr::memory_resource* memory, std::size_t bytes)
      : memory_(memory),
        bytes_(bytes != 0 ? bytes + bump::alignment : 0),
        block_(bytes != 0 ? static_cast<std::byte*>(memory->allocate(bytes_, alignof(std::max_align_t))) : nullptr) {}
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  TESSERA_ALWAYS_INLINE ~scratch() {
    if (block_ != nullptr) memory_->deallocate(block_, bytes_, alignof(std::max_align_t));
  }

  [[nodiscard]] std::byte* data() const {
    const std::size_t beyond = reinterpret_cast<std::uintptr_t>(block_) % bump::alignment;
    return block_ + (beyond != 0 ? bump::alignment - beyond : 0);
  }

 private:
  std::pmr::memory_resource* memory_;
  std::size_t bytes_;
  std::byte* block_;
};

}  // namespace tessera::detail
