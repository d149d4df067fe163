// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The register blocks of few queries, and how two bfloat16 share a lane until they are multiplied.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/simd/pack.hpp"
#include "tessera/tile/shape.hpp"

namespace tessera::attention::detail {

/// The register block: `rows` broadcast numbers times `packs` registers of lanes. 8 x 3 of 32 registers, 4 x 3 of 16; no more rows than lanes,
/// in which what is known of each row stands.
template <class T, class Arch>
struct few_shape {
  static constexpr int lanes = simd::pack<T, Arch>::lanes;
  static constexpr int most_rows = tile::block_shape<T, Arch>::wide ? 8 : 4;
  static constexpr int rows = most_rows < lanes ? most_rows : lanes;
  static constexpr int packs = 3;
  static constexpr int chunk = tile::value_chunk;
  static_assert(chunk % (packs * lanes) == 0);

  /// Rows times packs of sums of values; few rows and many packs, so that rows of values are read from end to end.
  static constexpr int value_sums = tile::block_shape<T, Arch>::wide ? 16 : 8;
};

/// Storage of which a register holds two packs, each element in the upper half of a lane of its own after one instruction.
template <class S, class P>
inline constexpr bool in_halves = std::is_same_v<S, bfloat16> && std::is_same_v<typename P::value_type, float>;

/// The elements of even and of odd index of 2 * lanes numbers whose codes are the lanes of `codes`.
template <class P>
TESSERA_ALWAYS_INLINE P even_elements(P codes) {
  return simd::bit_cast<float>(simd::bit_cast<std::int32_t>(codes) << 16);
}
template <class P>
TESSERA_ALWAYS_INLINE P odd_elements(P codes) {
  using I = simd::index_pack<float, typename P::arch>;
  return simd::bit_cast<float>(simd::bit_cast<std::int32_t>(codes) & I(static_cast<std::int32_t>(0xffff0000)));
}

/// The codes of 2 * lanes 16-bit numbers, as they are.
template <class P, class S>
TESSERA_ALWAYS_INLINE P load_codes(const S* p) {
  return P::load_unaligned(reinterpret_cast<const float*>(p));
}

}  // namespace tessera::attention::detail
