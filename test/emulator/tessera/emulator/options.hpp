// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a test may choose: the order of things that CUDA leaves open, and the checks that cost time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::emulator {

/// The order in which the blocks of a grid run, one after another.
enum class block_order { ascending, descending, shuffled };

struct options {
  /// Which lane and which warp goes next wherever one waits.
  std::uint64_t seed = 1;
  block_order order = block_order::ascending;
  /// Two accesses of one byte of dynamic shared memory, one of them a write, that nothing orders, are a fault.
  bool races = true;
  /// Turns without progress after which threads that poll (atomics, __nanosleep, try_wait) are taken to wait for ever.
  std::uint64_t patience = 20'000'000;
};

/// This thread's options, for the launches to come.
inline options& settings() {
  static thread_local options of_thread;
  return of_thread;
}

inline void seed(std::uint64_t s) { settings().seed = s; }

/// xorshift64*: fast, and good enough to pick who goes next.
class dice {
 public:
  explicit dice(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 0x632BE59BD9B4E019u) {
    if (state_ == 0) state_ = 1;
  }
  std::uint32_t operator()() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<std::uint32_t>((state_ * 0x2545F4914F6CDD1Du) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace tessera::emulator
