// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What is known of each word of dynamic shared memory: who wrote it last, who has read it since, whether a copy into it is under way.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tessera/emulator/clocks.hpp"

namespace tessera::emulator::detail {

/// How a thread touches memory. Two `atomic`s of one word are no race.
enum class touch { read, write, atomic, copy };

/// The finding about one access: what is wrong with it, and the other thread that a race is with.
struct finding {
  const char* what = nullptr;
  unsigned other = 0;
};

/// A mark for each 4 bytes, or for each byte where parts of a word have been touched on their own.
class shadow {
 public:
  void begin_block(std::size_t bytes) {
    const std::size_t words = (bytes + 3) / 4;
    if (words_.size() < words) words_.resize(words);
    more_.clear();
    if (!agent_reads_.empty()) {
      for (cell& c : words_) c.agent_read = none;
      for (cell& c : bytes_) c.agent_read = none;
      agent_reads_.clear();
    }
    // Marks age with the clock; only copies that nobody has waited for would stay.
    if (copies_ != 0) {
      for (cell& c : words_) c.flags &= static_cast<std::uint8_t>(~in_flight);
      for (cell& c : bytes_) c.flags &= static_cast<std::uint8_t>(~in_flight);
      copies_ = 0;
    }
  }
  /// After __syncthreads no older read matters.
  void forget_reads() { more_.clear(); }

  /// Who touches: a thread, by itself or on behalf of an agent, which does so at a moment.
  struct who {
    unsigned thread = 0;
    int agent = -1;
    clocks::segment moment = 0;
  };

  /// Checks and notes an access of bytes at an offset.
  finding access(const clocks& order, bool races, const who& by, std::size_t offset, std::size_t bytes, touch how) {
    const std::size_t end = offset + bytes;
    if (races && how == touch::read && by.agent < 0) {
      // The usual case: this thread, or one of its warp in the same segment of its life, has read what was written before the last __syncthreads,
      // and nobody has written since.
      const clocks::segment now = order.of(by.thread);
      const std::uint32_t lane = 1u << (by.thread % 32);
      while (offset % 4 == 0 && offset + 4 <= end) {
        cell& c = words_[offset / 4];
        if (c.read.segment != now || c.read.warp != by.thread / 32 || c.flags != 0 || c.write >= order.floor()) break;
        c.read.lanes |= lane;
        offset += 4;
      }
    }
    while (offset < end) {
      const std::size_t word = offset / 4;
      const std::size_t stop = end < word * 4 + 4 ? end : word * 4 + 4;
      cell& whole = words_[word];
      const bool all = stop - offset == 4;
      if (all && (whole.flags & split) == 0) {
        if (const finding f = one(whole, order, races, by, how); f.what != nullptr) return f;
      } else {
        if ((whole.flags & split) == 0) divide(word, order.floor());
        for (std::size_t i = offset; i < stop; ++i) {
          if (const finding f = one(bytes_[i], order, races, by, how); f.what != nullptr) return f;
        }
        if (all && how != touch::read) whole = bytes_[offset];  // all four say the same again
      }
      offset = stop;
    }
    return {};
  }

  /// A copy is under way, whose bytes have been touched as one.
  void started() { ++copies_; }
  /// The end of a copy: the bytes are as if the thread had just written them.
  void land(const clocks& order, unsigned thread, std::size_t offset, std::size_t bytes) {
    --copies_;
    for (std::size_t i = offset; i < offset + bytes; i += (words_[i / 4].flags & split) != 0 || i % 4 != 0 ? 1 : 4) {
      cell& c = (words_[i / 4].flags & split) != 0 ? bytes_[i] : words_[i / 4];
      c.flags &= static_cast<std::uint8_t>(~(in_flight | by_agent));
      c.write = order.of(thread);
      c.writer = static_cast<std::uint16_t>(thread);
    }
  }
  /// The end of a copy by an agent.
  void land_by_agent(unsigned agent, clocks::segment moment, std::size_t offset, std::size_t bytes) {
    --copies_;
    for (std::size_t i = offset; i < offset + bytes; i += (words_[i / 4].flags & split) != 0 || i % 4 != 0 ? 1 : 4) {
      cell& c = (words_[i / 4].flags & split) != 0 ? bytes_[i] : words_[i / 4];
      c.flags = static_cast<std::uint8_t>((c.flags & split) | by_agent);
      c.write = moment;
      c.writer = static_cast<std::uint16_t>(agent);
    }
  }

 private:
  static constexpr std::uint8_t split = 1;
  static constexpr std::uint8_t in_flight = 2;
  static constexpr std::uint8_t by_atomic = 4;
  static constexpr std::uint8_t by_agent = 8;
  static constexpr std::uint32_t none = 0;

  /// Lanes of a warp that have read in one segment.
  struct readers {
    clocks::segment segment = 0;
    std::uint32_t lanes = 0;
    std::uint32_t next = none;
    std::uint16_t warp = 0;
  };
  struct agent_read {
    clocks::segment moment = 0;
    unsigned agent = 0;
    std::uint32_t next = none;
  };
  struct cell {
    clocks::segment write = 0;
    std::uint16_t writer = 0;
    std::uint8_t flags = 0;
    /// The first of a list, whose rest is in more_.
    readers read;
    /// A list in agent_reads_.
    std::uint32_t agent_read = none;
  };

  void divide(std::size_t word, clocks::segment floor) {
    if (bytes_.size() < words_.size() * 4) bytes_.resize(words_.size() * 4);
    for (std::size_t byte = 0; byte < 4; ++byte) {
      cell& part = bytes_[word * 4 + byte] = words_[word];
      // Each byte has a list of its own from now on.
      std::uint32_t from = words_[word].read.segment < floor ? none : words_[word].read.next;
      part.read.next = none;
      readers* last = &part.read;
      for (; from != none; from = more_[from - 1].next) {
        last->next = static_cast<std::uint32_t>(more_.size() + 1);
        const readers copied = more_[from - 1];
        more_.push_back({copied.segment, copied.lanes, none, copied.warp});
        last = &more_.back();
      }
      part.agent_read = none;
      for (std::uint32_t i = words_[word].agent_read; i != none; i = agent_reads_[i - 1].next) {
        const agent_read copied = agent_reads_[i - 1];
        agent_reads_.push_back({copied.moment, copied.agent, part.agent_read});
        part.agent_read = static_cast<std::uint32_t>(agent_reads_.size());
      }
    }
    words_[word].flags |= split;
  }

  finding one(cell& c, const clocks& order, bool races, const who& by, touch how) {
    const unsigned thread = by.thread;
    if ((c.flags & in_flight) != 0) return {"a copy that has not been waited for is under way here, started by", c.writer};
    if (how == touch::read || how == touch::atomic) {
      if (c.write < order.block_start()) return {"nobody has written this", thread};
    }
    const bool both_atomic = how == touch::atomic && (c.flags & by_atomic) != 0;
    if ((c.flags & by_agent) != 0) {
      if (races && !order.sees(thread, c.writer, c.write))
        return {"a race: nothing waits for the bulk copy that wrote this", thread};
    } else if (races && c.write >= order.floor() && !both_atomic && !order.knows(thread, c.writer, c.write)) {
      return {how == touch::read ? "a race: no barrier between this read and the write by"
                                 : "a race: no barrier between this write and the write by",
              c.writer};
    }
    if (how == touch::read) {
      if (!races) return {};
      if (by.agent >= 0) {
        if ((c.flags & by_agent) == 0 && !order.fenced(c.writer, c.write)) {
          return {"no fence between this read by the tensor cores and the write by", c.writer};
        }
        note_agent_read(c, by);
      } else {
        note_read(c, order, thread);
      }
      return {};
    }
    for (std::uint32_t i = c.agent_read; races && i != none; i = agent_reads_[i - 1].next) {
      const agent_read& r = agent_reads_[i - 1];
      if (!order.sees(thread, r.agent, r.moment)) {
        return {"a race: nothing waits for the product of a warpgroup that reads what this writes", thread};
      }
    }
    if (races && c.read.segment >= order.floor()) {
      for (const readers* r = &c.read;; r = &more_[r->next - 1]) {
        for (std::uint32_t m = r->lanes; m != 0; m &= m - 1) {
          const unsigned other = r->warp * 32u + static_cast<unsigned>(std::countr_zero(m));
          if (!order.knows(thread, other, r->segment)) return {"a race: no barrier between this write and the read by", other};
        }
        if (r->next == none) break;
      }
    }
    c.read = {};
    c.agent_read = none;
    c.write = order.of(thread);
    c.writer = static_cast<std::uint16_t>(thread);
    c.flags = static_cast<std::uint8_t>((how == touch::copy ? in_flight : 0) | (how == touch::atomic ? by_atomic : 0));
    return {};
  }

  void note_agent_read(cell& c, const who& by) {
    for (std::uint32_t i = c.agent_read; i != none; i = agent_reads_[i - 1].next) {
      if (agent_reads_[i - 1].agent == static_cast<unsigned>(by.agent)) {
        agent_reads_[i - 1].moment = by.moment;
        return;
      }
    }
    agent_reads_.push_back({by.moment, static_cast<unsigned>(by.agent), c.agent_read});
    c.agent_read = static_cast<std::uint32_t>(agent_reads_.size());
  }

  void note_read(cell& c, const clocks& order, unsigned thread) {
    const clocks::segment now = order.of(thread);
    const auto warp = static_cast<std::uint16_t>(thread / 32);
    const std::uint32_t lane = 1u << (thread % 32);
    if (c.read.segment < order.floor()) {
      c.read = {now, lane, none, warp};
      return;
    }
    for (readers* r = &c.read;; r = &more_[r->next - 1]) {
      if (r->warp == warp && r->segment == now) {
        r->lanes |= lane;
        to_front(c, *r);
        return;
      }
      // All lanes know of that older read, so whoever knows of this one knows of it.
      if (r->warp == warp && r->segment < order.warp_floor(warp)) {
        r->segment = now;
        r->lanes = lane;
        to_front(c, *r);
        return;
      }
      if (r->next == none) {
        more_.push_back({c.read.segment, c.read.lanes, c.read.next, c.read.warp});
        c.read = {now, lane, static_cast<std::uint32_t>(more_.size()), warp};
        return;
      }
    }
  }
  /// The newest reader comes first: it is likely to be the next one, and when it is older than the floor, all are.
  static void to_front(cell& c, readers& r) {
    std::swap(c.read.segment, r.segment);
    std::swap(c.read.lanes, r.lanes);
    std::swap(c.read.warp, r.warp);
  }

  std::vector<cell> words_;
  std::vector<cell> bytes_;
  std::vector<readers> more_;
  std::vector<agent_read> agent_reads_;
  std::size_t copies_ = 0;
};

}  // namespace tessera::emulator::detail
