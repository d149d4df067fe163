// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Arrays folded to one number on the device, with the same bits on every device.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/elementwise.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/memory/vector.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/warp.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/tile/view.hpp"

namespace tessera::cuda {

/// x + y, from 0.
struct add {
  template <class T>
  TESSERA_HD static constexpr T identity() {
    return T(0);
  }
  template <class T>
  TESSERA_HD constexpr T operator()(T x, T y) const {
    return x + y;
  }
};

/// The smaller number, from infinity; NaN if one is.
struct smaller {
  template <class T>
  static constexpr T identity() {
    return std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : (std::numeric_limits<T>::max)();
  }
  template <class T>
  TESSERA_HD constexpr T operator()(T x, T y) const {
    return x < y || x != x ? x : y;  // a NaN y is not above x, and stays
  }
};

/// The larger number, from -infinity; NaN if one is.
struct larger {
  template <class T>
  static constexpr T identity() {
    return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  }
  template <class T>
  TESSERA_HD constexpr T operator()(T x, T y) const {
    return x > y || x != x ? x : y;
  }
};

namespace detail {

inline constexpr int fold_threads = 256;

/// Blocks of a fold at most: a number of its own, not the device's, as it decides the order of the sum.
inline constexpr std::int64_t fold_blocks = 1024;

struct as_it_is {
  template <class T>
  TESSERA_HD constexpr T operator()(T x) const {
    return x;
  }
};

/// One number of a block's: lanes by halves, then warps by halves. Every thread calls it; thread 0 has the result.
template <class Fold, class T>
TESSERA_DEVICE T fold_block(const Fold& fold, T x, T identity) {
  shared_cursor cursor(dynamic_shared_memory());
  const auto of_warp = cursor.take<T>(warp_threads);
  TESSERA_DEVICE_UNROLL
  for (int step = warp_threads / 2; step > 0; step /= 2) x = fold(x, shuffle_xor(x, step));
  const unsigned lane = threadIdx.x % 32u;
  const unsigned warp = threadIdx.x / 32u;
  if (lane == 0) of_warp.store(static_cast<int>(warp), x);
  __syncthreads();
  if (warp == 0) {
    x = lane < fold_threads / 32u ? of_warp.load(static_cast<int>(lane)) : identity;
    TESSERA_DEVICE_UNROLL
    for (int step = warp_threads / 2; step > 0; step /= 2) x = fold(x, shuffle_xor(x, step));
  }
  return x;
}

/// A thread's running value, over chunks whose elements outside of the arrays it must not see.
template <int N, int AtOnce, class State, class Fold, class F, class Out, class... Arrays>
TESSERA_KERNEL void __launch_bounds__(fold_threads)
    fold_kernel(F f, Fold fold, State identity, chunk_layout layout, Out* out, Arrays... arrays) {
  State x = identity;
  const std::int64_t chunks = layout.rows * layout.chunks_a_row;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * fold_threads;
  for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * fold_threads + threadIdx.x; first < chunks;
       first += AtOnce * step) {
    chunk_steps<N, Arrays...>::template visit<AtOnce>(
        [&](const chunk_place& c, const auto&... chunk) {
          TESSERA_DEVICE_UNROLL
          for (int i = 0; i < N; ++i) {
            if (i >= c.begin && i < c.end) x = fold(x, static_cast<State>(f(widen(chunk[i])...)));
          }
        },
        layout, first, step, chunks, arrays...);
  }
  x = fold_block(fold, x, identity);
  if (threadIdx.x == 0) out[blockIdx.x] = convert<Out>(x);
}

/// fold of f(in …) over the elements of the arrays, to `blocks` numbers at `out`.
template <int N, int AtOnce, class State, class Out, class F, class Fold, class... Arrays>
TESSERA_HIDDEN void launch_fold(const executor& exec, const char* function, const F& f, const Fold& fold,
                                const chunk_layout& layout, std::int64_t blocks, Out* out, const Arrays&... arrays) {
  launch(exec,
         shape{.grid = dim3(static_cast<unsigned>(blocks)),
               .block = dim3(fold_threads),
               .shared_bytes = shared_array<State>::bytes(warp_threads),
               .function = function},
         fold_kernel<N, AtOnce, State, Fold, F, Out, Arrays...>, f, fold, Fold::template identity<State>(), layout, out,
         arrays...);
}

template <class F, class Fold, class Out, class... In, std::size_t Rank>
TESSERA_HIDDEN void reduce(const executor& exec, const char* function, const F& f, const Fold& fold, const view<Out, 1>& out,
                           const view<const In, Rank>&... in) {
  static_assert(!std::is_const_v<Out>, "cuda::reduce: needs an out that can be written");
  static_assert(sizeof...(In) > 0 && sizeof...(In) <= 4, "cuda::reduce: takes one to four inputs");
  constexpr const char* names[] = {"in", "second in", "third in", "fourth in"};
  int number = 0;
  const auto& like = first_of(in...);
  (
      [&](const auto& v) {
        const char* const name = names[number++];
        tessera::detail::check_readable(v, function, name);
        for (std::size_t r = 0; r < Rank; ++r) {
          tessera::detail::expects(
              v.extent(r) == like.extent(r), function, name, [&] { return "shape " + tessera::detail::shape(v); },
              ("needs the shape of in, " + tessera::detail::shape(like)).c_str());
        }
        tessera::detail::check_disjoint(out, v, function, "out", name);
        check_memory(exec, v, function, name);
      }(in),
      ...);
  tessera::detail::check_readable(out, function, "out");
  tessera::detail::expects(
      out.extent(0) == 1, function, "out", [&] { return "shape " + tessera::detail::shape(out); }, "needs one number");
  check_memory(exec, out, function, "out");

  using State = widened_t<Out>;
  constexpr int n = std::min({16, vector_elements<In>...});
  constexpr int bytes = (0 + ... + (n * static_cast<int>(sizeof(In))));
  constexpr int at_once = std::clamp(2 * bytes_in_flight / bytes, 1, 4);
  const auto run = [&](const row_split& split, const auto&... arrays) {
    const std::int64_t chunks_a_row = split.size == 0 ? 0 : (split.size - 1 + n - 1) / n + 1;
    const chunk_layout layout{split.rows, split.size, chunks_a_row, 0, false};
    const std::int64_t chunks = split.rows * chunks_a_row;
    const std::int64_t blocks = std::clamp<std::int64_t>((chunks - 1) / (fold_threads * at_once) + 1, 1, fold_blocks);
    if (blocks == 1) {
      launch_fold<n, at_once, State>(exec, function, f, fold, layout, 1, out.data_handle(), arrays...);
      return;
    }
    const workspace memory(exec, sizeof(State) * static_cast<std::size_t>(blocks), function);
    bump block(memory.data());
    State* const partial = block.take<State>(blocks);
    launch_fold<n, at_once, State>(exec, function, f, fold, layout, blocks, partial, arrays...);
    launch_fold<1, 4, State>(exec, function, as_it_is{}, fold, chunk_layout{1, blocks, blocks, 0, false}, 1, out.data_handle(),
                             row_array<const State>{partial, 0});
  };
  with_rows<n>(run, in...);
}

}  // namespace detail

/// out = fold of f(in[i] …) over all elements: a sum, an extremum, a dot product, a norm, in one pass.
///
///   cuda::reduce(exec, f, cuda::add{}, out, x, y);     // sum_i f(x_i, y_i)
///
/// Shapes          each in of one shape, of any strides; out [1], in the memory of the device: the host does not wait
/// f, fold         functions that device code can call. f gets each element as the type that it is computed in (widened_t); its result
///                 becomes a number of the widened type of out, in which fold(x, y) joins: associative and commutative but for
///                 rounding, with Fold::identity<T>() on the host
/// Special values  no elements: the identity. Of what is not a number, what f and fold make of it
/// Accuracy        of a sum of n numbers in float, its elements having one sign: (n / 2^18 + 48) 2^-24 relative, as a thread adds one
///                 element in 2^18 in turn and trees join the rest; to out double, in float64
/// Cost            one read of the arrays; two launches, one where all fits into a block; scratch of 8 KiB at most
/// Determinism     the same bits on every device and in every run, and at any address, for one shape and one kind of strides: who adds what
///                 depends on the size alone. (CUB's device-wide sums differ from device to device)
/// Errors          argument_error, nothing written: shapes, null data, host memory, an out inside of an in; cuda::error
template <class F, class Fold, class Out, mdspan_like... In>
TESSERA_HIDDEN void reduce(const executor& exec, F f, Fold fold, const view<Out, 1>& out, const In&... in) {
  detail::reduce(exec, "cuda::reduce", f, fold, out,
                 view<const std::remove_const_t<typename In::element_type>, In::rank()>(in)...);
}

/// out = sum of the elements. Otherwise reduce.
template <class Out, mdspan_like In>
TESSERA_HIDDEN void sum(const executor& exec, const In& in, const view<Out, 1>& out) {
  detail::reduce(exec, "cuda::sum", detail::as_it_is{}, add{}, out,
                 view<const std::remove_const_t<typename In::element_type>, In::rank()>(in));
}

/// out = the smallest element, infinity of none, NaN if there is one. Otherwise reduce.
template <class Out, mdspan_like In>
TESSERA_HIDDEN void minimum(const executor& exec, const In& in, const view<Out, 1>& out) {
  detail::reduce(exec, "cuda::minimum", detail::as_it_is{}, smaller{}, out,
                 view<const std::remove_const_t<typename In::element_type>, In::rank()>(in));
}

/// out = the largest element, -infinity of none, NaN if there is one. Otherwise reduce.
template <class Out, mdspan_like In>
TESSERA_HIDDEN void maximum(const executor& exec, const In& in, const view<Out, 1>& out) {
  detail::reduce(exec, "cuda::maximum", detail::as_it_is{}, larger{}, out,
                 view<const std::remove_const_t<typename In::element_type>, In::rank()>(in));
}

}  // namespace tessera::cuda
