// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Barriers of a block: __syncthreads and the numbered ones.
#pragma once

#include <cstdint>
#include <string>

#include "tessera/emulator/block.hpp"
#include "tessera/emulator/meeting.hpp"
#include "tessera/emulator/report.hpp"

namespace tessera::emulator {
namespace detail {

/// Lets all go who wait at a barrier.
inline void open(block& b, barrier& gate) {
  for (unsigned w = 0; w < gate.waiting.size(); ++w) b.release(w, std::exchange(gate.waiting[w], 0u));
  gate.said_yes = std::exchange(gate.yes, 0u);
  gate.came = std::exchange(gate.arrived, 0u);
}

inline void settle_block_barrier(block& b) {
  barrier& gate = b.barriers[0];
  if (gate.arrived == 0 || gate.expected != 0 || gate.arrived != b.live()) return;
  b.order.everybody();
  b.memory.forget_reads();
  open(b, gate);
}

/// All live threads of the block, at one line. Each may say yes; the barrier counts them.
inline const barrier& sync_block(const char* what, bool yes, const code_place& place) {
  block& b = *current;
  barrier& gate = b.barriers[0];
  if (gate.arrived == 0) {
    gate.expected = 0;
    gate.what = what;
    gate.place = place;
  } else if (gate.expected != 0 || gate.what != what || !same_place(gate.place, place)) {
    b.fail(place, std::string("divergent ") + what + ": " + b.whereabouts());
  }
  gate.yes += yes ? 1 : 0;
  ++gate.arrived;
  if (gate.arrived < b.live()) {
    const unsigned rank = b.self().rank;
    gate.waiting[rank / 32] |= 1u << (rank % 32);
    b.wait(what, place);
    return gate;
  }
  settle_block_barrier(b);
  b.shuffle();
  return gate;
}

/// Comes to a numbered barrier of so many threads; waits there, or only arrives.
inline void named(int id, int threads, bool waits, const char* what, const code_place& place) {
  block& b = *current;
  if (id < 0 || id > 15) b.fail(place, "barrier " + std::to_string(id) + ": there are 0 to 15");
  if (threads <= 0 || threads % 32 != 0 || static_cast<unsigned>(threads) > (b.size() + 31) / 32 * 32) {
    b.fail(place, "barrier " + std::to_string(id) + " of " + std::to_string(threads) +
                      " threads: needs a multiple of 32, at most the block's " + std::to_string(b.size()));
  }
  barrier& gate = b.barriers[static_cast<unsigned>(id)];
  if (gate.arrived == 0) {
    gate.expected = static_cast<unsigned>(threads);
    gate.known.clear();
  } else if (gate.expected != static_cast<unsigned>(threads)) {
    b.fail(place, "barrier " + std::to_string(id) + " of " + std::to_string(threads) + " threads, where others wait for " +
                      std::to_string(gate.expected) + ": " + b.whereabouts());
  }
  const thread& me = b.self();
  b.order.release(me.rank, gate.known);
  ++gate.arrived;
  const bool last = gate.arrived == gate.expected;
  if (waits && !last) {
    gate.waiting[me.rank / 32] |= 1u << (me.rank % 32);
    b.wait(what, place);
    return;
  }
  if (!last) return;
  if (waits) b.order.acquire(me.rank, gate.known);
  for (unsigned w = 0; w < gate.waiting.size(); ++w) {
    for (std::uint32_t m = gate.waiting[w]; m != 0; m &= m - 1) {
      b.order.acquire(w * 32 + static_cast<unsigned>(std::countr_zero(m)), gate.known);
    }
  }
  open(b, gate);
  b.shuffle();
}

}  // namespace detail

/// bar.sync id, threads.
inline void named_barrier(int id, int threads, code_place place = code_place::current()) {
  detail::named(id, threads, true, "a numbered barrier", place);
}
/// bar.arrive id, threads: comes and goes on.
inline void named_barrier_arrive(int id, int threads, code_place place = code_place::current()) {
  detail::named(id, threads, false, "a numbered barrier", place);
}

}  // namespace tessera::emulator
