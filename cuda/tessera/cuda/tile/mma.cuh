// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The product of fragments: c += a b on the tensor cores (mma.sync, sm_80).
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/tile/fragment.cuh"

namespace tessera::cuda::tile {
namespace detail {

#if TESSERA_CUDA_EMULATOR
/// Element (row, k) of the left operand, (k, column) of the right one, from the registers of a warp.
template <class M>
typename multiplication<M>::sum left_element(const left_fragment<M>& of_quad, int i, int half) {
  if constexpr (sizeof(M) == 2) {
    return static_cast<float>(from_bits<M>(static_cast<std::uint16_t>(of_quad.r[i] >> (16 * half))));
  } else if constexpr (std::is_same_v<M, double>) {
    return of_quad.r[i];
  } else {
    return __builtin_bit_cast(float, of_quad.r[i] & 0xFFFFE000u);
  }
}
template <class M>
typename multiplication<M>::sum right_element(const right_fragment<M>& of_lane, int i, int half) {
  left_fragment<M> same{};
  same.r[i] = of_lane.r[i];
  return left_element<M>(same, i, half);
}

template <class M>
struct mma_operands {
  left_fragment<M> a;
  right_fragment<M> b;
  typename multiplication<M>::sum c[4];
};
template <class Sum>
struct mma_sums {
  Sum c[4];
};

template <class M>
void emulated_mma(const mma_operands<M>* in, mma_sums<typename multiplication<M>::sum>* out) {
  using sum = typename multiplication<M>::sum;
  constexpr int depth = multiplication<M>::depth;
  sum a[16][depth];
  sum b[depth][8];
  for (int l = 0; l < warp_threads; ++l) {
    const int g = l / 4;
    const int t = l % 4;
    if constexpr (sizeof(M) == 2) {
      for (int half = 0; half < 2; ++half) {
        for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][2 * t + half + 8 * (i / 2)] = left_element<M>(in[l].a, i, half);
        for (int i = 0; i < 2; ++i) b[2 * t + half + 8 * i][g] = right_element<M>(in[l].b, i, half);
      }
    } else {
      for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][t + 4 * (i / 2)] = left_element<M>(in[l].a, i, 0);
      for (int i = 0; i < 2; ++i) b[t + 4 * i][g] = right_element<M>(in[l].b, i, 0);
    }
  }
  for (int l = 0; l < warp_threads; ++l) {
    for (int i = 0; i < 4; ++i) {
      const int row = l / 4 + 8 * (i / 2);
      const int column = 2 * (l % 4) + i % 2;
      sum total = in[l].c[i];
      for (int k = 0; k < depth; ++k) total += a[row][k] * b[k][column];
      out[l].c[i] = total;
    }
  }
}
#endif

}  // namespace detail

/// c += a b: 16 x depth times depth x 8. Products are exact; sums of 16-bit and tf32 operands are float32 in an order, and with a truncation, that
/// are the hardware's.
template <class M>
TESSERA_DEVICE void multiply_add(typename multiplication<M>::sum (&c)[4], const left_fragment<M>& a, const right_fragment<M>& b,
                                 [[maybe_unused]] code_place place = code_place::current()) {
#if TESSERA_DEVICE_PASS
  if constexpr (std::is_same_v<M, float16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
  } else if constexpr (std::is_same_v<M, bfloat16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
  } else if constexpr (std::is_same_v<M, tf32>) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
  } else {
    static_assert(std::is_same_v<M, double>);
    TESSERA_DEVICE_UNROLL
    for (int k = 0; k < 2; ++k) {
      TESSERA_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};\n"
                     : "+d"(c[2 * half]), "+d"(c[2 * half + 1])
                     : "d"(a.r[2 * k + half]), "d"(b.r[k]));
      }
    }
  }
#elif TESSERA_CUDA_EMULATOR
  using sum = typename multiplication<M>::sum;
  const detail::mma_operands<M> mine{a, b, {c[0], c[1], c[2], c[3]}};
  const auto sums = emulator::collective<detail::mma_sums<sum>>(
      mine, [](const detail::mma_operands<M>* in, detail::mma_sums<sum>* out) { detail::emulated_mma<M>(in, out); }, place);
  for (int i = 0; i < 4; ++i) c[i] = sums.c[i];
#endif
}

}  // namespace tessera::cuda::tile
