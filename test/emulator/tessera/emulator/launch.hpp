// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A grid, block after block, on the calling thread.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <vector>

#include "tessera/emulator/block.hpp"
#include "tessera/emulator/device.hpp"
#include "tessera/emulator/run_block.hpp"
#include "tessera/emulator/sanitizer.hpp"

namespace tessera::emulator {
namespace detail {

/// Memory for the dynamic shared memory of a block, with bytes behind it that a kernel must leave alone.
class shared_storage {
 public:
  static constexpr std::size_t guard = 4096;
  static constexpr std::size_t most = 228 * 1024;

  std::byte* begin_block(std::size_t bytes) {
    if (!memory_) memory_.reset(static_cast<std::byte*>(::operator new(most + guard, std::align_val_t(1024))));
    allow(memory_.get(), most + guard);
    std::memset(memory_.get(), 0xFF, bytes);  // a NaN in every format
    std::memset(memory_.get() + bytes, 0xA5, guard);
    forbid(memory_.get() + bytes, guard);
    return memory_.get();
  }
  [[nodiscard]] bool damaged(std::size_t bytes) const {
    if (TESSERA_EMULATOR_ADDRESS_SANITIZER) return false;  // it has stopped the program at the very line
    static const std::vector<std::byte> untouched(guard, std::byte{0xA5});
    return std::memcmp(memory_.get() + bytes, untouched.data(), guard) != 0;
  }

  static shared_storage& of_thread() {
    static thread_local shared_storage storage;
    return storage;
  }

 private:
  struct release {
    void operator()(std::byte* p) const {
      allow(p, most + guard);
      ::operator delete(p, std::align_val_t(1024));
    }
  };
  std::unique_ptr<std::byte, release> memory_;
};

/// The state of a kernel that runs on this thread; gone when it ends, however it ends.
class running {
 public:
  running(dim3 grid, dim3 block_size) {
    if (current != nullptr) throw std::logic_error("tessera::emulator::launch: a kernel launches a kernel");
    gridDim = grid;
    blockDim = block_size;
    current = &block::of_thread();
  }
  running(const running&) = delete;
  running& operator=(const running&) = delete;
  ~running() { current = nullptr; }
};

inline std::vector<unsigned> order_of_blocks(unsigned count, const options& chosen) {
  std::vector<unsigned> order(count);
  std::iota(order.begin(), order.end(), 0u);
  if (chosen.order == block_order::descending) std::reverse(order.begin(), order.end());
  if (chosen.order == block_order::shuffled) {
    dice random(chosen.seed + 1);
    for (unsigned i = count; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  }
  return order;
}

}  // namespace detail

/// Runs a kernel to its end: cudaLaunchKernel. What CUDA refuses is returned, and is cudaGetLastError(); what the kernel does wrong is thrown as
/// a fault.
template <class... P>
cudaError_t launch(dim3 grid, dim3 block, std::size_t shared_bytes, void (*kernel)(P...), std::type_identity_t<P>... args) {
  if (const cudaError_t refused = detail::accept(grid, block, shared_bytes, reinterpret_cast<const void*>(kernel));
      refused != cudaSuccess) {
    return refused;
  }
  struct call {
    void (*kernel)(P...);
    std::tuple<P...> args;
  } const what{kernel, std::tuple<P...>(args...)};
  const detail::block::body body{[](const void* data) {
                                   const call& c = *static_cast<const call*>(data);
                                   std::apply(c.kernel, c.args);
                                 },
                                 &what};
  const detail::running scope(grid, block);
  detail::block& b = *detail::current;
  b.begin_launch(settings());
  detail::shared_storage& shared = detail::shared_storage::of_thread();
  for (const unsigned i : detail::order_of_blocks(grid.x * grid.y * grid.z, settings())) {
    const uint3 index{i % grid.x, i / grid.x % grid.y, i / (grid.x * grid.y)};
    b.run(index, block, shared.begin_block(shared_bytes), shared_bytes, body);
    if (shared.damaged(shared_bytes)) throw fault(index, {}, {}, "something is written behind the end of shared memory");
    if (const char* what_is_wrong = detail::damage()) throw fault(index, {}, {}, what_is_wrong);
  }
  return cudaSuccess;
}

}  // namespace tessera::emulator
