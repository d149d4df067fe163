// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// All executors, and what they have in common.
#pragma once

#include "tessera/exec/par.hpp"
#include "tessera/exec/seq.hpp"

namespace tessera {

/// A value that says where a call runs.
template <class E>
concept executor = requires(const E& e, void (*f)(int, std::int64_t)) {
  typename E::arch;
  { e.workers() } -> std::same_as<int>;
  { e.memory() } -> std::same_as<std::pmr::memory_resource*>;
  e.for_each(std::int64_t{}, f);
};

namespace detail {

/// Elementary operations that take as long as waking a thread, some 20 us: less is done sooner by the calling thread alone.
inline constexpr double worth_sharing = 4e6;

/// exec.for_each, on the calling thread where `operations` in all are not worth sharing.
template <class Exec, class F>
void for_each_worth(const Exec& exec, double operations, std::int64_t items, F&& f) {
  if (operations < worth_sharing) {
    for (std::int64_t item = 0; item < items; ++item) f(0, item);
  } else {
    exec.for_each(items, f);
  }
}

}  // namespace detail

static_assert(executor<basic_seq<>> && executor<basic_par<>>);

}  // namespace tessera
