// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The kernel of all that is done element by element: several arrays of one shape walked in chunks, 16 bytes at a time wherever they lie so.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/vector.cuh"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::detail {

inline constexpr int elementwise_threads = 256;

/// Blocks of a grid for each multiprocessor, at most: enough waves to even out, few enough that starting blocks costs nothing.
inline constexpr std::int64_t blocks_a_multiprocessor = 32;

/// Bytes that a thread asks for before it waits: with 2048 threads a multiprocessor, what hides the latency of memory (Little's law:
/// 4.8 TB/s times 0.8 us is 29 KiB for each of 132 multiprocessors; there is room for twice that, as not all threads wait at once).
inline constexpr int bytes_in_flight = 32;

/// An array of `rows` rows whose elements lie next to each other.
template <class T>
struct row_array {
  using element = T;
  static constexpr bool contiguous = true;

  T* data;
  std::int64_t stride;

  /// Where the elements of a chunk would be; reading there is up to the caller.
  [[nodiscard]] TESSERA_DEVICE T* at(std::int64_t row, std::int64_t column) const { return data + row * stride + column; }
};

/// An array of any strides, as one row in row-major order.
template <class T, std::size_t Rank>
struct cell_array {
  using element = T;
  static constexpr bool contiguous = false;

  view<T, Rank> cells;

  [[nodiscard]] TESSERA_DEVICE T* at(std::int64_t, std::int64_t position) const {
    std::int64_t offset = 0;
    for (std::size_t r = Rank; r-- > 0;) {
      offset += position % cells.extent(r) * cells.stride(r);
      position /= cells.extent(r);
    }
    return cells.data_handle() + offset;
  }
};

template <class First, class... Others>
TESSERA_HD constexpr const First& first_of(const First& first, const Others&...) {
  return first;
}

/// Rows of one length, and where the chunks of a row begin.
struct chunk_layout {
  std::int64_t rows;
  std::int64_t size;
  std::int64_t chunks_a_row;
  /// Element e of row r has the number first_index + r * size + e. Chunks begin at multiples of their length …
  std::uint64_t first_index;
  /// … of that number or, where this is set, of the address of the first array.
  bool by_address;
};

/// One chunk: elements begin … end - 1 of N from column `column` of a row.
struct chunk_place {
  std::int64_t row;
  std::int64_t column;
  int begin;
  int end;
};

template <int N, class Array>
[[nodiscard]] TESSERA_DEVICE auto load_chunk(const Array& array, const chunk_place& c) {
  using T = std::remove_const_t<typename Array::element>;
  if constexpr (!std::is_const_v<typename Array::element>) {
    return packed<T, N>{};  // an output
  } else if constexpr (Array::contiguous) {
    const T* const p = array.at(c.row, c.column);
    if constexpr (is_vector<T, N>) {
      if (c.begin == 0 && c.end == N && is_vector_aligned<N>(p)) return load_vector<N>(p);
    }
    return load_elements<N>(p, c.begin, c.end);
  } else {
    packed<T, N> x;
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < N; ++i) {
      x[i] = T();
      if (i >= c.begin && i < c.end) x[i] = *array.at(0, c.column + i);
    }
    return x;
  }
}

template <class Array, class T, int N>
TESSERA_DEVICE void store_chunk(const Array& array, const chunk_place& c, const packed<T, N>& x) {
  if constexpr (std::is_const_v<typename Array::element>) {
    return;  // an input
  } else if constexpr (Array::contiguous) {
    T* const p = array.at(c.row, c.column);
    if constexpr (is_vector<T, N>) {
      if (c.begin == 0 && c.end == N && is_vector_aligned<N>(p)) {
        store_vector(p, x);
        return;
      }
    }
    store_elements(p, x, c.begin, c.end);
  } else {
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < N; ++i) {
      if (i >= c.begin && i < c.end) *array.at(0, c.column + i) = x[i];
    }
  }
}

/// The steps of a chunk, over arrays of these types.
template <int N, class... Arrays>
struct chunk_steps {
  /// Elements of the first array between the row's first and the aligned place before it.
  template <class First>
  [[nodiscard]] TESSERA_DEVICE static std::int64_t phase_of(const First& first, const chunk_layout& layout, std::int64_t row) {
    if constexpr (First::contiguous) {
      if (layout.by_address) {
        constexpr auto size = static_cast<unsigned>(sizeof(typename First::element));
        return static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(first.at(row, 0)) / size % static_cast<unsigned>(N));
      }
    }
    return static_cast<std::int64_t>((layout.first_index + static_cast<std::uint64_t>(row * layout.size)) %
                                     static_cast<unsigned>(N));
  }

  [[nodiscard]] TESSERA_DEVICE static chunk_place place(std::int64_t chunk, const chunk_layout& layout, const Arrays&... arrays) {
    const std::int64_t row = layout.rows == 1 ? 0 : chunk / layout.chunks_a_row;
    const std::int64_t column = (chunk - row * layout.chunks_a_row) * N - phase_of(first_of(arrays...), layout, row);
    const std::int64_t left = layout.size - column;
    return {row, column, column < 0 ? static_cast<int>(-column) : 0, left < N ? static_cast<int>(left) : N};
  }

  /// Loads on the way down, f and stores on the way back: all of a thread's loads are under way before it waits for the first.
  template <int Left, class F>
  TESSERA_DEVICE static void run(const F& f, const chunk_layout& layout, std::int64_t chunk, std::int64_t step,
                                 std::int64_t chunks, const Arrays&... arrays) {
    if (chunk >= chunks) return;
    const chunk_place c = place(chunk, layout, arrays...);
    run_loaded<Left>(f, layout, chunk, step, chunks, c, arrays..., load_chunk<N>(arrays, c)...);
  }

  /// As `run`, but only reads: see(place, chunk of each array …).
  template <int Left, class See>
  TESSERA_DEVICE static void visit(const See& see, const chunk_layout& layout, std::int64_t chunk, std::int64_t step,
                                   std::int64_t chunks, const Arrays&... arrays) {
    if (chunk >= chunks) return;
    const chunk_place c = place(chunk, layout, arrays...);
    visit_loaded<Left>(see, layout, chunk, step, chunks, c, arrays..., load_chunk<N>(arrays, c)...);
  }

 private:
  template <int Left, class F>
  TESSERA_DEVICE static void run_loaded(const F& f, const chunk_layout& layout, std::int64_t chunk, std::int64_t step,
                                        std::int64_t chunks, const chunk_place& c, const Arrays&... arrays,
                                        packed<std::remove_const_t<typename Arrays::element>, N>... x) {
    if constexpr (Left > 1) run<Left - 1>(f, layout, chunk + step, step, chunks, arrays...);
    if (c.begin >= c.end) return;
    f(layout.first_index + static_cast<std::uint64_t>(c.row * layout.size + c.column), x...);
    (store_chunk(arrays, c, x), ...);
  }

  template <int Left, class See>
  TESSERA_DEVICE static void visit_loaded(const See& see, const chunk_layout& layout, std::int64_t chunk, std::int64_t step,
                                          std::int64_t chunks, const chunk_place& c, const Arrays&... arrays,
                                          packed<std::remove_const_t<typename Arrays::element>, N>... x) {
    if constexpr (Left > 1) visit<Left - 1>(see, layout, chunk + step, step, chunks, arrays...);
    see(c, x...);
  }
};

template <int N, int AtOnce, class F, class... Arrays>
TESSERA_KERNEL void __launch_bounds__(elementwise_threads) elementwise_kernel(F f, chunk_layout layout, Arrays... arrays) {
  const std::int64_t chunks = layout.rows * layout.chunks_a_row;
  const std::int64_t tile = static_cast<std::int64_t>(elementwise_threads) * AtOnce;
  for (std::int64_t first = blockIdx.x * tile; first < chunks; first += gridDim.x * tile) {
    chunk_steps<N, Arrays...>::template run<AtOnce>(f, layout, first + static_cast<std::int64_t>(threadIdx.x),
                                                    elementwise_threads, chunks, arrays...);
  }
}

/// Rows of arrays of one shape: size elements next to each other in each.
struct row_split {
  std::int64_t rows = 1;
  std::int64_t size = 0;
};

/// True where axes from `axis` on are dense, and the ones before it one axis.
template <class T, std::size_t Rank>
bool splits_at(const view<T, Rank>& v, std::size_t axis) {
  std::int64_t dense = 1;
  for (std::size_t r = Rank; r-- > axis;) {
    if (v.extent(r) != 1 && v.stride(r) != dense) return false;
    dense *= v.extent(r);
  }
  std::int64_t step = 0;
  for (std::size_t r = axis; r-- > 0;) {
    if (v.extent(r) == 1) continue;
    if (step != 0 && v.stride(r) != step) return false;
    step = v.stride(r) * v.extent(r);
  }
  return true;
}

/// The stride of the one axis that the axes before `axis` are.
template <class T, std::size_t Rank>
std::int64_t row_stride(const view<T, Rank>& v, std::size_t axis) {
  for (std::size_t r = axis; r-- > 0;) {
    if (v.extent(r) != 1) return v.stride(r);
  }
  return 0;
}

/// Calls run(split, arrays …) with the views as rows of one length, as few and as long as they are, or else as arrays of any strides.
template <int N, class Run, class... T, std::size_t Rank>
void with_rows(const Run& run, const view<T, Rank>&... views) {
  const std::int64_t total = first_of(views...).size();
  for (std::size_t axis = 0; axis <= Rank; ++axis) {
    if (!(splits_at(views, axis) && ...)) continue;
    row_split split;
    const auto& any = first_of(views...);
    for (std::size_t r = 0; r < axis; ++r) split.rows *= any.extent(r);
    split.size = total / split.rows;
    if (axis > 0 && split.size < N) break;  // rows so short are not worth the arithmetic
    run(split, row_array<T>{views.data_handle(), row_stride(views, axis)}...);
    return;
  }
  run(row_split{1, total}, cell_array<T, Rank>{views}...);
}

/// Puts f(number of a chunk's first element, chunk of each array …) in the stream, for chunks of N elements that together cover the arrays.
///
/// Arrays of const are read, the others are written (and not read: name an array twice to change it in place). A chunk of an array is a
/// packed<T, N>&; at the ends of a row some of its elements are T() and are not stored. The number is first_index plus the row-major
/// position, modulo 2^64, and for chunks that begin before their row may be that of an element before it. All views have one shape; the
/// arrays may be the same, but must not overlap otherwise.
///
/// ByAddress       chunks begin where the first array is aligned; otherwise, at multiples of N of the number.
/// Cost            one read of each input, one write of each output. Arrays without a common form of dense rows go element by
///                 element, with a division for each axis
template <int N, bool ByAddress, class F, class... T, std::size_t Rank>
TESSERA_HIDDEN void elementwise(const executor& exec, const char* function, const F& f, std::uint64_t first_index,
                                const view<T, Rank>&... views) {
  static_assert(N > 0 && (N & (N - 1)) == 0);
  if (first_of(views...).size() == 0) return;
  const auto run = [&](const row_split& split, const auto&... arrays) {
    constexpr int bytes = (0 + ... + (std::is_const_v<T> ? N * static_cast<int>(sizeof(T)) : 0));
    constexpr int at_once = bytes == 0 ? 1 : std::clamp(bytes_in_flight / bytes, 1, 4);
    // One more than whole chunks, as the first may begin before the row.
    const chunk_layout layout{split.rows, split.size, (split.size - 1 + N - 1) / N + 1, first_index, ByAddress};
    const std::int64_t tile = std::int64_t{elementwise_threads} * at_once;
    const std::int64_t needed = (layout.rows * layout.chunks_a_row - 1) / tile + 1;
    const std::int64_t most = exec.device().multiprocessors * blocks_a_multiprocessor;
    const std::int64_t blocks = std::min(needed, most);
    launch(exec, shape{.grid = dim3(static_cast<unsigned>(blocks)), .block = dim3(elementwise_threads), .function = function},
           elementwise_kernel<N, at_once, F, std::remove_cvref_t<decltype(arrays)>...>, f, layout, arrays...);
  };
  with_rows<N>(run, views...);
}

}  // namespace tessera::cuda::detail
