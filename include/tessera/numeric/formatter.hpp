// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// std::format of small floats, where the standard library has it (__cpp_lib_format). A header apart, because <format> is dear:
/// over a second with libc++ 19.
#pragma once

#include "tessera/core/config.hpp"
#include "tessera/numeric/classify.hpp"
#include "tessera/numeric/detail/decimal.hpp"
#include "tessera/numeric/small_float.hpp"
#include "tessera/numeric/text.hpp"

#if __has_include(<format>)
#include <format>
#endif

namespace tessera::detail {

/// Whether a format specification, fill to type, gives neither a type nor a precision: then the shortest text is wanted. A fill
/// is never the last character, nor before a digit or a brace: an alignment follows it.
template <class Iterator>
[[nodiscard]] TESSERA_ALWAYS_INLINE constexpr bool wants_shortest(Iterator first, Iterator last) noexcept {
  if (last != first && *(last - 1) == 'L') --last;
  if (last == first) return true;
  const auto final = *(last - 1);
  if ((final >= 'a' && final <= 'z') || (final >= 'A' && final <= 'Z')) return false;
  if (final == '}') {
    while (last != first && *(last - 1) != '{') --last;
    if (last != first) --last;
  } else {
    while (last != first && *(last - 1) >= '0' && *(last - 1) <= '9') --last;
  }
  return last == first || *(last - 1) != '.';
}

/// The float that std::to_chars prints as to_chars prints x.
template <class Format>
[[nodiscard]] TESSERA_ALWAYS_INLINE constexpr float printed_alike(small_float<Format> x) noexcept {
  if (!isfinite(x) || (x.bits & Format::magnitude_mask) == 0) return static_cast<float>(x);
  const short_decimal number = shortest(x);
  if (number.scale > 0 && lay_out(number, static_cast<double>(abs(x)), std::chars_format{}).fixed) return static_cast<float>(x);
  const auto size = static_cast<float>(shift_point(static_cast<double>(number.digits), -number.scale));
  return signbit(x) ? -size : size;
}

}  // namespace tessera::detail

#if defined(__cpp_lib_format)
/// A small float in std::format, with the specifications of a float. Without a type and a precision it is the text of to_chars,
/// the shortest that reads back as x: `std::format("{}", float16(0.1))` is "0.1". With either the exact value is printed.
template <class Format, class Char>
struct std::formatter<tessera::small_float<Format>, Char> : std::formatter<float, Char> {
  template <class Context>
  constexpr typename Context::iterator parse(Context& context) {
    const auto first = context.begin();
    const auto last = std::formatter<float, Char>::parse(context);
    shortest_ = tessera::detail::wants_shortest(first, last);
    return last;
  }

  template <class Context>
  typename Context::iterator format(tessera::small_float<Format> x, Context& context) const {
    const float value = shortest_ ? tessera::detail::printed_alike(x) : static_cast<float>(x);
    return std::formatter<float, Char>::format(value, context);
  }

 private:
  bool shortest_ = true;
};
#endif
