// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One template for the narrow floating-point types; float16.hpp, bfloat16.hpp, float8.hpp and float4.hpp name its instances.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <typeindex>  // the smallest standard header that declares std::hash

#include "tessera/core/config.hpp"
#include "tessera/numeric/detail/device_conversion.hpp"
#include "tessera/numeric/format.hpp"
#include "tessera/numeric/rounding.hpp"

namespace tessera {

/// A floating-point number narrower than float: stored as the bits of `Format`, computed in float, rounded once.
///
/// One type on host and device, whatever the compiler's flags: trivially copyable and trivially default constructible (a
/// default-initialised one is indeterminate), as large as its bits, structural, constexpr. Members and operators are always
/// inlined, so that code compiled for one instruction set is never linked in for another.
///
/// Conversions     explicit from float, double and every integer type of at most 64 bits: one rounding, to nearest, ties to
///                 even; what is too large gives infinity, in a format without infinity NaN, in one without either the
///                 largest value (round_to.hpp has the other rounding modes, and saturation). To float: implicit and exact.
///                 To double, long double and the integers: explicit; to an integer it truncates, and is undefined where
///                 float's is. Between two small formats: explicit, one rounding.
/// Operators       + - * / on one format give that format: the operation in float, then one rounding, which is the correctly
///                 rounded result because float has at least 2p + 2 bits. With float they give float, with double double; an
///                 integer is converted to the small type first (as C++23 has it for std::float16_t, so 2049 becomes 2048).
///                 Two different formats do not mix.
/// Comparison      IEEE: -0 equals +0, NaN is unordered.
/// Special values  infinities, NaNs, signed zeros and subnormals as in IEEE 754, as far as the format has them.
/// NaN             one policy everywhere. A conversion makes a NaN quiet and keeps its sign and the top bits of its payload, as
///                 F16C does (bfloat16 to float keeps a signalling one, which is shifted and no more). Where the target has one
///                 NaN of each sign, only the sign is kept; where it has none, a NaN becomes the largest value, positive. -x and
///                 abs touch the sign bit of a NaN and nothing else. A NaN that an operation produces has the sign and payload
///                 that the processor gives it: compare NaNs as a class, or hash `canonical(x)` (classify.hpp), which turns every
///                 NaN into the positive quiet one.
/// Accuracy        conversions correctly rounded on every input, in any rounding and flushing mode; + - * / on every pair, in
///                 round-to-nearest with subnormals enabled. Tested in test/numeric/.
/// Backends        host, device
/// Source          IEEE 754-2019; Figueroa 1995, When is double rounding innocuous?; P1467R9 for what mixes
template <class Format>
struct small_float {
  using format = Format;
  using bits_type = typename Format::bits_type;

  bits_type bits;

  small_float() = default;

  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr explicit small_float(float x) noexcept : bits(narrowed(x)) {}

  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr explicit small_float(double x) noexcept
      : bits(detail::narrow<Format, binary64>(__builtin_bit_cast(std::uint64_t, x))) {}

  template <std::integral Integer>
    requires(sizeof(Integer) <= 8)
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr explicit small_float(Integer n) noexcept : bits(detail::narrow_integer<Format>(n)) {}

  /// The value whose bits are `code`.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr small_float from_bits(bits_type code) noexcept {
    small_float x{};
    x.bits = code;
    return x;
  }

  // A template, so that nothing but float is implicit: with a plain `operator float`, `live ? x : 0` is an int.
  template <std::same_as<float> Real>
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr operator Real() const noexcept {
    return __builtin_bit_cast(float, detail::widen<Format>(bits));
  }

  template <class Number>
    requires(std::integral<Number> || std::same_as<Number, double> || std::same_as<Number, long double>)
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr explicit operator Number() const noexcept {
    return static_cast<Number>(static_cast<float>(*this));
  }

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr small_float operator+() const noexcept { return *this; }

  /// Flips the sign bit, of a NaN too.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr small_float operator-() const noexcept {
    return from_bits(static_cast<bits_type>(bits ^ Format::sign_mask));
  }

  /// x += y is x = small_float(x + y): with a float or double y the sum has that type before it is rounded to this one.
  template <class Number>
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto operator+=(Number y) noexcept -> decltype(small_float(*this + y), *this) {
    return *this = small_float(*this + y);
  }

  template <class Number>
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto operator-=(Number y) noexcept -> decltype(small_float(*this - y), *this) {
    return *this = small_float(*this - y);
  }

  template <class Number>
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto operator*=(Number y) noexcept -> decltype(small_float(*this * y), *this) {
    return *this = small_float(*this * y);
  }

  template <class Number>
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto operator/=(Number y) noexcept -> decltype(small_float(*this / y), *this) {
    return *this = small_float(*this / y);
  }

 private:
  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr bits_type narrowed(float x) noexcept {
#if TESSERA_DEVICE_PASS
    if constexpr (detail::narrowed_by_instruction<Format>) {
      if (!__builtin_is_constant_evaluated()) return detail::narrow_by_instruction<Format>(x);
    }
#endif
    return detail::narrow<Format, binary32>(__builtin_bit_cast(std::uint32_t, x));
  }
};

namespace detail {

template <class T>
inline constexpr bool is_small_float = false;
template <class Format>
inline constexpr bool is_small_float<small_float<Format>> = true;

/// The type of an operator's result; no member where the operator does not exist.
template <class Left, class Right>
struct result_of_mixing {};

template <class Format>
struct result_of_mixing<small_float<Format>, small_float<Format>> {
  using type = small_float<Format>;
};

template <class Format, class Other>
  requires(std::same_as<Other, float> || std::same_as<Other, double>)
struct result_of_mixing<small_float<Format>, Other> {
  using type = Other;
};

template <class Format, std::integral Other>
struct result_of_mixing<small_float<Format>, Other> {
  using type = small_float<Format>;
};

template <class Other, class Format>
  requires std::is_arithmetic_v<Other>
struct result_of_mixing<Other, small_float<Format>> : result_of_mixing<small_float<Format>, Other> {};

template <class Left, class Right>
using mixed_t = typename result_of_mixing<Left, Right>::type;

/// Two different small formats. Without deleted operators the pair would meet as two floats.
template <class Left, class Right>
concept unmixable = is_small_float<Left> && is_small_float<Right> && !std::same_as<Left, Right>;

/// An operand as the type that the operation is done in.
template <class Result, class Operand>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto operand(Operand x) noexcept {
  if constexpr (is_small_float<Result>) {
    return static_cast<float>(static_cast<Result>(x));
  } else {
    return static_cast<Result>(x);
  }
}

}  // namespace detail

template <class Left, class Right>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto operator+(Left x, Right y) noexcept -> detail::mixed_t<Left, Right> {
  using result = detail::mixed_t<Left, Right>;
  return static_cast<result>(detail::operand<result>(x) + detail::operand<result>(y));
}

template <class Left, class Right>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto operator-(Left x, Right y) noexcept -> detail::mixed_t<Left, Right> {
  using result = detail::mixed_t<Left, Right>;
  return static_cast<result>(detail::operand<result>(x) - detail::operand<result>(y));
}

template <class Left, class Right>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto operator*(Left x, Right y) noexcept -> detail::mixed_t<Left, Right> {
  using result = detail::mixed_t<Left, Right>;
  return static_cast<result>(detail::operand<result>(x) * detail::operand<result>(y));
}

template <class Left, class Right>
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr auto operator/(Left x, Right y) noexcept -> detail::mixed_t<Left, Right> {
  using result = detail::mixed_t<Left, Right>;
  return static_cast<result>(detail::operand<result>(x) / detail::operand<result>(y));
}

template <class Format, class Wide>
  requires(std::same_as<Wide, float> || std::same_as<Wide, double>)
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr Wide& operator+=(Wide& x, small_float<Format> y) noexcept {
  return x += static_cast<Wide>(y);
}

template <class Format, class Wide>
  requires(std::same_as<Wide, float> || std::same_as<Wide, double>)
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr Wide& operator-=(Wide& x, small_float<Format> y) noexcept {
  return x -= static_cast<Wide>(y);
}

template <class Format, class Wide>
  requires(std::same_as<Wide, float> || std::same_as<Wide, double>)
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr Wide& operator*=(Wide& x, small_float<Format> y) noexcept {
  return x *= static_cast<Wide>(y);
}

template <class Format, class Wide>
  requires(std::same_as<Wide, float> || std::same_as<Wide, double>)
TESSERA_HD TESSERA_ALWAYS_INLINE constexpr Wide& operator/=(Wide& x, small_float<Format> y) noexcept {
  return x /= static_cast<Wide>(y);
}

template <class Left, class Right, class Result = detail::mixed_t<Left, Right>>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr bool operator==(Left x, Right y) noexcept {
  return detail::operand<Result>(x) == detail::operand<Result>(y);
}

template <class Left, class Right, class Result = detail::mixed_t<Left, Right>>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr bool operator<(Left x, Right y) noexcept {
  return detail::operand<Result>(x) < detail::operand<Result>(y);
}

template <class Left, class Right, class Result = detail::mixed_t<Left, Right>>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr bool operator<=(Left x, Right y) noexcept {
  return detail::operand<Result>(x) <= detail::operand<Result>(y);
}

template <class Left, class Right, class Result = detail::mixed_t<Left, Right>>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr bool operator>(Left x, Right y) noexcept {
  return detail::operand<Result>(x) > detail::operand<Result>(y);
}

template <class Left, class Right, class Result = detail::mixed_t<Left, Right>>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr bool operator>=(Left x, Right y) noexcept {
  return detail::operand<Result>(x) >= detail::operand<Result>(y);
}

/// For defaulted comparisons and generic code. Host only: std::partial_ordering is not for device code; the others are.
template <class Left, class Right, class Result = detail::mixed_t<Left, Right>>
[[nodiscard]] TESSERA_ALWAYS_INLINE constexpr std::partial_ordering operator<=>(Left x, Right y) noexcept {
  return detail::operand<Result>(x) <=> detail::operand<Result>(y);
}

template <class Left, class Right>
  requires detail::unmixable<Left, Right>
void operator+(Left, Right) = delete;
template <class Left, class Right>
  requires detail::unmixable<Left, Right>
void operator-(Left, Right) = delete;
template <class Left, class Right>
  requires detail::unmixable<Left, Right>
void operator*(Left, Right) = delete;
template <class Left, class Right>
  requires detail::unmixable<Left, Right>
void operator/(Left, Right) = delete;
template <class Left, class Right>
  requires detail::unmixable<Left, Right>
bool operator==(Left, Right) = delete;
template <class Left, class Right>
  requires detail::unmixable<Left, Right>
bool operator<(Left, Right) = delete;
template <class Left, class Right>
  requires detail::unmixable<Left, Right>
bool operator<=(Left, Right) = delete;
template <class Left, class Right>
  requires detail::unmixable<Left, Right>
bool operator>(Left, Right) = delete;
template <class Left, class Right>
  requires detail::unmixable<Left, Right>
bool operator>=(Left, Right) = delete;
template <class Left, class Right>
  requires detail::unmixable<Left, Right>
void operator<=>(Left, Right) = delete;

}  // namespace tessera

/// Every member that the standard asks for; the functions run on the device too.
template <class Format>
class std::numeric_limits<tessera::small_float<Format>> {
  using number = tessera::small_float<Format>;

 public:
  static constexpr bool is_specialized = true;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = false;
  static constexpr bool is_exact = false;
  static constexpr bool has_infinity = Format::has_infinity;
  static constexpr bool has_quiet_NaN = Format::has_nan;
  static constexpr bool has_signaling_NaN = Format::has_infinity;
  static constexpr std::float_denorm_style has_denorm = std::denorm_present;
  static constexpr bool has_denorm_loss = false;
  static constexpr std::float_round_style round_style = std::round_to_nearest;
  static constexpr bool is_iec559 = Format::has_infinity;  // as the standard libraries say of std::bfloat16_t
  static constexpr bool is_bounded = true;
  static constexpr bool is_modulo = false;
  static constexpr int radix = 2;
  static constexpr int digits = Format::precision;
  // 0.30103 is log10(2) to 5e-9; the division gives the floor of a positive and the ceiling of a negative number.
  static constexpr int digits10 = (digits - 1) * 30103 / 100000;
  static constexpr int max_digits10 = digits * 30103 / 100000 + 2;
  static constexpr int min_exponent = Format::min_exponent + 1;
  static constexpr int min_exponent10 = Format::min_exponent * 30103 / 100000;
  static constexpr int max_exponent = Format::max_exponent + 1;
  static constexpr int max_exponent10 = max_exponent * 30103 / 100000;
  static constexpr bool traps = false;
  static constexpr bool tinyness_before = false;

  TESSERA_HD static constexpr number min() noexcept { return number::from_bits(Format::min_normal); }
  TESSERA_HD static constexpr number lowest() noexcept { return -max(); }
  TESSERA_HD static constexpr number max() noexcept { return number::from_bits(Format::max_finite); }
  TESSERA_HD static constexpr number epsilon() noexcept {
    return number(tessera::detail::power_of_two<tessera::binary32>(1 - digits));
  }
  TESSERA_HD static constexpr number round_error() noexcept { return number(0.5f); }
  // Where the format lacks one of these, it is what the float of that name converts to.
  TESSERA_HD static constexpr number infinity() noexcept { return number::from_bits(Format::overflow); }
  TESSERA_HD static constexpr number quiet_NaN() noexcept {
    if constexpr (has_quiet_NaN) {
      return number::from_bits(Format::quiet_nan);
    } else {
      return max();
    }
  }
  TESSERA_HD static constexpr number signaling_NaN() noexcept {
    if constexpr (has_signaling_NaN) {
      return number::from_bits(Format::signaling_nan);
    } else {
      return quiet_NaN();
    }
  }
  TESSERA_HD static constexpr number denorm_min() noexcept { return number::from_bits(Format::min_subnormal); }
};

/// The bits, with both zeros as one.
template <class Format>
struct std::hash<tessera::small_float<Format>> {
  [[nodiscard]] std::size_t operator()(tessera::small_float<Format> x) const noexcept {
    return x.bits == Format::sign_mask ? 0 : x.bits;
  }
};
