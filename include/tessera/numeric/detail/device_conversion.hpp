// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The processor's own conversions in device code, with the bits of rounding.hpp: there one instruction does what takes forty operations
/// elsewhere, and three more give a NaN its sign and payload back, of which the instruction makes 0x7FFF.
#pragma once

#include <concepts>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/format.hpp"

#if TESSERA_DEVICE_PASS

namespace tessera::detail {

/// Formats that device code can widen by instruction: cuda/memory/convert.cuh does. Not small_float's own conversion, which has to stay one that
/// the compiler can compute, as device code may not take the address of a constant of the host. (To widen brain16 is a shift.)
template <class Format>
concept widened_by_instruction =
    std::same_as<Format, binary16> || std::same_as<Format, ocp_e4m3> || std::same_as<Format, ocp_e5m2>;

/// Formats that device code rounds float to by instruction.
template <class Format>
concept narrowed_by_instruction = std::same_as<Format, binary16>
#if __CUDA_ARCH__ >= 800
                                  || std::same_as<Format, brain16>
#endif
    ;

__device__ __forceinline__ float half_to_float(std::uint16_t code) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(code));
  return x;
}

/// The bits of widen<Format>(code), as a float.
template <widened_by_instruction Format>
__device__ __forceinline__ float widen_by_instruction(typename Format::bits_type bits) {
  const std::uint32_t code = bits;
  if constexpr (std::same_as<Format, ocp_e4m3>) {
    // Read as a half it is the number times 2^-8, subnormal or not; its one NaN has no payload.
    const std::uint32_t magnitude = code & 0x7Fu;
    const std::uint32_t sign = code & 0x80u;
    const float x = half_to_float(static_cast<std::uint16_t>(sign << 8 | magnitude << 7)) * 256.0f;
    return magnitude == 0x7Fu ? __uint_as_float(sign << 24 | binary32::quiet_nan) : x;
  } else {
    const std::uint32_t half = std::same_as<Format, ocp_e5m2> ? code << 8 : code;
    const float x = half_to_float(static_cast<std::uint16_t>(half));
    return x != x ? __uint_as_float((half & 0x8000u) << 16 | (half & 0x3FFu) << 13 | binary32::quiet_nan) : x;
  }
}

/// The bits of narrow<Format, binary32>(the code of x).
template <narrowed_by_instruction Format>
__device__ __forceinline__ std::uint16_t narrow_by_instruction(float x) {
  constexpr int cut = binary32::mantissa_bits - Format::mantissa_bits;
  std::uint16_t code;
  if constexpr (std::same_as<Format, binary16>) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(code) : "f"(x));
  } else {
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(code) : "f"(x));
  }
  const std::uint32_t wide = __float_as_uint(x);
  const std::uint32_t nan = (wide >> 16 & 0x8000u) | (wide >> cut & Format::mantissa_mask) | Format::quiet_nan;
  return x != x ? static_cast<std::uint16_t>(nan) : code;
}

}  // namespace tessera::detail

#endif
