// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Views of one storage type converted to another, at the speed of the memory.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/convert_options.hpp"
#include "tessera/tile/detail/elementwise.hpp"
#include "tessera/tile/detail/streaming.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {

namespace detail {

/// Elements handed to a thread at a time.
inline constexpr std::int64_t convert_chunk = 1 << 16;

/// The lanes that In passes through on its way to Out: of double where one of them is double, but of float on the way from a small format,
/// unless it is to be compared with the largest double.
template <class In, class Out, overflow Overflow>
using converted_in = std::conditional_t<std::same_as<In, double> || (std::same_as<Out, double> &&
                                                                     (std::same_as<In, float> || Overflow == overflow::saturate)),
                                        double, float>;

/// One element after the other of n, side by side, in the registers of Arch.
template <class Arch, overflow Overflow>
struct converter {
  template <class Out, class P>
  static TESSERA_ALWAYS_INLINE P held(P x) {
    if constexpr (Overflow == overflow::saturate) {
      using T = typename P::value_type;
      const P most(static_cast<T>(max_finite<Out>()));
      return max(-most, min(most, x));  // a NaN is the second operand of both, and stays
    } else {
      return x;
    }
  }

  template <class In, class Out>
  static TESSERA_ALWAYS_INLINE void run(const In* in, Out* out, std::int64_t n) {
    if constexpr (std::same_as<In, Out> && Overflow == overflow::ieee) {
      if (in != out) __builtin_memcpy(out, in, static_cast<std::size_t>(n) * sizeof(Out));
    } else {
      using P = simd::pack<converted_in<In, Out, Overflow>, Arch>;
      constexpr std::int64_t lanes = P::lanes;
      std::int64_t i = 0;
      for (; i + 4 * lanes <= n; i += 4 * lanes) {
        const P x = simd::load_as<P>(in + i);
        const P y = simd::load_as<P>(in + i + lanes);
        const P z = simd::load_as<P>(in + i + 2 * lanes);
        const P w = simd::load_as<P>(in + i + 3 * lanes);
        simd::store_as(out + i, held<Out>(x), held<Out>(y), held<Out>(z), held<Out>(w));
      }
      for (; i < n; i += lanes) {
        const int rest = static_cast<int>(n - i < lanes ? n - i : lanes);
        simd::store_partial(out + i, rest, held<Out>(simd::load_partial<P>(in + i, rest)));
      }
    }
  }
};

/// A run of n elements, through buffers where they are not side by side. Not inlined: it is the code of a pair of types, and there is
/// one of it for all ranks and executors of Arch.
template <class Arch, class Rule, class In, class Out>
TESSERA_NOINLINE void convert_run(const In* in, std::int64_t in_step, Out* out, std::int64_t out_step, std::int64_t n,
                                  bool streamed) {
  if (streamed) {
    stream_run<Arch, Rule>(in, out, n);
    return;
  }
  if (n == 1 || (in_step == 1 && out_step == 1)) {
    Rule::run(in, out, n);
    return;
  }
  constexpr std::int64_t buffered = 256;
  alignas(64) In from[buffered];
  alignas(64) Out to[buffered];
  for (std::int64_t done = 0; done < n; done += buffered) {
    const std::int64_t length = n - done < buffered ? n - done : buffered;
    for (std::int64_t i = 0; i < length; ++i) from[i] = in[(done + i) * in_step];
    Rule::run(static_cast<const In*>(from), static_cast<Out*>(to), length);
    for (std::int64_t i = 0; i < length; ++i) out[(done + i) * out_step] = to[i];
  }
}

template <class Rule, class Exec, class In, class Out, std::size_t Rank>
void convert_views(const Exec& exec, const view<const In, Rank>& in, const view<Out, Rank>& out) {
  const std::int64_t size = out.size();
  if (size == 0) return;
  const element_axes<Rank> axes = merged_axes(in, out, true);
  const std::int64_t in_step = axes.in_stride[Rank - 1];
  const std::int64_t out_step = axes.out_stride[Rank - 1];
  const bool streamed = in_step == 1 && out_step == 1 && worth_streaming<Out>(size, axes.extent[Rank - 1]) && !overlap(in, out);
  constexpr auto bytes = static_cast<std::int64_t>(sizeof(In) + sizeof(Out));
  const std::int64_t chunks = (size - 1) / convert_chunk + 1;
  for_each_worth(exec, static_cast<double>(size * bytes), chunks, [&](int, std::int64_t chunk) {
    const std::int64_t begin = chunk * convert_chunk;
    const std::int64_t end = size - begin < convert_chunk ? size : begin + convert_chunk;
    for_each_run(axes, begin, end, [&](std::int64_t, std::int64_t in_at, std::int64_t out_at, std::int64_t length) {
      convert_run<typename Exec::arch, Rule>(in.data_handle() + in_at, in_step, out.data_handle() + out_at, out_step, length,
                                             streamed);
    });
    if (streamed) simd::stream_fence();
  });
}

}  // namespace detail

/// Converts every element of a view to the type of another: out[i] = static_cast<Out>(in[i]).
///
/// Shapes         in, out: equal, any rank from 1, any strides; those of in may be 0. Axes are merged and put in the order of out's
///                memory first: what lies side by side in both, transposed or not, is converted as one run
/// Special values those of static_cast: rounded once, to nearest with ties to even; too large gives infinity, in float8_e4m3 NaN; a NaN
///                becomes quiet and keeps its sign and the top of its payload; subnormals are kept. With overflow::saturate too large,
///                and infinity, give the largest finite value, NaN stays. Views without elements are left alone
/// Accuracy       exact to wider types, correctly rounded to narrower ones, whatever the processor's rounding mode where a type of 16 or
///                8 bits takes part: test/tile/convert.cpp
/// Cost           reads in once, writes out once; nothing is allocated. Outputs too large for the caches are written past them
/// Determinism    the same bits for any executor, number of threads and strides
/// Errors         argument_error, before out is written: shapes differ, negative extent, null data, elements of out that share memory, out
///                overlaps in. In place is allowed where the types are equally large: the same pointer and strides
/// Backends       host
template <executor Exec, mdspan_like In, mdspan_like Out>
void convert(const Exec& exec, const In& in, const Out& out, const convert_options& options = {}) {
  using From = value_type_of<In>;
  using To = typename Out::element_type;
  static_assert(In::rank() == Out::rank() && In::rank() > 0, "convert: needs two views of one rank, 1 or more");
  static_assert(!std::is_const_v<To>, "convert: needs an out that can be written");
  static_assert(storage<From> && storage<To>, "convert: needs elements of a storage type");
  const view<const From, In::rank()> from(in);
  const view<To, Out::rank()> to(out);
  detail::check_elementwise(from, to, "convert");
  if (options.overflow == overflow::saturate) {
    detail::convert_views<detail::converter<typename Exec::arch, overflow::saturate>>(exec, from, to);
  } else {
    detail::convert_views<detail::converter<typename Exec::arch, overflow::ieee>>(exec, from, to);
  }
}

}  // namespace tessera
