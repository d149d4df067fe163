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

static_assert(executor<basic_seq<>> && executor<basic_par<>>);

}  // namespace tessera
