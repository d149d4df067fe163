// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What weights and slopes of a query are made with, once for all tiles of keys: its log-sum-exp and dout . out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/sequences.hpp"
#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"

namespace tessera::cuda::attention::detail {

template <class T, class O, class L, class G>
struct number_problem {
  tessera::attention::detail::sequence_rows<const O> out;
  tessera::attention::detail::sequence_rows<const L> lse;
  tessera::attention::detail::sequence_rows<const G> dout;
  std::int64_t value_dim;
  sequence_tiles tiles;
  row_numbers<T>* numbers;  ///< [heads][tiles][number_rows]
  int* some_empty;          ///< [heads][tiles]
};

/// a . b, one chain over the columns: that of the products of gradients and values where they are made one by one (tile/product.cuh), so
/// that a row whose out is one key's value has slopes of exactly 0. Aligned: rows begin at multiples of 16 bytes.
template <class T, bool Aligned, class A, class B>
TESSERA_DEVICE T chained_product(const A* a, const B* b, std::int64_t n) {
  T sum = 0;
  std::int64_t c = 0;
  if constexpr (Aligned) {
    constexpr int width = 16 / static_cast<int>(sizeof(A) < sizeof(B) ? sizeof(B) : sizeof(A));
    for (; c + width <= n; c += width) {
      const auto x = *reinterpret_cast<const packed<A, width>*>(a + c);
      const auto y = *reinterpret_cast<const packed<B, width>*>(b + c);
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < width; ++i) sum = fma(static_cast<T>(x[i]), static_cast<T>(y[i]), sum);
    }
  }
  for (; c < n; ++c) sum = fma(static_cast<T>(a[c]), static_cast<T>(b[c]), sum);
  return sum;
}

/// Numbers of one tile of queries of one head: a thread a row. Rows past the last have weights of 0.
template <class T, bool Aligned, class Problem>
TESSERA_KERNEL void __launch_bounds__(number_rows) number_kernel(const __grid_constant__ Problem p) {
  const std::int64_t tiles = p.tiles.count(p.out.offsets);
  const std::int64_t item = blockIdx.x;
  const std::int64_t h = item / tiles;
  const sequence_tiles::place at = p.tiles.find(item - h * tiles, p.out.offsets);
  const std::int64_t i = at.row + static_cast<int>(threadIdx.x);
  row_numbers<T> numbers{{infinity<T>(), T(0)}};
  bool empty = false;
  if (i < at.last) {
    const T lse = static_cast<T>(*p.lse.at(at.b, h, i));
    empty = lse == -infinity<T>();
    if (!empty) {
      // A score of +inf: its row is NaN.
      numbers[0] = lse == infinity<T>() ? lse - lse : static_cast<T>(static_cast<double>(lse) * softmax::unit);
      numbers[1] = chained_product<T, Aligned>(p.dout.at(at.b, h, i), p.out.at(at.b, h, i), p.value_dim);
    }
  }
  p.numbers[item * number_rows + static_cast<int>(threadIdx.x)] = numbers;
  const int some = __syncthreads_or(empty ? 1 : 0);
  if (threadIdx.x == 0) p.some_empty[item] = some;
}

/// Whether all rows begin at multiples of 16 bytes.
template <class S>
bool rows_begin_at_chunks(const tessera::attention::detail::sequence_rows<S>& x) {
  constexpr std::int64_t chunk = 16 / static_cast<std::int64_t>(sizeof(S));
  return reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 && x.sequence % chunk == 0 && x.head % chunk == 0 &&
         x.row % chunk == 0;
}

template <class T, class O, class L, class G>
TESSERA_HIDDEN void make_numbers(const executor& exec, const number_problem<T, O, L, G>& p, std::int64_t heads,
                                 const char* function) {
  const std::int64_t items = heads * p.tiles.count(p.out.offsets);
  if (items == 0) return;
  const shape where{.grid = dim3(static_cast<unsigned>(items)), .block = dim3(number_rows), .function = function};
  if (sizeof(O) == sizeof(G) && rows_begin_at_chunks(p.out) && rows_begin_at_chunks(p.dout)) {
    launch(exec, where, number_kernel < T, sizeof(O) == sizeof(G), number_problem < T, O, L, G >>, p);
  } else {
    launch(exec, where, number_kernel<T, false, number_problem<T, O, L, G>>, p);
  }
}

}  // namespace tessera::cuda::attention::detail
