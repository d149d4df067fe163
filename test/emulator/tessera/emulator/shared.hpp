// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Dynamic shared memory, whose every access is checked, and copies into it that are deferred until they are waited for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "tessera/emulator/block.hpp"
#include "tessera/emulator/thread_storage.hpp"

namespace tessera::emulator {

enum class access { read, write };

/// The base of the block's dynamic shared memory.
inline std::byte* dynamic_shared_memory() { return detail::current->shared; }

/// An index that an array does not have.
[[noreturn]] inline void out_of_bounds(int index, int size, code_place place = code_place::current()) {
  detail::current->fail(place, "out of bounds: element " + std::to_string(index) + " of an array of " + std::to_string(size));
}

namespace detail {

/// What is wrong with an address for an access, in words.
[[noreturn]] __attribute__((noinline)) inline void bad_address(const block& b, std::ptrdiff_t offset, std::size_t bytes,
                                                               bool misaligned, const code_place& place) {
  const std::string at = std::to_string(offset);
  if (misaligned) b.fail(place, "misaligned: " + std::to_string(bytes) + " bytes at byte " + at + " of shared memory");
  b.fail(place, "out of bounds: bytes " + at + " to " + std::to_string(offset + static_cast<std::ptrdiff_t>(bytes)) + " of " +
                    std::to_string(b.shared_bytes) + " bytes of shared memory");
}
[[noreturn]] __attribute__((noinline)) inline void bad_access(block& b, const finding& f, std::size_t offset, touch how,
                                                              const code_place& place) {
  std::string text = f.what;
  if (f.other != b.self().rank || how == touch::copy || text.ends_with(" by"))
    text += " thread " + fault::text(b.at(f.other).index);
  b.fail(place, text + ", byte " + std::to_string(offset) + " of shared memory");
}

/// Checks an access. False for a __shared__ variable, of which nothing is known.
inline bool touch_shared(const void* p, std::size_t bytes, touch how, const code_place& place) {
  block& b = *current;
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  const auto base = reinterpret_cast<std::uintptr_t>(b.shared);
  const std::size_t offset = at - base;
  if (bytes <= 16 && (bytes & (bytes - 1)) == 0 && (at & (bytes - 1)) != 0) {
    bad_address(b, static_cast<std::ptrdiff_t>(offset), bytes, true, place);
  }
  if (at < base || offset + bytes > b.shared_bytes) {
    if (in_thread_storage(p)) return false;
    bad_address(b, static_cast<std::ptrdiff_t>(offset), bytes, false, place);
  }
  const finding f = b.memory.access(b.order, b.chosen().races, {b.self().rank, b.agent, b.agent_moment}, offset, bytes, how);
  if (f.what != nullptr) bad_access(b, f, offset, how, place);
  return true;
}

}  // namespace detail

/// Checks an access of shared memory: aligned, within bounds, written before it is read, no copy under way, no race.
inline void check_shared(const void* p, std::size_t bytes, access how, code_place place = code_place::current()) {
  detail::touch_shared(p, bytes, how == access::read ? detail::touch::read : detail::touch::write, place);
}

/// Checks that an access of global memory in one instruction is aligned to its bytes.
inline void check_alignment(const void* p, std::size_t bytes, code_place place = code_place::current()) {
  const std::size_t beyond = reinterpret_cast<std::uintptr_t>(p) % bytes;
  if (beyond == 0) return;
  const std::string text =
      "misaligned: " + std::to_string(bytes) + " bytes of global memory, " + std::to_string(beyond) + " past a multiple of them";
  if (detail::current == nullptr) throw fault({}, {}, place, text);
  detail::current->fail(place, text);
}

/// cp.async: source_bytes from global to shared memory, zeros up to bytes. Nothing is copied before the wait.
inline void copy_async(void* shared, const void* global, int bytes, int source_bytes, code_place place = code_place::current()) {
  detail::block& b = *detail::current;
  if (bytes != 4 && bytes != 8 && bytes != 16)
    b.fail(place, "copy_async of " + std::to_string(bytes) + " bytes: needs 4, 8 or 16");
  if (source_bytes < 0 || source_bytes > bytes) {
    b.fail(place, "copy_async: " + std::to_string(source_bytes) + " bytes of the source for " + std::to_string(bytes));
  }
  if (source_bytes > 0 && reinterpret_cast<std::uintptr_t>(global) % static_cast<unsigned>(bytes) != 0) {
    b.fail(place, "misaligned: copy_async of " + std::to_string(bytes) + " bytes from global memory");
  }
  const bool known = detail::touch_shared(shared, static_cast<std::size_t>(bytes), detail::touch::copy, place);
  if (known) b.memory.started();
  b.self().copies.push_back({static_cast<std::byte*>(shared), static_cast<const std::byte*>(global), bytes, source_bytes, known});
}

/// cp.async.commit_group.
inline void commit_copies() {
  detail::thread& me = detail::current->self();
  me.groups.push_back(me.copies.size());
}

/// cp.async.wait_group: all but the newest `pending` groups of this thread land now.
inline void wait_copies(int pending) {
  detail::block& b = *detail::current;
  detail::thread& me = b.self();
  const std::size_t stay = static_cast<std::size_t>(pending);
  if (me.groups.size() <= stay) return;
  const std::size_t landing_groups = me.groups.size() - stay;
  const std::size_t landing = me.groups[landing_groups - 1];
  for (std::size_t i = 0; i < landing; ++i) {
    const detail::deferred_copy& c = me.copies[i];
    std::memcpy(c.to, c.from, static_cast<std::size_t>(c.source_bytes));
    std::memset(c.to + c.source_bytes, 0, static_cast<std::size_t>(c.bytes - c.source_bytes));
    if (c.known) b.memory.land(b.order, me.rank, static_cast<std::size_t>(c.to - b.shared), static_cast<std::size_t>(c.bytes));
  }
  me.copies.erase(me.copies.begin(), me.copies.begin() + static_cast<std::ptrdiff_t>(landing));
  me.groups.erase(me.groups.begin(), me.groups.begin() + static_cast<std::ptrdiff_t>(landing_groups));
  for (std::size_t& end : me.groups) end -= landing;
}

}  // namespace tessera::emulator

// ---- CUDA's own names of these copies (cuda_pipeline_primitives.h) ----

inline void __pipeline_memcpy_async(void* shared, const void* global, std::size_t bytes, std::size_t zeros = 0,
                                    tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  tessera::emulator::copy_async(shared, global, static_cast<int>(bytes), static_cast<int>(bytes) - static_cast<int>(zeros),
                                place);
}
inline void __pipeline_commit() { tessera::emulator::commit_copies(); }
inline void __pipeline_wait_prior(std::size_t groups) { tessera::emulator::wait_copies(static_cast<int>(groups)); }
