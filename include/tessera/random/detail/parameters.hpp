// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The parameters that distributions share, and what is said about bad ones.
#pragma once

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"

namespace tessera::random::detail {

/// Throws. Not constexpr, so that a bad parameter in a constant expression is an error of the compiler.
[[noreturn]] TESSERA_ALWAYS_INLINE void refuse(const char* function, const char* argument, double got, const char* needs) {
  tessera::detail::fail(function, argument, tessera::detail::number(got), needs);
}

template <class V>
constexpr TESSERA_ALWAYS_INLINE bool is_finite(V x) noexcept {
  return x - x == V(0);
}

/// A finite place on the line.
template <class V>
constexpr TESSERA_ALWAYS_INLINE void check_location(const char* function, const char* argument, V x) {
  if (!is_finite(x)) refuse(function, argument, static_cast<double>(x), "needs a finite number");
}

/// A width; 0 puts every number on the spot.
template <class V>
constexpr TESSERA_ALWAYS_INLINE void check_scale(const char* function, const char* argument, V x) {
  if (!(x >= V(0) && is_finite(x))) refuse(function, argument, static_cast<double>(x), "needs a finite number of at least 0");
}

/// The law, its parameters checked wherever something can be thrown: not in device code.
template <class Law>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE Law checked(const Law& law, [[maybe_unused]] const char* function) {
#if !TESSERA_DEVICE_PASS
  law.check(function);
#endif
  return law;
}

}  // namespace tessera::random::detail
