// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Matrix products of a warpgroup (wgmma, sm_90a): 64 rows, operands in shared memory, or the left one in registers; they run beside the warps.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/cuda/tile/mma.cuh"

namespace tessera::cuda::hopper {

/// How a right operand lies: its rows are the tile's (products of rows with rows), or the tile's rows are what is summed over.
enum class operand { rows, columns };

/// An operand in shared memory, rows of 64 elements of 16 bits as copy_box leaves them.
///
/// Rows: 8 of them, 1024 bytes, are the unit; the next 8 follow. Columns: the unit is 64 columns of 8 rows; the next 8 rows follow after 1024 bytes,
/// the next 64 columns after `next_columns` bytes.
class operand_descriptor {
 public:
  TESSERA_DEVICE static operand_descriptor of(const void* tile, int next_columns) {
    operand_descriptor d;
    d.bits_ = encoded(address_of(tile)) | encoded(static_cast<std::uint32_t>(next_columns)) << 16 | encoded(1024) << 32 |
              std::uint64_t{1} << 62;
    return d;
  }
  /// The descriptor of what begins so many bytes later.
  [[nodiscard]] TESSERA_DEVICE operand_descriptor after(int bytes) const {
    operand_descriptor d;
    d.bits_ = bits_ + (static_cast<std::uint32_t>(bytes) >> 4);
    return d;
  }
  [[nodiscard]] TESSERA_DEVICE std::uint64_t bits() const { return bits_; }

 private:
  TESSERA_DEVICE static std::uint64_t encoded(std::uint32_t bytes) { return (bytes & 0x3FFFFu) >> 4; }
  TESSERA_DEVICE static std::uint32_t address_of(const void* tile) {
#if TESSERA_CUDA_EMULATOR
    return static_cast<std::uint32_t>(static_cast<const std::byte*>(tile) - dynamic_shared_memory());
#else
    return to_shared_address(tile);
#endif
  }

  std::uint64_t bits_ = 0;
};

/// Registers and shared memory that products are about to read are as written.
TESSERA_DEVICE void fence_operands() {
#if TESSERA_HOPPER_PASS
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#endif
}
/// Makes one group of the products asked for since the last.
TESSERA_DEVICE void commit_products() {
#if TESSERA_CUDA_EMULATOR
  emulator::wgmma_commit();
#elif TESSERA_HOPPER_PASS
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
#endif
}
/// Waits until at most Pending groups are under way. The sums must go through `settle` before they are read.
template <int Pending>
TESSERA_DEVICE void wait_products() {
#if TESSERA_CUDA_EMULATOR
  emulator::wgmma_wait(Pending);
#elif TESSERA_HOPPER_PASS
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(Pending) : "memory");
#endif
}
/// Keeps the compiler from moving what reads or writes these registers across this place.
template <int Blocks>
TESSERA_DEVICE void settle([[maybe_unused]] float (&sums)[Blocks][4]) {
#if TESSERA_HOPPER_PASS
  TESSERA_DEVICE_UNROLL
  for (int n = 0; n < Blocks; ++n) {
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(sums[n][i])::"memory");
  }
#endif
}

namespace detail {

#if TESSERA_CUDA_EMULATOR
/// Element (row, column) of an operand in shared memory, swizzled by the address bits as the hardware does.
template <class M>
float operand_element(std::uint64_t descriptor, int row, int column, operand how, code_place place) {
  const auto field = [&](int shift) { return static_cast<std::int64_t>((descriptor >> shift & 0x3FFFu) << 4); };
  const std::int64_t start = field(0);
  const std::int64_t next_columns = field(16);
  const std::int64_t next_rows = field(32);
  std::int64_t at = start;
  if (how == operand::rows) {
    at += row / 8 * next_rows + row % 8 * 128 + column * 2;
  } else {
    at += row / 8 * next_rows + row % 8 * 128 + column / 64 * next_columns + column % 64 * 2;
  }
  const std::int64_t swizzled = at ^ ((at >> 7 & 7) << 4);
  const std::byte* const p = dynamic_shared_memory() + swizzled;
  // Elements come in chunks of 16 bytes: one check for each.
  if (column % 8 == 0) emulator::check_shared(p, 16, emulator::access::read, place);
  std::uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return static_cast<float>(from_bits<M>(bits));
}

template <class M, int Blocks>
struct product_operands {
  tile::left_fragment<M> a;
  std::uint64_t left;
  std::uint64_t right;
  float c[Blocks][4];
};
template <int Blocks>
struct product_sums {
  float c[Blocks][4];
};

template <class M, int Blocks, bool LeftInRegisters, operand Right, operand Left>
void emulated_product(const product_operands<M, Blocks>* in, product_sums<Blocks>* out, code_place place) {
  static thread_local float a[64][16];
  static thread_local float b[16][8 * Blocks];
  for (int row = 0; row < 64; ++row) {
    for (int k = 0; k < 16; ++k) {
      if constexpr (LeftInRegisters) {
        const int lane = row / 16 * 32 + row % 8 * 4 + k % 8 / 2;
        a[row][k] = tile::detail::left_element<M>(in[lane].a, row % 16 / 8 + 2 * (k / 8), k % 2);
      } else {
        a[row][k] = Left == operand::rows ? operand_element<M>(in[0].left, row, k, Left, place)
                                          : operand_element<M>(in[0].left, k, row, Left, place);
      }
    }
  }
  for (int k = 0; k < 16; ++k) {
    for (int n = 0; n < 8 * Blocks; ++n) {
      b[k][n] = Right == operand::rows ? operand_element<M>(in[0].right, n, k, Right, place)
                                       : operand_element<M>(in[0].right, k, n, Right, place);
    }
  }
  for (int l = 0; l < warpgroup_threads; ++l) {
    for (int n = 0; n < Blocks; ++n) {
      for (int i = 0; i < 4; ++i) {
        const int row = l / 32 * 16 + l % 32 / 4 + 8 * (i / 2);
        const int column = 8 * n + 2 * (l % 4) + i % 2;
        float sum = in[l].c[n][i];
        for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
        out[l].c[n][i] = sum;
      }
    }
  }
}

template <class M, int Blocks, bool LeftInRegisters, operand Right, operand Left = operand::rows>
void emulate(float (&c)[Blocks][4], const tile::left_fragment<M>& a, std::uint64_t left, std::uint64_t right, bool add,
             code_place place) {
  emulator::reveal(c);
  product_operands<M, Blocks> mine{a, left, right, {}};
  if (add) std::memcpy(mine.c, c, sizeof c);
  const auto sums = emulator::warpgroup_collective<product_sums<Blocks>>(
      mine,
      [place](const product_operands<M, Blocks>* in, product_sums<Blocks>* out) {
        emulated_product<M, Blocks, LeftInRegisters, Right, Left>(in, out, place);
      },
      place);
  std::memcpy(c, sums.c, sizeof c);
  emulator::hide_until_wait(c, sizeof c);
}
#endif

}  // namespace detail

#if TESSERA_HOPPER_PASS
// The sums of 8, 32, 64 and 128 columns as operands of an asm statement, which must name each; their names in its text; and the statement. What
// follows the sums has the numbers that the callers give, as nvcc has no operands by name.
#define TESSERA_SUMS_8(n) "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])
#define TESSERA_SUMS_32(n) TESSERA_SUMS_8(n), TESSERA_SUMS_8((n) + 1), TESSERA_SUMS_8((n) + 2), TESSERA_SUMS_8((n) + 3)
#define TESSERA_SUMS_OF_64 TESSERA_SUMS_32(0), TESSERA_SUMS_32(4)
#define TESSERA_SUMS_OF_128 TESSERA_SUMS_OF_64, TESSERA_SUMS_32(8), TESSERA_SUMS_32(12)
#define TESSERA_NAMES_OF_64                                                \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TESSERA_NAMES_OF_128                                                           \
  TESSERA_NAMES_OF_64                                                                  \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define TESSERA_WGMMA(columns, type, left, right, add, signs_and_orders, ...)                                              \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " add ", 0;\nwgmma.mma_async.sync.aligned.m64n" #columns "k16.f32." #type \
               "." #type " {" TESSERA_NAMES_OF_##columns "}, " left ", " right ", p, " signs_and_orders ";\n}\n"           \
               : TESSERA_SUMS_OF_##columns                                                                                 \
               : __VA_ARGS__)
#endif

/// sums = left right, or += where `add`: 64 rows x 16 products x 8 Blocks columns; the left operand's rows are 64 of its tile, or, where it lies by
/// columns, 64 columns of 16 rows.
template <class M, operand Right, operand Left = operand::rows, int Blocks>
TESSERA_DEVICE void multiply(float (&c)[Blocks][4], [[maybe_unused]] const operand_descriptor& left,
                             [[maybe_unused]] const operand_descriptor& right, [[maybe_unused]] bool add,
                             [[maybe_unused]] code_place place = code_place::current()) {
  static_assert(std::is_same_v<M, float16> || std::is_same_v<M, bfloat16>);
  static_assert(Blocks == 8 || Blocks == 16, "wgmma: 64 or 128 columns");
#if TESSERA_CUDA_EMULATOR
  detail::emulate<M, Blocks, false, Right, Left>(c, {}, left.bits(), right.bits(), add, place);
#elif TESSERA_HOPPER_PASS
  constexpr int left_by_columns = Left == operand::columns ? 1 : 0;
  constexpr int right_by_columns = Right == operand::columns ? 1 : 0;
  if constexpr (Blocks == 8 && std::is_same_v<M, float16>) {
    TESSERA_WGMMA(64, f16, "%32", "%33", "%34", "1, 1, %35, %36", "l"(left.bits()), "l"(right.bits()), "r"(static_cast<int>(add)),
                  "n"(left_by_columns), "n"(right_by_columns));
  } else if constexpr (Blocks == 8 && std::is_same_v<M, bfloat16>) {
    TESSERA_WGMMA(64, bf16, "%32", "%33", "%34", "1, 1, %35, %36", "l"(left.bits()), "l"(right.bits()),
                  "r"(static_cast<int>(add)), "n"(left_by_columns), "n"(right_by_columns));
  } else if constexpr (Blocks == 16 && std::is_same_v<M, float16>) {
    TESSERA_WGMMA(128, f16, "%64", "%65", "%66", "1, 1, %67, %68", "l"(left.bits()), "l"(right.bits()),
                  "r"(static_cast<int>(add)), "n"(left_by_columns), "n"(right_by_columns));
  } else {
    TESSERA_WGMMA(128, bf16, "%64", "%65", "%66", "1, 1, %67, %68", "l"(left.bits()), "l"(right.bits()),
                  "r"(static_cast<int>(add)), "n"(left_by_columns), "n"(right_by_columns));
  }
#endif
}

/// The same with the left operand in registers, as tile/fragment.cuh has it: 16 rows of each warp.
template <class M, operand Right, int Blocks>
TESSERA_DEVICE void multiply(float (&c)[Blocks][4], [[maybe_unused]] const tile::left_fragment<M>& left,
                             [[maybe_unused]] const operand_descriptor& right, [[maybe_unused]] bool add,
                             [[maybe_unused]] code_place place = code_place::current()) {
  static_assert(std::is_same_v<M, float16> || std::is_same_v<M, bfloat16>);
  static_assert(Blocks == 8 || Blocks == 16, "wgmma: 64 or 128 columns");
#if TESSERA_CUDA_EMULATOR
  detail::emulate<M, Blocks, true, Right>(c, left, 0, right.bits(), add, place);
#elif TESSERA_HOPPER_PASS
  constexpr int by_columns = Right == operand::columns ? 1 : 0;
  if constexpr (Blocks == 8 && std::is_same_v<M, float16>) {
    TESSERA_WGMMA(64, f16, "{%32, %33, %34, %35}", "%36", "%37", "1, 1, %38", "r"(left.r[0]), "r"(left.r[1]), "r"(left.r[2]),
                  "r"(left.r[3]), "l"(right.bits()), "r"(static_cast<int>(add)), "n"(by_columns));
  } else if constexpr (Blocks == 8 && std::is_same_v<M, bfloat16>) {
    TESSERA_WGMMA(64, bf16, "{%32, %33, %34, %35}", "%36", "%37", "1, 1, %38", "r"(left.r[0]), "r"(left.r[1]), "r"(left.r[2]),
                  "r"(left.r[3]), "l"(right.bits()), "r"(static_cast<int>(add)), "n"(by_columns));
  } else if constexpr (Blocks == 16 && std::is_same_v<M, float16>) {
    TESSERA_WGMMA(128, f16, "{%64, %65, %66, %67}", "%68", "%69", "1, 1, %70", "r"(left.r[0]), "r"(left.r[1]), "r"(left.r[2]),
                  "r"(left.r[3]), "l"(right.bits()), "r"(static_cast<int>(add)), "n"(by_columns));
  } else {
    TESSERA_WGMMA(128, bf16, "{%64, %65, %66, %67}", "%68", "%69", "1, 1, %70", "r"(left.r[0]), "r"(left.r[1]), "r"(left.r[2]),
                  "r"(left.r[3]), "l"(right.bits()), "r"(static_cast<int>(add)), "n"(by_columns));
  }
#endif
}

#if TESSERA_HOPPER_PASS
#undef TESSERA_SUMS_8
#undef TESSERA_SUMS_32
#undef TESSERA_SUMS_OF_64
#undef TESSERA_SUMS_OF_128
#undef TESSERA_NAMES_OF_64
#undef TESSERA_NAMES_OF_128
#undef TESSERA_WGMMA
#endif

}  // namespace tessera::cuda::hopper
