// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Operations that give one result on every machine: a fused multiply-add and a square root that call no library.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/detail/exact_sum.hpp"

/// 1 where a fused multiply-add is one instruction.
#if TESSERA_DEVICE_PASS
#define TESSERA_FMA_INSTRUCTION 1
#elif (defined(__GNUC__) || defined(__clang__)) &&                                                                      \
    (defined(__FMA__) || defined(__FMA4__) || defined(__AVX512F__) || defined(__FP_FAST_FMA) || defined(__aarch64__) || \
     defined(__powerpc__) || defined(__s390x__) || defined(__riscv_d))
#define TESSERA_FMA_INSTRUCTION 1
#else
#define TESSERA_FMA_INSTRUCTION 0
#endif

namespace tessera::random::detail {

using tessera::detail::round_to_odd;
using tessera::detail::sum_error;

/// a * b + c rounded once, without a fused instruction. The product of two floats is exact in double.
/// The result must be normal or zero.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float fma_emulated(float a, float b, float c) noexcept {
  const double p = static_cast<double>(a) * static_cast<double>(b);
  const double wide = static_cast<double>(c);
  const double s = p + wide;
  return static_cast<float>(round_to_odd(s, sum_error(p, wide, s)));
}

/// a * b + c rounded once, without a fused instruction. No step may overflow or underflow.
/// Source: Boldo, Melquiond, "Emulation of FMA and correctly rounded sums", IEEE Trans. Comp. 57(4), 2008, figure 4.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double fma_emulated(double a, double b, double c) noexcept {
  const double split = 134217729.0;  // 2^27 + 1: halves of 26 bits, whose products are exact
  const double wide_a = split * a;
  const double wide_b = split * b;
  const double a_high = wide_a - (wide_a - a);
  const double b_high = wide_b - (wide_b - b);
  const double a_low = a - a_high;
  const double b_low = b - b_high;
  const double p = a * b;
  const double p_low = a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low);
  const double t = c + p_low;
  const double t_low = sum_error(c, p_low, t);
  const double v = p + t;
  const double v_low = sum_error(p, t, v);
  const double z = t_low + v_low;
  return v + round_to_odd(z, sum_error(t_low, v_low, z));
}

/// a * b + c rounded once: the same bits with and without the instruction, and in constant expressions.
/// The compiler may contract a product and a sum that are written apart; all that is not exact is therefore written with fma.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float fma(float a, float b, float c) noexcept {
#if TESSERA_FMA_INSTRUCTION
  if (!__builtin_is_constant_evaluated()) return __builtin_fmaf(a, b, c);
#endif
  return fma_emulated(a, b, c);
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double fma(double a, double b, double c) noexcept {
#if TESSERA_FMA_INSTRUCTION
  if (!__builtin_is_constant_evaluated()) return __builtin_fma(a, b, c);
#endif
  return fma_emulated(a, b, c);
}

/// a / b, correctly rounded also in device code that is compiled with -use_fast_math.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float divide(float a, float b) noexcept {
#if TESSERA_DEVICE_PASS
  if (!__builtin_is_constant_evaluated()) return __fdiv_rn(a, b);
#endif
  return a / b;
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double divide(double a, double b) noexcept { return a / b; }

/// The square root of a positive normal number, within 0.51 ulp.
///
/// 1/sqrt(x) from halving the exponent (3.5 % off), squared away by Newton steps, then one step on the root itself with an exact
/// residual. Not the instruction: compilers keep errno with it, which forbids a vector loop, and not all of them know it in
/// constant expressions.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double square_root(double x) noexcept {
  const double half = 0.5 * x;
  double y = __builtin_bit_cast(double, 0x5FE6EB50C7B537A9u - (__builtin_bit_cast(std::uint64_t, x) >> 1));
  y = y * fma(-half * y, y, 1.5);
  y = y * fma(-half * y, y, 1.5);
  y = y * fma(-half * y, y, 1.5);
  const double root = x * y;
  return fma(fma(-root, root, x), 0.5 * y, root);
}

/// The square root of a positive normal number, correctly rounded, without the instruction.
///
/// A float's root is at least 2^-50 (relative) from any midpoint, so the double one rounds to it. For double, the residual of the root
/// above is exact, and tells by its size whether the neighbour is nearer.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float rounded_root_emulated(float x) noexcept {
  return static_cast<float>(square_root(static_cast<double>(x)));
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double rounded_root_emulated(double x) noexcept {
  const double root = square_root(x);
  const auto bits = __builtin_bit_cast(std::uint64_t, root);
  const double unit = __builtin_bit_cast(double, bits & 0x7FF0000000000000u) * 0x1p-52;
  // x - root^2, against (root +- unit / 2)^2 - root^2 = +- root unit + unit^2 / 4, whose last term is less than any residual's last place.
  const double residual = fma(-root, root, x);
  const double bound = root * unit;
  return __builtin_bit_cast(double, bits + (residual > bound ? 1u : 0u) - (residual <= -bound ? 1u : 0u));
}

/// The square root of a positive normal number, correctly rounded: one at a time, as loops of it are no vector loops. For arrays there
/// is simd::detail::square_roots, with the same bits.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE float rounded_root(float x) noexcept {
#if TESSERA_DEVICE_PASS
  if (!__builtin_is_constant_evaluated()) return __fsqrt_rn(x);
#elif defined(__GNUC__) || defined(__clang__)
  if (!__builtin_is_constant_evaluated()) return __builtin_sqrtf(x);
#endif
  return rounded_root_emulated(x);
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double rounded_root(double x) noexcept {
#if TESSERA_DEVICE_PASS
  if (!__builtin_is_constant_evaluated()) return __dsqrt_rn(x);
#elif defined(__GNUC__) || defined(__clang__)
  if (!__builtin_is_constant_evaluated()) return __builtin_sqrt(x);
#endif
  return rounded_root_emulated(x);
}

}  // namespace tessera::random::detail
