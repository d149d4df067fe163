// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// How a warp holds the operands of a matrix product in its registers, and how it gets them from shared memory.
///
/// A lane l has the numbers g = l / 4 and t = l % 4. Of a 16 x 8 block of sums it holds (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1): four
/// lanes, a quad, share a row.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/shared_tile.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/traits.hpp"

namespace tessera::cuda::tile {

/// float32 operands, multiplied with the 11 leading bits of each: the tensor cores' own format.
struct tf32 {};

/// g and t of this lane.
TESSERA_DEVICE int fragment_row() { return static_cast<int>(threadIdx.x % 32 / 4); }
TESSERA_DEVICE int fragment_column() { return static_cast<int>(threadIdx.x % 4); }

/// Not products but squared differences are summed, of T; exactly rounded, one by one.
template <class T>
struct squared_differences {};

/// What a product takes: `element` is what its operands are stored as, `sum` what it adds up in, `depth` how many products an instruction adds
/// to a sum. M is float16, bfloat16, tf32 or double, on the tensor cores; or float or squared_differences, `one_by_one`: `add` is a fused
/// multiply-add.
template <class M>
struct multiplication {
  using element = M;
  using sum = std::conditional_t<std::is_same_v<M, double>, double, float>;
  static constexpr int depth = sizeof(M) == 2 ? 16 : 8;
  static constexpr bool one_by_one = std::is_same_v<M, float>;

  TESSERA_DEVICE static sum add(sum a, sum b, sum c) { return fma(a, b, c); }
};
template <>
struct multiplication<tf32> {
  using element = float;
  using sum = float;
  static constexpr int depth = 8;
  static constexpr bool one_by_one = false;
};
template <class T>
struct multiplication<squared_differences<T>> {
  using element = T;
  using sum = T;
  static constexpr int depth = 8;
  static constexpr bool one_by_one = true;

  TESSERA_DEVICE static T add(T a, T b, T c) {
    const T difference = a - b;
    return fma(difference, difference, c);
  }
};

/// The left operand, 16 rows x depth. 16-bit: two neighbours in a register, (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8) and the next column.
/// Wider: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4).
template <class M>
struct left_fragment {
  std::uint32_t r[4];
};
template <>
struct left_fragment<double> {
  double r[4];
};

/// The right operand, depth x 8 columns: 16-bit (2t, g), (2t + 8, g) and the next row; wider (t, g), (t + 4, g).
template <class M>
struct right_fragment {
  std::uint32_t r[2];
};
template <>
struct right_fragment<double> {
  double r[2];
};

namespace detail {

/// Two numbers rounded to 16 bits, to nearest, in one register, the first in the lower half: one instruction.
template <class T>
TESSERA_DEVICE std::uint32_t rounded_pair(float low, float high) {
  static_assert(std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>);
#if TESSERA_DEVICE_PASS
  std::uint32_t pair;
  if constexpr (std::is_same_v<T, bfloat16>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  }
  return pair;
#else
  return static_cast<std::uint32_t>(to_bits(T(low))) | static_cast<std::uint32_t>(to_bits(T(high))) << 16;
#endif
}

/// A float as the tensor cores take it: rounded to nearest, ties away from zero.
TESSERA_DEVICE std::uint32_t tf32_bits(float x) {
#if TESSERA_DEVICE_PASS
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#else
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const bool special = (bits & 0x7F800000u) == 0x7F800000u;
  return special ? bits : (bits + 0x1000u) & 0xFFFFE000u;
#endif
}

/// Four 8 x 8 matrices of 16-bit elements (or 8 x 4 of 32 bits), their rows at the addresses that lanes 8 m to 8 m + 7 bring for matrix m: a lane gets
/// of each matrix the 32 bits number t of row g. Transposed (16-bit): elements (2t, g) and (2t + 1, g).
template <bool Transposed>
TESSERA_DEVICE void load_matrices(std::uint32_t (&r)[4], const void* row, [[maybe_unused]] code_place place) {
#if TESSERA_DEVICE_PASS
  const std::uint32_t address = to_shared_address(row);
  if constexpr (Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  }
#elif TESSERA_CUDA_EMULATOR
  struct four {
    std::uint32_t r[4];
  };
  emulator::check_shared(row, 16, emulator::access::read, place);
  const four mine = emulator::collective<four>(
      row,
      [](const void* const* rows, four* out) {
        for (int m = 0; m < 4; ++m) {
          std::uint16_t matrix[8][8];
          for (int i = 0; i < 8; ++i) std::memcpy(matrix[i], rows[8 * m + i], 16);
          for (int l = 0; l < warp_threads; ++l) {
            const int g = l / 4;
            const int t = l % 4;
            const std::uint32_t low = Transposed ? matrix[2 * t][g] : matrix[g][2 * t];
            const std::uint32_t high = Transposed ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
            out[l].r[m] = low | high << 16;
          }
        }
      },
      place);
  for (int m = 0; m < 4; ++m) r[m] = mine.r[m];
#endif
}

}  // namespace detail

/// The left operand from rows [row, row + 16), columns [column, column + depth) of a tile.
template <class M, class Tile>
TESSERA_DEVICE left_fragment<M> load_left(const Tile& tile, int row, int column, code_place place = code_place::current()) {
  left_fragment<M> a;
  if constexpr (std::is_same_v<M, double>) {
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) {
      a.r[i] = tile.load(row + fragment_row() + 8 * (i % 2), column + fragment_column() + 4 * (i / 2), place);
    }
  } else {
    const int lane = lane_id();
    detail::load_matrices<false>(a.r, tile.chunk_address(row + lane % 16, column / Tile::chunk + lane / 16), place);
    if constexpr (std::is_same_v<M, tf32>) {
      TESSERA_DEVICE_UNROLL
      for (std::uint32_t& r : a.r) r = detail::tf32_bits(__builtin_bit_cast(float, r));
    }
  }
  return a;
}

/// Right operands of two neighbouring blocks of 8 columns, which are rows [row, row + 16) of the tile: products of rows with rows.
template <class M, class Tile>
TESSERA_DEVICE void load_right_rows(right_fragment<M> (&b)[2], const Tile& tile, int row, int column,
                                    code_place place = code_place::current()) {
  if constexpr (std::is_same_v<M, double>) {
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < 2; ++n) {
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < 2; ++i) {
        b[n].r[i] = tile.load(row + 8 * n + fragment_row(), column + fragment_column() + 4 * i, place);
      }
    }
  } else {
    const int lane = lane_id();
    std::uint32_t r[4];
    detail::load_matrices<false>(r, tile.chunk_address(row + lane % 8 + lane / 16 * 8, column / Tile::chunk + lane / 8 % 2),
                                 place);
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) {
      if constexpr (std::is_same_v<M, tf32>) r[i] = detail::tf32_bits(__builtin_bit_cast(float, r[i]));
      b[i / 2].r[i % 2] = r[i];
    }
  }
}

/// Right operands of two neighbouring blocks of 8 columns of the tile, rows [row, row + depth): products of weights with rows. For wider types
/// than 16 bits row 2t of the tile is row t of the operand, and row 2t + 1 row t + 4: the order in which `weights_as_left` has them.
template <class M, class Tile>
TESSERA_DEVICE void load_right_columns(right_fragment<M> (&b)[2], const Tile& tile, int row, int column,
                                       code_place place = code_place::current()) {
  if constexpr (sizeof(typename Tile::element) == 2) {
    const int lane = lane_id();
    std::uint32_t r[4];
    detail::load_matrices<true>(r, tile.chunk_address(row + lane % 16, column / Tile::chunk + lane / 16), place);
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) b[i / 2].r[i % 2] = r[i];
  } else {
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < 2; ++n) {
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < 2; ++i) {
        const auto x = tile.load(row + 2 * fragment_column() + i, column + 8 * n + fragment_row(), place);
        if constexpr (std::is_same_v<M, tf32>) {
          b[n].r[i] = detail::tf32_bits(x);
        } else {
          b[n].r[i] = x;
        }
      }
    }
  }
}

/// Sums of 16 rows x depth columns as a left operand: `block` points to the 16 x 8 blocks of a row block, two of them for 16-bit types, whose
/// operands are rounded to nearest.
template <class M, class Sum>
TESSERA_DEVICE left_fragment<M> weights_as_left(const Sum (*block)[4]) {
  left_fragment<M> a;
  if constexpr (sizeof(M) == 2) {
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const Sum* const pair = block[i / 2] + 2 * (i % 2);
      a.r[i] = detail::rounded_pair<M>(pair[0], pair[1]);
    }
  } else {
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const Sum x = block[0][2 * (i % 2) + i / 2];
      if constexpr (std::is_same_v<M, tf32>) {
        a.r[i] = detail::tf32_bits(x);
      } else {
        a.r[i] = x;
      }
    }
  }
  return a;
}

}  // namespace tessera::cuda::tile
