// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What happens before what in a block: the order that barriers make, and nothing else makes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera::emulator::detail {

/// A thread's life is cut into segments by the barriers it passes, each named by the number of the barrier (one count for the whole block, so
/// equal numbers tell of one event). What a thread knows of another is the newest of its segments that lies behind a chain of barriers:
///   - below the floor everybody knows everything (__syncthreads raises it);
///   - below the floor of a warp, its lanes know each other (__syncwarp of the whole warp);
///   - the rest, from named barriers, arrivals and partial __syncwarp, is a row of numbers per thread, a vector clock.
/// Agents (the copy engine per barrier, the tensor cores per warpgroup) work beside the threads: what they did up to a moment is known to whoever
/// has waited for them, and to whom that one tells it; no floor covers it.
/// Numbers grow over all blocks of an OS thread, so that marks in the shadow of shared memory age by themselves.
class clocks {
 public:
  using segment = std::uint32_t;
  using row = std::vector<segment>;

  void begin_block(unsigned threads) {
    floor_ = ++now_;
    start_ = floor_;
    segments_.assign(threads, now_);
    versions_.assign(threads, 0);
    warp_floors_.assign((threads + 31) / 32, now_);
    rows_.resize(threads);
    agents_ = 0;
    fenced_.assign(threads, 0);
  }

  /// fence.proxy.async: what the thread has written so far can be seen by agents.
  void fence(unsigned thread) {
    fenced_[thread] = segments_[thread];
    segments_[thread] = ++now_;
  }
  [[nodiscard]] bool fenced(unsigned thread, segment written) const { return written <= fenced_[thread]; }

  static constexpr unsigned most_agents = 256;
  /// Someone who works beside the threads.
  unsigned new_agent() {
    seen_.resize(segments_.size() * most_agents);
    for (std::size_t t = 0; t < segments_.size(); ++t) seen_[t * most_agents + agents_] = 0;
    return agents_++;
  }
  [[nodiscard]] unsigned agents() const { return agents_; }
  /// A moment of its own.
  segment moment() { return ++now_; }
  [[nodiscard]] bool sees(unsigned thread, unsigned agent, segment done) const {
    return done < start_ || done <= seen_[thread * most_agents + agent];
  }
  void see(unsigned thread, unsigned agent, segment done) {
    segment& s = seen_[thread * most_agents + agent];
    s = std::max(s, done);
  }

  [[nodiscard]] segment block_start() const { return start_; }
  [[nodiscard]] segment floor() const { return floor_; }
  [[nodiscard]] segment of(unsigned thread) const { return segments_[thread]; }
  [[nodiscard]] segment warp_floor(unsigned warp) const { return warp_floors_[warp]; }

  /// Does what `other` did in the segment come before what `thread` does now?
  [[nodiscard]] bool knows(unsigned thread, unsigned other, segment s) const {
    if (s < floor_ || thread == other) return true;
    if (thread / 32 == other / 32 && s < warp_floors_[thread / 32]) return true;
    return versions_[thread] != 0 && s <= rows_[thread][other];
  }

  /// __syncthreads: everything before it comes before everything after it.
  void everybody() {
    floor_ = ++now_;
    std::fill(segments_.begin(), segments_.end(), now_);
    for (unsigned a = 0; a < agents_; ++a) {
      segment newest = 0;
      for (std::size_t t = 0; t < segments_.size(); ++t) newest = std::max(newest, seen_[t * most_agents + a]);
      for (std::size_t t = 0; t < segments_.size(); ++t) seen_[t * most_agents + a] = newest;
    }
  }

  /// __syncwarp of these lanes, the whole warp or a part of it.
  void lanes(unsigned warp, std::uint32_t mask, bool whole) {
    bool same = true;
    const std::uint32_t version = versions_[warp * 32 + static_cast<unsigned>(std::countr_zero(mask))];
    for_lanes(warp, mask, [&](unsigned t) { same = same && versions_[t] == version; });
    if (!whole || !same) {
      row joined;
      for_lanes(warp, mask, [&](unsigned t) { release(t, joined); });
      joined.resize(segments_.size());
      for_lanes(warp, mask, [&](unsigned t) { rows_[t] = joined; });
      ++last_version_;
      for_lanes(warp, mask, [&](unsigned t) { versions_[t] = last_version_; });
    }
    for (unsigned a = 0; a < agents_; ++a) {
      segment newest = 0;
      for_lanes(warp, mask, [&](unsigned t) { newest = std::max(newest, seen_[t * most_agents + a]); });
      for_lanes(warp, mask, [&](unsigned t) { seen_[t * most_agents + a] = newest; });
    }
    ++now_;
    if (whole) warp_floors_[warp] = now_;
    for_lanes(warp, mask, [&](unsigned t) { segments_[t] = now_; });
  }

  /// What the thread knows and did goes into the row of a barrier; a new segment of the thread begins.
  void release(unsigned thread, row& into) {
    if (into.size() < segments_.size() + agents_) into.resize(segments_.size() + agents_);
    for (unsigned a = 0; a < agents_; ++a) {
      segment& known = into[segments_.size() + a];
      known = std::max(known, seen_[thread * most_agents + a]);
    }
    if (versions_[thread] != 0) {
      const row& mine = rows_[thread];
      for (std::size_t i = 0; i < mine.size(); ++i) into[i] = std::max(into[i], mine[i]);
    }
    const unsigned first = thread / 32 * 32;
    const unsigned last = std::min(first + 32, static_cast<unsigned>(segments_.size()));
    for (unsigned t = first; t < last; ++t) into[t] = std::max(into[t], warp_floors_[thread / 32] - 1);
    into[thread] = segments_[thread];
    segments_[thread] = ++now_;
  }
  /// What is in the row of a barrier comes before what the thread does from now on.
  void acquire(unsigned thread, const row& from) {
    if (from.empty()) return;
    for (std::size_t i = segments_.size(); i < from.size(); ++i)
      see(thread, static_cast<unsigned>(i - segments_.size()), from[i]);
    row& mine = rows_[thread];
    if (versions_[thread] == 0) {
      mine.assign(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(segments_.size()));
    } else {
      for (std::size_t i = 0; i < mine.size(); ++i) mine[i] = std::max(mine[i], from[i]);
    }
    versions_[thread] = ++last_version_;
  }

 private:
  template <class F>
  void for_lanes(unsigned warp, std::uint32_t mask, F f) {
    for (std::uint32_t m = mask; m != 0; m &= m - 1) f(warp * 32 + static_cast<unsigned>(std::countr_zero(m)));
  }

  segment now_ = 0;
  segment floor_ = 0;
  segment start_ = 0;
  std::vector<segment> segments_;
  std::vector<segment> warp_floors_;
  /// 0: the row says nothing. Equal otherwise: equal rows.
  std::vector<std::uint32_t> versions_;
  std::uint32_t last_version_ = 0;
  std::vector<row> rows_;
  unsigned agents_ = 0;
  std::vector<segment> fenced_;
  /// By thread and agent: the newest moment known of it.
  std::vector<segment> seen_;
};

}  // namespace tessera::emulator::detail
