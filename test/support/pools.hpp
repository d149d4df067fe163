// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Thread pools that are not ours, for par.on.
#pragma once

#include <thread>
#include <vector>

namespace support {

/// A thread for each call, started together.
struct thread_per_call {
  int count = 3;
  [[nodiscard]] int threads() const { return count; }
  template <class F>
  void run(int n, const F& f) const {
    std::vector<std::thread> threads;
    for (int i = 0; i < n; ++i) threads.emplace_back([&f, i] { f(i); });
    for (std::thread& thread : threads) thread.join();
  }
};

/// One call after the other on the calling thread, the last one first.
struct one_by_one {
  int count = 4;
  [[nodiscard]] int threads() const { return count; }
  template <class F>
  void run(int n, const F& f) const {
    for (int i = n - 1; i >= 0; --i) f(i);
  }
};

}  // namespace support
