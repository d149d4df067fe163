// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One number scaled and rounded into a narrow format, on host and device.
#pragma once

#include "tessera/core/config.hpp"
#include "tessera/numeric/round_to.hpp"

namespace tessera::training {

/// One number as quantize has it: x * scale, rounded once more, to nearest with ties to even, and held within the range of S.
///
/// Special values  NaN as a conversion has it; infinity becomes the largest number
/// Backends        host, device
template <tessera::detail::narrow_float S, class T>
[[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE constexpr S quantized(T x, T scale) {
  return round_to<S, rounding::nearest_even, overflow::saturate>(x * scale);
}

}  // namespace tessera::training
