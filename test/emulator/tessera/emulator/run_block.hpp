// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The life of a block: its fibers begin, end, and let go whom they leave behind.
#pragma once

#include <bit>
#include <boost/context/fiber.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <utility>

#include "tessera/emulator/barriers.hpp"
#include "tessera/emulator/block.hpp"
#include "tessera/emulator/mbarrier.hpp"
#include "tessera/emulator/report.hpp"

namespace tessera::emulator::detail {

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
    warps_[i / 32].started = warps_[i / 32].runnable = warps_[i / 32].live;
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

}  // namespace tessera::emulator::detail
