// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A lane function applied to every number of an array.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/core/error.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/pack.hpp"

namespace tessera::simd {
namespace detail {

/// Flattened: f is inlined even where it is a plain lambda, so that the constants of its polynomials stay in registers.
template <class P, class S, class D, class F>
[[gnu::flatten]] void transform(const S* in, D* out, std::int64_t n, F& f) {
  constexpr std::int64_t lanes = P::lanes;
  constexpr int unroll = 4;
  std::int64_t i = 0;
  for (; i + unroll * lanes <= n; i += unroll * lanes) {
    P x[unroll];
    TESSERA_UNROLL
    for (int k = 0; k < unroll; ++k) x[k] = load_as<P>(in + i + k * lanes);
    TESSERA_UNROLL
    for (int k = 0; k < unroll; ++k) x[k] = f(x[k]);
    TESSERA_UNROLL
    for (int k = 0; k < unroll; ++k) store_as(out + i + k * lanes, x[k]);
  }
  for (; i + lanes <= n; i += lanes) store_as(out + i, f(load_as<P>(in + i)));
  if (i < n) {
    const int rest = static_cast<int>(n - i);
    store_partial(out + i, rest, f(load_partial<P>(in + i, rest)));
  }
}

}  // namespace detail

/// out[i] = f(in[i]) for 0 <= i < n, four packs at a time.
///
/// Shapes          in [n], out [n], each contiguous. Any two of float, double, float16, bfloat16 … as the types in memory; f gets packs of
///                 double where one of them is double, else of float, and returns the same.
/// Ranges          n >= 0; `in` and `out` are one array, or do not overlap. Any alignment.
/// Special values  n = 0 touches nothing; the pointers may then be null. Behind the end of the arrays nothing is read or written.
/// Accuracy        f's, and one rounding to nearest where the type of `out` is narrower.
/// Cost            one load, f and one store a pack. f also sees zeros, in the lanes that the last pack has too many.
/// Determinism     a number's result does not depend on its place, as far as f keeps lanes apart.
/// Errors          argument_error for n < 0.
template <class Arch = default_arch, class S, class D, class F>
void transform(const S* in, D* out, std::int64_t n, F f) {
  using V = std::conditional_t<std::is_same_v<D, double>, double, compute_t<S>>;
  tessera::detail::expects(
      n >= 0, "simd::transform", "n", [&] { return std::to_string(n); }, "needs to be 0 or more");
  detail::transform<pack<V, Arch>>(in, out, n, f);
}

}  // namespace tessera::simd
