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
  [[nodiscard]] std::uint32_t live_lanes(unsigned warp_number) const { return warps_[warp_number].live; }
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

/// Lets a meeting go when everybody who can still come has come.
inline void settle_meetings(block& b, unsigned warp_number, warp& w) {
  for (std::size_t i = 0; i < w.meetings.size();) {
    if ((w.meetings[i].mask & w.live) != w.meetings[i].arrived) {
      ++i;
      continue;
    }
    const meeting done = w.meetings[i];
    w.meetings.erase(w.meetings.begin() + static_cast<std::ptrdiff_t>(i));
    done.complete(b, warp_number, done);
    b.release(warp_number, done.arrived);
  }
}
inline void settle_block_barrier(block& b);

inline void block::retire(thread& me) {
  warp& w = warp_of(me);
  stop(me);
  w.live &= ~(1u << (me.rank % 32));
  --live_;
  if (ending_) return;
  settle_meetings(*this, me.rank / 32, w);
  settle_block_barrier(*this);
}

inline boost::context::fiber block::live_and_die(thread& me) {
  enter_stack(nullptr, started_ ? nullptr : &caller_stack_);
  started_ = true;
  enter(me);
  try {
    if (!ending_) kernel_.call(kernel_.data);
  } catch (const cancelled&) {
  } catch (...) {
    end_all(std::current_exception());
  }
  try {
    retire(me);
    while (!ending_ && live_ != 0 && runnable_warps_ == 0 && !bulk_copies.empty()) land_one(*this);
    if (!ending_ && live_ == 0 && !bulk_copies.empty()) {
      throw fault(index_, me.index, bulk_copies[0].place, "the block ends while this copy is under way");
    }
    if (live_ != 0 && runnable_warps_ == 0) {
      // Nobody is left who could let them go: the report names the first who waits.
      for (thread& t : threads_) {
        if (t.waits_for != nullptr) deadlock(t);
      }
    }
  } catch (...) {
    end_all(std::current_exception());
  }
  if (live_ == 0) {
    leave_stack(nullptr, caller_stack_);
    return std::move(caller_);
  }
  thread& other = next(me.rank / 32);
  leave_stack(nullptr, other.stack);
  return std::move(other.context);
}

inline void block::run(uint3 index, dim3 size, std::byte* memory_of_block, std::size_t bytes, body kernel) {
  index_ = index;
  shared = memory_of_block;
  shared_bytes = bytes;
  kernel_ = kernel;
  ending_ = false;
  failure_ = nullptr;
  turns_ = 0;
  const unsigned count = size.x * size.y * size.z;
  live_ = count;
  threads_.resize(count);
  warps_.assign((count + 31) / 32, warp());
  barriers = {};
  warpgroups = {};
  transaction_barriers.clear();
  bulk_copies.clear();
  agent = -1;
  order.begin_block(count);
  memory.begin_block(bytes);
  runnable_warps_ = 0;
  for (unsigned i = 0; i < count; ++i) {
    thread& t = threads_[i];
    t.index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
    t.rank = i;
    t.waits_for = nullptr;
    t.copies.clear();
    t.groups.clear();
    t.hidden.clear();
    t.product_groups.clear();
    t.newest_product = 0;
    t.committed_products = 0;
    t.context = boost::context::fiber(std::allocator_arg, pooled_stack{&t.stack},
                                      [this, &t](boost::context::fiber&&) { return live_and_die(t); });
    warps_[i / 32].live |= 1u << (i % 32);
    warps_[i / 32].runnable = warps_[i / 32].live;
    runnable_warps_ |= 1u << (i / 32);
  }
  blockIdx = index;
  started_ = false;
  thread& first = next(any_of(runnable_warps_));
  void* kept = nullptr;
  leave_stack(&kept, first.stack);
  std::move(first.context).resume_with([this](boost::context::fiber&& from) {
    caller_ = std::move(from);
    return boost::context::fiber();
  });
  enter_stack(kept);
  if (failure_) std::rethrow_exception(failure_);
}

/// Numbers as "0-3 7".
inline std::string ranges(const std::vector<unsigned>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t j = i;
    while (j + 1 < numbers.size() && numbers[j + 1] == numbers[j] + 1) ++j;
    if (i != 0) text += " ";
    text += std::to_string(numbers[i]) + (j > i ? "-" + std::to_string(numbers[j]) : "");
    i = j + 1;
  }
  return text;
}
inline std::string ranges(std::uint32_t lanes) {
  std::vector<unsigned> numbers;
  for (; lanes != 0; lanes &= lanes - 1) numbers.push_back(static_cast<unsigned>(std::countr_zero(lanes)));
  return ranges(numbers);
}

inline std::string block::whereabouts() const {
  std::map<std::string, std::vector<unsigned>> groups;
  for (const thread& t : threads_) {
    const bool alive = (warps_[t.rank / 32].live >> (t.rank % 32) & 1u) != 0;
    groups[!alive                   ? std::string("have ended")
           : t.waits_for == nullptr ? std::string("could go on")
                                    : std::string("wait at ") + t.waits_for + " " + fault::text(t.place)]
        .push_back(t.rank);
  }
  std::string text;
  for (const auto& [where, ranks] : groups) {
    if (!text.empty()) text += "; ";
    text += "threads " + ranges(ranks) + " " + where;
  }
  for (const transaction_barrier& t : transaction_barriers) {
    if (std::all_of(t.waiting.begin(), t.waiting.end(), [](std::uint32_t lanes) { return lanes == 0; })) continue;
    const auto offset = static_cast<const std::byte*>(t.at) - shared;
    text += "; the mbarrier at byte " + std::to_string(offset) + " is in phase " + std::to_string(t.phase) + " and lacks " +
            std::to_string(t.arrivals_to_come) + " arrivals and " + std::to_string(t.bytes_to_come) + " bytes";
  }
  return text;
}

}  // namespace tessera::emulator::detail
