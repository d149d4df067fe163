// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Stacks of fibers, kept for the next block.
#pragma once

#include <boost/context/protected_fixedsize_stack.hpp>
#include <boost/context/stack_context.hpp>
#include <cstddef>
#include <vector>

#include "tessera/emulator/sanitizer.hpp"

namespace tessera::emulator::detail {

/// One thread's stacks. They begin at different distances from a page: the 32 lanes of a warp use the same depth of their stacks at a time,
/// and stacks at multiples of a power of two would share a few sets of the caches.
class stack_pool {
 public:
  static constexpr std::size_t bytes = 256 * 1024;

  stack_pool() = default;
  stack_pool(const stack_pool&) = delete;
  stack_pool& operator=(const stack_pool&) = delete;
  ~stack_pool() {
    for (auto& stack : all_) boost::context::protected_fixedsize_stack(bytes).deallocate(stack);
  }

  boost::context::stack_context take() {
    if (free_.empty()) {
      all_.push_back(boost::context::protected_fixedsize_stack(bytes).allocate());
      boost::context::stack_context stack = all_.back();
      const std::size_t shift = (all_.size() % 64) * (1024 + 64);
      stack.sp = static_cast<std::byte*>(stack.sp) - shift;
      stack.size -= shift;
      free_.push_back(stack);
    }
    const boost::context::stack_context stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void give(const boost::context::stack_context& stack) { free_.push_back(stack); }

  static stack_pool& of_thread() {
    static thread_local stack_pool pool;
    return pool;
  }

 private:
  std::vector<boost::context::stack_context> all_;
  std::vector<boost::context::stack_context> free_;
};

/// The pool as Boost.Context asks for it; says where the stack lies.
struct pooled_stack {
  stack_bounds* bounds;

  [[nodiscard]] boost::context::stack_context allocate() const {
    const boost::context::stack_context stack = stack_pool::of_thread().take();
    *bounds = {static_cast<std::byte*>(stack.sp) - stack.size, stack.size};
    return stack;
  }
  static void deallocate(boost::context::stack_context& stack) { stack_pool::of_thread().give(stack); }
};

}  // namespace tessera::emulator::detail
