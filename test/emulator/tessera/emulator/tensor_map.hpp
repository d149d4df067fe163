// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A tensor map as the emulator writes it.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>

namespace tessera::emulator::detail {

/// What cuTensorMapEncodeTiled of the emulator (runtime.cpp) puts into the 128 bytes of a map.
struct tensor_map {
  static constexpr std::uint64_t right_mark = 0x7E55E2A07E500A11u;

  std::uint64_t mark = 0;
  const std::byte* base = nullptr;
  /// From the innermost on; the innermost stride is the size of an element.
  std::uint64_t extents[5] = {1, 1, 1, 1, 1};
  std::uint64_t strides[4] = {};
  std::uint16_t box[5] = {1, 1, 1, 1, 1};
  std::uint8_t rank = 0;
  std::uint8_t element_bytes = 0;
  /// Bytes of a swizzled row: 0, 32, 64, 128.
  std::uint8_t swizzle = 0;
  /// The byte that stands for what is outside.
  std::uint8_t outside = 0;
};
static_assert(sizeof(tensor_map) <= sizeof(CUtensorMap));

}  // namespace tessera::emulator::detail
