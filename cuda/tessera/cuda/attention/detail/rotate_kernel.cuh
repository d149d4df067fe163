// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows of all sequences of a call rotated as rotary embedding has it, on a device: one pass, 16 bytes at a time wherever rows lie so.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/attention/detail/rotation.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/index_view.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/attention/detail/sequence_tiles.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/memory/vector.cuh"
#include "tessera/numeric/traits.hpp"

namespace tessera::cuda::attention::detail {

/// How many rows each sequence has.
struct row_counts {
  tessera::attention::index_view<1> offsets{};  ///< [batch + 1] first row of each; null: all are of one length
  tessera::attention::index_view<1> lengths{};  ///< [batch]; null: all of `most`
  std::int64_t most = 0;                        ///< of the longest; with offsets, of all together

  [[nodiscard]] TESSERA_HD std::int64_t operator()(std::int64_t b) const {
    if (!lengths.null()) return lengths(b);
    return offsets.null() ? most : offsets(b + 1) - offsets(b);
  }
};

/// Where rows lie: at one stride, or in pages.
template <class S>
struct row_place {
  tessera::attention::detail::sequence_rows<S> rows{};
  tessera::attention::index_view<2> table{};  ///< [batch, pages of a sequence]; null: no pages, or each sequence is one
  std::int64_t page_size = 0;                 ///< 0: rows have no end
  std::int64_t pages = 0;                     ///< that there are, where there is a table

  /// Row i of head 0; those of other heads are rows.head apart. Null where no page holds it.
  [[nodiscard]] TESSERA_DEVICE S* row(std::int64_t b, std::int64_t i) const {
    if (table.null()) return page_size > 0 && i >= page_size ? nullptr : rows.at(b, 0, i);
    const std::int64_t number = i / page_size;
    if (number >= table.extent(1)) return nullptr;
    const std::int64_t page = table(b, number);
    if (page < 0 || page >= pages) return nullptr;
    return rows.data + page * rows.sequence + (i - number * page_size) * rows.row;
  }
};

/// Where the rows of a sequence stand.
enum class rows_stand : std::uint8_t {
  at_first,     ///< row i at position by.first + i
  beside_keys,  ///< the last at that of the last key: as many positions later as there are more keys than rows
  behind_keys,  ///< row i at position by.first + keys + i, and in the place behind so many rows
};

/// Everything that is read, and what is written.
template <class In, class Out>
struct rotation_problem {
  row_place<const In> in{};
  row_place<Out> out{};
  std::int64_t batch = 0;
  std::int64_t heads = 0;
  std::int64_t columns = 0;
  row_counts rows{};
  row_counts keys{};                          ///< not where rows stand at_first
  tessera::attention::detail::rotation by{};  ///< null tables: nothing is rotated
  rows_stand stand = rows_stand::at_first;
  tessera::attention::detail::direction way = tessera::attention::detail::direction::forth;

  [[nodiscard]] bool copies_rest() const {
    return !std::is_same_v<In, Out> || static_cast<const void*>(in.rows.data) != static_cast<const void*>(out.rows.data);
  }
};

inline constexpr int rotate_threads = 256;

/// Pairs that a thread has at a time: as many as make 16 bytes of the narrower type, but no more than there are registers for.
template <class In, class Out>
inline constexpr int rotated_pairs = std::min(8, 16 / static_cast<int>(std::min(sizeof(In), sizeof(Out))));

/// N elements, of which the first `left` are there.
template <class T, int N, class S>
TESSERA_DEVICE packed<T, N> load_row_part(const S* p, std::int64_t left) {
  if (left >= N && is_vector_aligned<N>(p)) return load_vector_as<T, N>(p);
  const packed<S, N> x = load_elements<N>(p, 0, left < N ? static_cast<int>(left) : N);
  packed<T, N> y;
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < N; ++i) y[i] = convert<T>(x[i]);
  return y;
}
template <class S, class T, int N>
TESSERA_DEVICE void store_row_part(S* p, const packed<T, N>& x, std::int64_t left) {
  if (left >= N && is_vector_aligned<N>(p)) return store_vector_as(p, x);
  packed<S, N> y;
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < N; ++i) y[i] = convert<S>(x[i]);
  store_elements(p, y, 0, left < N ? static_cast<int>(left) : N);
}

/// Pairs m … m + N - 1 of a row, of which `left` are there, turned by angles with these cosines and sines.
template <int N, class T, class In, class Out>
TESSERA_DEVICE void rotate_pairs(Out* to, const In* from, std::int64_t m, std::int64_t pairs, bool interleaved,
                                 const packed<T, N>& c, const packed<T, N>& s) {
  using tessera::attention::detail::rotate_pair;
  const std::int64_t left = pairs - m;
  if (interleaved) {
    packed<T, 2 * N> x = load_row_part<T, 2 * N>(from + 2 * m, 2 * left);
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < N; ++i) rotate_pair(x[2 * i], x[2 * i + 1], c[i], s[i]);
    store_row_part(to + 2 * m, x, 2 * left);
  } else {
    packed<T, N> a = load_row_part<T, N>(from + m, left);
    packed<T, N> b = load_row_part<T, N>(from + pairs + m, left);
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < N; ++i) rotate_pair(a[i], b[i], c[i], s[i]);
    store_row_part(to + m, a, left);
    store_row_part(to + pairs + m, b, left);
  }
}

/// Rows of a tile, 2^lane_bits threads each; a thread has the same pairs of several heads, by the same cosines and sines. Grid: tiles of rows; heads.
template <class T, int N, class In, class Out>
TESSERA_KERNEL void __launch_bounds__(rotate_threads)
    rotate_kernel(const __grid_constant__ rotation_problem<In, Out> p, const int lane_bits, const bool copies_rest) {
  const sequence_tiles tiles(rotate_threads >> lane_bits, p.batch, p.rows.most);
  const auto at = tiles.find(static_cast<std::int64_t>(blockIdx.x), p.rows.offsets);
  const std::int64_t i = at.row + static_cast<int>(threadIdx.x >> lane_bits);
  const std::int64_t count = p.rows(at.b);
  if (i >= at.last || i >= count) return;
  const std::int64_t first = (threadIdx.x & ((1u << lane_bits) - 1)) * N;
  const std::int64_t step = std::int64_t{N} << lane_bits;
  const auto& by = p.by;
  const std::int64_t pairs = by.cos.extent(1);
  const std::int64_t keys = p.stand == rows_stand::at_first ? 0 : p.keys(at.b);
  const In* const from = p.in.row(at.b, i);
  Out* const to = p.out.row(at.b, p.stand == rows_stand::behind_keys ? keys + i : i);
  // Lengths and tables that only the device can read may lead beyond the pages.
  if (from == nullptr || to == nullptr) return;

  const std::int64_t position = by.first + keys - (p.stand == rows_stand::beside_keys ? count : 0) + i;
  const bool in_tables = position >= 0 && position < by.cos.extent(0);
  const float* const cosines = by.cos.data_handle() + (in_tables ? position : 0) * by.cos.stride(0);
  const float* const sines = by.sin.data_handle() + (in_tables ? position : 0) * by.sin.stride(0);
  for (std::int64_t m = first; m < pairs; m += step) {
    packed<T, N> c = load_row_part<T, N>(cosines + m, pairs - m);
    packed<T, N> s = load_row_part<T, N>(sines + m, pairs - m);
    TESSERA_DEVICE_UNROLL
    for (int n = 0; n < N; ++n) {
      // Lengths that only the device can read may lead beyond the tables.
      if (!in_tables) c[n] = s[n] = infinity<T>() - infinity<T>();
      if (p.way == tessera::attention::detail::direction::back) s[n] = -s[n];
    }
    TESSERA_DEVICE_ROLLED
    for (std::int64_t h = blockIdx.y; h < p.heads; h += gridDim.y) {
      rotate_pairs(to + h * p.out.rows.head + by.first_dim, from + h * p.in.rows.head + by.first_dim, m, pairs,
                   by.layout == tessera::attention::rotary_layout::interleaved, c, s);
    }
  }
  if (!copies_rest) return;
  const auto copy = [&](std::int64_t begin, std::int64_t end) {
    TESSERA_DEVICE_ROLLED
    for (std::int64_t h = blockIdx.y; h < p.heads; h += gridDim.y) {
      TESSERA_DEVICE_ROLLED
      for (std::int64_t c = begin + first; c < end; c += step) {
        store_row_part(to + h * p.out.rows.head + c, load_row_part<In, N>(from + h * p.in.rows.head + c, end - c), end - c);
      }
    }
  };
  copy(0, by.first_dim);
  copy(by.first_dim + 2 * pairs, p.columns);
}

/// Puts the kernel in the stream, computed in T.
template <class T, class In, class Out>
TESSERA_HIDDEN void launch_rotation(const executor& exec, const rotation_problem<In, Out>& p, const char* function,
                                    const char* argument) {
  constexpr int n = rotated_pairs<In, Out>;
  const std::int64_t pairs = p.by.cos.extent(1);
  const std::int64_t longest = std::max(pairs, p.copies_rest() ? p.columns - 2 * pairs : 0);
  if (longest == 0 || p.batch == 0 || p.heads == 0 || p.rows.most == 0) return;
  const auto chunks = static_cast<std::uint64_t>((longest + n - 1) / n);
  const int lane_bits = static_cast<int>(std::bit_width(std::min<std::uint64_t>(chunks, rotate_threads) - 1));
  const std::int64_t blocks = sequence_tiles(rotate_threads >> lane_bits, p.batch, p.rows.most).count(p.rows.offsets);
  tessera::detail::expects(
      blocks < std::int64_t{1} << 31, function, argument, [&] { return std::to_string(blocks) + " blocks of rows"; },
      "needs fewer than 2^31");
  // Cosines and sines are read once for several heads, where there is work enough for all multiprocessors.
  constexpr std::int64_t together = 4;
  const std::int64_t shares = blocks > 4 * exec.device().multiprocessors ? (p.heads + together - 1) / together : p.heads;
  launch(exec,
         {.grid = dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(std::min<std::int64_t>(shares, 65535))),
          .block = dim3(rotate_threads),
          .function = function},
         rotate_kernel<T, n, In, Out>, p, lane_bits, p.copies_rest());
}

}  // namespace tessera::cuda::attention::detail
