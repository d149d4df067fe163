// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One SIMD register of numbers, with the operators of a number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "tessera/numeric/lane.hpp"
#include "tessera/simd/compat.hpp"
#include "tessera/simd/detail/exponent.hpp"

namespace tessera::simd {

/// A truth value in each lane; what comparing two packs gives.
template <class T, class Arch = default_arch>
struct mask {
  xsimd::batch_bool<T, Arch> v;

  TESSERA_ALWAYS_INLINE friend mask operator&(mask a, mask b) { return {a.v & b.v}; }
  TESSERA_ALWAYS_INLINE friend mask operator|(mask a, mask b) { return {a.v | b.v}; }
  TESSERA_ALWAYS_INLINE friend mask operator!(mask a) { return {!a.v}; }
};

/// As many numbers of type T (float, double, int32, int64) as one register of Arch holds.
///
/// Arithmetic and comparison act lane by lane and round like the scalar operation. A number converts to a pack that holds it
/// in every lane. `Arch` is part of the type, so translation units compiled with different -m flags never share a function.
template <class T, class Arch = default_arch>
struct pack {
  using value_type = T;
  using arch = Arch;
  using batch = xsimd::batch<T, Arch>;
  static constexpr int lanes = static_cast<int>(batch::size);
  static constexpr std::size_t alignment = Arch::alignment();

  batch v;

  pack() = default;
  TESSERA_ALWAYS_INLINE pack(T x) : v(x) {}
  TESSERA_ALWAYS_INLINE explicit pack(batch b) : v(b) {}

  /// p[0], p[1] … ; p aligned to `alignment` bytes.
  TESSERA_ALWAYS_INLINE static pack load(const T* p) { return pack(batch::load_aligned(p)); }
  TESSERA_ALWAYS_INLINE static pack load_unaligned(const T* p) { return pack(batch::load_unaligned(p)); }
  TESSERA_ALWAYS_INLINE void store(T* p) const { v.store_aligned(p); }
  TESSERA_ALWAYS_INLINE void store_unaligned(T* p) const { v.store_unaligned(p); }
  /// For what is written whole and not read soon: past the caches, p aligned. Call `stream_fence()` before others may read it.
  TESSERA_ALWAYS_INLINE void stream(T* p) const { compat::stream(p, v); }

  /// The number in lane 0.
  [[nodiscard]] TESSERA_ALWAYS_INLINE T first() const {
    T x;
    __builtin_memcpy(&x, &v, sizeof(T));
    return x;
  }

  /// first, first + 1, first + 2 …
  TESSERA_ALWAYS_INLINE static pack iota(T first) {
    alignas(Arch::alignment()) T x[lanes];
    for (int i = 0; i < lanes; ++i) x[i] = first + static_cast<T>(i);
    return load(x);
  }

  TESSERA_ALWAYS_INLINE friend pack operator+(pack a, pack b) { return pack(a.v + b.v); }
  TESSERA_ALWAYS_INLINE friend pack operator-(pack a, pack b) { return pack(a.v - b.v); }
  TESSERA_ALWAYS_INLINE friend pack operator*(pack a, pack b) { return pack(a.v * b.v); }
  TESSERA_ALWAYS_INLINE friend pack operator/(pack a, pack b) { return pack(a.v / b.v); }
  TESSERA_ALWAYS_INLINE friend pack operator-(pack a) {
    if constexpr (std::is_floating_point_v<T>) {
      return pack(a.v ^ batch(T(-0.0)));  // xsimd subtracts from 0 on AVX-512, which gives +0 for +0
    } else {
      return pack(-a.v);
    }
  }
  // Bits, of integers only.
  TESSERA_ALWAYS_INLINE friend pack operator&(pack a, pack b)
    requires std::is_integral_v<T>
  {
    return pack(a.v & b.v);
  }
  TESSERA_ALWAYS_INLINE friend pack operator|(pack a, pack b)
    requires std::is_integral_v<T>
  {
    return pack(a.v | b.v);
  }
  TESSERA_ALWAYS_INLINE friend pack operator^(pack a, pack b)
    requires std::is_integral_v<T>
  {
    return pack(a.v ^ b.v);
  }
  TESSERA_ALWAYS_INLINE friend pack operator~(pack a)
    requires std::is_integral_v<T>
  {
    return pack(a.v ^ batch(static_cast<T>(~T(0))));
  }
  /// By the same number of bits in every lane; the right shift of a signed pack keeps the sign.
  TESSERA_ALWAYS_INLINE friend pack operator<<(pack a, int n)
    requires std::is_integral_v<T>
  {
    return pack(a.v << n);
  }
  TESSERA_ALWAYS_INLINE friend pack operator>>(pack a, int n)
    requires std::is_integral_v<T>
  {
    return pack(a.v >> n);
  }
  TESSERA_ALWAYS_INLINE pack& operator+=(pack b) { return *this = *this + b; }
  TESSERA_ALWAYS_INLINE pack& operator-=(pack b) { return *this = *this - b; }
  TESSERA_ALWAYS_INLINE pack& operator*=(pack b) { return *this = *this * b; }
  TESSERA_ALWAYS_INLINE pack& operator/=(pack b) { return *this = *this / b; }
  TESSERA_ALWAYS_INLINE friend mask<T, Arch> operator<(pack a, pack b) { return {a.v < b.v}; }
  TESSERA_ALWAYS_INLINE friend mask<T, Arch> operator<=(pack a, pack b) { return {a.v <= b.v}; }
  TESSERA_ALWAYS_INLINE friend mask<T, Arch> operator>(pack a, pack b) { return {a.v > b.v}; }
  TESSERA_ALWAYS_INLINE friend mask<T, Arch> operator>=(pack a, pack b) { return {a.v >= b.v}; }
  TESSERA_ALWAYS_INLINE friend mask<T, Arch> operator==(pack a, pack b) { return {a.v == b.v}; }
  TESSERA_ALWAYS_INLINE friend mask<T, Arch> operator!=(pack a, pack b) { return {compat::not_equal(a.v, b.v)}; }
};

template <class P>
inline constexpr bool is_pack = false;
template <class T, class Arch>
inline constexpr bool is_pack<pack<T, Arch>> = true;

/// The integer pack with as many lanes as pack<T>: int32 beside float, int64 beside double.
template <class T, class Arch = default_arch>
using index_pack = pack<lane_index<T>, Arch>;

/// The same bits as To, which is as wide as From.
template <class To, class From, class Arch>
TESSERA_ALWAYS_INLINE pack<To, Arch> bit_cast(pack<From, Arch> x) {
  return pack<To, Arch>(compat::bitwise_cast<To>(x.v));
}

/// The integers of an index pack as numbers: rounded to nearest for float, exact below 2^51 for double.
template <class Arch>
TESSERA_ALWAYS_INLINE pack<float, Arch> to_number(pack<std::int32_t, Arch> i) {
  return pack<float, Arch>(xsimd::to_float(i.v));
}
template <class Arch>
TESSERA_ALWAYS_INLINE pack<double, Arch> to_number(pack<std::int64_t, Arch> i) {
  // Into the low bits of 1.5 * 2^52: most machines have no conversion of 64 bits.
  constexpr double magic = 0x1.8p52;
  return bit_cast<double>(i + pack<std::int64_t, Arch>(__builtin_bit_cast(std::int64_t, magic))) - pack<double, Arch>(magic);
}

namespace detail {

/// 1 where the compiler has __builtin_shufflevector. nvcc has it, but hands a pack of indices on to the host's compiler unexpanded.
#define TESSERA_SHUFFLEVECTOR 0
#if defined(__has_builtin) && !defined(__NVCC__)
#if __has_builtin(__builtin_shufflevector)
#undef TESSERA_SHUFFLEVECTOR
#define TESSERA_SHUFFLEVECTOR 1
#endif
#endif

/// low, high = a[0], b[0], a[1], b[1] …
template <class T, class Arch, std::size_t... L>
TESSERA_ALWAYS_INLINE void zip(pack<T, Arch> a, pack<T, Arch> b, pack<T, Arch>& low, pack<T, Arch>& high,
                               std::index_sequence<L...>) {
  constexpr int lanes = pack<T, Arch>::lanes;
#if TESSERA_SHUFFLEVECTOR
  typedef T vector __attribute__((vector_size(sizeof(T) * lanes)));  // NOLINT(modernize-use-using): GCC 12 drops it from an alias
  const vector x = __builtin_bit_cast(vector, a);
  const vector y = __builtin_bit_cast(vector, b);
  low = __builtin_bit_cast(pack<T, Arch>,
                           __builtin_shufflevector(x, y, (static_cast<int>(L) / 2 + static_cast<int>(L) % 2 * lanes)...));
  high = __builtin_bit_cast(
      pack<T, Arch>, __builtin_shufflevector(x, y, (lanes / 2 + static_cast<int>(L) / 2 + static_cast<int>(L) % 2 * lanes)...));
#else
  alignas(pack<T, Arch>::alignment) T x[2][lanes];
  alignas(pack<T, Arch>::alignment) T y[2 * lanes];
  a.store(x[0]);
  b.store(x[1]);
  for (int i = 0; i < 2 * lanes; ++i) y[i] = x[i % 2][i / 2];
  low = pack<T, Arch>::load(y);
  high = pack<T, Arch>::load(y + lanes);
#endif
}

}  // namespace detail

/// Transposes a matrix of Rows packs: afterwards x holds, one after another, lane 0 of every pack, lane 1 of every pack, and so on. Rows is
/// a power of two. Every number takes log2(Rows) shuffles of whole registers.
template <int Rows, class T, class Arch>
TESSERA_ALWAYS_INLINE void transpose(pack<T, Arch> (&x)[Rows]) {
  static_assert((Rows & (Rows - 1)) == 0);
  for (int stage = 1; stage < Rows; stage *= 2) {
    pack<T, Arch> y[Rows];
    TESSERA_UNROLL
    for (int i = 0; i < Rows / 2; ++i) {
      detail::zip(x[i], x[i + Rows / 2], y[2 * i], y[2 * i + 1], std::make_index_sequence<pack<T, Arch>::lanes>{});
    }
    TESSERA_UNROLL
    for (int i = 0; i < Rows; ++i) x[i] = y[i];
  }
}

/// Asks for the cache line of p. Any address is allowed.
template <class T>
TESSERA_ALWAYS_INLINE void prefetch(const T* p) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(p);
#else
  (void)p;
#endif
}
/// The same, no nearer than the second-level cache.
template <class T>
TESSERA_ALWAYS_INLINE void prefetch_far(const T* p) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(p, 0, 2);
#else
  (void)p;
#endif
}

/// Orders what was streamed before whatever this thread stores next.
TESSERA_ALWAYS_INLINE void stream_fence() { compat::stream_fence(); }

/// |a|, NaN stays.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE pack<T, Arch> abs(pack<T, Arch> a) {
  return pack<T, Arch>(xsimd::abs(a.v));
}

/// Whether any, every lane is true.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE bool any(mask<T, Arch> m) {
  return xsimd::any(m.v);
}
template <class T, class Arch>
TESSERA_ALWAYS_INLINE bool all(mask<T, Arch> m) {
  return xsimd::all(m.v);
}
/// Bit l is lane l.
template <class T, class Arch>
TESSERA_ALWAYS_INLINE std::uint32_t lane_bits(mask<T, Arch> m) {
  return compat::lane_bits(m.v);
}

namespace detail {

/// What lane<pack> has for every element type.
template <class T, class Arch>
struct pack_lane {
  using value_type = T;
  using P = pack<T, Arch>;
  using mask = simd::mask<T, Arch>;
  static constexpr int width = P::lanes;

  template <class M>
  TESSERA_ALWAYS_INLINE static P select(simd::mask<M, Arch> m, P a, P b) {
    return P(compat::select(compat::mask_cast<T>(m.v), a.v, b.v));
  }
  TESSERA_ALWAYS_INLINE static P max(P a, P b) { return P(compat::max(a.v, b.v)); }
  TESSERA_ALWAYS_INLINE static P min(P a, P b) { return P(compat::min(a.v, b.v)); }
  TESSERA_ALWAYS_INLINE static bool any(mask m) { return xsimd::any(m.v); }
};

/// The lanes of a pack in memory, for as long as they are worked on one by one.
template <class P>
struct lanes_of {
  P& of;
  alignas(P::alignment) typename P::value_type number[P::lanes];

  TESSERA_ALWAYS_INLINE explicit lanes_of(P& p) : of(p) { p.store(number); }
  TESSERA_ALWAYS_INLINE ~lanes_of() { of = P::load(number); }
  lanes_of(const lanes_of&) = delete;
  lanes_of& operator=(const lanes_of&) = delete;
};

}  // namespace detail
}  // namespace tessera::simd

namespace tessera {

template <class T, class Arch>
struct lane<simd::pack<T, Arch>> : simd::detail::pack_lane<T, Arch> {
  using P = simd::pack<T, Arch>;
  using index = simd::index_pack<T, Arch>;
  using bits = simd::pack<typename lane<T>::bits, Arch>;
  static constexpr bool fused = simd::compat::has_fma<Arch>;
  static constexpr auto sign_bit = lane<T>::sign_bit;

  TESSERA_ALWAYS_INLINE static bits to_bits(P x) { return simd::bit_cast<typename lane<T>::bits>(x); }
  TESSERA_ALWAYS_INLINE static P from_bits(bits b) { return simd::bit_cast<T>(b); }
  TESSERA_ALWAYS_INLINE static P abs(P x) { return from_bits(to_bits(x) & ~bits(sign_bit)); }
  template <class F, class... X>
  TESSERA_ALWAYS_INLINE static void each(F f, X&... x) {
    each_lane(f, simd::detail::lanes_of<X>(x)...);
  }
  TESSERA_ALWAYS_INLINE static P fma(P a, P b, P c) { return P(simd::compat::fma(a.v, b.v, c.v)); }
  TESSERA_ALWAYS_INLINE static P sqrt(P a) { return P(xsimd::sqrt(a.v)); }
  TESSERA_ALWAYS_INLINE static P number(index i) { return simd::to_number(i); }
  TESSERA_ALWAYS_INLINE static bool any_outside(P x, T low, T high) {
    return simd::detail::any_outside(x.v, lane<T>::to_bits(low), lane<T>::to_bits(high));
  }
  TESSERA_ALWAYS_INLINE static bool any_beyond(P x, T limit) { return simd::detail::any_beyond(x.v, lane<T>::to_bits(limit)); }
  TESSERA_ALWAYS_INLINE static P round(P x) { return (x + P(magic)) - P(magic); }
  TESSERA_ALWAYS_INLINE static P floor(P x) {
    if constexpr (simd::compat::has_floor<Arch>) {
      return P(xsimd::floor(x.v));
    } else {
      const P n = round(x);
      return select(n > x, n - P(T(1)), n);
    }
  }
  TESSERA_ALWAYS_INLINE static P power_of_two(P n) {
    return simd::bit_cast<T>(simd::bit_cast<lane_index<T>>(n + P(magic + bias)) << mantissa_bits);
  }
  template <int Add>
  TESSERA_ALWAYS_INLINE static P round_and_power(P x, P& n) {
    static_assert((static_cast<int>(bias) + Add) % 2 == 0, "an odd offset would turn ties to odd");
    const P shifted = x + P(magic + bias + T(Add));
    n = shifted - P(magic + bias + T(Add));
    return simd::bit_cast<T>(simd::bit_cast<lane_index<T>>(shifted) << mantissa_bits);
  }
  TESSERA_ALWAYS_INLINE static void split(P x, P& significand, P& exponent) {
    if constexpr (native_exponent) {
      significand = P(simd::detail::significand(x.v));
      exponent = P(simd::detail::exponent(x.v)) - P(simd::detail::exponent(significand.v));
    } else {
      using I = lane_index<T>;
      using U = std::make_unsigned_t<I>;
      using Ps = simd::pack<U, Arch>;
      const auto subnormal = x < P(smallest_normal);
      const Ps bits = simd::bit_cast<U>(select(subnormal, x * P(T(1) / T(epsilon)), x));
      const Ps biased = (bits + Ps(U(1) << (mantissa_bits - 1))) >> mantissa_bits;
      significand = simd::bit_cast<T>(bits - (biased << mantissa_bits) + Ps(__builtin_bit_cast(U, T(1))));
      // The integer, put into the low bits of 1.5 * 2^mantissa_bits, is a number: no conversion, which AVX2 lacks for 64 bits.
      const P shifted = simd::bit_cast<T>(biased | Ps(__builtin_bit_cast(U, magic)));
      exponent = shifted - select(subnormal, P(magic + bias + T(mantissa_bits)), P(magic + bias));
    }
  }

  static constexpr bool native_exponent = simd::detail::native_exponent<Arch>;
  /// a * 2^n where n >= from or n is NaN, +0 elsewhere, for any integral n.
  TESSERA_ALWAYS_INLINE static P scale_from(P a, P n, P from)
    requires native_exponent
  {
    return P(simd::detail::scale_from(a.v, n.v, from.v));
  }

 private:
  static constexpr int mantissa_bits = sizeof(T) == 4 ? 23 : 52;
  static constexpr T bias = sizeof(T) == 4 ? 127 : 1023;
  static constexpr T epsilon = T(1) / T(std::uint64_t(1) << mantissa_bits);
  static constexpr T smallest_normal = sizeof(T) == 4 ? T(0x1p-126) : T(0x1p-1022);
  static constexpr T magic = T(3) * T(std::uint64_t(1) << (mantissa_bits - 1));

  template <class F, class... Lanes>
  TESSERA_ALWAYS_INLINE static void each_lane(F& f, Lanes&&... x) {
    for (int l = 0; l < P::lanes; ++l) f(x.number[l]...);
  }
};

template <class Arch>
struct lane<simd::pack<std::int32_t, Arch>> : simd::detail::pack_lane<std::int32_t, Arch> {
  using index = simd::pack<std::int32_t, Arch>;
};
template <class Arch>
struct lane<simd::pack<std::int64_t, Arch>> : simd::detail::pack_lane<std::int64_t, Arch> {
  using index = simd::pack<std::int64_t, Arch>;
};
template <class Arch>
struct lane<simd::pack<std::uint32_t, Arch>> : simd::detail::pack_lane<std::uint32_t, Arch> {};
template <class Arch>
struct lane<simd::pack<std::uint64_t, Arch>> : simd::detail::pack_lane<std::uint64_t, Arch> {};
}  // namespace tessera
