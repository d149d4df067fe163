// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Dropout of attention weights, by random words that are addressed: whoever asks for a pair gets the same answer.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/bits.hpp"

namespace tessera::attention {

/// Each weight is kept with the probability 1 - rate, and then multiplied by its inverse, or taken for 0: out = sum_j p_j m_j v_j / (1 - rate).
///
/// The pair of query i and key j of head h of sequence b is kept where the random word at its address is not below the threshold:
///
///   random::bits<std::uint32_t>(seed, stream, row 2^32 + j) >= threshold,   row = (b heads + h) len_q + i
///                                                                           (ragged: h total_q + offset(b) + i)
///
/// so that a block of Philox serves 4 neighbouring keys of a row. The address is a promise: the same mask in the forward, the backward and
/// the forward-mode pass, on every path, for every number of threads, in parts (positions are those of the whole) and on every device. Calls
/// whose masks are to differ (layers, steps) take another stream or seed: random::stream_key makes as many as are wanted.
///
/// Range           rate in [0, 1); up to 2^32 rows (batch heads len_q) and 2^32 keys
/// Accuracy        threshold is rate 2^32, rounded once to an integer and at most 2^32 - 1, and what is kept is multiplied by the inverse of
///                 its exact probability 1 - threshold / 2^32: the mean over seeds is the result without dropout
/// Cost            a rate of 0 (below 2^-33) costs nothing; else one Philox block for 4 pairs
/// Source          Srivastava et al. 2014, JMLR 15, section 4, scaled while training
struct dropout {
  double rate = 0;           ///< the probability that a weight is dropped
  std::uint64_t seed = 0;    ///< as in random/
  std::uint64_t stream = 0;  ///< as in random/

  /// Words below it drop their pair.
  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint32_t threshold() const noexcept {
    if (!(rate > 0 && rate < 1)) return 0;
    const double scaled = rate * 0x1p32;
    const auto whole = static_cast<std::uint64_t>(scaled);
    const std::uint64_t rounded = scaled - static_cast<double>(whole) >= 0.5 ? whole + 1 : whole;
    return static_cast<std::uint32_t>(rounded < 0xFFFFFFFFu ? rounded : 0xFFFFFFFFu);
  }
  /// Whether anything is dropped at all.
  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool active() const noexcept { return threshold() > 0; }
  /// The probability that a weight is kept, exactly.
  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double kept_share() const noexcept {
    return 1 - static_cast<double>(threshold()) * 0x1p-32;
  }
  /// What kept weights are multiplied by.
  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double factor() const noexcept { return 1 / kept_share(); }

  /// Whether the weight of query i and key j is kept, in a call of so many heads and queries.
  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool keeps(std::int64_t b, std::int64_t h, std::int64_t i,
                                                                      std::int64_t j, std::int64_t heads,
                                                                      std::int64_t len_q) const noexcept {
    const std::uint32_t least = threshold();
    const auto row = static_cast<std::uint64_t>((b * heads + h) * len_q + i);
    return least == 0 || random::bits<std::uint32_t>(seed, stream, row << 32 | static_cast<std::uint64_t>(j)) >= least;
  }
};

}  // namespace tessera::attention
