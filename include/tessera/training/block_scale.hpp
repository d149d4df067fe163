// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The scale of a block of numbers in a narrow format, on host and device.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/numeric/e8m0.hpp"
#include "tessera/numeric/round_to.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/training/amax_scale.hpp"

namespace tessera::training {

/// Which power of two scales a block, of the two around its largest magnitude over the largest number of the format.
enum class block_rule : std::uint8_t {
  floor,  ///< 2^(floor(log2(amax)) - exponent of the largest number): OCP's, by which the largest numbers of a block may be held down
  ceil  ///< the least by which none is: NVIDIA's, for formats of 8 bits
};

/// How blocks are scaled.
struct block_options {
  std::int64_t block = 0;  ///< numbers of a row that share a scale; 0: 32 with scales of e8m0, 128 with those of float
  block_rule rule = block_rule::floor;  ///< with scales of e8m0
  bool power_of_two = false;            ///< with scales of float: the factor is rounded down to a power of two
};

/// What the codes of a block are multiplied by, and what its numbers were multiplied by before they were rounded.
template <class Scale, class T>
struct block_scale {
  Scale scale;
  T factor;  ///< 1 / scale; NaN for a block that holds an infinity or NaN
};

/// The power of two of a block of S whose largest magnitude is amax.
///
///   scale = 2^e,  e = floor(log2(amax)) - max_exponent<S>, or one more as `rule` has it, held within [-127, 127];   factor = 2^-e
///
/// Special values  amax = 0: 2^-127; infinity and NaN: NaN
/// Determinism     the same bits on host and device
/// Backends        host, device
/// Source          OCP Microscaling Formats (MX) Specification 1.0, sections 5.1 and 6.3; Rouhani et al. 2023, arXiv:2310.10537, algorithm 1;
///                 ceil: Mishra et al. 2025, arXiv:2506.08027
template <tessera::detail::narrow_float S, class T>
[[nodiscard]] TESSERA_HD constexpr block_scale<e8m0, T> power_scale_of_block(T amax, block_rule rule) {
  using format = format_of_t<T>;
  if (!(amax <= tessera::max_finite<T>())) return {e8m0::from_bits(ocp_e8m0::quiet_nan), tessera::quiet_nan<T>()};
  // The exponents of subnormal numbers are below those of every scale, for S of any format.
  int exponent = static_cast<int>(to_bits(amax) >> format::mantissa_bits) - format::bias - format_of_t<S>::max_exponent;
  if (rule == block_rule::ceil) {
    constexpr auto most = static_cast<T>(tessera::max_finite<S>());
    using bits = typename format::bits_type;
    exponent += (to_bits(amax) & format::mantissa_mask) > (static_cast<bits>(to_bits(most)) & format::mantissa_mask) ? 1 : 0;
  }
  exponent = exponent < -127 ? -127 : exponent > 127 ? 127 : exponent;
  const auto code = static_cast<std::uint8_t>(exponent + ocp_e8m0::bias);
  // 2^-127 is no normal number of float, and takes two factors.
  const T half = tessera::detail::power_of_two<format>(-(exponent / 2));
  return {e8m0::from_bits(code), half * tessera::detail::power_of_two<format>(-(exponent - exponent / 2))};
}

/// The scale of a block as a float: amax over the largest number of S, or up to twice that, as a power of two.
///
///   factor = scale_of_amax<S>(amax);   scale = 1 / factor
///
/// Special values  amax = 0: 1; infinity and NaN: NaN
/// Source          TransformerEngine's block scaling (recipe_common.cuh), which keeps an infinite amax at a factor of 1
template <tessera::detail::narrow_float S>
[[nodiscard]] TESSERA_HD constexpr block_scale<float, float> float_scale_of_block(float amax, bool power_of_two) {
  if (!(amax <= tessera::max_finite<float>())) return {tessera::quiet_nan<float>(), tessera::quiet_nan<float>()};
  const float factor = scale_of_amax<S>(amax, {.power_of_two = power_of_two});
  return {1 / factor, factor};
}

}  // namespace tessera::training
