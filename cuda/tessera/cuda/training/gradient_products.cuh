// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The products that gradients of a linear layer's cross-entropy are made of: their operands, and what becomes of their sums.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/hopper/product.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/tile/product_kernel.cuh"
#include "tessera/cuda/tile/product_operand.cuh"
#include "tessera/cuda/training/logit_slopes.cuh"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::training::detail {

/// Rows of hidden that count; the others are zeros, whatever they hold.
template <class H, class Target>
struct counting_rows {
  using element = H;
  const H* data;
  std::int64_t stride;
  view<const Target, 1> target;
  std::int64_t ignored;

  [[nodiscard]] TESSERA_DEVICE const H* row(std::int64_t i) const {
    return i < target.extent(0) && static_cast<std::int64_t>(target(i)) != ignored ? data + i * stride : nullptr;
  }
};

/// What becomes of slopes times weights: sums from chunk to chunk, in the result itself where it holds them, and the result after the last.
template <class T, class Slope, class DH>
struct add_grad_hidden {
  const slope_row<T>* rows;
  const slope_totals* totals;
  T* sums;
  std::int64_t sums_stride;
  DH* to;
  std::int64_t stride;
  bool pairs;  ///< of the result are aligned
  bool first, last;

  struct row_type {
    T* sums;
    DH* to;
    T unscale;  ///< 0: the row does not count
  };
  [[nodiscard]] TESSERA_DEVICE row_type row(std::int64_t i) const {
    T unscale = 0;
    if (rows[i].target != slope_row<T>::no_target) unscale = slopes_are_scaled<Slope> ? static_cast<T>(totals->unscale) : T(1);
    return {sums + i * sums_stride, to + i * stride, unscale};
  }
  TESSERA_DEVICE void operator()(const row_type& row, std::int64_t j, T x0, T x1, bool both) const {
    T* const so_far = row.sums + j;
    if (!first) {
      x0 = so_far[0] + x0;
      if (both) x1 = so_far[1] + x1;
    }
    if (row.unscale == T(0)) x0 = x1 = 0;
    if (last) {
      tile::store_pair(row.to + j, x0 * row.unscale, x1 * row.unscale, both, pairs);
    } else {
      so_far[0] = x0;
      if (both) so_far[1] = x1;
    }
  }
};

/// What becomes of transposed slopes times hidden.
template <class T, class Slope, class DW>
struct store_grad_weight {
  const slope_totals* totals;
  DW* to;
  std::int64_t stride;
  bool pairs;

  struct row_type {
    DW* to;
    T unscale;
  };
  [[nodiscard]] TESSERA_DEVICE row_type row(std::int64_t i) const {
    return {to + i * stride, slopes_are_scaled<Slope> ? static_cast<T>(totals->unscale) : T(1)};
  }
  TESSERA_DEVICE void operator()(const row_type& row, std::int64_t j, T x0, T x1, bool both) const {
    tile::store_pair(row.to + j, x0 * row.unscale, x1 * row.unscale, both, pairs);
  }
};

/// An operand as it is copied, and its rows where they may be copied by boxes (no data where not).
template <class Rows, tile::operand_layout Layout>
struct boxed_operand {
  tile::product_operand<Rows, Layout> copied;
  view<const typename Rows::element, 2> rows;
};

/// The product on Hopper where it has a way for it, else as everywhere.
template <class M, class LeftRows, tile::operand_layout Left, class RightRows, tile::operand_layout Right, class Finish>
TESSERA_HIDDEN void launch_either(const executor& exec, const boxed_operand<LeftRows, Left>& left,
                                  const boxed_operand<RightRows, Right>& right, const tile::product_size& size,
                                  const Finish& finish, const char* function) {
  using tile::operand_layout;
  if constexpr (sizeof(M) == 2 && Left != operand_layout::converted) {
    constexpr auto how_left = Left == operand_layout::along ? hopper::operand::rows : hopper::operand::columns;
    constexpr auto how_right = Right == operand_layout::along ? hopper::operand::rows : hopper::operand::columns;
    if (hopper::has_product<how_left, how_right, Finish>(exec, left.rows, right.rows)) {
      hopper::launch_product<how_left, how_right>(exec, left.rows, right.rows, size, finish, function);
      return;
    }
  }
  tile::launch_product<M>(exec, left.copied, right.copied, size, finish, function);
}

}  // namespace tessera::cuda::training::detail
