// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Sharing out work that comes in stripes of which each worker has to prepare its own.
#pragma once

#include <atomic>
#include <cstdint>

#include "tessera/core/config.hpp"

namespace tessera::tile::detail {

/// `stripes` stripes of `parts` parts each. A worker stays with its stripe while there are parts, then takes one that nobody has
/// begun, and at last helps with those that are not finished: it seldom prepares a stripe that another has prepared, and nobody
/// waits for the slowest.
class stripe_queue {
 public:
  using counter = std::atomic<std::int64_t>;

  /// `taken` is an array of `stripes` counters, all 0.
  stripe_queue(counter* taken, std::int64_t stripes, std::int64_t parts) : taken_(taken), stripes_(stripes), parts_(parts) {}

  struct item {
    std::int64_t stripe;
    std::int64_t part;
  };

  /// The next item of the worker whose last one was of stripe `mine` (-1: of none); `none` of its stripe when all are taken.
  TESSERA_ALWAYS_INLINE item take(std::int64_t mine) {
    if (mine >= 0) {
      if (const item next = part_of(mine); next.stripe >= 0) return next;
    }
    while (begun_.load() < stripes_) {
      const std::int64_t fresh = begun_.fetch_add(1);
      if (fresh >= stripes_) break;
      if (const item next = part_of(fresh); next.stripe >= 0) return next;
    }
    for (std::int64_t s = 0; s < stripes_; ++s) {
      if (const item next = part_of(s); next.stripe >= 0) return next;
    }
    return none;
  }

  static constexpr item none{-1, -1};

 private:
  TESSERA_ALWAYS_INLINE item part_of(std::int64_t stripe) {
    if (taken_[stripe].load() >= parts_) return none;
    const std::int64_t part = taken_[stripe].fetch_add(1);
    return part < parts_ ? item{stripe, part} : none;
  }

  counter* taken_;
  std::int64_t stripes_;
  std::int64_t parts_;
  counter begun_{0};
};

}  // namespace tessera::tile::detail
