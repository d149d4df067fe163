// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// How a tensor of weights is kept while it is trained: what an optimiser reads as one float32 number a weight, and writes back.
///
/// | kept as | bytes a weight | an update too small for the 16 bits |
/// |---|---|---|
/// | `view<float, 1>` | 4 | is kept: float32's own rounding, 2^-24 |
/// | `master_weights` | 4 + 2 | the same: the 16-bit copy is for the network |
/// | `split_weights` | 2 + 2 | the same bits as a float32 master; the network reads the upper half |
/// | `compensated_weights` | 2 + 2 | is kept to 2^-17 and added to later ones (Kahan) |
/// | `stochastic_weights` | 2 | moves the weight by a whole last place, as often as it is large: right on average |
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::training {

/// float32 weights that are updated, and their rounded copy that the network computes with.
template <class S>
struct master_weights {
  static_assert(sizeof(S) == 2 && floating<S>, "training::master_weights: needs a copy of float16 or bfloat16");
  view<float, 1> master;
  view<S, 1> copy;
};

/// float32 weights in two halves. `high` is a bfloat16 that the network computes with: the weight rounded to nearest, ties away from 0, as only
/// that leaves what 16 bits can hold of the rest. `low` is what adds to it, -2^15 to 2^15 - 1 units of float32's last place, as a signed code.
struct split_weights {
  view<bfloat16, 1> high;
  view<std::uint16_t, 1> low;
};

/// 16-bit weights, and what rounding has left off them so far, to be added at the next update.
template <class S>
struct compensated_weights {
  static_assert(sizeof(S) == 2 && floating<S>, "training::compensated_weights: needs float16 or bfloat16");
  view<S, 1> weights;
  view<S, 1> rest;
};

/// 16-bit weights alone, rounded by chance: the random bits of element i of tensor t in a step are those of random::round_stochastic at
/// (seed, stream = 2^40 tensor + step, index = i), the same for any number of threads, any split of the model into lists, any device.
template <class S>
struct stochastic_weights {
  static_assert(sizeof(S) == 2 && floating<S>, "training::stochastic_weights: needs float16 or bfloat16");
  view<S, 1> weights;
  std::uint64_t seed = 0;
  std::uint64_t tensor = 0;  ///< below 2^24, another for each tensor of a model
};

namespace detail {

struct halves_of_weight {
  std::uint16_t high;
  std::uint16_t low;
};

/// A float32 as the code of the nearest bfloat16, ties away from 0, and what is to be added to it. NaNs become one that has both halves 16 bits.
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr halves_of_weight split_weight(float x) {
  const std::uint32_t code = x == x ? tessera::to_bits(x) : 0x7FC00000u;
  return {static_cast<std::uint16_t>((code + 0x8000u) >> 16), static_cast<std::uint16_t>(code)};
}

/// The float32 that split_weight took apart: of its low half, the upper half of all numbers had carried one into the high half.
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr float join_weight(std::uint16_t high, std::uint16_t low) {
  const std::uint32_t whole = static_cast<std::uint32_t>(high) << 16 | low;
  return tessera::from_bits<float>(whole - (low >= 0x8000u ? 0x10000u : 0u));
}

inline constexpr std::uint64_t most_tensors = std::uint64_t{1} << 24;
inline constexpr std::int64_t most_steps = std::int64_t{1} << 40;

TESSERA_HD constexpr std::uint64_t rounding_stream(std::uint64_t tensor, std::int64_t step) {
  return (tensor << 40) + static_cast<std::uint64_t>(step);
}

}  // namespace detail

/// The split form of a float32 weight, and the float32 that it stands for: exact, and back, for every number; NaN becomes the quiet one.
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr void split(float weight, bfloat16& high, std::uint16_t& low) {
  const detail::halves_of_weight halves = detail::split_weight(weight);
  high = tessera::from_bits<bfloat16>(halves.high);
  low = halves.low;
}
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr float joined(bfloat16 high, std::uint16_t low) {
  return detail::join_weight(tessera::to_bits(high), low);
}

}  // namespace tessera::training
