// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Logits a tile at a time: the rows that count, gathered, times a part of the vocabulary.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/detail/row_chunks.hpp"
#include "tessera/tile/matmul.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/detail/cross_entropy_problem.hpp"
#include "tessera/training/detail/matrix_parts.hpp"

namespace tessera::training::detail {

/// Classes of a tile: a row's masses and gradients are summed over a tile, then over tiles, so it is part of their bits.
inline constexpr std::int64_t tile_classes = 1024;
/// Rows of a tile. Part of the bits of the gradient of the weights alone, which is a sum over rows.
inline constexpr std::int64_t tile_rows = 1024;
/// Rows of one item of the passes over a tile.
inline constexpr std::int64_t pass_rows = 16;

/// to[r] = row which[r] of `from`, in the compute type.
template <class P, class Exec, class S>
void gather_rows(const Exec& exec, const view<const S, 2>& from, const std::int64_t* which, std::int64_t count,
                 typename P::value_type* to) {
  const std::int64_t length = from.extent(1);
  tessera::detail::for_each_worth(
      exec, static_cast<double>(count * length), (count + pass_rows - 1) / pass_rows, [&](int, std::int64_t item) {
        const std::int64_t last = std::min(count, (item + 1) * pass_rows);
        for (std::int64_t r = item * pass_rows; r < last; ++r) {
          const S* const row = from.data_handle() + which[r] * from.stride(0);
          tile::detail::write_run<P>(to + r * length, length, false,
                                     [&](std::int64_t k, int n) { return tile::detail::load_or<P>(row + k, n, 0); });
        }
      });
}

/// f(r) for every row of a tile.
template <class Exec, class F>
void for_tile_rows(const Exec& exec, std::int64_t rows, std::int64_t columns, const F& f) {
  constexpr double operations = 16;  // a number
  tessera::detail::for_each_worth(exec, operations * static_cast<double>(rows * columns), (rows + pass_rows - 1) / pass_rows,
                                  [&](int, std::int64_t item) {
                                    const std::int64_t last = std::min(rows, (item + 1) * pass_rows);
                                    for (std::int64_t r = item * pass_rows; r < last; ++r) f(r);
                                  });
}

/// Adds classes [first, first + n) of a bias to a row of logits.
template <class P, class B>
TESSERA_ALWAYS_INLINE void add_bias(typename P::value_type* logits, const view<const B, 1>& bias, std::int64_t first,
                                    std::int64_t n) {
  const B* const from = bias.data_handle() + first * bias.stride(0);
  tile::detail::write_run<P>(logits, n, false, [&](std::int64_t k, int count) {
    return tile::detail::load_or<P>(static_cast<const typename P::value_type*>(logits) + k, count, 0) +
           tile::detail::load_or<P>(from + k, count, 0);
  });
}

/// The scratch of the largest product m x n x k for m among two heights, n among two breadths and so on.
template <class T, class Arch, class TC>
[[nodiscard]] TESSERA_ALWAYS_INLINE std::size_t product_bytes(int workers, const std::int64_t (&m)[2], const std::int64_t (&n)[2],
                                                              const std::int64_t (&k)[2]) {
  std::size_t most = 0;
  for (int shape = 0; shape < 8; ++shape) {
    if (m[shape & 1] == 0 || n[shape >> 1 & 1] == 0) continue;
    const tile::detail::product_plan<T, Arch, TC> plan(workers, m[shape & 1], n[shape >> 1 & 1], k[shape >> 2]);
    most = std::max(most, plan.bytes());
  }
  return most;
}

/// How a length is cut: whole parts and what is left.
TESSERA_ALWAYS_INLINE void parts_of(std::int64_t length, std::int64_t part, std::int64_t (&sizes)[2]) {
  sizes[0] = std::min(length, part);
  sizes[1] = length % part != 0 ? length % part : sizes[0];
}

/// c = a b (or c += a b) in the compute type, in `memory` of product_bytes.
template <class T, class Exec, class TA, class TB, class TC>
void multiply(const Exec& exec, std::byte* memory, const view<TA, 2>& a, const view<TB, 2>& b, const view<TC, 2>& c,
              tile::detail::product_use use) {
  if (c.size() == 0) return;
  const tile::detail::product_plan<T, typename Exec::arch, TC> plan(exec.workers(), c.extent(0), c.extent(1), a.extent(1));
  tile::detail::run_product<T>(exec, plan, memory, view<const std::remove_const_t<TA>, 2>(a),
                               view<const std::remove_const_t<TB>, 2>(b), c, use);
}

}  // namespace tessera::training::detail
