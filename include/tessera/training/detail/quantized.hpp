// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Scaled numbers rounded into a narrow format, one and many, and the count of those that did not fit.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/round_to.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/training/quantize_report.hpp"

namespace tessera::training::detail {

/// Magnitudes up to `least` round to 0 in S, those above `beyond` to a number that S does not have: both are halfway, or next to it.
template <class S, class T>
struct quantized_range {
  T least;
  T beyond;

  TESSERA_HD static constexpr quantized_range of() {
    using format = format_of_t<S>;
    constexpr T most = static_cast<T>(tessera::max_finite<S>());
    constexpr T half = most - static_cast<T>(from_bits<S>(format::max_finite - 1));
    constexpr T midpoint = most + half / 2;  // which rounds to the even code
    constexpr bool even = format::max_finite % 2 == 0;
    return {static_cast<T>(from_bits<S>(format::min_subnormal)) / 2, even ? midpoint : from_bits<T>(to_bits(midpoint) - 1)};
  }
};

/// What a run of elements came to.
template <class T>
struct quantized_run {
  lane_index<T> amax = 0;  ///< the code of the largest magnitude: NaN's are beyond that of infinity
  std::int64_t zeros = 0;
  std::int64_t vanished = 0;  ///< that round to 0, zeros among them
  std::int64_t overflows = 0;

  TESSERA_ALWAYS_INLINE void add(const quantized_run& more) {
    amax = more.amax > amax ? more.amax : amax;
    zeros += more.zeros;
    vanished += more.vanished;
    overflows += more.overflows;
  }
};

/// Packs of magnitudes, and the largest of each lane.
template <class P>
struct largest_magnitude {
  using T = typename P::value_type;
  using I = simd::index_pack<T, typename P::arch>;
  I most = I(0);

  TESSERA_ALWAYS_INLINE void take(P x) {
    const I code = simd::bit_cast<lane_index<T>>(lane<P>::abs(x));
    most = select(code > most, code, most);
  }
  TESSERA_ALWAYS_INLINE void take(const largest_magnitude& x) { most = select(x.most > most, x.most, most); }
  [[nodiscard]] TESSERA_ALWAYS_INLINE lane_index<T> all() const {
    // As numbers, in whose fold a NaN wins, too.
    return static_cast<lane_index<T>>(lane<T>::to_bits(simd::fold_max(simd::bit_cast<T>(most))));
  }
};

/// Counts kept in lanes: of fewer than 2^24 elements.
template <class S, class P>
struct misfit_counts {
  using T = typename P::value_type;
  static constexpr quantized_range<S, T> range = quantized_range<S, T>::of();
  P vanished = P(T(0));
  P zeros = P(T(0));
  P overflows = P(T(0));

  TESSERA_ALWAYS_INLINE static auto any_of(P y) {
    const P magnitude = lane<P>::abs(y);
    return (magnitude <= P(range.least)) | (magnitude > P(range.beyond));
  }
  TESSERA_ALWAYS_INLINE void take(P x, P y) {
    const P magnitude = lane<P>::abs(y);
    vanished += select(magnitude <= P(range.least), P(T(1)), P(T(0)));
    zeros += select(x == P(T(0)), P(T(1)), P(T(0)));
    overflows += select(magnitude > P(range.beyond), P(T(1)), P(T(0)));
  }
};

/// The report of a tensor from those of its chunks.
template <class T>
quantize_report report_of(const quantized_run<T>* found, std::int64_t chunks, std::int64_t elements) {
  quantized_run<T> all;
  for (std::int64_t c = 0; c < chunks; ++c) all.add(found[c]);
  return {.amax = static_cast<float>(lane<T>::from_bits(static_cast<typename lane<T>::bits>(all.amax))),
          .elements = elements,
          .zeros = all.zeros,
          .underflows = all.vanished - all.zeros,
          .overflows = all.overflows};
}

/// y within the range of S; NaN stays.
template <class S, class P>
TESSERA_ALWAYS_INLINE P held(P y) {
  const P most(static_cast<typename P::value_type>(tessera::max_finite<S>()));
  return max(-most, min(most, y));  // a NaN is the second operand of both
}

}  // namespace tessera::training::detail
