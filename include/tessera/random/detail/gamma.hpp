// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Marsaglia and Tsang's method at one address.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/attempts.hpp"
#include "tessera/random/detail/elementary.hpp"
#include "tessera/random/detail/normal_pair.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/uniform.hpp"

namespace tessera::random::detail {

/// What Marsaglia and Tsang's method needs of a shape: d = a - 1/3 and c = 1 / (3 sqrt(d)), for a + 1 where a < 1.
template <class V>
struct gamma_constants {
  V d;
  V c;
  V squeeze;  ///< see gamma_try
  double log_d;
  double inverse_shape;  ///< 1 / a where a < 1, for the factor U^(1/a); 0 elsewhere
};

TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool is_positive_finite(double a) noexcept {
  return a > 0.0 && a <= 1.7976931348623157e308;
}

/// Shapes too small for a reciprocal count as 1e-300: their numbers are below all doubles either way.
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE gamma_constants<V> gamma_constants_of(double a) noexcept {
  const double d = (a < 1.0 ? a + 1.0 : a) - 1.0 / 3.0;
  const double k = 0.0157 / d;
  return {static_cast<V>(d), static_cast<V>(1.0 / (3.0 * square_root(d))), static_cast<V>(k < 0.0331 ? k : 0.0331),
          natural_log(d), a < 1.0 ? 1.0 / (a > 1e-300 ? a : 1e-300) : 0.0};
}

/// The squeeze: u < 1 - k x^4 takes the candidate v = root^3, root = 1 + c x, without logarithms. k = 0.0331 serves every d, and
/// 0.0157 / d where c x >= -1/2: for s = -c x the exact condition is log u < -3 d s^4 (1/4 + s/5 + s^2/6 …), the bracket is at most
/// 0.4237 for s <= 1/2, and d c^4 = 1 / (81 d).
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool gamma_takes(V k, V root, V x, V u) noexcept {
  const V x2 = x * x;
  const V factor = root >= V(0.5) ? -k : V(-0.0331);
  const V bound = fma(factor * x2, x2, V(1));
  return u < (root > V(0) ? bound : V(0));
}

/// The exact condition log u < x^2/2 + d (1 - v + log v), without its cancellation: with t = c x and 9 d t^2 = x^2, the right side is
/// 3 d (log(1 + t) - t + t^2/2 - t^3/3); the bracket is a series where t is small. Without branches, for loops.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool gamma_accepts(double d, double c, double x, double u) noexcept {
  const double t = c * x;
  const double t2 = t * t;
  double p = -0.125;
  p = fma(p, t, 1.0 / 7);
  p = fma(p, t, -1.0 / 6);
  p = fma(p, t, 0.2);
  p = fma(p, t, -0.25);
  const double series = t2 * t2 * p;
  const double w = t > -1.0 ? 1.0 + t : 1.0;
  const double whole = fma(t2, fma(t, -1.0 / 3, 0.5), natural_log(w) - t);
  const double bracket = t2 < 0x1p-16 ? series : whole;
  return natural_log(u) < (t > -1.0 ? 3.0 * d * bracket : -1e3);
}

/// A word as the number (2 w + 1) 2^-33 that the exact condition sees; and that of the squeeze, for float rounded to its grid.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double exact_uniform(std::uint32_t word) noexcept {
  return exact_double(std::uint64_t{word} << 1 | 1u) * 0x1p-33;
}
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE V squeeze_uniform(std::uint32_t word) noexcept {
  if constexpr (values_per_block<V> == 4) {
    return open_grid<V>(word);
  } else {
    return exact_uniform(word);
  }
}

/// Squeeze or exact condition.
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool gamma_accepts_word(const gamma_constants<V>& g, V x, V root,
                                                                   std::uint32_t word) noexcept {
  if (gamma_takes(g.squeeze, root, x, squeeze_uniform<V>(word))) return true;
  return root > V(0) &&
         gamma_accepts(static_cast<double>(g.d), static_cast<double>(g.c), static_cast<double>(x), exact_uniform(word));
}

/// Where the words of first attempts are. 256 indices share a run of blocks: those of their normal numbers, values_per_block at a
/// time as in normal_block (such indices are mates, and the block their own), then 64 of uniform words, one a number.
template <class V>
struct gamma_layout {
  static constexpr std::uint64_t group = 256;
  static constexpr std::uint64_t mates = values_per_block<V>;
  static constexpr std::uint64_t normals = group / mates;
  static constexpr std::uint64_t blocks = normals + group / 4;

  static TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint64_t normal_block(std::uint64_t index) noexcept {
    return index / group * blocks + index % group / mates;
  }
  static TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint64_t uniform_block(std::uint64_t index) noexcept {
    return index / group * blocks + normals + index % group / 4;
  }
};

/// The words of attempt k > 0, two for a normal number (the cosine of its pair) and a uniform one: from private block 8 k + 2 mate of the
/// own block, and the next for double.
template <class V>
struct gamma_words {
  word_of<V> a;
  word_of<V> b;
  std::uint32_t uniform;
};
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE gamma_words<V> gamma_again(const philox_block& own, std::uint64_t attempt,
                                                                      std::uint64_t mate) noexcept {
  const std::uint64_t number = 8 * attempt + 2 * mate;
  const philox_block bits = private_block(own, number);
  if constexpr (values_per_block<V> == 4) {
    return {bits.word[0], bits.word[1], bits.word[2]};
  } else {
    return {bits.pair(0), bits.pair(1), private_block(own, number + 1).word[0]};
  }
}

/// The root that attempts from `attempt` on end with. Never more than some ten: each is taken with probability 0.95 or more.
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE V gamma_root_from(const gamma_constants<V>& g, const philox_block& own,
                                                             std::uint64_t mate, std::uint64_t attempt) noexcept {
  for (;; ++attempt) {
    const gamma_words<V> words = gamma_again<V>(own, attempt, mate);
    const V x = normal_pair_from(words.a, words.b).cosine;
    const V root = fma(g.c, x, V(1));
    if (gamma_accepts_word(g, x, root, words.uniform)) return root;
  }
}

/// log of the number with this root: log d + 3 log root - E / a, E = -log U.
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double gamma_log(const gamma_constants<V>& g, V root, double e) noexcept {
  return fma(-g.inverse_shape, e, fma(3.0, natural_log(static_cast<double>(root)), g.log_d));
}

/// The root of the number at an address, and E, whose word is half (mate % 2) of private block mate / 2.
template <class V>
struct gamma_parts {
  V root;
  double e;
};
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE gamma_parts<V> gamma_at(const gamma_constants<V>& g, std::uint64_t seed,
                                                                   std::uint64_t stream, std::uint64_t index) noexcept {
  using layout = gamma_layout<V>;
  const philox_block own = philox(seed, stream, layout::normal_block(index));
  const std::uint64_t mate = index % layout::mates;
  const int even = static_cast<int>(mate & ~std::uint64_t{1});
  const normal_pair<V> z = normal_pair_from(word_at<V>(own, even), word_at<V>(own, even + 1));
  const V x = mate % 2 == 0 ? z.cosine : z.sine;
  const std::uint32_t word = philox(seed, stream, layout::uniform_block(index)).word[index % 4];
  gamma_parts<V> parts{fma(g.c, x, V(1)), 0.0};
  if (!gamma_accepts_word(g, x, parts.root, word)) parts.root = gamma_root_from(g, own, mate, 1);
  if (g.inverse_shape != 0.0) {
    parts.e = minus_log_unit(private_block(own, mate / 2).pair(static_cast<int>(mate % 2)), std::uint64_t{0});
  }
  return parts;
}

template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE V gamma_value(const gamma_constants<V>& g, const gamma_parts<V>& parts) noexcept {
  return g.inverse_shape != 0.0 ? static_cast<V>(exponential_of(gamma_log(g, parts.root, parts.e)))
                                : g.d * (parts.root * parts.root * parts.root);
}

}  // namespace tessera::random::detail
