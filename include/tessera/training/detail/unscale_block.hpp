// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A block of gradients unscaled, counted and squared while it is in the nearest cache.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/math.hpp"
#include "tessera/training/detail/unscaled.hpp"

namespace tessera::training::detail {

/// Elements whose squares are summed in float before they are added in double.
inline constexpr std::int64_t unscale_block = 2048;

/// What a chunk of gradients comes to.
struct unscaled_chunk {
  double squares = 0;
  std::int64_t zeros = 0;
  std::int64_t underflows = 0;
  std::int64_t bad_index = -1;
};

/// The numbers of a call: 1 / scale, and below what a gradient that is not 0 counts as lost, as it is read.
template <class Number>
struct unscale_rule {
  Number inverse;
  Number least;

  template <class In, class Out>
  static TESSERA_ALWAYS_INLINE unscale_rule of(float scale) {
    const auto inverse = static_cast<Number>(inverse_of_scale(scale));
    const auto readable = static_cast<double>(min_normal<In>());
    const double writable = static_cast<double>(from_bits<Out>(1)) / static_cast<double>(inverse);
    return {inverse, static_cast<Number>(readable > writable ? readable : writable)};
  }
};

/// in[i] * inverse for n elements, to out; what is rare is looked for afterwards, in what was written.
///
/// Sums run over 64 lanes, element i in lane i % 64, and the halving tree: the same bits for every width of a register that has fma.
template <class Arch, class Number, class In, class Out>
TESSERA_ALWAYS_INLINE void unscale_some(const In* in, Out* out, std::int64_t n, const unscale_rule<Number>& rule,
                                        unscaled_chunk& found, std::int64_t index) {
  using P = simd::pack<Number, Arch>;
  constexpr int lanes = 64;
  constexpr int packs = lanes / P::lanes;
  const P inverse(rule.inverse);
  const P least(rule.least);
  P squares[packs];
  for (int p = 0; p < packs; ++p) squares[p] = P(Number(0));
  P below(Number(0));
  P zeros(Number(0));
  const auto count = [&](P x) {
    below += select(lane<P>::abs(x) < least, P(Number(1)), P(Number(0)));
    zeros += select(x == P(Number(0)), P(Number(1)), P(Number(0)));
  };
  // The square is that of what is written: a narrower type may round it to infinity.
  const auto square = [&](P y, int p) { squares[p] = fma(y, y, squares[p]); };
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    P x[packs];
    P y[packs];
    TESSERA_UNROLL
    for (int p = 0; p < packs; ++p) x[p] = simd::load_as<P>(in + i + p * P::lanes);
    auto any = lane<P>::abs(x[0]) < least;
    TESSERA_UNROLL
    for (int p = 1; p < packs; ++p) any = any | (lane<P>::abs(x[p]) < least);
    if (lane<P>::any(any)) {
      for (int p = 0; p < packs; ++p) count(x[p]);
    }
    TESSERA_UNROLL
    for (int p = 0; p < packs; ++p) {
      y[p] = x[p] * inverse;
      if constexpr (std::is_same_v<Number, Out>) square(y[p], p);
    }
    TESSERA_UNROLL
    for (int p = 0; p < packs; p += 2) simd::store_as(out + i + p * P::lanes, y[p], y[p + 1]);
    if constexpr (!std::is_same_v<Number, Out>) {
      TESSERA_UNROLL
      for (int p = 0; p < packs; ++p) square(simd::load_as<P>(out + i + p * P::lanes), p);
    }
  }
  std::int64_t padding = 0;
  for (int p = 0; i < n; ++p, i += P::lanes) {
    const int rest = static_cast<int>(n - i < P::lanes ? n - i : P::lanes);
    const P x = simd::load_partial<P>(in + i, rest);
    const P y = x * inverse;
    count(x);
    simd::store_partial(out + i, rest, y);
    square(std::is_same_v<Number, Out> ? y : simd::load_partial<P>(out + i, rest), p);
    padding = P::lanes - rest;
  }
  const Number sum = simd::fold_add(squares);
  const auto less = static_cast<std::int64_t>(simd::fold_add(below)) - padding;
  const auto none = static_cast<std::int64_t>(simd::fold_add(zeros)) - padding;
  found.zeros += none;
  found.underflows += less - none;
  // Squares that are lost below the smallest number, or sums beyond the largest: again in double, which has room for those of float.
  constexpr Number safe = static_cast<Number>(std::is_same_v<Number, double> ? 0x1p-900 : 0x1p-100);
  if (sum >= safe && finite(sum)) [[likely]] {
    found.squares += static_cast<double>(sum);
  } else if (none < n) {
    double again = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      const auto y = static_cast<double>(out[j]);
      again += y * y;
      if (!finite(y) && found.bad_index < 0) found.bad_index = index + j;
    }
    found.squares += again;
  }
}

template <class Arch, class Number, class In, class Out>
TESSERA_NOINLINE unscaled_chunk unscale_chunk(const In* in, Out* out, std::int64_t n, std::int64_t index,
                                              const unscale_rule<Number>& rule, bool streamed) {
  unscaled_chunk found;
  if (streamed) {
    using P = simd::pack<float, Arch>;
    constexpr std::int64_t words = unscale_block * static_cast<std::int64_t>(sizeof(Out)) / 4;
    alignas(64) Out made[unscale_block];
    for (std::int64_t i = 0; i < n; i += unscale_block) {
      const std::int64_t length = n - i < unscale_block ? n - i : unscale_block;
      if (length < unscale_block || reinterpret_cast<std::uintptr_t>(out + i) % P::alignment != 0) {
        unscale_some<Arch>(in + i, out + i, length, rule, found, index + i);
        continue;
      }
      unscale_some<Arch>(in + i, static_cast<Out*>(made), length, rule, found, index + i);
      const auto* const from = reinterpret_cast<const float*>(made);
      auto* const to = reinterpret_cast<float*>(out + i);
      for (std::int64_t w = 0; w < words; w += P::lanes) P::load(from + w).stream(to + w);
    }
    simd::stream_fence();
    return found;
  }
  for (std::int64_t i = 0; i < n; i += unscale_block) {
    unscale_some<Arch>(in + i, out + i, n - i < unscale_block ? n - i : unscale_block, rule, found, index + i);
  }
  return found;
}

}  // namespace tessera::training::detail
