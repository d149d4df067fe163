// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Other libraries' types for the same numbers (CUDA's __half, std::bfloat16_t, Eigen::half …) to ours and back without a copy.
/// Includes none of their headers and calls none of their functions, so that no macro of theirs (__CUDA_NO_HALF_OPERATORS__ …) matters.
#pragma once

#include <concepts>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/numeric/format.hpp"
#include "tessera/numeric/small_float.hpp"

// CUDA's types by their names: known whether their headers come before this one, after it, or never.
// NOLINTBEGIN(bugprone-reserved-identifier)
struct __half;
struct __nv_bfloat16;
struct __nv_fp8_e4m3;
struct __nv_fp8_e5m2;
// NOLINTEND(bugprone-reserved-identifier)

namespace tessera {
namespace detail {

/// Whether T is the compiler's own, the standard's or CUDA's type of the format. In GCC _Float16 and std::float16_t are one type.
template <class T, class Format>
consteval bool is_known_native() noexcept {
  bool half = std::same_as<T, ::__half>;
  bool brain = std::same_as<T, ::__nv_bfloat16>;
#if defined(__FLT16_MANT_DIG__) && !defined(__CUDACC__) && (!defined(__clang__) || __clang_major__ >= 15)
  half = half || std::same_as<T, _Float16>;
#endif
#if defined(__STDCPP_FLOAT16_T__)
  half = half || std::same_as<T, decltype(0.0f16)>;
#endif
#if defined(__clang__) && __clang_major__ >= 17 && defined(__SSE2__) && !defined(__CUDACC__)
  brain = brain || std::same_as<T, __bf16>;
#endif
#if defined(__STDCPP_BFLOAT16_T__)
  brain = brain || std::same_as<T, decltype(0.0bf16)>;
#endif
  return (half && std::same_as<Format, binary16>) || (brain && std::same_as<Format, brain16>) ||
         (std::same_as<T, ::__nv_fp8_e4m3> && std::same_as<Format, ocp_e4m3>) ||
         (std::same_as<T, ::__nv_fp8_e5m2> && std::same_as<Format, ocp_e5m2>);
}

}  // namespace detail

/// Whether a foreign type holds the bits of a number of `Format` and nothing else. For a type that is not known here, one line:
///
///     template <> inline constexpr bool tessera::same_format<Eigen::half, tessera::binary16> = true;
///
/// Known: _Float16, std::float16_t, std::bfloat16_t, clang's __bf16 where the compiler has them; __half, __nv_bfloat16, __nv_fp8_e4m3,
/// __nv_fp8_e5m2.
template <class T, class Format>
inline constexpr bool same_format = detail::is_known_native<T, Format>();

/// A foreign type of the same format, whose values can be copied as bits.
template <class T, class Format>
concept native = same_format<std::remove_cv_t<T>, Format> && sizeof(T) == sizeof(typename Format::bits_type) &&
                 alignof(T) == alignof(typename Format::bits_type) && std::is_trivially_copyable_v<T>;

namespace detail {

struct no_format {};

/// Our type for a foreign one, among the formats that have a name.
template <class T>
consteval auto find_ours() noexcept {
  if constexpr (native<T, binary16>) {
    return binary16{};
  } else if constexpr (native<T, brain16>) {
    return brain16{};
  } else if constexpr (native<T, ocp_e4m3>) {
    return ocp_e4m3{};
  } else if constexpr (native<T, ocp_e5m2>) {
    return ocp_e5m2{};
  } else {
    return no_format{};
  }
}

template <class T>
concept known_native = !std::same_as<decltype(find_ours<T>()), no_format>;

/// Whether the elements of an array of From may be seen as To: one of the two is ours, the other native to its format or its bits.
template <class To, class From>
inline constexpr bool same_bits = std::same_as<To, From>;
template <class Format, class From>
inline constexpr bool same_bits<small_float<Format>, From> =
    native<From, Format> || std::same_as<From, typename Format::bits_type> || std::same_as<From, small_float<Format>>;
template <class To, class Format>
  requires(!is_small_float<To>)
inline constexpr bool same_bits<To, small_float<Format>> = native<To, Format> || std::same_as<To, typename Format::bits_type>;

}  // namespace detail

/// A value of ours as the foreign type: `to_native<__half>(x)`. The bits stay as they are, those of NaNs too.
///
/// Backends        host, device, constant expressions
template <class To, class Format>
  requires native<To, Format>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr To to_native(small_float<Format> x) noexcept {
  return __builtin_bit_cast(To, x);
}

/// A foreign value as ours: a float16 for a __half. The bits stay as they are, those of NaNs too.
///
/// Backends        host, device, constant expressions
template <detail::known_native From>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto from_native(const From& x) noexcept {
  return __builtin_bit_cast(small_float<decltype(detail::find_ours<From>())>, x);
}

/// The same by the name of our type: `from_native<float16>(x)`.
template <class Ours, native<typename Ours::format> From>
  requires detail::is_small_float<Ours>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr Ours from_native(const From& x) noexcept {
  return __builtin_bit_cast(Ours, x);
}

/// Hands an array over to another type of the same format: `as<float16>(halves)`, `as<__half>(x)`, `as<std::uint16_t>(x)`.
///
/// Nothing is copied and no instruction is spent. `To` may be written without const: it has the const of `From`.
///
/// Aliasing        A compiler may assume that a store through a pointer to one class does not change what a pointer to another
///                 class reads, and gcc -O2 does. So `as` is a border, and not a second door: from the call on the array is one of
///                 `To`, and whoever wants it as `From` again calls `as<From>` first. What was stored before a border is seen
///                 after it, for on gcc, clang and nvcc it is a compiler barrier for all memory (an empty asm). Between borders,
///                 a store of one type and a load of the other at the same place are undefined behaviour, as the language has it.
///                 In the language's own terms the array is never of `To` (C++23's std::start_lifetime_as would make it so): the
///                 guarantee is the barrier's. A call of a function that the compiler cannot see into is a border, too.
/// Backends        host, device
template <class To, class From>
  requires detail::same_bits<std::remove_cv_t<To>, std::remove_cv_t<From>>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE auto as(From* array) noexcept {
  using element = std::conditional_t<std::is_const_v<From>, const To, To>;
#if TESSERA_DEVICE_PASS
  asm volatile("" : "+l"(array) : : "memory");
#elif defined(__GNUC__) || defined(__clang__)
  asm volatile("" : "+r"(array) : : "memory");
#endif
  return reinterpret_cast<element*>(array);
}

}  // namespace tessera
