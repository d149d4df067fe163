// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Tensors into 8 bits and back, with one scale for a whole tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/round_to.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/detail/element_blocks.hpp"
#include "tessera/training/detail/quantized.hpp"
#include "tessera/training/quantize_report.hpp"
#include "tessera/training/quantized.hpp"

namespace tessera::training {

namespace detail {

/// A block of elements quantised, measured and counted.
template <class Arch, class T, class In, class S>
TESSERA_ALWAYS_INLINE void quantize_some(const In* in, S* out, std::int64_t n, T scale, quantized_run<T>& found) {
  using P = simd::pack<T, Arch>;
  constexpr std::int64_t lanes = P::lanes;
  const P factor(scale);
  largest_magnitude<P> amax;
  misfit_counts<S, P> counts;
  std::int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    P x[4];
    P y[4];
    TESSERA_UNROLL
    for (int p = 0; p < 4; ++p) {
      x[p] = simd::load_as<P>(in + i + p * lanes);
      y[p] = x[p] * factor;
      amax.take(x[p]);
    }
    auto any = counts.any_of(y[0]);
    TESSERA_UNROLL
    for (int p = 1; p < 4; ++p) any = any | counts.any_of(y[p]);
    if (lane<P>::any(any)) {
      TESSERA_UNROLL
      for (int p = 0; p < 4; ++p) counts.take(x[p], y[p]);
    }
    simd::store_as(out + i, held<S>(y[0]), held<S>(y[1]), held<S>(y[2]), held<S>(y[3]));
  }
  std::int64_t padding = 0;
  for (; i < n; i += lanes) {
    const int rest = static_cast<int>(n - i < lanes ? n - i : lanes);
    const P x = simd::load_partial<P>(in + i, rest);
    const P y = x * factor;
    amax.take(x);
    counts.take(x, y);
    simd::store_partial(out + i, rest, held<S>(y));
    padding = lanes - rest;
  }
  const auto of = [&](P count) { return static_cast<std::int64_t>(simd::fold_add(count)); };
  found.add({amax.all(), of(counts.zeros) - padding, of(counts.vanished) - padding, of(counts.overflows)});
}

TESSERA_ALWAYS_INLINE void check_scale(const char* function, float scale) {
  tessera::detail::expects(
      scale > 0 && scale <= tessera::max_finite<float>(), function, "scale",
      [&] { return tessera::detail::number(static_cast<double>(scale)); }, "needs a positive finite number");
}

}  // namespace detail

/// out[i] = in[i] * scale in a narrow format, and what that did to the tensor: in one pass over memory.
///
/// The scale comes from the tensors of earlier steps (delayed scaling: update_scale, which the report's amax is noted for) or from this one
/// (current scaling: scale_of_amax of an amax that is known).
///
/// Shapes          in, out: equal, any rank from 1, any strides; axes are merged and put in the order of out's memory, so that a transposed
///                 copy is as good
/// Types           in: any storage type; out: float8_e4m3, float8_e5m2, float4_e2m1 (one in a byte), float16, bfloat16. Computes in float, in
///                 double for double
/// Special values  saturates: what is too large, infinity too, becomes the largest number, and counts as an overflow. A NaN stays NaN as far as
///                 the format has it (in float4_e2m1 it becomes 6) and makes the report's amax NaN. Subnormals are kept
/// Accuracy        two roundings, one for a scale that is a power of two: the product, and that to out's type, to nearest with ties to
///                 even: test/training/fp8.cpp
/// Cost            reads in once, writes out once; 32 bytes of scratch for every 65,536 elements. Outputs too large for the caches are written
///                 past them
/// Determinism     the same bits for any executor, number of threads, strides and instruction set
/// Errors          argument_error, nothing written: a scale that is not positive and finite, shapes that differ, null data, elements of out that
///                 share memory, with each other or with in
/// Source          Micikevicius et al. 2022, arXiv:2209.05433, section 3; OCP 8-bit Floating Point Specification 1.0
template <executor Exec, mdspan_like In, mdspan_like Out>
quantize_report quantize(const Exec& exec, const In& in, const Out& out, float scale) {
  using From = value_type_of<In>;
  using To = typename Out::element_type;
  static_assert(In::rank() == Out::rank() && In::rank() > 0, "training::quantize: needs two views of one rank, 1 or more");
  static_assert(!std::is_const_v<To>, "training::quantize: needs an out that can be written");
  static_assert(tessera::detail::narrow_float<To>, "training::quantize: needs an out of a narrow floating-point type");
  static_assert(storage<From>, "training::quantize: needs elements of a storage type");
  using T = compute_t<From>;
  using found_run = detail::quantized_run<T>;
  constexpr const char* function = "training::quantize";
  const view<const From, In::rank()> from(in);
  const view<To, Out::rank()> to(out);
  detail::check_scale(function, scale);
  tessera::detail::check_elementwise(from, to, function);
  const std::int64_t chunks = detail::element_chunks(to);
  tessera::detail::scratch memory(exec.memory(), static_cast<std::size_t>(chunks) * sizeof(found_run));
  auto* const found = reinterpret_cast<found_run*>(memory.data());
  for (std::int64_t c = 0; c < chunks; ++c) found[c] = {};
  detail::for_each_element_block(exec, from, to, [&](std::int64_t chunk, const From* x, To* y, std::int64_t n) {
    detail::quantize_some<typename Exec::arch>(x, y, n, static_cast<T>(scale), found[chunk]);
  });
  return detail::report_of(found, chunks, to.size());
}

/// out[i] = in[i] / scale: numbers again, from codes that quantize made with this scale.
///
///   out = float(in) * (1 / scale), rounded once to out's type
///
/// Shapes          as quantize
/// Types           in: a narrow type; out: any storage type. Computes in float, in double for double
/// Special values  NaN and infinity stay
/// Accuracy        two roundings and that of out's type; exact for a scale that is a power of two, while results are normal
/// Cost            reads in once, writes out once; nothing is allocated
/// The rest as quantize.
template <executor Exec, mdspan_like In, mdspan_like Out>
void dequantize(const Exec& exec, const In& in, const Out& out, float scale) {
  using From = value_type_of<In>;
  using To = typename Out::element_type;
  static_assert(In::rank() == Out::rank() && In::rank() > 0, "training::dequantize: needs two views of one rank, 1 or more");
  static_assert(!std::is_const_v<To>, "training::dequantize: needs an out that can be written");
  static_assert(tessera::detail::narrow_float<From>, "training::dequantize: needs an in of a narrow floating-point type");
  static_assert(storage<To>, "training::dequantize: needs elements of a storage type");
  using T = compute_t<To>;
  using P = simd::pack<T, typename Exec::arch>;
  constexpr const char* function = "training::dequantize";
  const view<const From, In::rank()> from(in);
  const view<To, Out::rank()> to(out);
  detail::check_scale(function, scale);
  tessera::detail::check_elementwise(from, to, function);
  const P inverse(T(1) / static_cast<T>(scale));
  detail::for_each_element_block(exec, from, to, [&](std::int64_t, const From* x, To* y, std::int64_t n) {
    std::int64_t i = 0;
    for (; i + 2 * P::lanes <= n; i += 2 * P::lanes) {
      simd::store_as(y + i, simd::load_as<P>(x + i) * inverse, simd::load_as<P>(x + i + P::lanes) * inverse);
    }
    for (; i < n; i += P::lanes) {
      const int rest = static_cast<int>(n - i < P::lanes ? n - i : P::lanes);
      simd::store_partial(y + i, rest, simd::load_partial<P>(x + i, rest) * inverse);
    }
  });
}

}  // namespace tessera::training
