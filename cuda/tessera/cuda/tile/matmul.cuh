// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The matrix product on a CUDA device.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/hopper/product.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/tile/product_kernel.cuh"
#include "tessera/cuda/tile/product_operand.cuh"
#include "tessera/cuda/tile/rows.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/detail/matmul_checks.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::tile::detail {

/// A matrix [lines, depth] as an operand sees it: its rows, or its columns where those are contiguous.
template <class T>
struct product_matrix {
  view<const T, 2> rows;
  bool lines_are_rows;

  product_matrix(const view<const T, 2>& lines) : rows(lines), lines_are_rows(lines.stride(1) == 1 || lines.stride(0) != 1) {
    if (!lines_are_rows) rows = {lines.data_handle(), {lines.extent(1), lines.extent(0)}, {lines.stride(1), lines.stride(0)}};
  }

  template <operand_layout Layout>
  [[nodiscard]] product_operand<stored_rows<T>, Layout> as() const {
    return {{rows.data_handle(), rows.stride(0), rows.extent(0)}, rows.extent(1), lines_are_rows};
  }
};

/// f(left, right) with the operands as they are copied fastest.
template <class Element, class TA, class TB, class F>
TESSERA_HIDDEN void with_operands(const product_matrix<TA>& a, const product_matrix<TB>& b, const F& f) {
  using enum operand_layout;
  if constexpr (std::is_same_v<TA, Element> && std::is_same_v<TB, Element>) {
    if (rows_begin_at_chunks(a.rows) && rows_begin_at_chunks(b.rows)) {
      if (a.lines_are_rows) {
        b.lines_are_rows ? f(a.template as<along>(), b.template as<along>()) : f(a.template as<along>(), b.template as<across>());
      } else {
        b.lines_are_rows ? f(a.template as<across>(), b.template as<along>())
                         : f(a.template as<across>(), b.template as<across>());
      }
      return;
    }
  }
  f(a.template as<converted>(), b.template as<converted>());
}

/// The product on Hopper; false where it has no way of its own for it.
template <class M, class Store>
TESSERA_HIDDEN bool run_on_hopper(const executor& exec, const product_matrix<M>& a, const product_matrix<M>& b,
                                  const product_size& size, const Store& store) {
  using enum hopper::operand;
  const auto launch_as = [&]<hopper::operand Left, hopper::operand Right>() {
    if (!hopper::has_product<Left, Right, Store>(exec, a.rows, b.rows)) return false;
    hopper::launch_product<Left, Right>(exec, a.rows, b.rows, size, store, "matmul");
    return true;
  };
  if (a.lines_are_rows) {
    return b.lines_are_rows ? launch_as.template operator()<rows, rows>() : launch_as.template operator()<rows, columns>();
  }
  return b.lines_are_rows ? launch_as.template operator()<columns, rows>() : launch_as.template operator()<columns, columns>();
}

template <class M, class TA, class TB, class TC>
TESSERA_HIDDEN void run_matmul(const executor& exec, const view<const TA, 2>& a, const view<const TB, 2>& b,
                               const view<TC, 2>& c) {
  const view<const TB, 2> lines_of_b(b.data_handle(), {b.extent(1), b.extent(0)}, {b.stride(1), b.stride(0)});
  const product_size size{c.extent(0), c.extent(1), a.extent(1)};
  const store_product<TC> store{c.data_handle(), c.stride(0), pairs_are_aligned(c.data_handle(), c.stride(0), c.extent(0))};
  const product_matrix<TA> left_lines(a);
  const product_matrix<TB> right_lines(lines_of_b);
  if constexpr (sizeof(M) == 2) {
    if (run_on_hopper<M>(exec, left_lines, right_lines, size, store)) return;
  }
  with_operands<typename multiplication<M>::element>(left_lines, right_lines, [&](const auto& left, const auto& right) {
    launch_product<M>(exec, left, right, size, store, "matmul");
  });
}

}  // namespace tessera::cuda::tile::detail

namespace tessera {

/// matmul (tessera/tile/matmul.hpp) on a CUDA device: same arguments, same meaning. Views are of device memory.
///
/// Products        16-bit operands of one type and float64 on the tensor cores; all else in float32, one fused multiply-add each, or, where the
///                 executor allows tf32 and both are float32, on the tensor cores in 11 bits.
/// Accuracy        float32, float64 and mixtures as on the CPU, float32 and mixtures to the bit. 16-bit operands of one type: products are
///                 exact, and summed in float32 as the tensor cores do, |error| <= 2^-22 k sum |a||b| (+ the last rounding). tf32: operands
///                 are rounded to 11 bits first, 2^-10 sum |a||b| more.
/// Cost            2 m n k flops, in tiles of 128 x 128 (float64 128 x 64) sums; 16-bit operands on Hopper 256 x 128 by warpgroups (wgmma, tensor
///                 copies). Rows or columns, whichever are contiguous, that begin at multiples of 16 bytes are copied asynchronously; other
///                 addresses and mixtures pass through registers one by one. No scratch.
/// Determinism     the same bits in every run and for every m and n; float32 and mixtures also wherever operands lie
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses, and memory that is not the device's;
///                 cuda::error
template <mdspan_like A, mdspan_like B, mdspan_like C>
  requires(A::rank() == 2 && B::rank() == 2 && C::rank() == 2)
TESSERA_HIDDEN void matmul(const cuda::executor& exec, const A& a_in, const B& b_in, const C& c_in) {
  using TA = value_type_of<A>;
  using TB = value_type_of<B>;
  using TC = value_type_of<C>;
  using T = std::common_type_t<compute_t<TA>, compute_t<TB>>;
  using M = std::conditional_t<(sizeof(TA) == 2 && std::is_same_v<TA, TB>), TA, T>;
  const view<const TA, 2> a(a_in);
  const view<const TB, 2> b(b_in);
  const view<TC, 2> c(c_in);
  tile::detail::check_matmul(a, b, c);
  cuda::detail::check_memory(exec, a, "matmul", "a");
  cuda::detail::check_memory(exec, b, "matmul", "b");
  cuda::detail::check_memory(exec, c, "matmul", "c");
  if constexpr (std::is_same_v<TA, float> && std::is_same_v<TB, float>) {
    if (exec.allows_tf32()) return cuda::tile::detail::run_matmul<cuda::tile::tf32>(exec, a, b, c);
  }
  cuda::tile::detail::run_matmul<M>(exec, a, b, c);
}

}  // namespace tessera
