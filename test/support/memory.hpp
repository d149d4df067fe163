// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A memory resource that counts, checks and poisons.
#pragma once

#include <cstddef>
#include <cstring>
#include <map>
#include <memory_resource>
#include <stdexcept>

namespace support {

/// What it gives reads as NaN; the same block must come back, with its size and alignment.
class counting_resource : public std::pmr::memory_resource {
 public:
  [[nodiscard]] int allocations() const { return allocations_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool all_returned() const { return blocks_.empty() && !wrong_return_; }

 private:
  struct block {
    std::size_t bytes;
    std::size_t alignment;
  };

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const result = upstream_->allocate(bytes, alignment);
    std::memset(result, 0xFF, bytes);
    blocks_[result] = {bytes, alignment};
    ++allocations_;
    bytes_ += bytes;
    return result;
  }
  void do_deallocate(void* pointer, std::size_t bytes, std::size_t alignment) override {
    const auto found = blocks_.find(pointer);
    if (found == blocks_.end() || found->second.bytes != bytes || found->second.alignment != alignment) {
      wrong_return_ = true;
      return;
    }
    blocks_.erase(found);
    upstream_->deallocate(pointer, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::pmr::memory_resource* upstream_ = std::pmr::new_delete_resource();
  std::map<void*, block> blocks_;
  int allocations_ = 0;
  std::size_t bytes_ = 0;
  bool wrong_return_ = false;
};

/// Refuses every request.
class exhausted_resource : public std::pmr::memory_resource {
  void* do_allocate(std::size_t, std::size_t) override { throw std::bad_alloc(); }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

}  // namespace support
