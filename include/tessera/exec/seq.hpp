// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The executor of this thread.
#pragma once

#include <cstdint>
#include <memory_resource>

#include "tessera/simd/compat.hpp"

namespace tessera {

/// Runs a call on the calling thread with the instructions of Arch.
///
/// An executor is a value that says where a call runs: it has `workers()` threads of its own, runs independent items with
/// `for_each`, takes scratch memory from `memory()` and names its instruction set as `arch`.
template <class Arch = default_arch>
class basic_seq {
 public:
  using arch = Arch;

  /// The same executor, taking scratch memory from `memory` (which must outlive the calls) instead of the default resource.
  [[nodiscard]] basic_seq scratch(std::pmr::memory_resource* memory) const {
    basic_seq result = *this;
    result.memory_ = memory;
    return result;
  }

  [[nodiscard]] int workers() const { return 1; }
  [[nodiscard]] std::pmr::memory_resource* memory() const {
    return memory_ != nullptr ? memory_ : std::pmr::get_default_resource();
  }

  /// f(worker, item) for every item in [0, items), in order; worker is 0.
  template <class F>
  void for_each(std::int64_t items, F&& f) const {
    for (std::int64_t item = 0; item < items; ++item) f(0, item);
  }

 private:
  std::pmr::memory_resource* memory_ = nullptr;
};

/// This thread, widest instruction set of the compiler's flags.
inline constexpr basic_seq<> seq{};

}  // namespace tessera
