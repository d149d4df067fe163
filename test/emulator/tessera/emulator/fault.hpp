// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a kernel does wrong, with the thread and the line that did it.
#pragma once

#include <vector_types.h>

#include <source_location>
#include <stdexcept>
#include <string>

namespace tessera::emulator {

using code_place = std::source_location;

/// Thrown by launch(). The text reads `kernel block (x,y,z) thread (x,y,z) file:line: what`.
class fault : public std::runtime_error {
 public:
  fault(uint3 block, uint3 thread, code_place place, const std::string& what)
      : std::runtime_error("kernel block " + text(block) + " thread " + text(thread) + " " + text(place) + ": " + what),
        block_(block),
        thread_(thread),
        place_(place) {}

  [[nodiscard]] uint3 block() const noexcept { return block_; }
  [[nodiscard]] uint3 thread() const noexcept { return thread_; }
  [[nodiscard]] code_place place() const noexcept { return place_; }

  static std::string text(uint3 i) {
    return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
  }
  static std::string text(const code_place& place) { return std::string(place.file_name()) + ":" + std::to_string(place.line()); }

 private:
  uint3 block_;
  uint3 thread_;
  code_place place_;
};

}  // namespace tessera::emulator
