// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Bernoulli trials, addressed by (seed, stream, index).
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/parameters.hpp"

namespace tessera::random {
namespace detail {

/// True where a word and the further word behind it are, as one number of 64 bits, below p 2^64. The further word matters where
/// the first equals the upper half, and there alone it is made.
struct bernoulli_law {
  using word = std::uint32_t;
  using value = std::int32_t;
  static constexpr reads reading = reads::word;
  static constexpr bool repairs = true;

  double p;
  std::uint32_t upper;
  std::uint64_t lower;  // 2^32 for p = 1

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE explicit bernoulli_law(double probability) noexcept
      : p(probability), upper(0), lower(0) {
    if (!(p > 0.0 && p <= 1.0)) return;
    const double scaled = p * 0x1p32;
    upper = scaled < 0x1p32 ? static_cast<std::uint32_t>(scaled) : 0xFFFFFFFFu;
    lower = static_cast<std::uint64_t>((scaled - static_cast<double>(upper)) * 0x1p32);
  }

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value operator()(word w) const noexcept { return w < upper ? 1 : 0; }
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool accepts(word w) const noexcept { return w != upper; }
  template <class Further>
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE value repaired(word, Further further) const noexcept {
    return further(1) < lower ? 1 : 0;
  }

  constexpr TESSERA_ALWAYS_INLINE void check(const char* function) const {
    if (!(p >= 0.0 && p <= 1.0)) refuse(function, "p", p, "needs a probability, from 0 to 1");
  }
};

}  // namespace detail

/// True with probability p.
///
/// The word at the address (word index % 4 of block index / 4) and a further word of its own as one number of 64 bits, compared with
/// p 2^64 rounded down.
/// Range          p in [0, 1]
/// Special values never true for p = 0, always for p = 1
/// Accuracy       the probability is p rounded down to a multiple of 2^-64: p itself from 2^-11 on, and wherever p is a float above 2^-40
/// Cost           one Philox block, of which the other words are thrown away (fill_bernoulli keeps them); once in 2^32 two more
/// Determinism    the same on every machine and device
/// Errors         argument_error on the host: p below 0, above 1 or NaN. Not checked in device code
/// Backends       host, device, constant expressions
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool bernoulli(double p, std::uint64_t seed, std::uint64_t stream,
                                                                        std::uint64_t index) {
  const detail::bernoulli_law law(p);
  return detail::number_at<bool>(detail::checked(law, "random::bernoulli"), seed, stream, index);
}

}  // namespace tessera::random
