// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a block is made of: its threads, its warps, and whatever they wait at.
#pragma once

#include <vector_types.h>

#include <array>
#include <boost/context/fiber.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "tessera/emulator/clocks.hpp"
#include "tessera/emulator/fault.hpp"
#include "tessera/emulator/sanitizer.hpp"

namespace tessera::emulator::detail {

/// One deferred copy into shared memory.
struct deferred_copy {
  std::byte* to;
  const std::byte* from;
  int bytes;
  int source_bytes;
  /// Into memory whose accesses are checked.
  bool known;
};

/// A bulk copy that the copy engine does beside the threads, and the barrier that counts its bytes.
struct bulk_copy {
  std::byte* to;
  std::size_t bytes;
  std::size_t barrier;
  std::function<void()> copy;
  code_place place;
  /// Into memory whose accesses are checked.
  bool known;
};

/// A barrier in shared memory that counts arrivals and bytes.
struct transaction_barrier {
  const void* at = nullptr;
  unsigned count = 0;
  long long arrivals_to_come = 0;
  long long bytes_to_come = 0;
  unsigned phase = 0;
  unsigned agent = 0;
  /// Who has initialised it, and whether that one has told the copy engine by a fence.
  unsigned by = 0;
  bool fenced = false;
  clocks::row arriving;
  clocks::row complete;
  std::array<std::uint32_t, 32> waiting{};
};

/// The registers that a product of a warpgroup is going to write.
struct hidden_registers {
  void* at;
  std::vector<std::byte> bytes;
  unsigned group;
};

struct thread {
  boost::context::fiber context;
  stack_bounds stack;
  uint3 index{};
  unsigned rank = 0;
  /// What it waits for and where; null while it can go on.
  const char* waits_for = nullptr;
  code_place place;
  /// Its part of the meeting of lanes that it waits in.
  const void* in = nullptr;
  void* out = nullptr;
  /// Copies not yet waited for, and how many of them each committed group ends at.
  std::vector<deferred_copy> copies;
  std::vector<std::size_t> groups;
  /// Products of the warpgroup: what they will write, the moment of the newest, those of committed groups, and how many were committed.
  std::vector<hidden_registers> hidden;
  clocks::segment newest_product = 0;
  std::vector<clocks::segment> product_groups;
  unsigned committed_products = 0;
};

class block;

/// Lanes that come together, each with a value; the last one computes for all.
struct meeting {
  std::uint32_t mask = 0;
  std::uint32_t arrived = 0;
  const char* what = nullptr;
  code_place place;
  void (*complete)(block&, unsigned warp, const meeting&) = nullptr;
  const void* function = nullptr;
};

struct warp {
  std::uint32_t started = 0;
  std::uint32_t live = 0;
  std::uint32_t runnable = 0;
  std::vector<meeting> meetings;
};

/// The threads of a warpgroup that come together.
struct group_meeting {
  unsigned arrived = 0;
  code_place place;
  std::array<std::uint32_t, 4> waiting{};
  int agent = -1;
};

/// A barrier of the block; number 0 is __syncthreads.
struct barrier {
  unsigned expected = 0;
  unsigned arrived = 0;
  const char* what = nullptr;
  code_place place;
  std::array<std::uint32_t, 32> waiting{};
  clocks::row known;
  /// How many have said yes, and how many of how many had when it last opened.
  unsigned yes = 0;
  unsigned said_yes = 0;
  unsigned came = 0;
};

}  // namespace tessera::emulator::detail
