// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Who waits where, in words.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tessera/emulator/block.hpp"

namespace tessera::emulator::detail {

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
    if (alive && t.waits_for == nullptr) continue;
    groups[!alive ? std::string("have ended") : std::string("wait at ") + t.waits_for + " " + fault::text(t.place)].push_back(
        t.rank);
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
