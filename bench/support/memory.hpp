// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// How much memory calls take beyond their inputs and outputs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory_resource>

namespace bench {

/// The default memory, and the most that was taken of it at a time. Calls take theirs before they share out their work: no locks.
class counted_memory : public std::pmr::memory_resource {
 public:
  [[nodiscard]] std::size_t most() const { return most_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const p = std::pmr::get_default_resource()->allocate(bytes, alignment);
    taken_ += bytes;
    most_ = std::max(most_, taken_);
    return p;
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    std::pmr::get_default_resource()->deallocate(p, bytes, alignment);
    taken_ -= bytes;
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  std::size_t taken_ = 0;
  std::size_t most_ = 0;
};

}  // namespace bench
