// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A block as fibers, one a thread, and who goes next. Nothing runs at the same time: a thread goes on until it has to wait for others.
#pragma once

#include <vector_types.h>

#include <algorithm>
#include <array>
#include <bit>
#include <boost/context/fiber.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tessera/emulator/clocks.hpp"
#include "tessera/emulator/fault.hpp"
#include "tessera/emulator/options.hpp"
#include "tessera/emulator/sanitizer.hpp"
#include "tessera/emulator/shadow.hpp"
#include "tessera/emulator/stacks.hpp"
#include "tessera/emulator/thread.hpp"

/// CUDA's names of where a thread is. Every change of fibers sets them.
inline constinit thread_local uint3 threadIdx{};
inline constinit thread_local uint3 blockIdx{};
inline constinit thread_local dim3 blockDim{};
inline constinit thread_local dim3 gridDim{};
inline constexpr int warpSize = 32;

namespace tessera::emulator::detail {

class block;

/// The copy engine ends one of its copies, whichever.
inline void land_one(block& b);

/// Unwinds the other fibers after a fault.
struct cancelled {};

/// The state of the block that this OS thread runs.
class block {
 public:
  /// What a thread of the kernel does.
  struct body {
    void (*call)(const void*);
    const void* data;
  };

  /// The one of this OS thread: its clock runs on from block to block.
  static block& of_thread() {
    static thread_local block b;
    return b;
  }

  void begin_launch(const options& chosen) {
    chosen_ = chosen;
    random_ = dice(chosen.seed);
  }

  /// Runs one block to its end. The first exception of a thread ends the others and leaves from here.
  void run(uint3 index, dim3 size, std::byte* shared, std::size_t shared_bytes, body kernel);

  [[nodiscard]] thread& self() { return *self_; }
  [[nodiscard]] thread& at(unsigned rank) { return threads_[rank]; }
  [[nodiscard]] warp& warp_of(const thread& t) { return warps_[t.rank / 32]; }
  [[nodiscard]] unsigned live() const { return live_; }
  [[nodiscard]] std::uint32_t started_lanes(unsigned warp_number) const { return warps_[warp_number].started; }
  [[nodiscard]] unsigned size() const { return static_cast<unsigned>(threads_.size()); }
  [[nodiscard]] uint3 index() const { return index_; }
  [[nodiscard]] const options& chosen() const { return chosen_; }

  clocks order;
  shadow memory;
  std::array<barrier, 16> barriers;
  std::array<group_meeting, 8> warpgroups;
  std::vector<transaction_barrier> transaction_barriers;
  std::vector<bulk_copy> bulk_copies;
  std::byte* shared = nullptr;
  std::size_t shared_bytes = 0;
  /// On whose behalf the running thread touches memory (shadow.hpp): its own when negative.
  int agent = -1;
  clocks::segment agent_moment = 0;

  [[noreturn]] void fail(const code_place& place, const std::string& what) const {
    throw fault(index_, self_->index, place, what);
  }

  /// After a fault nobody waits any more; a thread leaves at once, but for a destructor that is being unwound.
  bool ends() const {
    if (ending_ && std::uncaught_exceptions() == 0) throw cancelled();
    return ending_;
  }

  /// Waits until somebody calls release() for this thread.
  void wait(const char* what, const code_place& place) {
    if (ends()) return;
    thread& me = *self_;
    me.waits_for = what;
    me.place = place;
    stop(me);
    turns_ = 0;
    change(me);
  }
  void release(unsigned warp_number, std::uint32_t lanes) {
    if (lanes == 0) return;
    warps_[warp_number].runnable |= lanes;
    runnable_warps_ |= 1u << warp_number;
    for (std::uint32_t m = lanes; m != 0; m &= m - 1) {
      threads_[warp_number * 32 + static_cast<unsigned>(std::countr_zero(m))].waits_for = nullptr;
    }
  }
  /// Lets others go first; what a thread that polls does. It is a fault when nobody gets anywhere.
  void yield(const char* what, const code_place& place) {
    if (ends()) return;
    if (++turns_ > chosen_.patience) {
      turns_ = 0;
      fail(place, std::string(what) + " polls for what nobody does: " + whereabouts());
    }
    change(*self_);
  }
  /// A number below n, at random.
  std::size_t pick(std::size_t n) { return random_() % n; }
  /// Sometimes lets others go first, after a barrier has let all go: so that who was last is not always first.
  void shuffle() {
    if ((random_() & 3u) == 0 && !ends()) change(*self_);
  }

  /// Who waits where, in words.
  [[nodiscard]] std::string whereabouts() const;

 private:
  void stop(const thread& t) {
    warp& w = warps_[t.rank / 32];
    w.runnable &= ~(1u << (t.rank % 32));
    if (w.runnable == 0) runnable_warps_ &= ~(1u << (t.rank / 32));
  }

  /// The number of a set bit, at random.
  unsigned any_of(std::uint32_t mask) {
    const unsigned from = random_() % 32;
    return (static_cast<unsigned>(std::countr_zero(std::rotr(mask, static_cast<int>(from)))) + from) % 32;
  }
  thread& next(unsigned near) {
    unsigned w = near;
    if (warps_[w].runnable == 0 || random_() % 16 == 0) w = any_of(runnable_warps_);
    return threads_[w * 32 + any_of(warps_[w].runnable)];
  }

  /// Gives the processor to a thread that can go on. When there is none, it is this one that finds out.
  void change(thread& me) {
    if (!bulk_copies.empty() && (random_() & 3u) == 0) land_one(*this);
    while (runnable_warps_ == 0 && !bulk_copies.empty()) land_one(*this);
    if (runnable_warps_ == 0) deadlock(me);
    thread& other = next(me.rank / 32);
    if (&other != &me) {
      void* kept = nullptr;
      leave_stack(&kept, other.stack);
      std::move(other.context).resume_with([&me](boost::context::fiber&& from) {
        me.context = std::move(from);
        return boost::context::fiber();
      });
      enter_stack(kept);
      enter(me);
    }
    ends();
  }
  [[noreturn]] void deadlock(const thread& me) const { throw fault(index_, me.index, me.place, "deadlock: " + whereabouts()); }

  void enter(thread& t) {
    self_ = &t;
    threadIdx = t.index;
  }
  boost::context::fiber live_and_die(thread& me);
  void retire(thread& me);
  void end_all(std::exception_ptr why) {
    if (!ending_) failure_ = std::move(why);
    ending_ = true;
    for (unsigned w = 0; w < warps_.size(); ++w) {
      if (warps_[w].live != 0) release(w, warps_[w].live);
    }
  }

  options chosen_;
  dice random_{1};
  uint3 index_{};
  std::vector<thread> threads_;
  std::vector<warp> warps_;
  unsigned live_ = 0;
  std::uint32_t runnable_warps_ = 0;
  std::uint64_t turns_ = 0;
  thread* self_ = nullptr;
  body kernel_{};
  boost::context::fiber caller_;
  stack_bounds caller_stack_;
  bool started_ = false;
  bool ending_ = false;
  std::exception_ptr failure_;
};

/// The block whose thread is running; null outside of kernels.
inline constinit thread_local block* current = nullptr;

}  // namespace tessera::emulator::detail
