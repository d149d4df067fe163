// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Barriers in shared memory that count arrivals and bytes (mbarrier), and the copy engine whose bytes they count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "tessera/emulator/block.hpp"
#include "tessera/emulator/shared.hpp"

namespace tessera::emulator {
namespace detail {

/// What the 8 bytes of a barrier hold: a mark, and its number.
inline constexpr std::uint64_t barrier_mark = 0x7E55E2A0'00000000u;

inline std::size_t find_barrier(block& b, const void* p, const code_place& place) {
  touch_shared(p, 8, touch::atomic, place);
  std::uint64_t mark;
  std::memcpy(&mark, p, 8);
  const auto i = static_cast<std::size_t>(mark & 0xFFFFFFFFu);
  if ((mark & ~std::uint64_t{0xFFFFFFFFu}) != barrier_mark || i >= b.transaction_barriers.size() ||
      b.transaction_barriers[i].at != p) {
    b.fail(place, "no mbarrier here: not initialised, or written over");
  }
  return i;
}

/// Begins the next phase when all arrivals and bytes of this one have come.
inline void settle(block& b, transaction_barrier& t) {
  if (t.arrivals_to_come != 0 || t.bytes_to_come != 0) return;
  ++t.phase;
  t.arrivals_to_come = t.count;
  // The bytes of the phase are known to whoever sees it complete.
  t.arriving.resize(b.size() + b.order.agents());
  t.arriving[b.size() + t.agent] = b.order.moment();
  t.complete = t.arriving;
  for (unsigned w = 0; w < t.waiting.size(); ++w) b.release(w, std::exchange(t.waiting[w], 0u));
}

inline void land_one(block& b) {
  const std::size_t i = b.pick(b.bulk_copies.size());
  const bulk_copy c = std::move(b.bulk_copies[i]);
  b.bulk_copies.erase(b.bulk_copies.begin() + static_cast<std::ptrdiff_t>(i));
  c.copy();
  transaction_barrier& t = b.transaction_barriers[c.barrier];
  if (c.known) b.memory.land_by_agent(t.agent, b.order.moment(), static_cast<std::size_t>(c.to - b.shared), c.bytes);
  t.bytes_to_come -= static_cast<long long>(c.bytes);
  settle(b, t);
}

inline void arrive(void* barrier, long long bytes, const code_place& place) {
  block& b = *current;
  transaction_barrier& t = b.transaction_barriers[find_barrier(b, barrier, place)];
  if (t.arrivals_to_come == 0) {
    b.fail(place, "an mbarrier of " + std::to_string(t.count) + " arrivals has them all and waits for " +
                      std::to_string(t.bytes_to_come) + " bytes: nobody else may arrive");
  }
  b.order.release(b.self().rank, t.arriving);
  t.bytes_to_come += bytes;
  --t.arrivals_to_come;
  settle(b, t);
  b.shuffle();
}

/// Hands a copy of bytes into shared memory to the copy engine.
template <class F>
void start_bulk(void* to, std::size_t bytes, void* barrier, F copy, const code_place& place) {
  block& b = *current;
  const std::size_t i = find_barrier(b, barrier, place);
  if (!b.transaction_barriers[i].fenced) {
    b.fail(place, "no fence between this copy and the initialisation of its mbarrier by thread " +
                      fault::text(b.at(b.transaction_barriers[i].by).index));
  }
  const bool known = touch_shared(to, bytes, touch::copy, place);
  if (known) b.memory.started();
  b.bulk_copies.push_back({static_cast<std::byte*>(to), bytes, i, std::move(copy), place, known});
}

}  // namespace detail

/// mbarrier.init: phases of so many arrivals.
inline void mbarrier_init(void* barrier, unsigned count, code_place place = code_place::current()) {
  detail::block& b = *detail::current;
  if (count == 0 || count >= (1u << 20))
    b.fail(place, "an mbarrier of " + std::to_string(count) + " arrivals: needs 1 to 1048575");
  detail::touch_shared(barrier, 8, detail::touch::write, place);
  if (b.order.agents() == detail::clocks::most_agents) b.fail(place, "more mbarriers than the emulator keeps");
  const std::uint64_t mark = detail::barrier_mark | b.transaction_barriers.size();
  std::memcpy(barrier, &mark, 8);
  detail::transaction_barrier& t = b.transaction_barriers.emplace_back();
  t.at = barrier;
  t.count = count;
  t.arrivals_to_come = count;
  t.agent = b.order.new_agent();
  t.by = b.self().rank;
}
/// fence.mbarrier_init and fence.proxy.async: what this thread has initialised and written can be seen by the copy engine and the tensor cores.
inline void fence_async(code_place = code_place::current()) {
  detail::block& b = *detail::current;
  b.order.fence(b.self().rank);
  for (detail::transaction_barrier& t : b.transaction_barriers) t.fenced = t.fenced || t.by == b.self().rank;
}
/// mbarrier.arrive.
inline void mbarrier_arrive(void* barrier, code_place place = code_place::current()) { detail::arrive(barrier, 0, place); }
/// mbarrier.arrive.expect_tx: the phase waits for so many bytes more.
inline void mbarrier_arrive_expect(void* barrier, unsigned bytes, code_place place = code_place::current()) {
  detail::arrive(barrier, bytes, place);
}
/// mbarrier.expect_tx, without arriving.
inline void mbarrier_expect(void* barrier, unsigned bytes, code_place place = code_place::current()) {
  detail::block& b = *detail::current;
  b.transaction_barriers[detail::find_barrier(b, barrier, place)].bytes_to_come += bytes;
}
/// mbarrier.try_wait.parity until it says yes: the phase of this parity is complete. True at once for parity 1 of a fresh barrier.
inline void mbarrier_wait(void* barrier, unsigned parity, code_place place = code_place::current()) {
  detail::block& b = *detail::current;
  const std::size_t i = detail::find_barrier(b, barrier, place);
  const unsigned rank = b.self().rank;
  while ((b.transaction_barriers[i].phase & 1u) == (parity & 1u) && !b.ends()) {
    b.transaction_barriers[i].waiting[rank / 32] |= 1u << (rank % 32);
    b.wait("an mbarrier", place);
  }
  b.order.acquire(rank, b.transaction_barriers[i].complete);
}
/// mbarrier.test_wait.parity: one look.
inline bool mbarrier_test(void* barrier, unsigned parity, code_place place = code_place::current()) {
  detail::block& b = *detail::current;
  const std::size_t i = detail::find_barrier(b, barrier, place);
  if ((b.transaction_barriers[i].phase & 1u) == (parity & 1u)) {
    b.yield("a test of an mbarrier", place);
    return false;
  }
  b.order.acquire(b.self().rank, b.transaction_barriers[i].complete);
  return true;
}

/// cp.async.bulk: bytes from global to shared memory, counted by the barrier. They come at some time before its phase is complete.
inline void bulk_copy(void* to, const void* from, unsigned bytes, void* barrier, code_place place = code_place::current()) {
  if (bytes % 16 != 0 || reinterpret_cast<std::uintptr_t>(to) % 16 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0) {
    detail::current->fail(place, "misaligned: a bulk copy of " + std::to_string(bytes) + " bytes; needs multiples of 16");
  }
  detail::start_bulk(to, bytes, barrier, [to, from, bytes] { std::memcpy(to, from, bytes); }, place);
}

}  // namespace tessera::emulator
