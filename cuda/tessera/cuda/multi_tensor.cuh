// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One launch for many arrays of different sizes: an optimiser's or a loss scaler's pass over all the tensors of a model.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/elementwise.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/vector.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/tile/tensor_list.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda {
namespace detail {

/// Rounds of a block's threads in a tile: with 16 bytes a thread, tiles of 32 KiB, small against a tensor and large against their search.
inline constexpr int tile_rounds = 8;

/// What a kernel's parameters may take, and what we leave of it to the functor.
inline constexpr std::size_t small_parameters = 4096 - 512;
inline constexpr std::size_t large_parameters = 32764 - 512;

/// Entries of a table of so many bytes, for sets of so many arrays.
inline constexpr int table_capacity(std::size_t bytes, std::size_t arrays) {
  return static_cast<int>((bytes - 3 * sizeof(std::uint32_t)) / ((arrays + 1) * sizeof(void*) + sizeof(std::uint32_t)));
}

/// Tensors of a launch, as a parameter of the kernel: no copy to the device, nothing to keep alive.
template <int Capacity, int Arrays>
struct tensor_table {
  std::int64_t size[Capacity];
  void* data[Arrays][Capacity];
  /// The number of each tensor's first tile; behind the last, that of all tiles.
  std::uint32_t first_tile[Capacity + 1];
  std::uint32_t tensors;

  /// The tensor that a tile is of.
  [[nodiscard]] TESSERA_DEVICE std::uint32_t tensor_of(std::uint32_t tile) const {
    std::uint32_t low = 0;
    std::uint32_t high = tensors;
    while (high - low > 1) {  // first_tile[low] <= tile < first_tile[high]; tensors without tiles are never found
      const std::uint32_t middle = (low + high) / 2;
      (first_tile[middle] <= tile ? low : high) = middle;
    }
    return low;
  }
};

template <int N, int AtOnce, class F, int Capacity, class... T>
class tile_walk {
 public:
  static constexpr std::int64_t tile_chunks = std::int64_t{elementwise_threads} * AtOnce * (tile_rounds / AtOnce);

  template <class Worker>
  TESSERA_DEVICE static void run(const tensor_table<Capacity, sizeof...(T)>& table, std::uint32_t tile, const Worker& worker) {
    const std::uint32_t tensor = table.tensor_of(tile);
    run_tensor(table, tensor, tile - table.first_tile[tensor], worker, std::index_sequence_for<T...>{});
  }

  static std::int64_t tiles_of(std::int64_t size) { return size == 0 ? 0 : (chunks_of(size) - 1) / tile_chunks + 1; }

 private:
  TESSERA_HD static std::int64_t chunks_of(std::int64_t size) { return (size - 1 + N - 1) / N + 1; }

  template <class Worker, std::size_t... I>
  TESSERA_DEVICE static void run_tensor(const tensor_table<Capacity, sizeof...(T)>& table, std::uint32_t tensor,
                                        std::uint32_t tile, const Worker& worker, std::index_sequence<I...>) {
    const chunk_layout layout{1, table.size[tensor], chunks_of(table.size[tensor]), 0, true};
    const std::int64_t begin = tile * tile_chunks;
    const std::int64_t end = begin + tile_chunks < layout.chunks_a_row ? begin + tile_chunks : layout.chunks_a_row;
    for (std::int64_t chunk = begin + threadIdx.x; chunk < end; chunk += std::int64_t{elementwise_threads} * AtOnce) {
      chunk_steps<N, row_array<T>...>::template run<AtOnce>(worker, layout, chunk, elementwise_threads, end,
                                                            row_array<T>{static_cast<T*>(table.data[I][tensor]), 0}...);
    }
  }
};

template <int N, int AtOnce, class F, int Capacity, class... T>
TESSERA_KERNEL void __launch_bounds__(elementwise_threads)
    multi_tensor_kernel(const __grid_constant__ tensor_table<Capacity, sizeof...(T)> table, F f) {
  const auto worker = f.begin();
  if constexpr (requires { worker.skips(); }) {
    if (worker.skips()) return;  // all threads of the grid, or none
  }
  const std::uint32_t tiles = table.first_tile[table.tensors];
  for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    tile_walk<N, AtOnce, F, Capacity, T...>::run(table, tile, worker);
  }
  worker.end();
}

/// How a kernel sees the elements of each array: const ones are read, the others written.
template <class... T>
struct elements_are {};

/// Tensors first … first + count - 1 in one launch.
template <int N, int Capacity, class F, class... T, class... Views>
TESSERA_HIDDEN void launch_tensors(const executor& exec, const char* function, const F& f, elements_are<T...>, std::int64_t first,
                                   std::int64_t count, std::span<const Views>... tensors) {
  constexpr int bytes = (0 + ... + (std::is_const_v<T> ? N * static_cast<int>(sizeof(T)) : 0));
  constexpr int at_once = bytes == 0 ? 1 : std::bit_floor(static_cast<unsigned>(std::clamp(bytes_in_flight / bytes, 1, 4)));
  using walk = tile_walk<N, at_once, F, Capacity, T...>;
  tensor_table<Capacity, sizeof...(T)> table = {};
  std::int64_t tiles = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto from = static_cast<std::size_t>(first + i);
    const std::int64_t size = first_of(tensors...)[from].size();
    table.size[i] = size;
    int array = 0;
    ((table.data[array++][i] = const_cast<void*>(static_cast<const void*>(tensors[from].data_handle()))), ...);
    table.first_tile[i] = static_cast<std::uint32_t>(tiles);
    tiles += walk::tiles_of(size);
    tessera::detail::expects(
        tiles < (std::int64_t{1} << 31), function, "tensors", [&] { return std::to_string(tiles) + " tiles"; },
        "needs fewer than 2^31 tiles of 8 KiB or more in one call");
  }
  table.first_tile[count] = static_cast<std::uint32_t>(tiles);
  table.tensors = static_cast<std::uint32_t>(count);
  const std::int64_t blocks = std::min(tiles, exec.device().multiprocessors * blocks_a_multiprocessor);
  if (blocks == 0) return;
  launch(exec, shape{.grid = dim3(static_cast<unsigned>(blocks)), .block = dim3(elementwise_threads), .function = function},
         multi_tensor_kernel<N, at_once, F, Capacity, T...>, table, f);
}

/// Puts f in the stream for many sets of arrays: tensors[0][t], tensors[1][t] … have one size for each t. A worker, f.begin(), of each
/// thread is called as elementwise calls its function, with chunks of each array, and worker.end() by all threads of a warp at once. Where
/// worker.skips() is there and says so, to all threads alike, no array is touched.
///
/// The tensors travel in the parameters of the kernel: one launch for about a hundred of them, and one with a larger table for each further
/// thousand. Nothing is allocated.
template <int N, class F, class... T, class... Views>
TESSERA_HIDDEN void for_each_tensor(const executor& exec, const char* function, const F& f, elements_are<T...> elements,
                                    std::span<const Views>... tensors) {
  static_assert(sizeof...(T) == sizeof...(Views));
  constexpr int few = table_capacity(small_parameters, sizeof...(T));
  constexpr int many = table_capacity(large_parameters, sizeof...(T));
  static_assert(sizeof(F) <= 256, "cuda::for_each_tensor: needs a smaller function");
  static_assert(sizeof(tensor_table<few, sizeof...(T)>) <= small_parameters);
  static_assert(sizeof(tensor_table<many, sizeof...(T)>) <= large_parameters);
  const std::int64_t count = std::ssize(first_of(tensors...));
  if (count <= few) {
    if (count > 0) launch_tensors<N, few>(exec, function, f, elements, 0, count, tensors...);
    return;
  }
  for (std::int64_t first = 0; first < count; first += many) {
    launch_tensors<N, many>(exec, function, f, elements, first, std::min<std::int64_t>(many, count - first), tensors...);
  }
}

using tessera::detail::tensor_element;
using tessera::detail::tensor_name;

/// Refuses tensors that are null, not contiguous, foreign, or not as many and as large as those of `like`. No text is made while all is
/// well, and no runtime asked about an array that is that of `like`: there may be thousands.
template <class T, class Like>
void check_tensors(const executor& exec, std::span<const view<T, 1>> tensors, std::span<const view<Like, 1>> like,
                   const char* function, const char* argument, const char* other) {
  tessera::detail::expects(
      tensors.size() == like.size(), function, argument, [&] { return std::to_string(tensors.size()) + " tensors"; },
      ("needs as many as " + std::string(other) + ", " + std::to_string(like.size())).c_str());
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const auto& v = tensors[t];
    const bool sound = v.size() == like[t].size() && v.size() > 0 && (v.size() == 1 || v.stride(0) == 1);
    if (sound && static_cast<const void*>(&v) != static_cast<const void*>(&like[t]) &&
        static_cast<const void*>(v.data_handle()) == static_cast<const void*>(like[t].data_handle())) {
      continue;
    }
    if (sound && v.data_handle() != nullptr && usable(exec, v.data_handle(), alignof(T))) continue;
    const std::string name = tensor_name(argument, t);
    tessera::detail::check_operand(v, function, name.c_str());
    tessera::detail::expects(
        v.size() == like[t].size(), function, name.c_str(), [&] { return std::to_string(v.size()) + " elements"; },
        ("needs as many as " + tensor_name(other, t) + ", " + std::to_string(like[t].size())).c_str());
    check_memory(exec, v, function, name.c_str());
  }
}

}  // namespace detail

using tessera::tensor_list;

}  // namespace tessera::cuda
