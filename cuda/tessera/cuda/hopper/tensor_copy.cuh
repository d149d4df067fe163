// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Boxes of an array copied to shared memory by the copy engine (TMA, sm_90): one thread asks, a barrier counts the bytes.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/cuda/error.cuh"
#include "tessera/cuda/hopper/features.cuh"
#include "tessera/cuda/hopper/mbarrier.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::hopper {

/// Elements of 16 bits in a row of 128 bytes: what a box is wide.
inline constexpr int box_columns = 64;

namespace detail {

template <class T>
inline constexpr CUtensorMapDataType tensor_type = CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
template <>
inline constexpr CUtensorMapDataType tensor_type<bfloat16> = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;

/// The driver's function, without a link to the driver.
inline auto tensor_map_encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found),
        "cudaGetDriverEntryPointByVersion");
  if (found != cudaDriverEntryPointSuccess) check(cudaErrorNotSupported, "cuTensorMapEncodeTiled");
  return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
}

}  // namespace detail

/// Whether a tensor map can describe the array: strides that are multiples of 16 bytes, and a base that is one.
template <class T>
[[nodiscard]] bool can_map(const view<T, 4>& v) {
  constexpr std::int64_t chunk = 16 / static_cast<std::int64_t>(sizeof(T));
  bool fits = reinterpret_cast<std::uintptr_t>(v.data_handle()) % 16 == 0 && v.size() > 0;
  for (std::size_t r = 0; r < 3; ++r) {
    const bool steps = v.extent(r) > 1;
    fits = fits && (!steps || (v.stride(r) > 0 && v.stride(r) % chunk == 0 && v.stride(r) < (std::int64_t{1} << 39)));
    fits = fits && v.extent(r) < (std::int64_t{1} << 31);
  }
  return fits;
}

/// The map of an array [batch, heads, rows, columns] of 16-bit elements, copied in boxes of `box_rows` rows of 64 columns, whose chunks are swizzled
/// by 128 bytes; what lies outside is 0.
template <class T>
[[nodiscard]] CUtensorMap map_rows(const view<const T, 4>& v, int box_rows) {
  const cuuint64_t extents[4] = {static_cast<cuuint64_t>(v.extent(3)), static_cast<cuuint64_t>(v.extent(2)),
                                 static_cast<cuuint64_t>(v.extent(1)), static_cast<cuuint64_t>(v.extent(0))};
  // An axis of one element has a stride that nobody uses, but that must be a legal one.
  cuuint64_t strides[3] = {};
  for (std::size_t r = 0; r < 3; ++r) {
    const std::int64_t stride = v.extent(2 - r) > 1 ? v.stride(2 - r) : (v.extent(3) + 7) / 8 * 8;
    strides[r] = static_cast<cuuint64_t>(stride) * sizeof(T);
  }
  const cuuint32_t box[4] = {box_columns, static_cast<cuuint32_t>(box_rows), 1, 1};
  const cuuint32_t steps[4] = {1, 1, 1, 1};
  CUtensorMap map;
  const CUresult result =
      detail::tensor_map_encoder()(&map, detail::tensor_type<T>, 4, const_cast<T*>(v.data_handle()), extents, strides, box, steps,
                                   CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                                   CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) check(cudaErrorInvalidValue, "cuTensorMapEncodeTiled");
  return map;
}

/// Starts copying the box at (column, row, head, batch) to `to` (aligned to 1024 bytes); the barrier counts its bytes, those outside, too.
TESSERA_DEVICE void copy_box([[maybe_unused]] void* to, [[maybe_unused]] const CUtensorMap& map,
                             [[maybe_unused]] const mbarrier& done, [[maybe_unused]] int column, [[maybe_unused]] int row,
                             [[maybe_unused]] int head, [[maybe_unused]] int batch,
                             [[maybe_unused]] code_place place = code_place::current()) {
#if TESSERA_CUDA_EMULATOR
  const int at[4] = {column, row, head, batch};
  emulator::tensor_copy(to, &map, done.address(), at, place);
#elif TESSERA_HOPPER_PASS
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];\n" ::"r"(
          to_shared_address(to)),
      "l"(&map), "r"(to_shared_address(done.address())), "r"(column), "r"(row), "r"(head), "r"(batch)
      : "memory");
#endif
}

/// Starts copying bytes as they lie, a multiple of 16 from and to multiples of 16; the barrier counts them.
TESSERA_DEVICE void copy_bytes([[maybe_unused]] void* to, [[maybe_unused]] const void* from, [[maybe_unused]] unsigned bytes,
                               [[maybe_unused]] const mbarrier& done, [[maybe_unused]] code_place place = code_place::current()) {
#if TESSERA_CUDA_EMULATOR
  emulator::bulk_copy(to, from, bytes, done.address(), place);
#elif TESSERA_HOPPER_PASS
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];\n" ::"r"(to_shared_address(to)),
      "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(to_shared_address(done.address()))
      : "memory");
#endif
}

/// Fetches the map itself ahead of its first use.
TESSERA_DEVICE void prefetch_map([[maybe_unused]] const CUtensorMap& map) {
#if TESSERA_HOPPER_PASS
  asm volatile("prefetch.tensormap [%0];\n" ::"l"(&map) : "memory");
#endif
}

}  // namespace tessera::cuda::hopper
