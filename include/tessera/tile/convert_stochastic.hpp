// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Views rounded by chance to a narrower type: bit for bit what random::round_stochastic gives one at a time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/stochastic_rounding.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/convert.hpp"
#include "tessera/tile/detail/elementwise.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {
namespace detail {

/// Elements that a group of blocks rounds, and elements handed to a thread at a time: a multiple of it.
inline constexpr std::int64_t rounded_at_once =
    random::roundings_per_block * static_cast<std::int64_t>(random::detail::group_blocks);
inline constexpr std::int64_t rounding_chunk = 32 * rounded_at_once;

/// n elements side by side; of `halves`, as many more may be read as two registers have lanes.
template <class Arch, overflow Overflow, class In, class Out>
TESSERA_ALWAYS_INLINE void round_run(const In* in, Out* out, const std::uint16_t* halves, std::int64_t n) {
  if constexpr (std::is_same_v<In, double>) {
    for (std::int64_t i = 0; i < n; ++i) {
      out[i] = tessera::round_stochastic<Out, Overflow>(in[i], static_cast<std::uint32_t>(halves[i]) << 16);
    }
  } else {
    using P = simd::pack<float, Arch>;
    constexpr std::int64_t pair = 2 * P::lanes;
    const auto held = [](P x) { return converter<Arch, Overflow>::template held<Out>(x); };
    std::int64_t i = 0;
    for (; i + pair <= n; i += pair) {
      const P x = simd::load_as<P>(in + i);
      const P y = simd::load_as<P>(in + i + P::lanes);
      simd::store_stochastic(out + i, held(x), held(y), halves + i);
    }
    if (i < n) {
      In from[pair] = {};
      Out to[pair];
      for (std::int64_t j = i; j < n; ++j) from[j - i] = in[j];
      simd::store_stochastic(to, held(simd::load_as<P>(from)), held(simd::load_as<P>(from + P::lanes)), halves + i);
      for (std::int64_t j = i; j < n; ++j) out[j] = to[j - i];
    }
  }
}

template <class Arch, overflow Overflow, class In, class Out>
TESSERA_NOINLINE void round_strided(const In* in, std::int64_t in_step, Out* out, std::int64_t out_step,
                                    const std::uint16_t* halves, std::int64_t n) {
  alignas(64) In from[rounded_at_once];
  alignas(64) Out to[rounded_at_once];
  for (std::int64_t i = 0; i < n; ++i) from[i] = in[i * in_step];
  round_run<Arch, Overflow>(static_cast<const In*>(from), static_cast<Out*>(to), halves, n);
  for (std::int64_t i = 0; i < n; ++i) out[i * out_step] = to[i];
}

template <overflow Overflow, class Exec, class In, class Out, std::size_t Rank>
void round_views(const Exec& exec, const view<const In, Rank>& in, const view<Out, Rank>& out, std::uint64_t seed,
                 std::uint64_t stream, std::uint64_t first_index) {
  const std::int64_t size = out.size();
  if (size == 0) return;
  const element_axes<Rank> axes = merged_axes(in, out, false);
  const std::int64_t in_step = axes.in_stride[Rank - 1];
  const std::int64_t out_step = axes.out_stride[Rank - 1];
  // Chunks end where the index is a multiple of rounding_chunk, so that only the first and the last hold groups in part.
  const auto lead = static_cast<std::int64_t>(first_index % static_cast<std::uint64_t>(rounding_chunk));
  const std::int64_t chunks = (lead + (size - 1)) / rounding_chunk + 1;
  constexpr double operations = 16;  // of an element, most of them Philox's
  for_each_worth(exec, operations * static_cast<double>(size), chunks, [&](int, std::int64_t chunk) {
    std::int64_t begin = chunk == 0 ? 0 : chunk * rounding_chunk - lead;
    const std::int64_t end = size - begin < rounding_chunk ? size : (chunk + 1) * rounding_chunk - lead;
    const random::detail::block_source<Exec> source(seed, stream);
    alignas(64) std::uint32_t words[rounded_at_once / 2];
    std::uint16_t halves[rounded_at_once + 64] = {};
    while (begin < end) {
      const std::uint64_t index = first_index + static_cast<std::uint64_t>(begin);
      const auto skip = static_cast<std::int64_t>(index % static_cast<std::uint64_t>(rounded_at_once));
      const std::int64_t take = rounded_at_once - skip < end - begin ? rounded_at_once - skip : end - begin;
      source.words_of((index - static_cast<std::uint64_t>(skip)) / random::roundings_per_block, words);
      if constexpr (std::endian::native == std::endian::little) {
        __builtin_memcpy(halves, words, sizeof words);
      } else {
        for (std::int64_t h = 0; h < rounded_at_once; ++h) halves[h] = static_cast<std::uint16_t>(words[h / 2] >> (h % 2 * 16));
      }
      const std::uint16_t* half = halves + skip;
      for_each_run(axes, begin, begin + take, [&](std::int64_t, std::int64_t in_at, std::int64_t out_at, std::int64_t length) {
        const In* const from = in.data_handle() + in_at;
        Out* const to = out.data_handle() + out_at;
        if (length == 1 || (in_step == 1 && out_step == 1)) {
          round_run<typename Exec::arch, Overflow>(from, to, half, length);
        } else {
          round_strided<typename Exec::arch, Overflow>(from, in_step, to, out_step, half, length);
        }
        half += length;
      });
      begin += take;
    }
  });
}

}  // namespace detail

/// Rounds every element of a view by chance to a narrower type: out[i] = random::round_stochastic<Out>(in[i], seed, stream, first_index +
/// i), i the row-major position.
///
/// The sum, or the mean, of many results is that of the inputs: what weights and gradients in 16 or 8 bits need so that small changes
/// are not all lost. Give every step a stream of its own.
/// Shapes         in, out: equal, any rank from 1, any strides; those of in may be 0
/// Range          first_index + i is taken modulo 2^64
/// Special values those of random::round_stochastic; views without elements are left alone
/// Accuracy       that of round_stochastic: without bias from float to bfloat16
/// Cost           one Philox block for 8 elements; nothing is allocated
/// Determinism    the bits of `random::round_stochastic`, for any executor, number of threads, strides, and split of a range over calls
/// Errors         argument_error, before out is written: shapes differ, negative extent, null data, elements of out that share memory, out
///                overlaps in. In place is allowed where the types are equally large: the same pointer and strides
/// Backends       host; In: a storage type, Out: one narrower than float
template <executor Exec, mdspan_like In, mdspan_like Out>
void convert_stochastic(const Exec& exec, const In& in, const Out& out, std::uint64_t seed, std::uint64_t stream,
                        std::uint64_t first_index = 0, const convert_options& options = {}) {
  using From = value_type_of<In>;
  using To = typename Out::element_type;
  static_assert(In::rank() == Out::rank() && In::rank() > 0, "convert_stochastic: needs two views of one rank, 1 or more");
  static_assert(
      storage<From> && detail::is_small_float<To>,
      "convert_stochastic: needs elements of a storage type, and an out that is narrower than float and can be written");
  const view<const From, In::rank()> from(in);
  const view<To, Out::rank()> to(out);
  detail::check_elementwise(from, to, "convert_stochastic");
  if (options.overflow == overflow::saturate) {
    detail::round_views<overflow::saturate>(exec, from, to, seed, stream, first_index);
  } else {
    detail::round_views<overflow::ieee>(exec, from, to, seed, stream, first_index);
  }
}

}  // namespace tessera
