// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Matrices into narrow formats and back, with a scale for every few numbers of a row: MX formats, and blocks with scales of float.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/block_scale.hpp"
#include "tessera/training/detail/quantized.hpp"
#include "tessera/training/quantize_report.hpp"

namespace tessera::training {
namespace detail {

/// What a block of numbers is scaled by, in the type that they are computed in.
template <class S, class Scale, class T>
TESSERA_ALWAYS_INLINE block_scale<Scale, T> scale_of_block(T amax, const block_options& options) {
  if constexpr (std::is_same_v<Scale, e8m0>) {
    return power_scale_of_block<S>(amax, options.rule);
  } else {
    const auto narrow = float_scale_of_block<S>(static_cast<float>(amax), options.power_of_two);
    return {narrow.scale, static_cast<T>(narrow.factor)};
  }
}

/// One block: its scale is returned, its codes are written, its largest magnitude and misfits added. `padding` counts lanes that are of no
/// element, and were taken for zeros.
template <class P, class In, class S, class Scale>
TESSERA_ALWAYS_INLINE Scale quantize_block(const In* in, S* out, std::int64_t n, const block_options& options,
                                           largest_magnitude<P>& amax, misfit_counts<S, P>& counts, std::int64_t& padding,
                                           std::int64_t& bad_blocks) {
  using T = typename P::value_type;
  constexpr std::int64_t lanes = P::lanes;
  largest_magnitude<P> most;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) most.take(simd::load_as<P>(in + i));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) most.take(simd::load_partial<P>(in + i, rest));
  amax.take(most);
  const auto scale = scale_of_block<S, Scale>(lane<T>::from_bits(static_cast<typename lane<T>::bits>(most.all())), options);
  if (scale.factor != scale.factor) [[unlikely]] {
    for (std::int64_t k = 0; k < n; ++k) out[k] = std::numeric_limits<S>::quiet_NaN();
    bad_blocks += 1;
    return scale.scale;
  }
  const P factor(scale.factor);
  for (i = 0; i + 2 * lanes <= n; i += 2 * lanes) {
    const P x = simd::load_as<P>(in + i);
    const P y = simd::load_as<P>(in + i + lanes);
    const P u = x * factor;
    const P v = y * factor;
    counts.take(x, u);  // in every block, as blocks with misfits come too often and irregularly for a branch
    counts.take(y, v);
    simd::store_as(out + i, held<S>(u), held<S>(v));
  }
  for (; i < n; i += lanes) {
    const int left = static_cast<int>(n - i < lanes ? n - i : lanes);
    const P x = simd::load_partial<P>(in + i, left);
    const P y = x * factor;
    counts.take(x, y);
    simd::store_partial(out + i, left, held<S>(y));
    padding += lanes - left;
  }
  return scale.scale;
}

/// Counts of the blocks that a thread takes at a time are kept in lanes of float.
inline constexpr std::int64_t longest_block = 1 << 20;

/// The length of blocks that options ask for, with scales of this type.
template <class Scale>
TESSERA_ALWAYS_INLINE std::int64_t block_length(const block_options& options, const char* function) {
  static_assert(std::is_same_v<Scale, e8m0> || std::is_same_v<Scale, float>,
                "training::quantize_blocks: needs scales of e8m0 or float");
  tessera::detail::expects(
      options.block >= 0 && options.block <= longest_block, function, "options.block",
      [&] { return std::to_string(options.block); }, "needs a length up to 2^20, or 0 for the usual one");
  if (options.block != 0) return options.block;
  return std::is_same_v<Scale, e8m0> ? 32 : 128;
}

/// Refuses matrices that are not of one shape, scales that are not one for each block, and memory that is shared.
template <class In, class Out, class Scale>
TESSERA_ALWAYS_INLINE void check_blocks(const view<In, 2>& in, const view<Out, 2>& out, const view<Scale, 2>& scales,
                                        std::int64_t block, const char* function) {
  using tessera::detail::shape;
  tessera::detail::check_operand(in, function, "in");
  tessera::detail::check_output(out, function, "out");
  tessera::detail::check_operand(scales, function, "scales");
  tessera::detail::expects(
      in.extent(0) == out.extent(0) && in.extent(1) == out.extent(1), function, "out",
      [&] { return "shape " + shape(out) + " for in of shape " + shape(in); }, "needs the shape of in");
  const std::int64_t blocks = in.extent(1) / block + (in.extent(1) % block != 0 ? 1 : 0);
  tessera::detail::expects(
      scales.extent(0) == in.extent(0) && scales.extent(1) == blocks, function, "scales",
      [&] { return "shape " + shape(scales); },
      ("needs one scale for each " + std::to_string(block) + " numbers of a row: [" + std::to_string(in.extent(0)) + ", " +
       std::to_string(blocks) + "]")
          .c_str());
  tessera::detail::check_disjoint(out, in, function, "out", "in");
  tessera::detail::check_disjoint(out, scales, function, "out", "scales");
}

/// Blocks that a thread takes at a time: of some 2^16 numbers.
TESSERA_ALWAYS_INLINE std::int64_t blocks_together(std::int64_t block) { return std::max<std::int64_t>(1, (1 << 16) / block); }

/// f(item, row, first block, past the last one) for all blocks of a matrix; the items are numbered from 0.
template <class Exec, class F>
void for_each_blocks(const Exec& exec, std::int64_t rows, std::int64_t per_row, std::int64_t block, double bytes, const F& f) {
  const std::int64_t together = blocks_together(block);
  const std::int64_t all = rows * per_row;
  tessera::detail::for_each_worth(exec, bytes * static_cast<double>(all) * static_cast<double>(block),
                                  (all + together - 1) / together, [&](int, std::int64_t item) {
                                    std::int64_t begin = item * together;
                                    const std::int64_t end = std::min(all, begin + together);
                                    while (begin < end) {
                                      const std::int64_t row = begin / per_row;
                                      const std::int64_t last = std::min(end, (row + 1) * per_row);
                                      f(item, row, begin - row * per_row, last - row * per_row);
                                      begin = last;
                                    }
                                  });
}

template <class Arch, class T, class In, class S, class Scale>
TESSERA_NOINLINE void quantize_row(const In* in, S* out, Scale* scales, std::int64_t columns, std::int64_t first,
                                   std::int64_t last, std::int64_t block, const block_options& options, quantized_run<T>& found,
                                   std::int64_t& bad_blocks) {
  using P = simd::pack<T, Arch>;
  largest_magnitude<P> amax;
  misfit_counts<S, P> counts;
  std::int64_t padding = 0;
  for (std::int64_t b = first; b < last; ++b) {
    const std::int64_t begin = b * block;
    scales[b] = quantize_block<P, In, S, Scale>(in + begin, out + begin, std::min(block, columns - begin), options, amax, counts,
                                                padding, bad_blocks);
  }
  const auto of = [&](P count) { return static_cast<std::int64_t>(simd::fold_add(count)); };
  found.add({amax.all(), of(counts.zeros) - padding, of(counts.vanished) - padding, of(counts.overflows)});
}

template <class Arch, class T, class S, class Scale, class Out>
TESSERA_NOINLINE void dequantize_row(const S* in, const Scale* scales, Out* out, std::int64_t columns, std::int64_t first,
                                     std::int64_t last, std::int64_t block) {
  using P = simd::pack<T, Arch>;
  for (std::int64_t b = first; b < last; ++b) {
    const P scale(static_cast<T>(scales[b]));
    const std::int64_t end = std::min(columns, (b + 1) * block);
    std::int64_t i = b * block;
    for (; i + 2 * P::lanes <= end; i += 2 * P::lanes) {
      simd::store_as(out + i, simd::load_as<P>(in + i) * scale, simd::load_as<P>(in + i + P::lanes) * scale);
    }
    for (; i < end; i += P::lanes) {
      const int rest = static_cast<int>(std::min<std::int64_t>(P::lanes, end - i));
      simd::store_partial(out + i, rest, simd::load_partial<P>(in + i, rest) * scale);
    }
  }
}

}  // namespace detail

/// Codes of a matrix and a scale for every `block` numbers of a row, so that one large number costs no more than its neighbours their digits.
///
///   out[i, j] = round(in[i, j] / scales[i, j / block]);   scales[i, b] from the largest magnitude of block b, as block_scale.hpp has it
///
/// Shapes          in, out [rows, columns], scales [rows, ceil(columns / block)]; rows contiguous and at any stride. The last block of a row may
///                 be shorter. To quantise along the other axis give the transposed matrix
/// Types           in: any storage type; out: float8_e4m3, float8_e5m2, float4_e2m1 (one in a byte); scales: e8m0 (MXFP8, MXFP4), or float.
///                 Computes in float, in double for double
/// Special values  saturates: with block_rule::floor the top quarter of the last binade of a block (of float4_e2m1 the top half) becomes the
///                 largest number, which the report counts as overflows as far as rounding would not have done the same. A block of zeros
///                 gets zeros, and 2^-127 (float: 1). A block that holds an infinity or NaN gets a scale of NaN and codes of NaN (in
///                 float4_e2m1: 6), so that it is NaN when it comes back
/// Accuracy        codes are those of the exact quotient, rounded to nearest with ties to even, for scales that are powers of two; of the
///                 product rounded once before, for others: test/training/quantize_blocks.cpp
/// Cost            reads in once from memory, writes out and scales once; 48 bytes of scratch for some 65,536 numbers
/// Determinism     the same bits for any executor, number of threads, strides and instruction set; a row alone has the bits it has among others
/// Errors          argument_error, nothing written: shapes that do not belong together, a length of blocks out of range, null data, rows that are not
///                 contiguous, arrays that overlap
/// Source          OCP Microscaling Formats (MX) Specification 1.0; DeepSeek-AI 2024, arXiv:2412.19437, section 3.3, for 1 x 128 blocks of
///                 float8_e4m3 with scales of float
template <executor Exec, mdspan_like In, mdspan_like Out, mdspan_like Scales>
  requires(In::rank() == 2 && Out::rank() == 2 && Scales::rank() == 2)
quantize_report quantize_blocks(const Exec& exec, const In& in, const Out& out, const Scales& scales,
                                const block_options& options = {}) {
  using From = value_type_of<In>;
  using S = typename Out::element_type;
  using Scale = typename Scales::element_type;
  static_assert(!std::is_const_v<S> && !std::is_const_v<Scale>,
                "training::quantize_blocks: needs out and scales that can be written");
  static_assert(tessera::detail::narrow_float<S>, "training::quantize_blocks: needs an out of a narrow floating-point type");
  static_assert(storage<From>, "training::quantize_blocks: needs elements of a storage type");
  using T = compute_t<From>;
  struct found_blocks {
    detail::quantized_run<T> run;
    std::int64_t bad_blocks;
  };
  constexpr const char* function = "training::quantize_blocks";
  const view<const From, 2> from(in);
  const view<S, 2> to(out);
  const view<Scale, 2> scale(scales);
  const std::int64_t block = detail::block_length<Scale>(options, function);
  detail::check_blocks(from, to, scale, block, function);
  tessera::detail::check_distinct(scale, function, "scales");
  tessera::detail::check_disjoint(scale, from, function, "scales", "in");
  const std::int64_t columns = from.extent(1);
  const std::int64_t together = detail::blocks_together(block);
  const std::int64_t items = (scale.size() + together - 1) / together;
  tessera::detail::scratch memory(exec.memory(), static_cast<std::size_t>(items) * sizeof(found_blocks));
  auto* const found = reinterpret_cast<found_blocks*>(memory.data());
  for (std::int64_t item = 0; item < items; ++item) found[item] = {};
  detail::for_each_blocks(exec, from.extent(0), scale.extent(1), block, sizeof(From) + sizeof(S),
                          [&](std::int64_t item, std::int64_t row, std::int64_t first, std::int64_t last) {
                            detail::quantize_row<typename Exec::arch>(
                                from.data_handle() + row * from.stride(0), to.data_handle() + row * to.stride(0),
                                scale.data_handle() + row * scale.stride(0), columns, first, last, block, options,
                                found[item].run, found[item].bad_blocks);
                          });
  detail::quantized_run<T> all;
  std::int64_t bad_blocks = 0;
  for (std::int64_t item = 0; item < items; ++item) {
    all.add(found[item].run);
    bad_blocks += found[item].bad_blocks;
  }
  quantize_report report = detail::report_of(&all, 1, from.size());
  report.bad_blocks = bad_blocks;
  return report;
}

/// out[i, j] = in[i, j] * scales[i, j / block]: numbers again, from codes and scales that quantize_blocks made with these options.
///
/// Types           in: a narrow type; out: any storage type. Computes in float, in double for double
/// Special values  a scale of NaN makes its block NaN
/// Accuracy        exact in float, but for the rounding of out's type, for scales that are powers of two, while results are normal
/// Cost            reads in and scales once, writes out once; nothing is allocated
/// The rest as quantize_blocks.
template <executor Exec, mdspan_like In, mdspan_like Scales, mdspan_like Out>
  requires(In::rank() == 2 && Out::rank() == 2 && Scales::rank() == 2)
void dequantize_blocks(const Exec& exec, const In& in, const Scales& scales, const Out& out, const block_options& options = {}) {
  using S = value_type_of<In>;
  using Scale = value_type_of<Scales>;
  using To = typename Out::element_type;
  static_assert(!std::is_const_v<To>, "training::dequantize_blocks: needs an out that can be written");
  static_assert(tessera::detail::narrow_float<S>, "training::dequantize_blocks: needs an in of a narrow floating-point type");
  constexpr const char* function = "training::dequantize_blocks";
  const view<const S, 2> from(in);
  const view<To, 2> to(out);
  const view<const Scale, 2> scale(scales);
  const std::int64_t block = detail::block_length<Scale>(options, function);
  detail::check_blocks(from, to, scale, block, function);
  detail::for_each_blocks(exec, from.extent(0), scale.extent(1), block, sizeof(S) + sizeof(To),
                          [&](std::int64_t, std::int64_t row, std::int64_t first, std::int64_t last) {
                            detail::dequantize_row<typename Exec::arch, compute_t<To>>(
                                from.data_handle() + row * from.stride(0), scale.data_handle() + row * scale.stride(0),
                                to.data_handle() + row * to.stride(0), from.extent(1), first, last, block);
                          });
}

}  // namespace tessera::training
