// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A function applied to every element of arrays on the device. Includes CUB under a CUDA compiler, which takes seconds: what only needs a
/// kernel of its own includes elementwise.cuh.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/elementwise.cuh"
#include "tessera/cuda/error.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/tile/view.hpp"

#if TESSERA_CUDA_COMPILER && !TESSERA_CUDA_EMULATOR
#define TESSERA_CUDA_CUB 1
#include <cub/device/device_transform.cuh>
#include <cuda/std/tuple>
#else
#define TESSERA_CUDA_CUB 0
#endif

namespace tessera::cuda {
namespace detail {

/// Elements as the user's function wants them, and its result as it is stored.
template <class Out, class F>
struct element_function {
  F f;

  template <class... In>
  TESSERA_DEVICE Out operator()(const In&... x) const {
    return convert<Out>(f(widen(x)...));
  }
};

/// The same for the chunks of the elementwise kernel.
template <class Out, class F>
struct chunk_function {
  element_function<Out, F> element;

  template <int N, class... In>
  TESSERA_DEVICE void operator()(std::uint64_t, packed<Out, N>& out, const packed<In, N>&... in) const {
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < N; ++i) out[i] = element(in[i]...);
  }
};

/// Elements of a chunk: the widest ones fill 16 bytes.
template <class... T>
inline constexpr int chunk_elements = std::min({16, vector_elements<T>...});

template <class T, std::size_t Rank, class Other>
void check_shape(const view<T, Rank>& v, const view<Other, Rank>& like, const char* function, const char* argument) {
  for (std::size_t r = 0; r < Rank; ++r) {
    tessera::detail::expects(
        v.extent(r) == like.extent(r), function, argument, [&] { return "shape " + tessera::detail::shape(v); },
        ("needs the shape of out, " + tessera::detail::shape(like)).c_str());
  }
}

/// Refuses an input that lies across the output; one that is the output is welcome.
template <class In, class Out, std::size_t Rank>
void check_same_or_apart(const view<In, Rank>& in, const view<Out, Rank>& out, const char* function, const char* argument) {
  bool same =
      sizeof(In) == sizeof(Out) && static_cast<const void*>(in.data_handle()) == static_cast<const void*>(out.data_handle());
  for (std::size_t r = 0; r < Rank; ++r) same = same && (in.extent(r) == 1 || in.stride(r) == out.stride(r));
  tessera::detail::expects(
      same || !tessera::detail::overlap(out, in), function, argument, [&] { return std::string("overlaps out in part"); },
      "needs memory of its own, or to be out itself");
}

template <class F, class Out, std::size_t Rank, class... In>
TESSERA_HIDDEN void transform(const executor& exec, const F& f, const view<Out, Rank>& out, const view<In, Rank>&... in) {
  static_assert(!std::is_const_v<Out>, "cuda::transform: needs an out that can be written");
  constexpr const char* function = "cuda::transform";
  [[maybe_unused]] constexpr const char* names[] = {"in",          "second in",   "third in",    "fourth in",
                                                    "in number 5", "in number 6", "in number 7", "in number 8"};
  static_assert(static_cast<int>(sizeof...(In)) <= 8, "cuda::transform: takes eight inputs at most");
  tessera::detail::check_readable(out, function, "out");
  tessera::detail::check_distinct(out, function, "out");
  check_memory(exec, out, function, "out");
  [[maybe_unused]] int number = 0;
  (
      [&](const auto& v) {
        const char* const name = names[number++];
        tessera::detail::check_readable(v, function, name);
        check_shape(v, out, function, name);
        check_same_or_apart(v, out, function, name);
        check_memory(exec, v, function, name);
      }(in),
      ...);
  const std::int64_t size = out.size();
  if (size == 0) return;
  using element = element_function<Out, F>;
#if TESSERA_CUDA_CUB
  if constexpr (sizeof...(In) > 0) {
    if (splits_at(out, 0) && (splits_at(in, 0) && ...)) {
      const device_scope scope(exec);
      check(cub::DeviceTransform::Transform(::cuda::std::make_tuple(in.data_handle()...), out.data_handle(), size, element{f},
                                            exec.stream()),
            "cub::DeviceTransform::Transform");
      return;
    }
  }
#endif
  elementwise<chunk_elements<Out, In...>, true>(exec, function, chunk_function<Out, F>{element{f}}, 0, out,
                                                view<const In, Rank>(in)...);
}

}  // namespace detail

/// out[i] = f(in[i] …) for every element.
///
///   cuda::transform(cuda::on(stream), [] __device__(float x, float y) { return x * y; }, out, x, y);
///
/// Shapes          out and each in of one shape, of any strides, up to eight of them or none. An in may be out itself
/// f               any function that device code can call, with the type that each element is computed in (float for the 16-bit and 8-bit
///                 types, see widened_t); its result is rounded to out's type. Order and number of calls are unspecified
/// Special values  views without elements are left alone, whatever their pointers
/// Cost            one read of each input, one write of out. Contiguous arrays go through cub::DeviceTransform, which knows each
///                 generation's way of keeping the memory busy; rows with gaps, and the emulator, through a kernel of ours that moves 16
///                 bytes at a time wherever an array lies so; other strides element by element. No scratch memory
/// Determinism     the bits of f, whichever way is taken
/// Errors          argument_error, nothing written: shapes, null data, host memory, an out that overlaps itself or an in in part; cuda::error
template <class F, mdspan_like Out, mdspan_like... In>
TESSERA_HIDDEN void transform(const executor& exec, F f, const Out& out, const In&... in) {
  static_assert(((In::rank() == Out::rank()) && ...), "cuda::transform: needs views of one rank");
  detail::transform(exec, f, view<typename Out::element_type, Out::rank()>(out),
                    view<const std::remove_const_t<typename In::element_type>, In::rank()>(in)...);
}

}  // namespace tessera::cuda
