// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Views of one storage type converted to another on the device, rounded to nearest or by chance.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/cuda/elementwise.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/memory/vector.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/numeric/round_to.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/stochastic_rounding.hpp"
#include "tessera/tile/convert_options.hpp"
#include "tessera/tile/detail/elementwise.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {
namespace cuda::detail {

template <class To, overflow Overflow>
struct chunk_converted {
  template <class From, int N>
  TESSERA_DEVICE void operator()(std::uint64_t, packed<To, N>& out, const packed<From, N>& in) const {
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < N; ++i) out[i] = converted(in[i]);
  }

 private:
  template <class From>
  TESSERA_DEVICE static To converted(const From& x) {
    if constexpr (Overflow == overflow::ieee) {
      return convert<To>(x);
    } else if constexpr (tessera::detail::is_small_float<To>) {
      return round_to<To, rounding::nearest_even, overflow::saturate>(widen(x));
    } else {
      constexpr To largest = max_finite<To>();
      const To y = convert<To>(x);
      return y > largest ? largest : y < -largest ? -largest : y;
    }
  }
};

template <class To, overflow Overflow>
struct chunk_rounded_by_chance {
  std::uint64_t seed;
  std::uint64_t stream;

  template <class From>
  TESSERA_DEVICE void operator()(std::uint64_t first, packed<To, random::roundings_per_block>& out,
                                 const packed<From, random::roundings_per_block>& in) const {
    const random::philox_block bits = random::philox(seed, stream, first / random::roundings_per_block);
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < random::roundings_per_block; ++i) {
      out[i] = round_stochastic<To, Overflow>(widen(in[i]), (bits.word[i / 2] >> (i % 2 * 16) & 0xFFFFu) << 16);
    }
  }
};

}  // namespace cuda::detail

/// Converts every element of a view on a GPU to the type of another: out[i] = static_cast<Out>(in[i]).
///
/// Shapes         in, out: equal, any rank from 1, any strides, in the memory of the device; those of in may be 0
/// Special values those of the CPU's convert (tile/convert.hpp); a NaN keeps its sign and payload between float and the narrower types, on the
///                way from or to double it may not
/// Accuracy       exact to wider types, correctly rounded to narrower ones: the bits of the CPU
/// Cost           reads in once, writes out once, nothing is allocated
/// Determinism    the same bits for any strides and launch shape
/// Errors         argument_error, before out is written: what the CPU's refuses, and host memory; cuda::error. In place is allowed where the
///                types are equally large: the same pointer and strides
template <mdspan_like In, mdspan_like Out>
TESSERA_HIDDEN void convert(const cuda::executor& exec, const In& in, const Out& out, const convert_options& options = {}) {
  using From = value_type_of<In>;
  using To = typename Out::element_type;
  static_assert(In::rank() == Out::rank() && In::rank() > 0, "convert: needs two views of one rank, 1 or more");
  static_assert(!std::is_const_v<To>, "convert: needs an out that can be written");
  static_assert(storage<From> && storage<To>, "convert: needs elements of a storage type");
  const view<const From, In::rank()> from(in);
  const view<To, Out::rank()> to(out);
  detail::check_elementwise(from, to, "convert");
  cuda::detail::check_memory(exec, from, "convert", "in");
  cuda::detail::check_memory(exec, to, "convert", "out");
  constexpr int chunk = std::min(cuda::vector_elements<From>, cuda::vector_elements<To>);
  if (options.overflow == overflow::saturate) {
    cuda::detail::elementwise<chunk, true>(exec, "convert", cuda::detail::chunk_converted<To, overflow::saturate>{}, 0, to, from);
  } else {
    cuda::detail::elementwise<chunk, true>(exec, "convert", cuda::detail::chunk_converted<To, overflow::ieee>{}, 0, to, from);
  }
}

/// Rounds every element of a view on a GPU by chance to a narrower type: out[i] = random::round_stochastic<Out>(in[i], seed, stream,
/// first_index + i), i the row-major position.
///
/// Determinism    the bits of `random::round_stochastic` and of the CPU, for any strides and split of a range over calls
/// Cost           one Philox block for 8 elements, in the registers of the thread that stores them; reads in once, writes out once
/// Otherwise as convert above, and convert_stochastic of the CPU (tile/convert_stochastic.hpp)
template <mdspan_like In, mdspan_like Out>
TESSERA_HIDDEN void convert_stochastic(const cuda::executor& exec, const In& in, const Out& out, std::uint64_t seed,
                                       std::uint64_t stream, std::uint64_t first_index = 0, const convert_options& options = {}) {
  using From = value_type_of<In>;
  using To = typename Out::element_type;
  static_assert(In::rank() == Out::rank() && In::rank() > 0, "convert_stochastic: needs two views of one rank, 1 or more");
  static_assert(
      storage<From> && detail::is_small_float<To>,
      "convert_stochastic: needs elements of a storage type, and an out that is narrower than float and can be written");
  const view<const From, In::rank()> from(in);
  const view<To, Out::rank()> to(out);
  detail::check_elementwise(from, to, "convert_stochastic");
  cuda::detail::check_memory(exec, from, "convert_stochastic", "in");
  cuda::detail::check_memory(exec, to, "convert_stochastic", "out");
  constexpr int chunk = random::roundings_per_block;
  if (options.overflow == overflow::saturate) {
    cuda::detail::elementwise<chunk, false>(exec, "convert_stochastic",
                                            cuda::detail::chunk_rounded_by_chance<To, overflow::saturate>{seed, stream},
                                            first_index, to, from);
  } else {
    cuda::detail::elementwise<chunk, false>(exec, "convert_stochastic",
                                            cuda::detail::chunk_rounded_by_chance<To, overflow::ieee>{seed, stream}, first_index,
                                            to, from);
  }
}

}  // namespace tessera
