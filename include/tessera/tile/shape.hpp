// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The sizes that fit a register file and a cache: the only place where the machine's shape is written down.
#pragma once

#include "tessera/simd/pack.hpp"

namespace tessera::tile {

/// The register block of one product: `rows` broadcast numbers times `packs` registers of lanes, all sums held in registers.
///
/// Latency 4 and two FMA ports ask for at least 8 independent sums; the load ports ask for a block that is not too flat: with 8 x 3,
/// 24 multiply-adds need 3 loads and 8 broadcasts. 32 registers hold 24 sums, 3 loads and a broadcast; 16 registers hold 12, 2 and 1.
template <class T, class Arch>
struct block_shape {
  static constexpr bool wide = simd::compat::is_avx512<Arch>
#if defined(__aarch64__)
                               || true
#endif
      ;
  static constexpr int rows = wide ? 8 : 6;
  static constexpr int packs = wide ? 3 : 2;
  static constexpr int lanes = simd::pack<T, Arch>::lanes;
  static constexpr int width = packs * lanes;  ///< lanes of a panel
};

/// Keys that are folded at once. A row's sums run over a chunk, then over chunks: these numbers are part of the result's bits on
/// purpose, so they depend on nothing. Both are multiples of the heights of the register blocks. With a panel of queries a chunk
/// of scores fits the first-level cache; where values are summed a longer one halves the traffic of the sums and pays for itself.
inline constexpr int fold_chunk = 96;
inline constexpr int value_chunk = 192;

}  // namespace tessera::tile
