// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Boxes of an array copied into shared memory by the copy engine (TMA).
#pragma once

#include <cuda.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "tessera/emulator/mbarrier.hpp"
#include "tessera/emulator/tensor_map.hpp"

namespace tessera::emulator {
namespace detail {

/// Where the byte at an offset of an unswizzled box goes: 16-byte chunks change places by the address of their row.
inline std::byte* swizzled(std::byte* p, unsigned swizzle) {
  auto at = reinterpret_cast<std::uintptr_t>(p);
  const std::uintptr_t chunks = swizzle / 16;  // 2, 4 or 8 of them in a row
  if (chunks > 1) at ^= ((at >> 7) & (chunks - 1)) << 4;
  return reinterpret_cast<std::byte*>(at);
}

inline void copy_box(const tensor_map& map, std::byte* to, const std::array<int, 5>& corner) {
  const std::size_t width = std::size_t{map.box[0]} * map.element_bytes;
  int at[5];
  std::size_t offset = 0;
  for (int e = 0; e < map.box[4]; ++e) {
    for (int d = 0; d < map.box[3]; ++d) {
      for (int c = 0; c < map.box[2]; ++c) {
        for (int r = 0; r < map.box[1]; ++r, offset += width) {
          const int steps[5] = {0, r, c, d, e};
          bool inside = true;
          const std::byte* row = map.base;
          for (std::size_t i = 0; i < 5; ++i) {
            at[i] = corner[i] + steps[i];
            if (i > 0) {
              inside = inside && static_cast<std::uint64_t>(at[i]) < map.extents[i];  // a negative one is too great
              if (inside) row += static_cast<std::uint64_t>(at[i]) * map.strides[i - 1];
            }
          }
          for (std::size_t x = 0; x < map.box[0]; ++x) {
            const long long column = static_cast<long long>(corner[0]) + static_cast<long long>(x);
            const bool here = inside && static_cast<std::uint64_t>(column) < map.extents[0];
            std::byte* const target = swizzled(to + offset + x * map.element_bytes, map.swizzle);
            if (here) {
              std::memcpy(target, row + static_cast<std::size_t>(column) * map.element_bytes, map.element_bytes);
            } else {
              std::memset(target, map.outside, map.element_bytes);
            }
          }
        }
      }
    }
  }
}

}  // namespace detail

/// cp.async.bulk.tensor: the box at the coordinates (the innermost first), counted by the barrier with all its bytes.
inline void tensor_copy(void* to, const CUtensorMap_st* map, void* barrier, const int* coordinates,
                        code_place place = code_place::current()) {
  detail::block& b = *detail::current;
  detail::tensor_map m;
  std::memcpy(static_cast<void*>(&m), map, sizeof m);
  if (m.mark != detail::tensor_map::right_mark) b.fail(place, "no tensor map here: not made by cuTensorMapEncodeTiled");
  if (reinterpret_cast<std::uintptr_t>(map) % 64 != 0) b.fail(place, "misaligned: the tensor map needs a multiple of 64 bytes");
  if (reinterpret_cast<std::uintptr_t>(to) % 128 != 0) b.fail(place, "misaligned: the box needs a multiple of 128 bytes");
  std::array<int, 5> corner{};
  for (std::size_t i = 0; i < m.rank; ++i) corner[i] = coordinates[i];
  std::size_t bytes = m.element_bytes;
  for (const std::uint16_t extent : m.box) bytes *= extent;
  detail::start_bulk(to, bytes, barrier, [m, to, corner] { detail::copy_box(m, static_cast<std::byte*>(to), corner); }, place);
}

}  // namespace tessera::emulator
