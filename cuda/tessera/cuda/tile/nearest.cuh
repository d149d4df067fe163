// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The k nearest neighbours of every query, on a CUDA device.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/tile/list_row.cuh"
#include "tessera/cuda/tile/suspects.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/top_k.hpp"
#include "tessera/tile/detail/contraction_checks.hpp"
#include "tessera/tile/detail/nearest_checks.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::tile::detail {

/// Neighbours of every query in each split of the keys, best first: [splits][n][k].
template <class T>
struct neighbour_lists {
  T* scores;
  lane_index<T>* where;
  std::int64_t n;
  int k;

  [[nodiscard]] TESSERA_HD std::int64_t at(std::int64_t split, std::int64_t i) const { return (split * n + i) * k; }
};

/// Rows that fold into lists in shared memory.
template <class T, bool Smallest>
struct list_rows {
  using type = list_row<T, Smallest>;
  static constexpr int warps = 2;  // 32 lists of 128 leave room for tiles in the 99 KiB that small devices have
  static constexpr int row_blocks = 1;
  static constexpr int depth = sizeof(T) == 4 ? 128 : 64;

  neighbour_lists<T> lists;

  /// A list begins four banks after the one before it: the eight that a warp reads at once do not meet.
  [[nodiscard]] TESSERA_HD int pitch() const { return (lists.k + 31) / 32 * 32 + 4; }
  [[nodiscard]] TESSERA_HD std::size_t shared_bytes(int rows) const {
    const auto places = static_cast<std::size_t>(rows * pitch());
    return shared_array<T>::bytes(places) + shared_array<lane_index<T>>::bytes(places);
  }
  [[nodiscard]] TESSERA_DEVICE type make(std::byte* shared, int r) const {
    shared_cursor cursor(shared);
    const int places = suspect_rows<list_rows> * pitch();
    const auto scores = cursor.template take<T>(places);
    const auto where = cursor.template take<lane_index<T>>(places);
    return type(scores.part(r * pitch(), lists.k), where.part(r * pitch(), lists.k));
  }
  TESSERA_DEVICE void store(std::int64_t split, std::int64_t i, bool there, const type& row) const {
    row.for_each_ranked([&](int rank, T score, lane_index<T> key) {
      if (!there) return;
      lists.scores[lists.at(split, i) + rank] = score;
      lists.where[lists.at(split, i) + rank] = key;
    });
  }
};

/// The one nearest, in registers.
template <class T, bool Smallest>
struct nearest_rows {
  using type = reducer_row<T, top_k<1, Smallest>>;
  static constexpr int warps = 4;
  static constexpr int row_blocks = 2;
  static constexpr int depth = 128;

  neighbour_lists<T> lists;

  [[nodiscard]] TESSERA_HD static constexpr std::size_t shared_bytes(int) { return 0; }
  [[nodiscard]] TESSERA_DEVICE type make(std::byte*, int) const { return type(top_k<1, Smallest>{}); }
  TESSERA_DEVICE void store(std::int64_t split, std::int64_t i, bool there, const type& row) const {
    if (!there || fragment_column() != 0) return;
    lists.scores[lists.at(split, i)] = row.state().score[0];
    lists.where[lists.at(split, i)] = row.state().where[0];
  }
};

/// Merges the sorted lists of the splits. A warp makes a row: a lane has a list and its first entry that is not taken yet.
template <class T, bool Smallest, class Index, class Distance>
TESSERA_KERNEL void __launch_bounds__(128)
    merge_lists_kernel(const __grid_constant__ neighbour_lists<T> lists, int splits,
                       const __grid_constant__ view<Index, 2> indices, const __grid_constant__ view<Distance, 2> distances) {
  using index = lane_index<T>;
  using order = std::make_unsigned_t<index>;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * 4 + warp_id();
  if (i >= lists.n) return;
  const T none = Smallest ? infinity<T>() : -infinity<T>();
  const bool has_list = lane_id() < splits;
  const std::int64_t from = lists.at(has_list ? lane_id() : 0, i);
  int next = 0;
  TESSERA_DEVICE_ROLLED
  for (int rank = 0; rank < lists.k; ++rank) {
    const bool left = has_list && next < lists.k;
    const T mine = left ? lists.scores[from + next] : none;
    const index my_key = left ? lists.where[from + next] : index(-1);
    T best = mine;
    index key = my_key;
    TESSERA_DEVICE_UNROLL
    for (int step = 16; step > 0; step /= 2) {
      const T other = shuffle_xor(best, step);
      const index other_key = shuffle_xor(key, step);
      const bool better = Smallest ? other < best : other > best;
      const bool take = better || (other == best && static_cast<order>(other_key) < static_cast<order>(key));
      best = take ? other : best;
      key = take ? other_key : key;
    }
    if (left && my_key == key && key >= 0) ++next;
    if (lane_id() == 0) {
      indices(i, rank) = static_cast<Index>(key);
      distances(i, rank) = static_cast<Distance>(best);
    }
  }
}

template <class T, wanted Kind, class Rows, class Q, class K, class Index, class Distance>
TESSERA_HIDDEN void run_nearest(const executor& exec, const view<const Q, 2>& q, const view<const K, 2>& x, int k,
                                const view<Index, 2>& indices, const view<Distance, 2>& distances, const char* function) {
  constexpr bool smallest = Kind == wanted::near;
  const std::int64_t n = q.extent(0);
  const std::int64_t m = x.extent(0);
  const key_splits splits(exec, (n + suspect_rows<Rows> - 1) / suspect_rows<Rows>, m);
  const auto lay_out = [&](bump& memory) {
    struct {
      rough_operands rough;
      neighbour_lists<T> lists;
    } result{rough_operands::take(memory, n, m, q.extent(1), smallest), {nullptr, nullptr, n, k}};
    result.lists.scores = memory.take<T>(splits.count * n * k);
    result.lists.where = memory.take<lane_index<T>>(splits.count * n * k);
    return result;
  };
  bump needed;
  lay_out(needed);
  const workspace memory(exec, needed.bytes(), function);
  bump block(memory.data());
  const auto at = lay_out(block);
  at.rough.make(exec, q, x, function);
  const suspect_problem<Q, K, T, no_mask, Rows> problem{
      q, x, at.rough.queries.rows(), at.rough.keys.rows(), at.rough.frame(), T(1), {}, {at.lists}, splits.keys};
  launch_suspects<T, Kind>(exec, problem, splits.count, function);
  launch(exec, cuda::shape{.grid = dim3(static_cast<unsigned>((n + 3) / 4)), .block = dim3(128), .function = function},
         merge_lists_kernel<T, smallest, Index, Distance>, at.lists, static_cast<int>(splits.count), indices, distances);
}

}  // namespace tessera::cuda::tile::detail

namespace tessera {

/// nearest (tessera/tile/nearest.hpp) on a CUDA device: same arguments, same meaning. Views are of device memory.
///
/// Accuracy        as on the CPU: rough scores only rule out keys that cannot be among the nearest, worst cases of their errors taken;
///                 the others' scores are sums of depth / 4 + 3 roundings. test/cuda/nearest.cpp.
/// Cost            2 n m depth flops on the tensor cores in float16, whatever the storage type; one fused multiply-add and one minimum a pair; and
///                 exact scores of about k (1 + log(m / k)) keys a query. Scratch: 2 (n + m) depth bytes, 12 a row, and up to 32 lists.
/// Determinism     the same bits in every run, and for a query alone or among others.
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses, and memory that is not the device's;
///                 cuda::error.
/// Source          Johnson, Douze and Jegou 2017, arXiv:1702.08734 (selection beside the distances)
/// The nearest code of a codebook is `contract(cuda::on(stream), z, codes, squared_distance{}, argmin{}, emit)`: the same kernel, which
/// also finds NaN.
template <mdspan_like Queries, mdspan_like Keys, mdspan_like Indices, mdspan_like Distances, class Metric = squared_distance>
  requires(Queries::rank() == 2 && Keys::rank() == 2 && Indices::rank() == 2 && Distances::rank() == 2 &&
           std::signed_integral<value_type_of<Indices>> && (std::same_as<Metric, squared_distance> || std::same_as<Metric, dot>))
TESSERA_HIDDEN void nearest(const cuda::executor& exec, const Queries& queries, const Keys& keys, std::int64_t k,
                            const Indices& indices, const Distances& distances, const Metric& = {}) {
  using T = std::common_type_t<compute_t<value_type_of<Queries>>, compute_t<value_type_of<Keys>>>;
  const char* const function = "nearest";
  const view<const value_type_of<Queries>, 2> q(queries);
  const view<const value_type_of<Keys>, 2> x(keys);
  const view<value_type_of<Indices>, 2> where(indices);
  const view<value_type_of<Distances>, 2> score(distances);
  tile::detail::check_nearest<T>(q, x, k, where, score);
  cuda::detail::check_memory(exec, q, function, "queries");
  cuda::detail::check_memory(exec, x, function, "keys");
  cuda::detail::check_memory(exec, where, function, "indices");
  cuda::detail::check_memory(exec, score, function, "distances");
  if (q.extent(0) == 0) return;
  constexpr bool smallest = std::same_as<Metric, squared_distance>;
  constexpr auto kind = smallest ? cuda::tile::wanted::near : cuda::tile::wanted::large;
  if (k == 1) {
    cuda::tile::detail::run_nearest<T, kind, cuda::tile::detail::nearest_rows<T, smallest>>(exec, q, x, 1, where, score,
                                                                                            function);
  } else {
    cuda::tile::detail::run_nearest<T, kind, cuda::tile::detail::list_rows<T, smallest>>(exec, q, x, static_cast<int>(k), where,
                                                                                         score, function);
  }
}

}  // namespace tessera
