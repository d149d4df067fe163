// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Storage types in kernels: the type they are computed in, and the way there in one instruction or a few.
#pragma once

#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/detail/device_conversion.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/numeric/small_float.hpp"

namespace tessera::cuda {
namespace detail {

template <class T>
struct widened_type {
  using type = T;
};
template <class Format>
struct widened_type<small_float<Format>> {
  using type = float;
};

}  // namespace detail

/// float for float16, bfloat16 and the 8-bit types; every other type is computed in as it is.
template <class T>
using widened_t = typename detail::widened_type<std::remove_cv_t<T>>::type;

/// The number as the type it is computed in: exact, with the bits of static_cast, NaNs included.
template <class T>
[[nodiscard]] TESSERA_HD constexpr T widen(const T& x) noexcept {
  return x;
}
template <class Format>
[[nodiscard]] TESSERA_HD float widen(small_float<Format> x) noexcept {
#if TESSERA_DEVICE_PASS
  if constexpr (tessera::detail::widened_by_instruction<Format>) {
    return tessera::detail::widen_by_instruction<Format>(x.bits);
  } else
#endif
  {
    return static_cast<float>(x);
  }
}

/// One number as another type, with one rounding: what static_cast does, by way of `widen`.
template <class To, class From>
[[nodiscard]] TESSERA_HD To convert(const From& x) noexcept {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else {
    return static_cast<To>(widen(x));
  }
}

}  // namespace tessera::cuda
