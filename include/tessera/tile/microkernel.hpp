// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The inner loop of every product in the library: a register block of sums, one multiply-add per sum and step of depth.
#pragma once

#include <cstdint>

#include "tessera/simd/pack.hpp"

namespace tessera::tile {

/// Steps of depth that the operands are fetched ahead of their use: the second-level cache answers in about that time.
inline constexpr int a_ahead = 16;
inline constexpr int b_ahead = 8;

/// sums[r][p] += sum over k of a[k * a_step + r] * b[k * b_step + p * lanes + lane].
///
/// Every sum is one chain of fused multiply-adds in rising k, whatever Rows and Packs are: an element of a product has the
/// same bits in every register block, at every place in it.
template <int Rows, int Packs, class P>
TESSERA_ALWAYS_INLINE void multiply_add(std::int64_t depth, const typename P::value_type* TESSERA_RESTRICT a, std::int64_t a_step,
                                        const typename P::value_type* TESSERA_RESTRICT b, std::int64_t b_step,
                                        P (&sums)[Rows][Packs]) {
  TESSERA_UNROLL_BY_4  // a short loop ends in a mispredicted branch each time, a quarter as long one hardly does
      for (std::int64_t k = 0; k < depth; ++k) {
    simd::prefetch(a + a_ahead * Rows);
    P b_pack[Packs];
    TESSERA_UNROLL
    for (int p = 0; p < Packs; ++p) {
      b_pack[p] = P::load(b + p * P::lanes);
      simd::prefetch(b + b_ahead * Packs * P::lanes + p * P::lanes);
    }
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const P a_all(a[r]);
      TESSERA_UNROLL
      for (int p = 0; p < Packs; ++p) sums[r][p] = fma(a_all, b_pack[p], sums[r][p]);
    }
    a += a_step;
    b += b_step;
  }
}

/// sums[r][p] += sum over k of (a[k * a_step + r] - b[k * b_step + p * lanes + lane])^2: nothing cancels that the inputs do not.
template <int Rows, int Packs, class P>
TESSERA_ALWAYS_INLINE void add_squared_differences(std::int64_t depth, const typename P::value_type* TESSERA_RESTRICT a,
                                                   std::int64_t a_step, const typename P::value_type* TESSERA_RESTRICT b,
                                                   std::int64_t b_step, P (&sums)[Rows][Packs]) {
  for (std::int64_t k = 0; k < depth; ++k) {
    P b_pack[Packs];
    TESSERA_UNROLL
    for (int p = 0; p < Packs; ++p) b_pack[p] = P::load(b + p * P::lanes);
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const P a_all(a[r]);
      TESSERA_UNROLL
      for (int p = 0; p < Packs; ++p) {
        const P difference = a_all - b_pack[p];
        sums[r][p] = fma(difference, difference, sums[r][p]);
      }
    }
    a += a_step;
    b += b_step;
  }
}

/// Sets every sum to zero.
template <int Rows, int Packs, class P>
TESSERA_ALWAYS_INLINE void clear(P (&sums)[Rows][Packs]) {
  TESSERA_UNROLL
  for (int r = 0; r < Rows; ++r) {
    TESSERA_UNROLL
    for (int p = 0; p < Packs; ++p) sums[r][p] = P(typename P::value_type(0));
  }
}

}  // namespace tessera::tile
